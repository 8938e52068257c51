/** The body of an HTTP request as plain data: JSON, forms, XML, text, multipart. Whatever came from outside is checked, cleaned and capped here. */
import { Readable } from "node:stream";
import { ClawError, type ErrorCode } from "../errors.ts";
import type { Spooled } from "../media.ts";

/** Keeps a file and resolves to where it is; throws when it is too large. */
export type KeepFile = (content: Readable, file: { readonly name?: string; readonly mime?: string }) => Promise<Spooled>;
export interface BodyOptions {
  /** Largest body without files, bytes. */
  readonly maxBytes?: number;
  /** Largest body with files, bytes. */
  readonly maxFileBytes?: number;
  /** Absent: files are refused. */
  readonly keep?: KeepFile;
  /** Takes back a file that was kept when the rest of the body turned out to be bad. */
  readonly discard?: (id: string) => Promise<void>;
}
export interface BodyFile extends Spooled { /** Name of the form field. */ readonly field: string }
export interface Body {
  readonly kind: "empty" | "json" | "form" | "xml" | "text" | "multipart" | "file";
  /** Plain JSON data without `__proto__`. Form fields are strings, or lists of strings where a name comes twice. */
  readonly data: unknown;
  readonly files: readonly BodyFile[];
}

/** `status`: what to answer. */
export class BodyError extends ClawError {
  readonly status: 400 | 413 | 415;
  constructor(status: 400 | 413 | 415, message: string, cause?: unknown) {
    super((status === 413 ? "MSG_003" : "MSG_001") satisfies ErrorCode, { cause }, message);
    this.status = status;
  }
}

const MIB = 1_048_576;
const DEPTH = 64;
const FIELDS = 1000;
const FILES = 20;

type Parse = (bytes: Uint8Array, charset: string) => unknown | Promise<unknown>;
const KINDS: readonly [RegExp, Body["kind"], Parse][] = [
  [/^(application|text)\/([\w.+-]+\+)?json$/, "json", parseJson],
  [/^application\/x-www-form-urlencoded$/, "form", parseForm],
  [/^(application|text)\/([\w.+-]+\+)?xml$/, "xml", parseXml],
  [/^text\//, "text", decode],
];

/** Throws BodyError. */
export async function parseBody(headers: Readonly<Record<string, string>>, body: Uint8Array, options: BodyOptions = {}): Promise<Body> {
  const { maxBytes = MIB, maxFileBytes = 20 * MIB, keep } = options;
  const packing = headers["content-encoding"]?.trim().toLowerCase() || "identity";
  if (packing !== "identity") throw new BodyError(415, `Expected a body without Content-Encoding, got "${packing}".`);
  const type = headers["content-type"] ?? "";
  const mime = type.split(";", 1)[0]?.trim().toLowerCase() ?? "";
  const multipart = mime === "multipart/form-data";
  const row = KINDS.find(([pattern]) => pattern.test(mime));
  const most = row ? maxBytes : maxFileBytes;
  if (body.byteLength > most) throw new BodyError(413, `Expected a body of at most ${most} bytes, got ${body.byteLength}.`);
  if (body.byteLength === 0) return { kind: "empty", data: {}, files: [] };
  if (row) {
    const charset = /;\s*charset\s*=\s*"?([^";\s]+)"?/i.exec(type)?.[1] ?? "";
    return { kind: row[1], data: await row[2](body, charset), files: [] };
  }
  if (mime === "") throw new BodyError(415, "Expected a Content-Type, got none.");
  if (multipart) return parseMultipart(type, body, maxBytes, options);
  if (!keep) throw new BodyError(415, `Expected JSON, a form, XML or text, got "${mime}".`);
  const kept = await keep(Readable.from([body]), { mime });
  return { kind: "file", data: {}, files: [{ ...kept, field: "" }] };
}

