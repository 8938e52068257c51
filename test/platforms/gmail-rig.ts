/** Gmail's channel against its stub, for the contract suite and for tests of its own. */
import { readFileSync } from "node:fs";
import path from "node:path";
import type { Account } from "../../engine/channels/channel.ts";
import { gmail } from "../../engine/channels/gmail/gmail.ts";
import { read, type Resource } from "../../engine/channels/gmail/receive.ts";
import type { Self } from "../../engine/channels/mail/to-message.ts";
import { systemClock } from "../../engine/clock.ts";
import { createFetch } from "../../engine/http.ts";
import type { Message } from "../../engine/message.ts";
import { type ChannelRig, memoryStorage, type Refusal, type SendFault } from "../contracts/channel-rig.ts";
import { projectRoot } from "../rigs/project.ts";
import { ADA, mail, ROOT } from "./email-rig.ts";
import { type Fault, type GmailStub, startGmail } from "./gmail.ts";

const FAULTS: Readonly<Record<SendFault, Fault | undefined>> = {
  rate: { status: 429, reason: "rateLimitExceeded", says: "User-rate limit exceeded", headers: { "retry-after": "3" } },
  refused: { status: 400, reason: "invalidArgument", says: "Invalid To header" },
  server: { status: 503, reason: "backendError", says: "Backend Error" },
  reset: { reset: "after" },
  // Gmail reads no markup.
  markup: undefined,
};
const REFUSALS: Readonly<Record<Refusal, Fault | undefined>> = {
  gone: { status: 404, reason: "notFound", says: "Requested entity was not found." },
  // Whoever does not want a mail says so later, by another mail.
  kicked: undefined,
  long: { status: 413, reason: "uploadTooLarge", says: "Request Too Large" },
};
export const SELF: Self = { channel: "gmail", account: "google", addresses: ["claw@gmail.com"], inboxes: ["claw@gmail.com"], trusted: ["mx.google.com"], verify: true };
export const AR = "mx.google.com; dkim=pass header.i=@example.org header.s=s1 header.b=abc; spf=pass (google.com: domain of ada@example.org designates 203.0.113.9 as permitted sender) smtp.mailfrom=ada@example.org; dmarc=pass (p=NONE sp=NONE dis=NONE) header.from=example.org";
export const letter = (text: string, headers: Record<string, string | undefined> = {}): Buffer => mail(text, { "Authentication-Results": AR, To: "claw@gmail.com", ...headers });

/** A message resource whose raw stands as lines; a character above ASCII is one byte. */
export interface Sample extends Resource { readonly about: string; readonly eml: readonly string[] }
export const samples = (): Sample[] => JSON.parse(readFileSync(path.join(projectRoot, "engine/channels/gmail/samples/messages.json"), "utf8")) as Sample[];
export const resourceOf = (sample: Sample): Resource => ({ ...sample, raw: Buffer.from(sample.eml.join("\r\n"), "latin1").toString("base64url") });

export interface GmailRig extends ChannelRig { readonly stub: GmailStub }

export async function gmailRig(settings: Record<string, unknown> = {}): Promise<GmailRig> {
  const stub = await startGmail();
  const fetch = createFetch();
  const account: Account = { id: "google", channel: "gmail", name: "Google", settings: { clientId: stub.clientId, secret: stub.secret, token: stub.token, name: "Claw", apiRoot: stub.url, authRoot: stub.url, everySeconds: 1, ...settings } };
  const known = new Map<string, Message>();
  for (const sample of samples()) known.set(sample.about, (await read(resourceOf(sample), SELF)).message);
  let last: Promise<unknown> = Promise.resolve();
  const deliver = (source: Buffer): Promise<unknown> => { last = last.then(() => stub.deliver(source)); return last; };
  return {
    channel: gmail, account, stub,
    wrong: { ...account, settings: { ...account.settings, token: "1//canary-wrong-token" } },
    away: { ...account, settings: { ...account.settings, apiRoot: "http://127.0.0.1:9", authRoot: "http://127.0.0.1:9" } },
    secrets: [stub.secret, stub.token, "1//canary-wrong-token", "ya29.canary"],
    // Time goes twenty times as fast: it is looked every 50 ms.
    context: { fetch, storage: memoryStorage(), clock: { ...systemClock, after: (ms, act) => systemClock.after(ms / 20, act) } },
    to: { channel: "gmail", account: "google", chat: ADA, thread: ROOT, kind: "direct" },
    async say(text) { await deliver(letter(text)); },
    shown: () => stub.sent().map(({ email: { text = "" } }) => text.trim()),
    fail(fault) {
      const wanted = FAULTS[fault];
      if (wanted === undefined) return false;
      stub.fault(/messages\/send$/, wanted);
      return true;
    },
    refuse(how) {
      const wanted = REFUSALS[how];
      if (wanted === undefined) return false;
      stub.fault(/messages\/send$/, wanted);
      return true;
    },
    seen: () => stub.sent().map(({ email: { text = "", attachments } }) => ({ text: text.trim(), ...(attachments.length === 0 ? {} : { files: attachments.map(({ content }) => new Uint8Array(content as ArrayBuffer)) }) })),
    read: (sample) => known.get((sample as Sample).about),
    async attach({ name, mime, bytes }) {
      await deliver(letter(["--b1", "Content-Type: text/plain; charset=utf-8", "", "see the file", "--b1", `Content-Type: ${mime}; name="${name}"`, "Content-Transfer-Encoding: base64", `Content-Disposition: attachment; filename="${name}"`, "", Buffer.from(bytes).toString("base64"), "--b1--"].join("\r\n"), { "Content-Type": 'multipart/mixed; boundary="b1"' }));
    },
    drop() { stub.cut(); },
    host: new URL(stub.url).host,
    call: { method: "GET labels", parameters: {} },
    async close() {
      await stub.close();
      await fetch.destroy();
    },
  };
}
