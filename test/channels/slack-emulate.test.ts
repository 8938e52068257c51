/** Slack's channels against an emulator of its Web API that somebody else wrote, with scopes checked: posting, threads, reactions, files, history, webhooks. */
import assert from "node:assert/strict";
import { createEmulator } from "emulate";
import type { Account, Connection } from "../../engine/channels/channel.ts";
import { slack } from "../../engine/channels/slack/slack.ts";
import { slackWebhook } from "../../engine/channels/slack-webhook/slack-webhook.ts";
import { createFetch, type Fetch } from "../../engine/http.ts";
import type { Address } from "../../engine/message.ts";
import { recordingContext, type RecordingContext } from "../contracts/channel.ts";

const TOKEN = "xoxb-1-2-emulated";
const SCOPES = ["chat:write", "channels:history", "channels:read", "reactions:write", "reactions:read", "files:read", "files:write", "users:read", "im:write"];

interface Said { readonly ts: string; readonly text: string; readonly thread_ts?: string; readonly files?: readonly { id: string; name: string }[]; readonly reactions?: readonly { name: string; count: number }[] }

describe("Slack against an emulator", () => {
  let emulator: Awaited<ReturnType<typeof createEmulator>> & { url: string };
  let fetch: Fetch;
  let context: RecordingContext;
  let connection: Connection;
  let account: Account;
  let to: Address;

  const ask = async <T>(method: string, parameters: Record<string, unknown>): Promise<T> => (await connection.call?.(method, parameters)) as T;

  before(async function () {
    this.timeout(60_000);
    emulator = await createEmulator({ service: "slack", port: 0, seed: { slack: { strict_scopes: true, users: [{ name: "ada" }], channels: [{ name: "house" }], bots: [{ name: "claw" }], tokens: [{ token: TOKEN, user: "ada", scopes: SCOPES }, { token: "xoxb-1-2-poor", user: "ada", scopes: ["channels:read"] }], incoming_webhooks: [{ channel: "general" }] } } }) as typeof emulator;
    fetch = createFetch();
    account = { id: "home", channel: "slack", name: "x", settings: { token: TOKEN, mode: "events", secret: "s", apiUrl: `${emulator.url}/api/` } };
    context = recordingContext({ fetch });
    connection = await slack.open(account, context);
    const { channels } = await ask<{ channels: { id: string; name: string }[] }>("conversations.list", {});
    to = { channel: "slack", account: "home", chat: channels.find(({ name }) => name === "house")?.id as string, kind: "group" };
  });
  after(async () => {
    await connection.close();
    await fetch.destroy();
    await emulator.close();
  });
  const history = async (): Promise<readonly Said[]> => (await ask<{ messages: Said[] }>("conversations.history", { channel: to.chat })).messages;
  const replies = async (ts: string): Promise<readonly Said[]> => (await ask<{ messages: Said[] }>("conversations.replies", { channel: to.chat, ts })).messages;

  it("knows who it is", () => assert.deepEqual([connection.self.name, context.states.at(-1)?.state], ["@ada", "connected"]));

  it("posts with its key, finds it again, edits and removes it", async () => {
    const startedAt = Date.now();
    const ref = await connection.send(to, { text: "a **bold** word" }, "emulated-1");
    assert.equal((await history()).find(({ ts }) => ts === ref)?.text, "a *bold* word");
    assert.equal(await connection.find?.(to, { key: "emulated-1", draft: { text: "" }, startedAt }), ref);
    assert.equal(await connection.find?.(to, { key: "emulated-2", draft: { text: "" }, startedAt }), undefined);
    await connection.edit?.(to, ref, { text: "other" });
    assert.equal((await history()).find(({ ts }) => ts === ref)?.text, "other");
    assert.equal(await connection.find?.(to, { key: "emulated-1", draft: { text: "" }, startedAt }), ref, "an edit keeps the key");
    await connection.remove?.(to, ref);
    await connection.remove?.(to, ref);
    assert.equal((await history()).some(({ ts }) => ts === ref), false);
  });

  it("answers in a thread, and finds it there", async () => {
    const root = await connection.send(to, { text: "root" }, "thread-1");
    const startedAt = Date.now();
    const ref = await connection.send({ ...to, thread: root }, { text: "answer", buttons: [[{ label: "More", value: "m" }]] }, "thread-2");
    assert.deepEqual((await replies(root)).map(({ ts }) => ts), [root, ref]);
    assert.equal(await connection.find?.({ ...to, thread: root }, { key: "thread-2", draft: { text: "" }, startedAt }), ref);
  });

  it("reacts, twice without harm, and takes it back", async () => {
    const ref = await connection.send(to, { text: "nice" }, "react-1");
    await connection.react?.(to, ref, "🤔");
    await connection.react?.(to, ref, "🤔");
    const reactions = async () => (await ask<{ message: Said }>("reactions.get", { channel: to.chat, timestamp: ref })).message.reactions ?? [];
    assert.deepEqual((await reactions()).map(({ name }) => name), ["thinking_face"]);
    await connection.react?.(to, ref, "");
    assert.deepEqual(await reactions(), []);
  });

  it("uploads files in three steps, finds them by their share, and reads them back", async () => {
    const bytes = Buffer.from("seven bytes and more".repeat(5_000));
    const kept = await context.spool?.save(new Blob([new Uint8Array(bytes)]).stream(), { name: "notes.txt" });
    const draft = { text: "see **this**", attachments: [{ kind: "document" as const, media: `spool:${kept?.id}`, name: "notes.txt", mime: "text/plain" }] };
    const ref = await connection.send(to, draft, "file-1");
    assert.match(ref, /^F/);
    const shared = (await history()).find(({ files }) => files?.some(({ id }) => id === ref));
    assert.equal(shared?.text, "see *this*");
    assert.equal(await connection.find?.(to, { key: "file-1", draft, startedAt: Date.now() }), ref);
    const stream = await connection.media?.(ref, new AbortController().signal);
    assert.ok(Buffer.from(await new Response(stream).arrayBuffer()).equals(bytes));
    await connection.remove?.(to, ref);
  });

  it("says which scope is missing, and that a token is wrong", async () => {
    const poor = await slack.open({ ...account, settings: { ...account.settings, token: "xoxb-1-2-poor" } }, context);
    await assert.rejects(poor.send(to, { text: "x" }, "k"), { code: "MSG_005", retry: "no", message: /chat:write/ });
    await poor.close();
  });

  it("posts by an incoming webhook, and tries it without a word", async () => {
    const { channels } = await ask<{ channels: { id: string; name: string }[] }>("conversations.list", {});
    const general = async () => (await ask<{ messages: Said[] }>("conversations.history", { channel: channels.find(({ name }) => name === "general")?.id })).messages;
    const hook: Account = { id: "alert", channel: "slack-webhook", name: "x", settings: { token: `${emulator.url}/services/T000000001/B000000001/emulated` } };
    const before = (await general()).length;
    const alert = await slackWebhook.open(hook, context);
    assert.equal((await general()).length, before);
    await alert.send({ ...to, account: "alert", chat: "any" }, { text: "**Disk** full" }, "k");
    assert.equal((await general())[0]?.text, "*Disk* full");
    await alert.close();
  });
});
