/** Takes secrets out of what is written: logs, errors, debug. Known values in every form they take, and what looks like a token. */
import { encodingsOf, partsOf, SHORTEST } from "./forms.ts";
import { hideTokens } from "./shapes.ts";

export interface Redactor {
  /** The text without secrets; the very same text where there are none. */
  redact(text: string): string;
  /** Known values alone: for a text that somebody goes on working with, where all else has to stay as it is. */
  hide(text: string): string;
  /** An Error to show: name, message, stack, causes and further properties without secrets. The original is not changed. */
  redactError(error: unknown): Error;
  /** A copy of plain data; values under names like "authorization" go whatever they are. */
  redactData(data: unknown): unknown;
}

const REDACTED = "[redacted]";

/** Bytes as Node prints them: nobody reads them, and they may be anything. */
const DUMPS: readonly RegExp[] = [/<Buffer(?: [0-9a-f]{2}){1,200}[^<>]{0,40}>/g, /\{"type":"Buffer","data":\[[\d,]{0,4000000}\]\}/g, /(?:Uint8Array|Buffer)\(\d{1,12}\) \[[\d,\s]{0,4000}[^[\]]{0,40}\]/g];
const SECRET_NAME = /^(?:proxy-)?authori[sz]ation$|cookie|secret|passw|api[-_]?key|credential|private[-_]?key|^(?:.*[-_])?token$|signature/i;

const literal = (text: string): string => text.replace(/[.*+?^${}()|[\]\\/-]/g, "\\$&");

/** `secrets` is asked at every use, so that a token is known from the moment it is entered. Values under `shortest` characters are left alone. */
export function createRedactor(secrets: () => Iterable<string>, shortest = SHORTEST): Redactor {
  let known: readonly string[] = [];
  let values: RegExp | undefined;
  /** Long secrets: a log line may end inside one and the next begin there. */
  let long: readonly string[] = [];

  function refresh(): void {
    const current = [...secrets()];
    if (current.length === known.length && current.every((secret, n) => secret === known[n])) return;
    known = current;
    const parts = [...new Set(current.flatMap((secret) => partsOf(secret, shortest)))];
    const forms = [...new Set(parts.flatMap(encodingsOf))].sort((a, b) => b.length - a.length);
    values = forms.length === 0 ? undefined : new RegExp(forms.map(literal).join("|"), "gi");
    long = parts.filter((part) => part.length >= 2 * EDGE);
  }

  function hide(text: string): string {
    refresh();
    if (values === undefined) return text;
    let clean = text.replace(values, REDACTED);
    if (clean.includes("\n")) clean = acrossLines(clean, values);
    // Whoever shortened a text has put the sign there, maybe in the middle of a secret.
    return clean.includes("…") ? clean.split("…").map((piece) => edges(piece, long)).join("…") : edges(clean, long);
  }

  function redact(text: string): string {
    let clean = hideTokens(hide(text), REDACTED);
    for (const pattern of DUMPS) clean = clean.replace(pattern, "<Buffer>");
    return clean;
  }

  function redactData(data: unknown, seen: ReadonlySet<object> = new Set()): unknown {
    if (typeof data === "string") return redact(data);
    if (typeof data === "function" || typeof data === "symbol") return undefined;
    if (typeof data !== "object" || data === null) return data;
    if (seen.has(data) || seen.size > 8) return "[…]";
    if (ArrayBuffer.isView(data) || data instanceof ArrayBuffer) return "<Buffer>";
    const inside = new Set(seen).add(data);
    if (data instanceof Error) return redactError(data, inside);
    if (Array.isArray(data)) return data.slice(0, 1000).map((entry) => redactData(entry, inside));
    const entries: Iterable<[unknown, unknown]> = data instanceof Map || data instanceof Headers ? data : Object.entries(data);
    const copy: Record<string, unknown> = {};
    for (const [key, value] of entries) {
      const name = redact(String(key));
      if (name !== "__proto__") copy[name] = SECRET_NAME.test(String(key)) && value !== undefined && value !== null ? REDACTED : redactData(value, inside);
    }
    return copy;
  }

  function redactError(error: unknown, seen: ReadonlySet<object> = new Set()): Error {
    if (!(error instanceof Error)) return new Error(redact(typeof error === "string" ? error : JSON.stringify(redactData(error)) ?? String(error)));
    const inside = new Set(seen).add(error);
    const copy = new Error(redact(error.message));
    const hidden = { configurable: true, writable: true, enumerable: false };
    Object.defineProperty(copy, "name", { ...hidden, value: redact(error.name) });
    Object.defineProperty(copy, "stack", { ...hidden, value: redact(error.stack ?? "") });
    for (const [key, value] of Object.entries(error)) if (key !== "cause" && key !== "errors" && key !== "__proto__") (copy as unknown as Record<string, unknown>)[key] = SECRET_NAME.test(key) ? REDACTED : redactData(value, inside);
    if (error.cause !== undefined) Object.defineProperty(copy, "cause", { ...hidden, value: typeof error.cause === "object" && error.cause !== null && seen.has(error.cause) ? undefined : redactData(error.cause, inside) });
    if (error instanceof AggregateError) Object.defineProperty(copy, "errors", { ...hidden, value: redactData(error.errors, inside) });
    return copy;
  }

  return { redact, hide, redactError: (error) => redactError(error), redactData: (data) => redactData(data) };
}

/** Finds values that are broken by line ends and the blanks after them, as wrapped logs and base64 have them. */
function acrossLines(text: string, values: RegExp): string {
  const kept: number[] = [];
  let joined = "";
  for (const part of text.matchAll(/[^\r\n]+/g)) {
    const line = part[0].trimStart();
    const from = part.index + part[0].length - line.length;
    for (let n = 0; n < line.length; n++) kept.push(from + n);
    joined += line;
  }
  let clean = "";
  let done = 0;
  for (const hit of joined.matchAll(values)) {
    const start = kept[hit.index] ?? 0;
    const end = (kept[hit.index + hit[0].length - 1] ?? 0) + 1;
    clean += text.slice(done, start) + REDACTED;
    done = end;
  }
  return done === 0 ? text : clean + text.slice(done);
}

/** So many characters of a secret at the edge of a text are taken for a part of it. */
const EDGE = 8;

function edges(text: string, secrets: readonly string[]): string {
  let clean = text;
  for (const secret of secrets) {
    const tail = clean.slice(-secret.length);
    for (const from of placesOf(secret.slice(0, EDGE), tail)) {
      if (!secret.startsWith(tail.slice(from).trimEnd())) continue;
      clean = clean.slice(0, clean.length - tail.length + from) + REDACTED;
      break;
    }
    const head = clean.slice(0, secret.length);
    for (const at of placesOf(secret.slice(-EDGE), head).reverse()) {
      if (!secret.endsWith(head.slice(0, at + EDGE).trimStart())) continue;
      clean = REDACTED + clean.slice(at + EDGE);
      break;
    }
  }
  return clean;
}

function placesOf(part: string, text: string): number[] {
  const places: number[] = [];
  for (let at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + 1)) places.push(at);
  return places;
}
