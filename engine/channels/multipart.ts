/** A form with one file in it, streamed and of known length: several platforms refuse chunked uploads. */
import { randomUUID } from "node:crypto";
import type { ReadyFile } from "./channel.ts";

export interface Multipart { readonly body: AsyncIterable<Uint8Array>; readonly headers: Readonly<Record<string, string>> }

/** The file's bytes are read once, while they are sent. Fields stand before the file, as some servers want them. */
export function multipart(fields: Readonly<Record<string, string>>, field: string, file: Pick<ReadyFile, "name" | "mime" | "bytes" | "stream">): Multipart {
  const boundary = `clawflow-${randomUUID()}`;
  const plain = Object.entries(fields).map(([name, value]) => `--${boundary}\r\ncontent-disposition: form-data; name="${quoted(name)}"\r\n\r\n${value}\r\n`).join("");
  const head = Buffer.from(`${plain}--${boundary}\r\ncontent-disposition: form-data; name="${quoted(field)}"; filename="${quoted(file.name)}"\r\ncontent-type: ${file.mime.replace(/[\r\n]/g, "")}\r\n\r\n`);
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`);
  async function* body(): AsyncGenerator<Uint8Array> {
    yield head;
    yield* file.stream() as unknown as AsyncIterable<Uint8Array>;
    yield tail;
  }
  return { body: body(), headers: { "content-type": `multipart/form-data; boundary=${boundary}`, "content-length": String(head.length + file.bytes + tail.length) } };
}

/** As the HTML standard escapes names in a form. */
function quoted(name: string): string {
  return name.replace(/\r?\n|\r/g, "%0D%0A").replaceAll('"', "%22");
}
