/** What templates of a node can use: plain copies, no rights. */
import type { FlowMsg } from "./red.ts";
import type { Known } from "./run.ts";

export function promptData(msg: FlowMsg, known: Known, now: Date): Record<string, unknown> {
  const { message, trust } = known.receipt;
  const current = msg.message ?? message;
  return { message: current, sender: current.sender, text: current.text, payload: msg.payload, channel: message.at.channel, account: message.at.account, chat: message.at.chat, trust, language: current.language, now: now.getTime(), date: now.toISOString().slice(0, 10) };
}
