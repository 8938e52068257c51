/** Was a message already sent? Our key rides in its metadata, which Slack gives back: https://docs.slack.dev/messaging/message-metadata. */
import type { Address, Draft } from "../../message.ts";
import type { Api } from "./api.ts";
import type { SlackMessage } from "./shapes.ts";

const EVENT = "clawflow_message";
/** Their clock may be behind ours. */
const SLACK_MS = 120_000;
const PAGES = 5;

export function metadataOf(key: string): { event_type: string; event_payload: { key: string } } {
  return { event_type: EVENT, event_payload: { key } };
}
export function keyIn(message: SlackMessage): string | undefined {
  const { event_type, event_payload } = message.metadata ?? {};
  return event_type === EVENT && typeof event_payload?.["key"] === "string" ? event_payload["key"] : undefined;
}

/** The message's time where it is there. What one person alone saw stands in no history. Throws ChannelError where it cannot be told. */
export async function findByKey(api: Pick<Api, "call">, to: Address, draft: Draft, key: string, startedAt: number): Promise<string | undefined> {
  if (draft.form !== undefined || (draft.only !== undefined && to.kind === "group")) return undefined;
  const common = { channel: to.chat, oldest: ((startedAt - SLACK_MS) / 1000).toFixed(6), inclusive: true, include_all_metadata: true, limit: 100 };
  const thread = to.thread ?? (/^\d+\.\d+$/.test(draft.replyTo ?? "") ? draft.replyTo : undefined);
  let cursor: string | undefined;
  for (let page = 0; page < PAGES; page++) {
    const next = cursor === undefined ? {} : { cursor };
    const found = thread === undefined ? await api.call("conversations.history", { ...common, ...next }) : await api.call("conversations.replies", { ...common, ...next, ts: thread });
    const hit = (found.messages as SlackMessage[] | undefined)?.find((message) => keyIn(message) === key);
    if (hit?.ts !== undefined) return hit.ts;
    cursor = found.response_metadata?.next_cursor || undefined;
    if (cursor === undefined) return undefined;
  }
  return undefined;
}
