/** What is used of busboy 1.6, which brings no types. */
declare module "busboy" {
  import type { Readable, Writable } from "node:stream";
  interface Limits { fields?: number; files?: number; parts?: number; fieldSize?: number; fieldNameSize?: number; fileSize?: number; headerPairs?: number }
  interface Config { headers: { "content-type": string }; defParamCharset?: string; limits?: Limits }
  export interface Busboy extends Writable {
    on(event: "field", listener: (name: string, value: string, info: { nameTruncated: boolean; valueTruncated: boolean; encoding: string; mimeType: string }) => void): this;
    on(event: "file", listener: (name: string, content: Readable, info: { filename?: string; encoding: string; mimeType: string }) => void): this;
    on(event: "fieldsLimit" | "filesLimit" | "partsLimit" | "close" | "finish", listener: () => void): this;
    on(event: "error", listener: (error: unknown) => void): this;
  }
  export default function busboy(config: Config): Busboy;
}
