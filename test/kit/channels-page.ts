/** docs/channels.md, made of the channels themselves. */
import type { Channel } from "../../engine/channels/channel.ts";

const HEAD = `# Channels

What each channel can do, made of its code. What a platform cannot show as what it is, is told in words: buttons and menus become numbered lines, a poll its question with numbers, a place a map's address.

| Channel | Connects by | Text | Writes | Edits | Removes | Reacts | Typing | Reads | Buttons | Menus | Cards | Forms | Polls | Places | Contacts | For one person | Files out | Files in | Live answer | Own methods | A doubled send |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
`;
const TAIL = `
**Text** is the longest message, in the unit the platform counts in; longer ones are split where a reader would. **Writes** is the platform's own way of marking text; ClawFlow takes Markdown everywhere.
**Reads** marks a message as read. **Own methods**: channel out can call the platform's own API (action *call*). **A doubled send** is what the platform offers after a crash in the very moment of sending: *never*, it honours a key; *looked up*, what was sent can be found;
*at most one*, it offers neither, so one copy too many is possible and marked.
`;
const UNITS = { utf16: "", bytes: " bytes", points: "" } as const;

/** How an account is connected: the choices of its setting; a plain webhook or a link of its own have none. */
function connects({ id, settings }: Channel): string {
  const modes = settings.find(({ key, choices }) => /^(mode|inbound|receive|transport)$/.test(key) && choices !== undefined)?.choices?.map(({ value }) => value);
  return modes?.join(", ") ?? CONNECTS[id] ?? "one way";
}
/** Channels with one way only. */
const CONNECTS: Readonly<Record<string, string>> = { webchat: "its own page", api: "its own address", discord: "gateway", "discord-webhook": "webhook (sends only)", "slack-webhook": "webhook (sends only)", whatsapp: "webhook", "twilio-sms": "webhook", "twilio-whatsapp": "webhook", "twilio-voice": "webhook" };
const yes = (some: unknown): string => (some === undefined || some === false ? "–" : typeof some === "number" ? String(some) : "yes");
const megabytes = (bytes: number | undefined): string => (bytes === undefined ? "" : ` (${Math.round(bytes / 100_000) / 10} MB)`);

function row(channel: Channel): string {
  const { id, label, limits, shows = {}, dialect = "Markdown", delivery } = channel;
  const can = new Set(channel.can);
  const files = shows.files ?? [];
  const allFiles = ["image", "video", "audio", "voice", "document"].every((kind) => files.includes(kind as (typeof files)[number]));
  const doubled = delivery.keyMs !== undefined ? "never" : delivery.evidence === true ? "looked up" : "at most one";
  const cells = [
    `[${label}](../engine/channels/${id}/README.md)`, connects(channel), `${limits.text.toLocaleString("en-US")}${UNITS[limits.unit]}`, dialect, yes(delivery.edit), yes(can.has("remove")), yes(can.has("react")), yes(can.has("typing")), yes(can.has("read")),
    shows.buttons === undefined ? "–" : `${shows.buttons}${shows.links === true ? ", links" : ""}`, yes(shows.choices), yes(shows.cards), yes(shows.form), yes(shows.poll), yes(shows.location), yes(shows.contact), yes(shows.only),
    files.length === 0 ? "–" : `${allFiles ? "all" : files.join(", ")}${megabytes(limits.upload)}`, limits.download === undefined ? "–" : `yes${megabytes(limits.download)}`, yes(can.has("preview") || delivery.edit === true), yes(can.has("call")), doubled,
  ];
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}

/** The whole page, with a line end at its end. */
export function channelsPage(channels: readonly Channel[]): string {
  return `${HEAD}${channels.map(row).join("\n")}\n${TAIL}`;
}
