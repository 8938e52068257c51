/**
 * Whether a mail that the server verified was meant for here and now. A signature stays good for ever and names no envelope: whoever has a copy of somebody's mail
 * can send it again, byte by byte, to anybody. To, Cc and Date are what the author signed; Delivered-To and X-Original-To name whom it was sent to this time, so they prove nothing.
 */
import type { ChannelContext } from "../channel.ts";
import type { Mail } from "./parse.ts";

const DAY_MS = 86_400_000;
/** What came is known by its id for 8 days: within these a mail that was for us once is not taken twice. */
const OLDEST_MS = 7 * DAY_MS;
/** Clocks of senders go wrong. */
const AHEAD_MS = DAY_MS;

/** Why it may be an old mail, or one for somebody else, sent again. */
export type Doubt = "recipient" | "date";

/** `inboxes`: addresses of the account, in small letters; `receivedAt`: the server's clock, Unix milliseconds. */
export function doubtOf(mail: Mail, inboxes: readonly string[], receivedAt: number | undefined): Doubt | undefined {
  // A header that stands twice was put beside the signed one.
  if (["to", "cc"].some((name) => mail.headers(name).length > 1) || !mail.to.some(({ address }) => inboxes.some((own) => reaches(boxOf(address), boxOf(own))))) return "recipient";
  if (mail.headers("date").length !== 1 || mail.date === undefined || receivedAt === undefined) return "date";
  const age = receivedAt - mail.date;
  return age <= OLDEST_MS && age >= -AHEAD_MS ? undefined : "date";
}

/** Gmail reads no dots in a name, and has two domains for one box. */
const boxOf = (address: string): string => address.replace(/^(.+)@(?:gmail|googlemail)\.com$/, (_, name: string) => `${name.replaceAll(".", "")}@gmail.com`);
/** claw+shop@example.net comes to claw@example.net. */
function reaches(address: string, own: string): boolean {
  const at = own.lastIndexOf("@");
  return address === own || (address.startsWith(`${own.slice(0, at)}+`) && address.slice(address.lastIndexOf("@")) === own.slice(at));
}

const REASONS: Readonly<Record<Doubt, (inboxes: readonly string[]) => string>> = {
  recipient: (inboxes) => `none of the account's addresses (${inboxes.join(", ")}) stands in To or Cc. Bcc and other aliases do not count`,
  date: () => "its Date is not within the 7 days before it came in",
};
/** Names that are remembered as told; whoever comes later is not told of, or strangers could fill the log. */
const MOST_TOLD = 100;

/** Tells once for each sender and reason why somebody whom the server verified is not believed. */
export function createTeller(log: ChannelContext["log"], inboxes: readonly string[]): (sender: string, doubt: Doubt) => void {
  const told = new Set<string>();
  return (sender, doubt) => {
    const mark = `${doubt} ${sender}`;
    if (told.has(mark) || told.size >= MOST_TOLD) return;
    told.add(mark);
    log("warn", `A mail of ${sender} is verified by the server, but counts as unverified: ${REASONS[doubt](inboxes)}. It may be an old one that somebody else sends again.`);
  };
}