/** Text of bytes that are exactly in their charset. Throws BodyError. */
function decode(bytes: Uint8Array, charset: string): string {
  let decoder: TextDecoder;
  try {
    decoder = new TextDecoder(charset || "utf-8", { fatal: true });
  } catch (error) {
    throw new BodyError(415, `Expected a known charset, got "${charset}".`, error);
  }
  try {
    return decoder.decode(bytes);
  } catch (error) {
    throw new BodyError(400, `Expected ${decoder.encoding} text; some bytes are not.`, error);
  }
}

function parseJson(bytes: Uint8Array, charset: string): unknown {
  const text = decode(bytes, charset);
  if (depthOf(text) > DEPTH) throw new BodyError(400, `Expected JSON nested at most ${DEPTH} deep.`);
  let data: unknown;
  try {
    // Long ids stay exact: an integer that a number cannot hold becomes its digits.
    data = /\d{16}/.test(text) ? JSON.parse(text, exactly) : JSON.parse(text);
  } catch (error) {
    throw new BodyError(400, `Expected JSON: ${(error as Error).message}.`, error);
  }
  if (typeof data !== "object" || data === null) throw new BodyError(400, `Expected a JSON object or list, got ${text.slice(0, 40)}.`);
  return clean(data);
}

function exactly(this: unknown, _key: string, value: unknown, context?: { source?: string }): unknown {
  const source = context?.source;
  return typeof value === "number" && source !== undefined && /^-?\d+$/.test(source) && !Number.isSafeInteger(value) ? source : value;
}

/** How deep brackets nest, outside strings: known before anything is built. */
function depthOf(text: string): number {
  let depth = 0;
  let most = 0;
  for (let n = 0; n < text.length; n++) {
    switch (text.charCodeAt(n)) {
      case 0x22:
        for (n++; n < text.length && text.charCodeAt(n) !== 0x22; n++) if (text.charCodeAt(n) === 0x5c) n++;
        break;
      case 0x5b: case 0x7b:
        if (++depth > most) most = depth;
        break;
      case 0x5d: case 0x7d:
        depth--;
    }
  }
  return most;
}

/**
 * Takes out, in place, what would become a prototype once somebody copies the data key by key (`__proto__`, `constructor.prototype`).
 * Throws BodyError on numbers that JSON cannot write again (1e400) and on data that nests too deep.
 */
export function clean<T>(data: T, depth = 0): T {
  if (typeof data === "number" && !Number.isFinite(data)) throw new BodyError(400, "Expected numbers that fit a double.");
  if (typeof data !== "object" || data === null) return data;
  if (depth > DEPTH) throw new BodyError(400, `Expected data nested at most ${DEPTH} deep.`);
  const own = data as Record<string, unknown>;
  if (Object.hasOwn(own, "__proto__")) Reflect.deleteProperty(own, "__proto__");
  if (Object.hasOwn(own, "constructor") && typeof own["constructor"] === "object" && own["constructor"] !== null && Object.hasOwn(own["constructor"], "prototype")) delete own["constructor"];
  for (const key of Object.keys(own)) clean(own[key], depth + 1);
  return data;
}

/** Adds a field; a name that comes again makes a list. */
function add(fields: Record<string, string | string[]>, name: string, value: string): void {
  if (name === "__proto__" || name === "constructor") return;
  const before = Object.hasOwn(fields, name) ? fields[name] : undefined;
  if (before === undefined) fields[name] = value;
  else if (Array.isArray(before)) before.push(value);
  else fields[name] = [before, value];
}

function parseForm(bytes: Uint8Array, charset: string): unknown {
  const text = decode(bytes, charset);
  const pairs = text.split("&").filter((pair) => pair !== "");
  if (pairs.length > FIELDS) throw new BodyError(400, `Expected at most ${FIELDS} form fields, got ${pairs.length}.`);
  const fields: Record<string, string | string[]> = {};
  for (const pair of pairs) {
    const cut = pair.indexOf("=");
    try {
      const [name, value] = [cut < 0 ? pair : pair.slice(0, cut), cut < 0 ? "" : pair.slice(cut + 1)].map((part) => decodeURIComponent(part.replaceAll("+", " ")));
      add(fields, name ?? "", value ?? "");
    } catch (error) {
      throw new BodyError(400, "Expected form fields that are percent-encoded UTF-8.", error);
    }
  }
  return fields;
}

