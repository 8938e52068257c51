/** Any mailbox with IMAP and SMTP. Everything live is in connect.ts, loaded when the first account opens. */
import type { Account, Channel } from "../channel.ts";
import { ChannelError } from "../../errors.ts";
import { check, settings } from "./settings.ts";

export const email: Channel = {
  id: "email",
  label: "E-mail",
  settings,
  // Mail knows no longest text; Gmail cuts what it shows at 102 KB. Files: 25 MB with base64 is what nearly every server takes (support.google.com/mail/answer/6584).
  limits: { text: 60_000, unit: "bytes", files: 20, upload: 18_000_000, download: 25_000_000, perSecond: 2 },
  shows: { files: ["image", "video", "audio", "voice", "document", "sticker"], subject: true },
  dialect: "html",
  delivery: { evidence: true },
  can: ["read"],
  check,
  async try(account, context) {
    refuseWrong(account);
    return (await import("./connect.ts")).identify(account, context);
  },
  async open(account, context) {
    refuseWrong(account);
    return (await import("./connect.ts")).connect(account, context);
  },
};

function refuseWrong(account: Account): void {
  const [problem] = check(account);
  if (problem !== undefined) throw new ChannelError("CONF_001", {}, problem);
}
