/** Why a link ended, and why a message was refused. Baileys gives a status code of its own (Types/index.d.ts, DisconnectReason); the server's numbers of refusals stand nowhere but in Baileys' source. */
import { ChannelError, type ErrorCode, type Retry } from "../../errors.ts";
import type { Disconnect } from "./library.ts";

interface Rule { readonly code: ErrorCode; readonly retry: Retry; readonly text: string; readonly afterMs?: number; /** The link is no more: the phone has to be linked anew. */ readonly unlinked?: true }
const RULES: Readonly<Record<number, Rule>> = {
  401: { code: "CONN_002", retry: "no", unlinked: true, text: "WhatsApp unlinked this device: on the phone, or because it was away too long. Open the account anew, and link it again." },
  403: { code: "CONN_002", retry: "no", text: "WhatsApp has blocked this number. Open WhatsApp on the phone; it says whether a review can be asked for." },
  405: { code: "CONF_001", retry: "no", text: "WhatsApp takes this version of Baileys no more. Install a newer one, as far as ClawFlow knows it." },
  408: { code: "CONN_001", retry: "later", text: "WhatsApp did not answer in time, or nobody scanned the code." },
  411: { code: "CONF_001", retry: "no", unlinked: true, text: "This phone's WhatsApp is too old to link devices. Update it, and link it again." },
  428: { code: "CONN_001", retry: "later", text: "WhatsApp closed the connection." },
  440: { code: "CONN_005", retry: "later", afterMs: 60_000, text: "Another program took over this linked device. Two cannot use the same link." },
  500: { code: "CONN_001", retry: "later", text: "WhatsApp could not read the session." },
  503: { code: "CONN_001", retry: "later", text: "WhatsApp is in trouble." },
  // Part of linking a phone.
  515: { code: "CONN_001", retry: "later", afterMs: 100, text: "WhatsApp asked for a new connection." },
};

export function ended(disconnect: Disconnect | undefined): { readonly error: ChannelError; readonly unlinked: boolean } {
  const status = disconnect?.error?.output?.statusCode;
  const rule = RULES[status ?? 0] ?? { code: "CONN_001" as const, retry: "later" as const, text: "The connection to WhatsApp ended." };
  const { code, retry, afterMs } = rule;
  return { error: new ChannelError(code, { retry, ...(afterMs === undefined ? {} : { afterMs }) }, `${rule.text}${status === undefined ? "" : ` (${status})`}`), unlinked: rule.unlinked === true };
}

const REFUSALS: Readonly<Record<string, string>> = {
  "463": "WhatsApp does not let this number begin new chats now: too many strangers were written to.",
  "475": "WhatsApp does not let this number begin new chats now: too many strangers were written to.",
  "479": "WhatsApp does not know this address or device any more.",
};
/** The server's "no" to a message. */
export function refused(number: string): ChannelError {
  if (number === "429") return new ChannelError("CONN_003", { retry: "later", answered: true, afterMs: 60_000 }, "WhatsApp asks for a slower pace (429).");
  return new ChannelError("MSG_002", { answered: true }, `WhatsApp refused the message: ${REFUSALS[number] ?? "it gives no reason."} (${number.slice(0, 20)})`);
}

/** What Baileys threw before the message was handed over whole: nobody knows how far it came. */
export function thrown(error: unknown, what: string): ChannelError {
  if (error instanceof ChannelError) return error;
  const text = error instanceof Error ? error.message.slice(0, 300) : "no reason given";
  return new ChannelError("CONN_001", { retry: "later" }, `${what} did not get through to WhatsApp: ${text}.`);
}
