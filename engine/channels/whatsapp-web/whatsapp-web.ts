/** WhatsApp as a linked device, by the optional package Baileys: what it is and what can be set. Everything live is in connect.ts. */
import type { Account, Channel, Setting } from "../channel.ts";
import { ChannelError } from "../../errors.ts";
import { text } from "../setting-text.ts";
import type { Library } from "./library.ts";
import { CAPTION_LIMIT, TEXT_LIMIT, UPLOAD_LIMIT } from "./limits.ts";

const settings: readonly Setting[] = [
  { key: "phone", type: "text", label: "Phone number", hint: "With it a code is shown to enter on the phone; empty: a picture to scan. Needs npm install baileys@7.0.0-rc14 (with libsignal, GPL-3.0); WhatsApp does not allow this and may block the number" },
  { key: "agree", type: "boolean", label: "I take the risk", hint: "That WhatsApp blocks this number: use one you can do without", initial: false },
];

/** `load`: brings Baileys; for tests something of the same shape. */
export function createWhatsappWeb(load: () => Promise<Library>): Channel {
  return {
    id: "whatsapp-web",
    label: "WhatsApp (linked device)",
    settings,
    // No figures are published; slow and few is what keeps a number unblocked.
    limits: { text: TEXT_LIMIT, unit: "utf16", caption: CAPTION_LIMIT, bare: ["audio", "voice", "sticker"], upload: UPLOAD_LIMIT, download: UPLOAD_LIMIT, perSecond: 1, perChatPerSecond: 1, editEveryMs: 3_000 },
    shows: { files: ["image", "video", "audio", "voice", "document", "sticker"], location: true, contact: true },
    dialect: "whatsapp",
    delivery: { evidence: true, edit: true },
    can: ["react", "remove", "typing", "read"],
    check,
    async open(account, context) {
      const [problem] = check(account);
      if (problem !== undefined) throw new ChannelError("CONF_001", {}, problem);
      const library = await load();
      const { connect } = await import("./connect.ts");
      return connect(account, context, library);
    },
  };
}

export const whatsappWeb: Channel = createWhatsappWeb(async () => (await import("./library.ts")).loadLibrary());

function check(account: Account): string[] {
  const problems: string[] = [];
  const phone = text(account, "phone");
  if (phone !== "" && !/^\+?[\d\s()./-]{5,30}$/.test(phone)) problems.push("Expected the phone number with its country code, such as +49 151 12345678, got something else. Leave it empty to scan a picture.");
  if (account.settings["agree"] !== true) problems.push("WhatsApp does not allow programs as linked devices and may block the number. Say in the settings that you take the risk, or use the channel WhatsApp (Cloud API).");
  return problems;
}
