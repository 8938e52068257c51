/** Request bodies of fetch, as undici.request takes them. */
import { randomUUID } from "node:crypto";

export interface Payload {
  /** The bytes; called again for a redirect that repeats the request. */
  data(): string | Uint8Array | AsyncIterable<Uint8Array>;
  /** Content type, where the caller names none. */
  readonly type?: string;
  /** Bytes, where `data` is a stream whose length is known. */
  readonly length?: number;
  /** Whether `data` may be called again. */
  readonly again: boolean;
}

/** Strings, bytes, forms, blobs and streams (web streams and any async iterable of bytes). */
export function payload(body: unknown): Payload | undefined {
  if (body === undefined || body === null) return undefined;
  if (typeof body === "string") return { data: () => body, type: "text/plain;charset=UTF-8", again: true };
  if (body instanceof Uint8Array) return { data: () => body, again: true };
  if (body instanceof ArrayBuffer) return { data: () => new Uint8Array(body), again: true };
  if (ArrayBuffer.isView(body)) return { data: () => new Uint8Array(body.buffer as ArrayBuffer, body.byteOffset, body.byteLength), again: true };
  if (body instanceof URLSearchParams) return { data: () => body.toString(), type: "application/x-www-form-urlencoded;charset=UTF-8", again: true };
  if (body instanceof FormData) return multipart(body);
  if (body instanceof Blob) return { data: () => body.stream() as unknown as AsyncIterable<Uint8Array>, ...(body.type === "" ? {} : { type: body.type }), length: body.size, again: true };
  if (typeof body === "object" && Symbol.asyncIterator in body) return { data: () => body as AsyncIterable<Uint8Array>, again: false };
  throw new TypeError(`Expected a request body of text, bytes, a form or a stream, got ${Object.prototype.toString.call(body)}.`);
}

/** A form as multipart/form-data of known length (several platforms refuse chunked uploads); files are streamed, not copied. */
function multipart(form: FormData): Payload {
  const boundary = `clawflow-${randomUUID()}`;
  const parts: (Uint8Array | Blob)[] = [];
  for (const [name, value] of form) {
    const head = `--${boundary}\r\ncontent-disposition: form-data; name="${quoted(name)}"`;
    if (typeof value === "string") {
      parts.push(Buffer.from(`${head}\r\n\r\n${value.replace(/\r?\n|\r/g, "\r\n")}\r\n`));
    } else {
      parts.push(Buffer.from(`${head}; filename="${quoted(value.name)}"\r\ncontent-type: ${value.type || "application/octet-stream"}\r\n\r\n`), value, Buffer.from("\r\n"));
    }
  }
  parts.push(Buffer.from(`--${boundary}--\r\n`));
  let length = 0;
  for (const part of parts) length += part instanceof Blob ? part.size : part.byteLength;
  async function* data(): AsyncGenerator<Uint8Array> {
    for (const part of parts) {
      if (part instanceof Blob) yield* part.stream() as unknown as AsyncIterable<Uint8Array>;
      else yield part;
    }
  }
  return { data, type: `multipart/form-data; boundary=${boundary}`, length, again: true };
}

/** As the HTML standard escapes names in a form. */
function quoted(name: string): string {
  return name.replace(/\r?\n|\r/g, "%0D%0A").replaceAll('"', "%22");
}
