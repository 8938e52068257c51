/** The e-mail channel against Dovecot and smtp-server, for the contract suite and for tests of its own. */
import { readFileSync } from "node:fs";
import path from "node:path";
import type { Account } from "../../engine/channels/channel.ts";
import { email } from "../../engine/channels/email/email.ts";
import { parseMail } from "../../engine/channels/mail/parse.ts";
import { type Self, toMessage } from "../../engine/channels/mail/to-message.ts";
import type { Message } from "../../engine/message.ts";
import { type ChannelRig, memoryStorage, type Refusal, type SendFault } from "../contracts/channel-rig.ts";
import { projectRoot } from "../rigs/project.ts";
import { type Dovecot, dovecot } from "./dovecot.ts";
import { type Relay, startRelay } from "./relay.ts";
import { type SmtpFault, type SmtpStub, startSmtp } from "./smtp.ts";

export const ADA = "ada@example.org";
export const ROOT = "root-1@example.org";
export const SELF: Self = { channel: "email", account: "post", addresses: ["claw@example.net"], inboxes: ["claw@example.net"], trusted: ["mx.example.net"], verify: true };

const FAULTS: Readonly<Record<SendFault, SmtpFault | undefined>> = {
  rate: { at: "to", code: 450, says: "4.7.0 Too many mails, try again later" },
  refused: { at: "to", code: 550, says: "5.7.1 Message rejected by the recipient" },
  server: { at: "text", code: 451, says: "4.3.0 Internal error" },
  reset: { at: "text", cut: true },
  // A mail server reads no markup.
  markup: undefined,
};
const REFUSALS: Readonly<Record<Refusal, SmtpFault>> = {
  gone: { at: "to", code: 550, says: "5.1.1 No such user here" },
  kicked: { at: "to", code: 550, says: "5.7.1 Sender is blocked by the recipient" },
  long: { at: "text", code: 552, says: "5.3.4 Message size exceeds fixed limit" },
};

export interface Sample { readonly about: string; /** Lines; a character above ASCII is one byte. */ readonly eml: readonly string[] }
export const bytesOf = ({ eml }: Pick<Sample, "eml">): Buffer => Buffer.from(eml.join("\r\n"), "latin1");
export const samples = (): Sample[] => JSON.parse(readFileSync(path.join(projectRoot, "engine/channels/email/samples/mails.json"), "utf8")) as Sample[];

let count = 0;
/** A mail as Ada's server and ours make it; `headers` go over these. */
export function mail(text: string, headers: Readonly<Record<string, string | undefined>> = {}): Buffer {
  const all = {
    "Authentication-Results": "mx.example.net; dkim=pass header.d=example.org header.s=s1; spf=pass smtp.mailfrom=ada@example.org", From: `Ada Lovelace <${ADA}>`, To: "claw@example.net",
    Subject: "Re: The engine", "Message-ID": `<m${++count}-${process.pid}@example.org>`, "In-Reply-To": `<${ROOT}>`, References: `<${ROOT}>`, Date: new Date().toUTCString(), "MIME-Version": "1.0", "Content-Type": "text/plain; charset=utf-8", "Content-Transfer-Encoding": "8bit", ...headers,
  };
  return Buffer.from(`${Object.entries(all).flatMap(([name, value]) => (value === undefined ? [] : [`${name}: ${value}`])).join("\r\n")}\r\n\r\n${text}\r\n`);
}

export interface EmailRig extends ChannelRig { readonly imap: Dovecot; readonly smtp: SmtpStub; readonly relay: Relay; readonly user: string; deliver(source: Buffer): void }

export async function emailRig(settings: Record<string, unknown> = {}, options: { readonly idle?: boolean } = {}): Promise<EmailRig> {
  const imap = await dovecot(options);
  const smtp = await startSmtp({ password: imap.password });
  const relay = await startRelay(imap.port);
  const user = `box${++count}`;
  const account: Account = {
    id: "post", channel: "email", name: "Post",
    settings: {
      imapHost: "127.0.0.1", imapPort: relay.port, imapSecurity: "none", smtpHost: "127.0.0.1", smtpPort: smtp.port, smtpSecurity: "none",
      user, password: imap.password, address: "claw@example.net", name: "Claw", authserv: "mx.example.net", everySeconds: 1, ...settings,
    },
  };
  const read = new Map<string, Message>();
  for (const sample of samples()) read.set(sample.about, toMessage(await parseMail(bytesOf(sample)), SELF, { reference: "1/1", receivedAt: 1_795_860_000_000 }));
  const deliver = (source: Buffer): void => imap.deliver(user, source);
  return {
    channel: email, account, imap, smtp, relay, user, deliver,
    wrong: { ...account, settings: { ...account.settings, password: "canary-wrong-password" } },
    away: { ...account, settings: { ...account.settings, imapPort: 9, smtpPort: 9 } },
    secrets: [imap.password, "canary-wrong-password"],
    // What it remembers outlives a connection.
    context: { storage: memoryStorage() },
    to: { channel: "email", account: "post", chat: ADA, thread: ROOT, kind: "direct" },
    say(text) { deliver(mail(text)); },
    shown: () => smtp.taken.map(({ email: { text = "" } }) => text.trim()),
    fail(fault) {
      const wanted = FAULTS[fault];
      if (wanted === undefined) return false;
      smtp.fault(wanted);
      return true;
    },
    refuse(how) { smtp.fault(REFUSALS[how]); return true; },
    seen: () => smtp.taken.map(({ email: { text = "", attachments } }) => ({ text: text.trim(), ...(attachments.length === 0 ? {} : { files: attachments.map(({ content }) => new Uint8Array(content as ArrayBuffer)) }) })),
    read: (sample) => read.get((sample as Sample).about),
    attach({ name, mime, bytes }) {
      deliver(mail([
        "--b1", "Content-Type: text/plain; charset=utf-8", "", "see the file", "--b1", `Content-Type: ${mime}; name="${name}"`, "Content-Transfer-Encoding: base64", `Content-Disposition: attachment; filename="${name}"`, "",
        Buffer.from(bytes).toString("base64").replace(/.{76}/g, "$&\r\n"), "--b1--",
      ].join("\r\n"), { "Content-Type": 'multipart/mixed; boundary="b1"' }));
    },
    drop() { relay.cut(); },
    host: `127.0.0.1:${relay.port}`,
    async close() {
      await smtp.close();
      await relay.close();
    },
  };
}
