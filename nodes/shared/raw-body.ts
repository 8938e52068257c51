/** The raw bytes of a request. Who sends it is known only when all of it is here, so what strangers can make us hold is limited over all requests. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { HttpFault } from "../../engine/http-fault.ts";

const MIB = 1024 * 1024;

export interface BodyLimits {
  /** Larger bodies end with 413 before they are kept; what is smaller is each channel's own affair. Bytes. */
  readonly most?: number;
  /** A body up to this size is always taken: messages of chat platforms are smaller. Bytes. */
  readonly small?: number;
  /** Of larger ones so much is held at once, until they are answered; who comes then is told to come again. Bytes. */
  readonly mostAtOnce?: number;
  /** Milliseconds that a body may take. */
  readonly withinMs?: number;
}

/** Rejects with HttpFault, or with the error of the connection. */
export type ReadBody = (req: IncomingMessage, res: ServerResponse) => Promise<Buffer>;

export function createBodyReader({ most = 32 * MIB, small = MIB, mostAtOnce = 128 * MIB, withinMs = 30_000 }: BodyLimits = {}): ReadBody {
  let held = 0;

  return (req, res) => new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    let mine = 0;
    res.once("close", () => { held -= mine; mine = 0; });
    const fail = (error: HttpFault): void => {
      clearTimeout(timer);
      req.removeAllListeners("data");
      req.resume();
      reject(error);
    };
    const timer = setTimeout(() => fail(new HttpFault(408, "MSG_001", `Expected the body within ${withinMs / 1000} s.`)), withinMs);
    req.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size > most) return fail(new HttpFault(413, "MSG_003", `Expected at most ${most} bytes.`));
      if (size > small) {
        const more = size - mine;
        if (held + more > mostAtOnce) return fail(new HttpFault(503, "CONN_003", "Other large requests are being read.", { "retry-after": "5" }));
        held += more;
        mine = size;
      }
      chunks.push(chunk);
    });
    req.on("end", () => { clearTimeout(timer); resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)); });
    req.on("error", (error) => { clearTimeout(timer); reject(error); });
  });
}
