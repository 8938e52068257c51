/** File names that came from outside. They are only ever shown or offered, never a path. */

const MOST_BYTES = 255;
/** Device names of Windows, whatever follows the full stop. */
const DEVICE = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i;

/** At most 255 bytes of letters, figures and few marks, without folder, control or direction marks; "" when nothing is left. */
export function cleanName(name: string): string {
  const base = name.normalize("NFKC").split(/[/\\]/).at(-1) ?? "";
  let clean = base
    .replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "")
    .replace(/[^\p{L}\p{N}\p{M} ._()+,@[\]=-]/gu, "_")
    .replace(/^[\s.-]+|[\s.]+$/g, "");
  if (DEVICE.test(clean)) clean = `_${clean}`;
  return shorten(clean);
}

/** Cut to 255 bytes of UTF-8 between characters; the ending stays. */
function shorten(name: string): string {
  if (Buffer.byteLength(name) <= MOST_BYTES) return name;
  const ending = /\.[\w]{1,10}$/.exec(name)?.[0] ?? "";
  let short = "";
  let bytes = Buffer.byteLength(ending);
  for (const letter of name) {
    bytes += Buffer.byteLength(letter);
    if (bytes > MOST_BYTES) break;
    short += letter;
  }
  return short + ending;
}
