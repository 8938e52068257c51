/** Files, both ways. Twilio fetches what we send from an address: kept files get one of their own below the account's webhook, that ends after an hour and that nobody can guess. */
import { createHmac } from "node:crypto";
import type { ChannelContext, FileNeeds, WebhookAnswer, WebhookRequest } from "../channel.ts";
import { ChannelError } from "../../errors.ts";
import type { DraftFile } from "../../message.ts";
import { sameSecret } from "../../verify.ts";
import type { Twilio } from "./api.ts";

const HOUR_MS = 3_600_000;
const PATH = /^\/media\/([0-9a-f]{32})\/(\d{10,16})\/([\w-]{43})\/[^/]*$/;

export interface MediaDoor {
  /** A public address of the file. Throws ChannelError. */
  address(file: DraftFile, needs: FileNeeds): Promise<string>;
  /** Undefined where the request is for something else. */
  answer(request: WebhookRequest): Promise<WebhookAnswer | undefined>;
}

export function createMediaDoor(context: ChannelContext, token: string): MediaDoor {
  const mark = (id: string, until: string) => createHmac("sha256", token).update(`clawflow media ${id} ${until}`).digest("base64url");
  return {
    async address(file, needs) {
      // What is on the web already is Twilio's to fetch: nothing of it passes through here.
      if (/^https?:/i.test(file.media)) return file.media;
      const ready = await context.file(file, needs);
      const id = ready.media.slice("spool:".length);
      const until = String(context.clock.now() + HOUR_MS);
      return `${(context.webhookUrl ?? "").replace(/\/+$/, "")}/media/${id}/${until}/${mark(id, until)}/${encodeURIComponent(ready.name)}`;
    },
    async answer({ method, path }) {
      const [, id, until, given] = PATH.exec(path) ?? [];
      if (id === undefined || until === undefined || (method !== "GET" && method !== "HEAD")) return undefined;
      if (!sameSecret(given, mark(id, until)) || Number(until) < context.clock.now()) return { status: 404 };
      const ready = await context.file({ kind: "document", media: `spool:${id}` }).catch(() => undefined);
      if (ready === undefined) return { status: 404 };
      const headers = { "content-type": ready.mime, "content-length": String(ready.bytes), "x-content-type-options": "nosniff", "content-security-policy": "sandbox; default-src 'none'", "cache-control": "private, max-age=3600" };
      return method === "HEAD" ? { status: 200, headers } : { status: 200, headers, body: ready.stream() as unknown as AsyncIterable<Uint8Array> };
    },
  };
}

/** The bytes behind an address that Twilio named in a signed request. */
export function fetchMedia(context: ChannelContext, twilio: Twilio, reference: string, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
  const host = URL.parse(reference)?.host ?? "";
  // The token goes to Twilio alone.
  const own = reference.startsWith(`${twilio.root}/`) || /(?:^|\.)twilio\.com$/.test(host);
  if (!own) throw new ChannelError("SEC_001", {}, `Expected the address of a file at Twilio, got one at "${host}".`);
  return context.download(reference, { headers: { authorization: twilio.authorization }, signal, trust: [new URL(twilio.root).origin] });
}
