/** Mail that a machine wrote, or that goes to many: it is never answered. RFC 3834, RFC 3464, RFC 2369, RFC 2919, and what programs wrote before those. */
import { isAddress, type Mail } from "./parse.ts";

export type Automatic = "bounce" | "auto-reply" | "list" | "bulk" | "no-reply";

const NOBODY = /^(?:mailer-daemon|postmaster|no-?_?\.?reply|do-?_?\.?not-?_?\.?reply|nobody|bounces?(?:[+=-].*)?|.*[+=-]bounces?(?:[+=-].*)?|noreply[+._-].*|.*[._+-]no-?reply|notifications?|owner-.*|.*-request|listserv|majordomo)@/i;

interface Rule { readonly as: Automatic; readonly header: string; readonly says?: RegExp }
/** The first that fits wins. */
const RULES: readonly Rule[] = [
  { as: "bounce", header: "content-type", says: /^\s*multipart\/report\b/i },
  { as: "bounce", header: "x-failed-recipients" },
  { as: "auto-reply", header: "auto-submitted", says: /^\s*(?!no\b)\S/i },
  { as: "auto-reply", header: "x-autoreply", says: /^\s*(?!no\b)\S/i },
  { as: "auto-reply", header: "x-autorespond" },
  { as: "auto-reply", header: "x-autoresponder" },
  { as: "auto-reply", header: "x-auto-response-suppress", says: /\b(?:all|autoreply|oof)\b/i },
  { as: "auto-reply", header: "x-ms-exchange-inbox-rules-loop" },
  { as: "auto-reply", header: "precedence", says: /^\s*auto_?reply/i },
  { as: "list", header: "list-id" },
  { as: "list", header: "list-post" },
  { as: "list", header: "list-unsubscribe" },
  { as: "list", header: "list-help" },
  { as: "list", header: "mailing-list" },
  { as: "list", header: "precedence", says: /^\s*list/i },
  { as: "bulk", header: "precedence", says: /^\s*(?:bulk|junk)/i },
  { as: "bulk", header: "feedback-id" },
];

/** Undefined: a person wrote it, as far as it shows. */
export function automatic(mail: Mail): Automatic | undefined {
  const rule = RULES.find(({ header, says }) => mail.headers(header).some((value) => says?.test(value) ?? true));
  if (rule !== undefined) return rule.as;
  // Bounces have an empty sender on the way: it must not be answered (RFC 5321, 4.5.5).
  if (mail.headers("return-path").slice(0, 1).some((value) => /^\s*<\s*>\s*$/.test(value))) return "bounce";
  if (mail.from === undefined || !isAddress(mail.from.address)) return "no-reply";
  if (isNobody(mail.from.address)) return /^(?:mailer-daemon|postmaster)@/i.test(mail.from.address) ? "bounce" : "no-reply";
  return undefined;
}

/** Nobody reads what is sent there. */
export const isNobody = (address: string): boolean => NOBODY.test(address);

export interface Report { readonly id: string | undefined; readonly to: string | undefined; readonly state: "failed" | "delivered" | undefined; readonly text: string | undefined }
/** What a delivery report (RFC 3464) says of which mail. */
export function reportOf(mail: Mail): Report {
  const written = (mime: RegExp): string => mail.parts.filter((part) => mime.test(part.mime)).map(({ bytes }) => new TextDecoder().decode(bytes.subarray(0, 100_000))).join("\n").replace(/\r?\n[ \t]+/g, " ");
  const status = written(/^message\/(?:global-)?delivery-status$/);
  const original = written(/^(?:message\/rfc822|text\/rfc822-headers|message\/global(?:-headers)?)$/);
  const field = (text: string, name: string): string | undefined => new RegExp(`^${name}:[ \\t]*(.{1,500}?)[ \\t]*\\r?$`, "im").exec(text)?.[1];
  const action = field(status, "Action")?.toLowerCase();
  const id = /<([^<>\s]{1,500})>/.exec(field(original, "Message-ID") ?? "")?.[1] ?? mail.inReplyTo;
  return {
    id, to: field(status, "(?:Final|Original)-Recipient")?.replace(/^[^;]*;\s*/, "") ?? mail.headers("x-failed-recipients")[0]?.split(",")[0]?.trim(),
    state: action === "failed" ? "failed" : action === "delivered" || action === "relayed" ? "delivered" : undefined,
    text: field(status, "Diagnostic-Code")?.replace(/^[^;]*;\s*/, "") ?? field(status, "Status"),
  };
}
