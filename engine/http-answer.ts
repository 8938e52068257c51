/** The answer of our fetch: what callers and SDKs use of a Response, made only as far as it is asked for. */
import type { Readable } from "node:stream";
import { pipeline } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import type { Dispatcher } from "undici";
import { httpError } from "./http-error.ts";

type Source = Dispatcher.ResponseData["body"];
type RawHeaders = Record<string, string | string[] | undefined>;

const UNPACK: Readonly<Record<string, () => NodeJS.ReadWriteStream>> = {
  gzip: createGunzip, "x-gzip": createGunzip, deflate: createInflate, br: createBrotliDecompress,
};
const EMPTY_STATUS = new Set([101, 103, 204, 205, 304]);

/** Wraps an undici answer. Reading the body throws HttpError, or the signal's reason after an abort. */
export function answer(got: Dispatcher.ResponseData, url: URL, redirected: boolean, method: string, signal: AbortSignal | undefined): Response {
  return new Answer(got, url, redirected, method, signal) as unknown as Response;
}

class Answer {
  readonly status: number;
  readonly ok: boolean;
  readonly redirected: boolean;
  readonly type = "basic";
  readonly headers: AnswerHeaders;
  readonly #url: URL;
  readonly #source: Source;
  readonly #signal: AbortSignal | undefined;
  readonly #empty: boolean;
  #stream: Readable | undefined;
  #body: ReadableStream<Uint8Array> | undefined;
  #used = false;
  #cloned = false;

  constructor(got: Dispatcher.ResponseData, url: URL, redirected: boolean, method: string, signal: AbortSignal | undefined) {
    this.status = got.statusCode;
    this.ok = got.statusCode >= 200 && got.statusCode < 300;
    this.redirected = redirected;
    this.headers = new AnswerHeaders(got.headers);
    this.#url = url;
    this.#source = got.body;
    this.#signal = signal;
    this.#empty = EMPTY_STATUS.has(got.statusCode) || method === "HEAD";
    // Nothing will come: frees the connection at once, so nobody needs to read.
    if (this.#empty || got.headers["content-length"] === "0") got.body.dump().catch(() => undefined);
    const packing = got.headers["content-encoding"];
    const unpack = typeof packing === "string" && !this.#empty ? UNPACK[packing.toLowerCase()] : undefined;
    // A broken stream shows itself to its reader; the callback only keeps it from being unhandled.
    if (unpack !== undefined) this.#stream = pipeline(got.body, unpack(), () => undefined) as unknown as Readable;
  }

  get url(): string { return this.#url.href; }
  get statusText(): string { return ""; }
  get bodyUsed(): boolean { return this.#used || this.#body?.locked === true || (!this.#cloned && this.#bytes.readableDidRead); }

  /** A web stream, made on first use: it costs more than the rest of the answer together. */
  get body(): ReadableStream<Uint8Array> | null {
    if (this.#empty) return null;
    this.#body ??= webStream(this.#bytes, (thrown) => this.#fault(thrown));
    return this.#body;
  }

  async text(): Promise<string> {
    this.#take();
    if (this.#empty) return "";
    // SDKs touch `body` without reading it: only a clone makes the web stream the one to read.
    if (this.#cloned || this.#stream !== undefined) return new TextDecoder().decode(await this.#collect());
    try {
      return await this.#source.text();
    } catch (thrown) {
      throw this.#fault(thrown);
    }
  }
  async json(): Promise<unknown> { return JSON.parse(await this.text()); }
  async bytes(): Promise<Uint8Array> {
    this.#take();
    if (this.#empty) return new Uint8Array();
    return this.#collect();
  }
  async arrayBuffer(): Promise<ArrayBuffer> {
    const bytes = await this.bytes();
    return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
  }
  async blob(): Promise<Blob> { return new Blob([(await this.bytes()) as Uint8Array<ArrayBuffer>], { type: this.headers.get("content-type") ?? "" }); }
  async formData(): Promise<FormData> {
    return new Response((await this.bytes()) as Uint8Array<ArrayBuffer>, { headers: { "content-type": this.headers.get("content-type") ?? "" } }).formData();
  }
  clone(): Response {
    if (this.bodyUsed) throw new TypeError("The body was read already.");
    const body = this.body;
    const head = { status: this.status, headers: [...this.headers] as [string, string][] };
    if (body === null) return new Response(null, head);
    const [mine, other] = body.tee();
    this.#body = mine;
    this.#cloned = true;
    return new Response(other, head);
  }

  get #bytes(): Readable { return this.#stream ?? this.#source; }
  #take(): void {
    if (this.bodyUsed) throw new TypeError("The body was read already.");
    this.#used = true;
  }
  async #collect(): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    try {
      for await (const piece of (this.#cloned ? this.#body : this.#bytes) as AsyncIterable<Uint8Array>) pieces.push(piece);
    } catch (thrown) {
      throw this.#fault(thrown);
    }
    return pieces.length === 1 ? (pieces[0] as Uint8Array) : Buffer.concat(pieces);
  }
  #fault(thrown: unknown): unknown { return httpError(thrown, this.#url, this.#signal, true); }
}

/** A web stream that reads from a node stream only when it is itself read; cancelling destroys the source and so the connection. */
function webStream(source: Readable, fault: (thrown: unknown) => unknown): ReadableStream<Uint8Array> {
  let pieces: AsyncIterator<Uint8Array> | undefined;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        pieces ??= source[Symbol.asyncIterator]();
        try {
          const { done, value } = await pieces.next();
          if (done) controller.close();
          else controller.enqueue(value);
        } catch (thrown) {
          throw fault(thrown);
        }
      },
      cancel() {
        source.on("error", () => undefined).destroy();
      },
    },
    { highWaterMark: 0 },
  );
}

/** Headers of an answer: read-only, names in any case. */
class AnswerHeaders {
  readonly #raw: RawHeaders;
  constructor(raw: RawHeaders) { this.#raw = raw; }
  get(name: string): string | null {
    const value = this.#raw[name.toLowerCase()];
    return value === undefined ? null : typeof value === "string" ? value : value.join(", ");
  }
  has(name: string): boolean { return this.#raw[name.toLowerCase()] !== undefined; }
  getSetCookie(): string[] {
    const value = this.#raw["set-cookie"];
    return value === undefined ? [] : typeof value === "string" ? [value] : value;
  }
  *entries(): Generator<[string, string]> {
    for (const name of Object.keys(this.#raw)) {
      if (name === "set-cookie") for (const cookie of this.getSetCookie()) yield [name, cookie];
      else yield [name, this.get(name) ?? ""];
    }
  }
  *keys(): Generator<string> { for (const [name] of this.entries()) yield name; }
  *values(): Generator<string> { for (const [, value] of this.entries()) yield value; }
  forEach(act: (value: string, name: string, headers: Headers) => void): void {
    for (const [name, value] of this.entries()) act(value, name, this as unknown as Headers);
  }
  [Symbol.iterator](): Generator<[string, string]> { return this.entries(); }
}