/** Elements as objects, text as strings, attributes with "@" before their names, text beside attributes as "#text". */
async function parseXml(bytes: Uint8Array, charset: string): Promise<unknown> {
  const prolog = /^(?:\xef\xbb\xbf)?<\?xml[^>]*\sencoding\s*=\s*["']([\w.-]+)["']/.exec(Buffer.from(bytes.subarray(0, 200)).toString("latin1"))?.[1];
  const text = decode(bytes, charset || (prolog ?? ""));
  // Without a document type there are no entities but the five of XML itself: nothing to expand, nothing to fetch.
  if (/<!(DOCTYPE|ENTITY)/i.test(text)) throw new BodyError(400, "Expected XML without a document type.");
  const { XMLParser, XMLValidator } = await import("fast-xml-parser");
  const fault = XMLValidator.validate(text);
  if (fault !== true) throw new BodyError(400, `Expected XML: ${fault.err.msg} (line ${fault.err.line}).`);
  const parser = new XMLParser({ ignoreAttributes: false, attributeNamePrefix: "@", parseTagValue: false, ignoreDeclaration: true, ignorePiTags: true, maxNestedTags: DEPTH, processEntities: true });
  try {
    return clean(parser.parse(text));
  } catch (error) {
    if (error instanceof BodyError) throw error;
    throw new BodyError(400, `Expected XML: ${(error as Error).message}.`, error);
  }
}

async function parseMultipart(type: string, body: Uint8Array, maxBytes: number, { keep, discard }: BodyOptions): Promise<Body> {
  const { default: busboy } = await import("busboy");
  let form: import("busboy").Busboy;
  try {
    form = busboy({ headers: { "content-type": type }, defParamCharset: "utf8", limits: { fields: FIELDS, files: FILES, parts: FIELDS + FILES, fieldSize: maxBytes, fieldNameSize: 200, headerPairs: 50 } });
  } catch (error) {
    throw noForm(error);
  }
  const fields: Record<string, string | string[]> = {};
  const files: Promise<BodyFile>[] = [];
  try {
    await new Promise<void>((resolve, fail) => {
      form.on("field", (name, value, info) => {
        if (info.valueTruncated || info.nameTruncated) fail(new BodyError(413, `Expected form fields of at most ${maxBytes} bytes.`));
        else if (value.includes("\uFFFD")) fail(new BodyError(400, "Expected form fields in their charset, UTF-8 as a rule."));
        else add(fields, name, value);
      });
      form.on("file", (field, content, { filename, mimeType }) => {
        content.on("error", () => undefined);   // a form that breaks off tells its file before anybody reads it; reading tells again
        if (!keep) return fail(new BodyError(415, "Expected a form without files."));
        const kept = keep(content, { mime: mimeType, ...(filename === undefined ? {} : { name: filename }) }).then((file) => ({ ...file, field }));
        kept.catch(fail);
        files.push(kept);
      });
      for (const limit of ["fieldsLimit", "filesLimit", "partsLimit"] as const) form.on(limit, () => fail(new BodyError(413, `Expected at most ${FIELDS} form fields and ${FILES} files.`)));
      form.on("error", (error) => fail(noForm(error)));
      form.on("close", () => resolve());
      form.end(body);
    });
    return { kind: "multipart", data: fields, files: await Promise.all(files) };
  } catch (error) {
    form.destroy();
    for (const done of await Promise.allSettled(files)) if (done.status === "fulfilled") await discard?.(done.value.id);
    throw error;
  }
}

const noForm = (error: unknown): BodyError => new BodyError(400, `Expected multipart form data: ${(error as Error).message}.`, error);
