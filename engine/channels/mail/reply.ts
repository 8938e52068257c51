/** What a person wrote in this very mail: without the history below it, and without the signature. Pure; no rule looks further than a few lines. */

const PEOPLE = String.raw`[^\n]{0,300}`;
/** "On Monday Ada wrote:", by mail programs in their languages; the name may stand in the next line. */
const WROTE: readonly RegExp[] = [
  new RegExp(`^On ${PEOPLE}wrote:?$`, "i"), new RegExp(`^Am ${PEOPLE}schrieb${PEOPLE}:$`, "i"), new RegExp(`^Le ${PEOPLE}a écrit\\s?:$`, "i"), new RegExp(`^El ${PEOPLE}escribió:$`, "i"),
  new RegExp(`^Il ${PEOPLE}ha scritto:$`, "i"), new RegExp(`^Op ${PEOPLE}schreef${PEOPLE}:$`, "i"), new RegExp(`^Em ${PEOPLE}escreveu:$`, "i"), new RegExp(`^Den ${PEOPLE}skrev${PEOPLE}:$`, "i"), new RegExp(`^W dniu ${PEOPLE}napisał${PEOPLE}:$`, "i"),
  new RegExp(`^${PEOPLE}<[^<>@\\s]{1,64}@[^<>\\s]{1,255}>\\s?(?:wrote|schrieb|a écrit|escribió|ha scritto|написал(?:а)?)\\s?:$`, "i"), new RegExp(`^${PEOPLE}@${PEOPLE} (?:wrote|schrieb):$`, "i"),
];
const DIVIDER = /^[-_\s]{2,}\s*(?:Original Message|Original-Nachricht|Ursprüngliche Nachricht|Message d'origine|Mensaje original|Messaggio originale|Oorspronkelijk bericht|Mensagem original|Reply message|Antwort Nachricht)\s*[-_\s]{2,}$/i;
const FORWARDED = /^(?:[-_]{2,}|Begin )\s*(?:Forwarded message|Forwarded Message|Weitergeleitete Nachricht|Message transféré|Mensaje reenviado|Messaggio inoltrato|forwarded message)\s*(?:[-_]{2,}|:)\s*$/i;
/** The block of Outlook: From, then Sent or To within three lines. */
const FROM = /^\**(?:From|Von|De|Da|Van|Från|Fra|Od):\**\s\S/;
const SENT = /^\**(?:Sent|Gesendet|Envoyé|Enviado(?: el)?|Inviato|Verzonden|Date|Datum|Skickat|To|An|À|Para|A|Aan):\**\s\S/;
const MOBILE = /^(?:Sent from my \S.{0,60}|Von meinem .{1,60} gesendet\.?|Gesendet von .{1,60}|Envoyé de mon .{1,60}|Enviado desde mi .{1,60}|Inviato da(?:l mio)? .{1,60}|Get Outlook for \S.{0,60}|Sent (?:from|with|via) .{1,60}(?:Mail|App|Proton)\S{0,60}.{0,40})$/i;

export interface Reply { readonly text: string; /** A forwarded mail stands in it: the name of who wrote that, where it is told. */ readonly forwarded?: { readonly name?: string } }

/** `subject` says whether it is a mail passed on: of those all is kept. */
export function replyOf(whole: string, subject = ""): Reply {
  const lines = whole.replace(/\r\n?/g, "\n").split("\n").map((line) => line.trimEnd());
  const forward = lines.findIndex((line) => FORWARDED.test(line));
  const passedOn = forward >= 0 || /^\s*(?:fwd?|wg|tr|rv|enc|i|doorst)\s*:/i.test(subject);
  if (passedOn) {
    const name = lines.slice(Math.max(0, forward)).find((line) => FROM.test(line))?.replace(/^\**\w+:\**\s*/, "").replace(/\s*[<[(].*$/, "").replace(/["*]/g, "").trim();
    return { text: joined(lines), forwarded: name === undefined || name === "" ? {} : { name: name.slice(0, 200) } };
  }
  return { text: joined(withoutSignature(lines.slice(0, historyAt(lines)))) };
}

function historyAt(lines: readonly string[]): number {
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] as string;
    if (line === "" || line.startsWith(">")) continue;
    if (DIVIDER.test(line)) return at;
    if (FROM.test(line) && lines.slice(at + 1, at + 4).some((next) => SENT.test(next))) return rule(lines, at);
    if (line.length < 400 && wrote(lines, at) && !answersBelow(lines, at)) return at;
  }
  // Quotes at the end answer nothing: what stands above them was said about them.
  let end = lines.length;
  while (end > 0 && (lines[end - 1] === "" || (lines[end - 1] as string).startsWith(">"))) end--;
  return lines.slice(end).some((line) => line.startsWith(">")) && end > 0 ? end : lines.length;
}

/** Some programs break the line before the address, or before "wrote". */
function wrote(lines: readonly string[], at: number): boolean {
  const line = lines[at] as string;
  // A day, a time or an address stands in it; "On Monday I wrote:" is a sentence.
  if (WROTE.some((pattern) => pattern.test(line))) return /[\d@<]/.test(line);
  return /^(?:On|Am|Le|El|Il|Op|Em|Den|W dniu) \S/.test(line) && [2, 3].some((count) => { const some = lines.slice(at, at + count).join(" "); return some.length < 600 && /[\d@<]/.test(some) && WROTE.some((pattern) => pattern.test(some)); });
}

/** Answers between the quotes: then the quotes are needed to understand them. */
function answersBelow(lines: readonly string[], at: number): boolean {
  const below = lines.slice(at + 1);
  const first = below.findIndex((line) => line.startsWith(">"));
  if (first < 0) return false;
  const signature = below.findIndex((line) => /^--\s?$/.test(line));
  const last = below.slice(first, signature < 0 ? below.length : Math.max(first, signature));
  return last.some((line) => line !== "" && !line.startsWith(">") && !MOBILE.test(line));
}

/** Outlook draws a line above. */
function rule(lines: readonly string[], at: number): number {
  let above = at - 1;
  while (above >= 0 && lines[above] === "") above--;
  return above >= 0 && /^[_\-—*]{3,}$/.test(lines[above] as string) ? above : at;
}

function withoutSignature(lines: readonly string[]): readonly string[] {
  const mark = lines.findIndex((line) => line === "--" || line === "—" || line === "__");
  const body = mark < 0 ? lines : lines.slice(0, mark);
  let end = body.length;
  while (end > 0 && (body[end - 1] === "" || MOBILE.test(body[end - 1] as string))) end--;
  return body.slice(0, end);
}

const joined = (lines: readonly string[]): string => lines.join("\n").replace(/\n{3,}/g, "\n\n").trim();
