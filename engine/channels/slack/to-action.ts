/** What people press, choose, fill in and command, as a Message. Pure. */
import type { Action, Address, EmbedAttachment, Message, Sender } from "../../message.ts";
import { toMarkdown } from "./mrkdwn.ts";
import type { ElementState, Interaction, SlashCommand } from "./shapes.ts";
import { base, isDirectId, type Self, timeOf } from "./to-message.ts";
import { blockWords } from "./words.ts";
import { workspaceOf } from "./workspaces.ts";

/** Names our menus by their action_id. */
export const MENU = "menu:";
/** Refs of what is no message with a time of its own. */
export const EPHEMERAL = "ephemeral:";

export function fromCommand(body: SlashCommand, self: Self): Message {
  const { command = "", text = "", user_id = "unknown", user_name = user_id, channel_id = user_id } = body;
  const at: Address = { channel: "slack", account: self.account, chat: channel_id, space: body.team_id ?? self.teamId, kind: isDirectId(channel_id) ? "direct" : "group" };
  return {
    ...base(`trigger:${body.trigger_id}`, at, { id: user_id, name: self.nameOf?.(user_id) ?? user_name, handle: user_name, bot: false, self: false }),
    kind: "action", ref: `trigger:${body.trigger_id}`, sentAt: self.now, text: `${command} ${toMarkdown(text, self.nameOf)}`.trim(),
    action: { type: "command", name: command.replace(/^\//, "").toLowerCase(), args: text.trim() }, addressed: true,
  };
}

export function fromInteraction(body: Interaction, self: Self): Message | undefined {
  switch (body.type) {
    case "block_actions": return fromPress(body, self);
    case "view_submission": return { ...acted(body, self), ref: String(body.view?.id), action: { type: "form", name: body.view?.callback_id ?? "", values: valuesOf(body) } };
    case "shortcut": return { ...acted(body, self), action: { type: "shortcut", name: body.callback_id ?? "" } };
    case "message_action": return fromMessageShortcut(body, self);
    default: return undefined;
  }
}

function fromPress(body: Interaction, self: Self): Message | undefined {
  const element = body.actions?.[0];
  // A button that opens an address is told too; the person is already elsewhere.
  if (element === undefined || (element.type === "button" && element.url !== undefined)) return undefined;
  const action = actionOf(element);
  return { ...acted(body, self, element.action_ts), action };
}

function actionOf(element: ElementState): Action {
  if (element.type === "button" || element.type === "icon_button" || element.type === "feedback_buttons") {
    return { type: "button", value: element.value ?? element.action_id ?? "", ...(element.text?.text === undefined ? {} : { label: element.text.text }) };
  }
  const id = element.action_id ?? "";
  const name = id.startsWith(MENU) ? id.slice(MENU.length) : id;
  return { type: "choice", values: stateOf(element), ...(name === "" ? {} : { name }) };
}

/** What an element holds now, as texts. */
function stateOf(element: ElementState): string[] {
  const one = element.selected_option?.value ?? element.selected_user ?? element.selected_channel ?? element.selected_conversation ?? element.selected_date ?? element.selected_time ?? element.value;
  if (one !== undefined && one !== null) return [one];
  if (typeof element.selected_date_time === "number") return [String(element.selected_date_time)];
  if (element.rich_text_value !== undefined) return [blockWords([{ type: "rich_text", ...element.rich_text_value }])];
  return [...(element.selected_options?.map(({ value = "" }) => value) ?? element.selected_users ?? element.selected_channels ?? element.selected_conversations ?? [])];
}

/** By the field's own name, which our forms put into the block's. */
function valuesOf(body: Interaction): Record<string, string> {
  const values: Record<string, string> = {};
  for (const [block, elements] of Object.entries(body.view?.state?.values ?? {})) {
    for (const element of Object.values(elements)) if (block !== "__proto__") values[block] = stateOf(element).join(", ");
  }
  return values;
}

function fromMessageShortcut(body: Interaction, self: Self): Message {
  const { message } = body;
  const ref = body.message_ts ?? message?.ts;
  const quote: EmbedAttachment = { kind: "embed", type: "message", text: toMarkdown(message?.text ?? "", self.nameOf) };
  return { ...acted(body, self), ref: String(ref), attachments: [quote], action: { type: "shortcut", name: body.callback_id ?? "", ...(ref === undefined ? {} : { ref }) } };
}

/** `action_ts`: when, where the payload itself does not say it. */
function acted(body: Interaction, self: Self, action_ts = body.action_ts): Omit<Message, "action"> {
  const id = body.trigger_id !== undefined ? `trigger:${body.trigger_id}` : `action:${body.type}:${body.user?.id}:${action_ts ?? body.view?.hash}`;
  const shown = body.message?.ts ?? body.container?.message_ts;
  const ref = shown === undefined ? (body.view?.id ?? id) : body.container?.is_ephemeral === true ? `${EPHEMERAL}${shown}` : shown;
  return { ...base(id, addressOf(body, self), senderOf(body, self)), kind: "action", ref, sentAt: timeOf(action_ts, self), addressed: true };
}

/** Where a modal was opened from stands in its metadata (form.ts); without a chat the person's own is where an answer goes. */
function addressOf(body: Interaction, self: Self): Address {
  const space = workspaceOf(body).team ?? self.teamId;
  const whole = { channel: "slack", account: self.account, space } as const;
  const opened = body.view === undefined ? undefined : fromMetadata(body.view.private_metadata);
  if (opened !== undefined) return { ...whole, ...opened };
  const chat = body.channel?.id ?? body.container?.channel_id ?? body.user?.id ?? "unknown";
  const root = body.container?.thread_ts ?? body.message?.thread_ts;
  const thread = root === undefined || root === (body.message?.ts ?? body.container?.message_ts) ? undefined : root;
  return { ...whole, chat, kind: isDirectId(chat) ? "direct" : "group", ...(thread === undefined ? {} : { thread }) };
}

function fromMetadata(text: string | undefined): Pick<Address, "chat" | "kind" | "thread"> | undefined {
  try {
    const { chat, thread } = JSON.parse(text ?? "") as { chat?: unknown; thread?: unknown };
    if (typeof chat !== "string" || chat === "") return undefined;
    return { chat, kind: isDirectId(chat) ? "direct" : "group", ...(typeof thread === "string" ? { thread } : {}) };
  } catch {
    return undefined;
  }
}

function senderOf(body: Interaction, self: Self): Sender {
  const { id = "unknown", name, username } = body.user ?? {};
  const handle = username ?? name;
  return { id, name: self.nameOf?.(id) ?? name ?? username ?? id, ...(handle === undefined ? {} : { handle }), bot: false, self: false };
}
