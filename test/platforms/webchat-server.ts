/**
 * A process of its own that a test can kill: one web chat account and a bot with a durable inbox, all in one file.
 * Its answer to each message streams, and has the message's id as its key, so that it is the same answer after a restart.
 *
 *     node webchat-server.ts <file> <port>
 */
import type { Connection } from "../../engine/channels/channel.ts";
import { createWebchat } from "../../engine/channels/webchat/webchat.ts";
import type { Message } from "../../engine/message.ts";
import { createStorage, openHost } from "./host.ts";
import { builtPage } from "./webchat-page.ts";

const [file = "", port = "0"] = process.argv.slice(2);
const storage = createStorage(file);
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
/** Messages may come while the account is still being opened. */
const { promise: open, resolve: opened } = Promise.withResolvers<Connection>();
const taken = new Set<string>();
/** One answer after the other, as in a lane. */
let lane: Promise<unknown> = Promise.resolve();

const host = await openHost({
  channel: createWebchat(builtPage), storage, port: Number(port),
  async receive(message) {
    const key = `bot/${message.id}`;
    if ((await storage.get(key)) !== undefined) return "duplicate";
    await storage.set({ [key]: { message, done: false } });
    taken.add(message.id);
    lane = lane.then(() => answer(message));
    return "saved";
  },
});
for (const [, value] of (await storage.list("bot/")).sort(([, a], [, b]) => at(a) - at(b))) {
  const { message, done } = value as { message: Message; done: boolean };
  if (!done && !taken.has(message.id)) lane = lane.then(() => answer(message));
}
opened(host.connection);
console.log(host.url);

async function answer(message: Message): Promise<void> {
  const connection = await open;
  const words = `You said: **${message.text}**. That is all I know.`.split(" ");
  for (let end = 1; end < words.length; end++) {
    await connection.preview?.(message.at, { text: words.slice(0, end).join(" ") }, message.id);
    await pause(15);
  }
  await connection.send(message.at, { text: words.join(" ") }, message.id);
  await storage.set({ [`bot/${message.id}`]: { message, done: true } });
}
function at(value: unknown): number { return Number((value as { message: Message }).message.ref); }
