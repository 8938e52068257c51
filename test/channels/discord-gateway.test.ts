/** Discord's gateway: what is lost on the way is told truthfully, filled in afterwards, and never doubled. */
import assert from "node:assert/strict";
import { createServer as createHttp } from "node:http";
import { type AddressInfo, connect as connectTcp, createServer as createTcp, type Server, type Socket } from "node:net";
import type { Connection } from "../../engine/channels/channel.ts";
import { snowflakeAt } from "../../engine/channels/discord/limits.ts";
import { discord } from "../../engine/channels/discord/discord.ts";
import { ChannelError } from "../../engine/errors.ts";
import { type RecordingContext, recordingContext } from "../contracts/channel.ts";
import { until } from "../kit/scripted.ts";
import { DM, GUILD, ROLE, ROOM, THREAD } from "../platforms/discord.ts";
import { type DiscordRig, discordRig, MESSAGES } from "../platforms/discord-rig.ts";

describe("Discord's gateway", function () {
  this.timeout(60_000);
  let rig: DiscordRig;
  let context: RecordingContext;
  let connection: Connection | undefined;
  const more: (() => Promise<unknown>)[] = [];
  async function start(settings: Record<string, unknown> = {}, options: Parameters<typeof discordRig>[1] = {}): Promise<void> {
    rig = await discordRig(settings, options);
    context = recordingContext(rig.context);
  }
  async function open(): Promise<Connection> {
    connection = await discord.open(rig.account, context);
    return connection;
  }
  const texts = (): string[] => context.received.filter(({ kind }) => kind === "message").map(({ text }) => text);
  afterEach(async () => {
    context.abort();
    await connection?.close();
    connection = undefined;
    await rig.close();
    for (const end of more.splice(0)) await end();
    assert.deepEqual(rig.stub.problems(), []);
  });
  const refused = async (): Promise<ChannelError> => {
    const error = await open().then(() => assert.fail("expected an error"), (thrown: unknown) => thrown);
    assert.ok(error instanceof ChannelError, String(error));
    return error;
  };

  it("identifies with the intents of the settings, and no more", async () => {
    await start({ content: false, members: true });
    await open();
    const [{ intents } = {}] = rig.stub.gateway.identifies;
    assert.equal(intents, (1 << 0) | (1 << 1) | (1 << 9) | (1 << 10) | (1 << 12) | (1 << 13) | (1 << 24) | (1 << 25));
  });

  for (const [code, wanted, says] of [[4004, "CONN_002", /token/], [4014, "CONF_001", /Message Content Intent/], [4013, "CONF_001", /intents/], [4011, "CONF_001", /shards/]] as const) {
    it(`says plainly what is wrong when it is closed with ${code}, once, and leaves nothing behind`, async () => {
      await start();
      rig.stub.gateway.refuse = code;
      const error = await refused();
      assert.equal(error.code, wanted);
      assert.equal(error.retry, "no");
      assert.match(error.message, says);
      await new Promise((resolve) => setTimeout(resolve, 700));
      assert.equal(rig.stub.gateway.connections, 1);
    });
  }

  it("ends for good when a token is taken back while it is open", async () => {
    await start();
    await open();
    rig.stub.gateway.refuse = 4004;
    rig.stub.forget();
    await until(() => context.states.some(({ error }) => error?.code === "CONN_002"), "the error", 20_000);
    assert.equal(context.states.at(-1)?.state, "error");
    assert.equal(context.states.at(-1)?.error?.retry, "no");
    const { connections } = rig.stub.gateway;
    await new Promise((resolve) => setTimeout(resolve, 700));
    assert.equal(rig.stub.gateway.connections, connections);
  });

  it("names a gateway that refuses the upgrade, and does not hammer it", async () => {
    await start();
    rig.stub.gateway.rejectUpgrade = true;
    const error = await refused();
    assert.equal(error.code, "CONN_001");
    assert.equal(error.retry, "later");
    await new Promise((resolve) => setTimeout(resolve, 700));
    assert.equal(rig.stub.gateway.connections, 0);
  });

  it("resumes after a broken link, and Discord brings what was missed, once", async () => {
    await start();
    await open();
    rig.stub.say(DM, "before");
    await until(() => texts().length === 1, "the first");
    rig.stub.drop();
    rig.stub.say(DM, "during");
    await until(() => texts().length === 2, "the second", 20_000);
    rig.stub.say(DM, "after");
    await until(() => texts().length === 3, "the third");
    assert.deepEqual(texts(), ["before", "during", "after"]);
    assert.equal(rig.stub.gateway.resumes.length, 1);
    assert.equal(rig.stub.gateway.identifies.length, 1);
    assert.deepEqual(context.states.map(({ state }) => state), ["connecting", "connected", "reconnecting", "connected"]);
    assert.equal(rig.stub.calls("GET", MESSAGES).filter(({ path }) => path.includes(ROOM)).length, 0);
  });

  it("reconnects when Discord asks for it", async () => {
    await start();
    await open();
    rig.stub.reconnectPlease();
    await until(() => rig.stub.gateway.resumes.length === 1 && rig.stub.connected(), "the resume", 20_000);
    rig.stub.say(ROOM, "still here");
    await until(() => texts().length === 1, "the message");
  });

  it("fills the gap when the session is lost: every channel, oldest first, without doubling, with roles", async () => {
    await start();
    await open();
    rig.stub.say(ROOM, "seen");
    await until(() => texts().length === 1, "the first");
    rig.stub.forget();
    for (let index = 0; index < 120; index++) rig.stub.say(ROOM, `missed ${index}`);
    rig.stub.say(THREAD, "missed in a thread");
    rig.stub.say(DM, "missed in private");
    await until(() => texts().length === 123, "all of it", 30_000);
    assert.equal(rig.stub.gateway.identifies.length, 2);
    const room = context.received.filter(({ at }) => at.chat === ROOM && at.thread === undefined);
    assert.deepEqual(room.map(({ text }) => text), ["seen", ...Array.from({ length: 120 }, (_, index) => `missed ${index}`)]);
    assert.equal(new Set(context.received.map(({ id }) => id)).size, context.received.length);
    assert.deepEqual(room.at(-1)?.at, { channel: "discord", account: "home", chat: ROOM, space: GUILD, kind: "group" });
    assert.deepEqual(room.at(-1)?.sender.roles, ["Scientists", ROLE]);
    assert.deepEqual(context.received.find(({ text }) => text === "missed in a thread")?.at, { channel: "discord", account: "home", chat: ROOM, thread: THREAD, space: GUILD, kind: "group" });
    rig.stub.say(ROOM, "live again");
    await until(() => texts().at(-1) === "live again", "the live one");
  });

  it("imports no history when it is new, and none from before its mark", async () => {
    await start();
    rig.stub.say(ROOM, "long ago");
    await new Promise((resolve) => setTimeout(resolve, 20));
    await open();
    rig.stub.say(ROOM, "now");
    await until(() => texts().length === 1, "the message");
    assert.deepEqual(texts(), ["now"]);
  });

  it("keeps its mark below what is not on disk: the next process reads it again", async () => {
    await start();
    await open();
    context.refuseSaves = 1_000_000;
    rig.stub.say(ROOM, "not saved");
    await until(() => context.states.some(({ state }) => state === "error"), "the refusal");
    await connection?.close();
    const mark = await context.storage.get("since");
    context = recordingContext({ ...rig.context });
    await open();
    await until(() => texts().length === 1, "the message");
    assert.deepEqual(texts(), ["not saved"]);
    assert.ok(BigInt(String(mark)) < snowflakeAt(Date.now()));
  });

  it("holds a full house back, and reads from Discord what there was no room for", async () => {
    await start();
    await open();
    let shut = true;
    const saved: string[] = [];
    await connection?.close();
    context = recordingContext({ ...rig.context, async receive(message) {
      if (shut) throw Object.assign(new Error("full"), { afterMs: 5 });
      if (saved.includes(message.text)) return "duplicate";
      saved.push(message.text);
      return "saved";
    } });
    await open();
    for (let index = 0; index < 2_300; index++) rig.stub.say(ROOM, `number ${index}`);
    await until(() => context.states.some(({ state }) => state === "error"), "the refusal");
    shut = false;
    await until(() => saved.length === 2_300, "all of them", 40_000);
    assert.deepEqual(saved, Array.from({ length: 2_300 }, (_, index) => `number ${index}`));
  });

  it("leaves out what cannot be read, says so, and goes on", async () => {
    await start();
    await open();
    rig.stub.dispatch("MESSAGE_CREATE", { id: "1", channel_id: 5, content: "no author" });
    rig.stub.dispatch("MESSAGE_CREATE", { id: rig.stub.nextId(), channel_id: ROOM, guild_id: GUILD, content: "no author" });
    rig.stub.dispatch("MESSAGE_CREATE", { id: rig.stub.nextId(), channel_id: ROOM, guild_id: [], author: { id: "800000000000000007" }, content: 5 });
    rig.stub.dispatch("SOMETHING_NEW", { any: "thing" });
    rig.stub.dispatch("MESSAGE_CREATE", null);
    rig.stub.say(ROOM, "fine");
    await until(() => texts().length === 1, "the message");
    assert.equal(context.logs.filter((line) => line.includes("MSG_001")).length, 4);
    const mark = () => context.storage.get("since");
    await connection?.close();
    assert.ok(BigInt(String(await mark())) > 1n);
  });

  it("closes while its socket is still being made, and leaves none", async () => {
    await start();
    const opened = new Set<Socket>();
    const deaf: Server = createTcp((socket) => { opened.add(socket); socket.on("close", () => opened.delete(socket)); socket.on("error", () => undefined); socket.resume(); });
    await new Promise<void>((resolve) => deaf.listen(0, "127.0.0.1", resolve));
    more.push(() => new Promise((resolve) => { for (const socket of opened) socket.destroy(); deaf.close(resolve); }));
    rig.stub.fault("GET", "/gateway/bot", { status: 200, body: { url: `ws://127.0.0.1:${(deaf.address() as AddressInfo).port}`, shards: 1, session_start_limit: { total: 1, remaining: 1, reset_after: 1000, max_concurrency: 1 } } });
    const opening = open().catch((error: unknown) => error);
    await until(() => opened.size === 1, "the socket");
    context.abort();
    assert.ok((await opening) instanceof Error);
    await until(() => opened.size === 0, "the end of the socket");
  });

  it("waits when Discord allows no more starts today", async () => {
    await start();
    rig.stub.fault("GET", "/gateway/bot", { status: 200, body: { url: rig.stub.wsUrl, shards: 1, session_start_limit: { total: 1000, remaining: 0, reset_after: 90_000, max_concurrency: 1 } } });
    const error = await refused();
    assert.equal(error.code, "CONN_003");
    assert.equal(error.afterMs, 90_000);
    assert.equal(rig.stub.gateway.connections, 0);
  });

  it("goes through an HTTP proxy, messages and API alike, and keeps close codes", async () => {
    const through: string[] = [];
    const proxy = createHttp((_request, response) => response.writeHead(405).end());
    const tunnels = new Set<Socket>();
    proxy.on("connect", (request, client: Socket, head: Buffer) => {
      through.push(request.url ?? "");
      const [host = "", port = ""] = (request.url ?? "").split(":");
      const far = connectTcp(Number(port), host, () => { client.write("HTTP/1.1 200 OK\r\n\r\n"); far.write(head); far.pipe(client); client.pipe(far); });
      for (const socket of [client, far]) { tunnels.add(socket); socket.on("close", () => tunnels.delete(socket)); socket.on("error", () => socket.destroy()); }
    });
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
    more.push(() => new Promise((resolve) => { for (const socket of tunnels) socket.destroy(); proxy.close(resolve); }));
    await start({ proxy: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}` });
    await open();
    assert.equal(through.length, 1);
    rig.stub.say(DM, "by proxy");
    await until(() => texts().length === 1, "the message");
    rig.stub.drop();
    rig.stub.say(DM, "resumed");
    await until(() => texts().length === 2, "the resumed one", 20_000);
    assert.equal(rig.stub.gateway.resumes.length, 1);
    await connection?.close();
    await until(() => tunnels.size === 0, "the end of the tunnels");
    context = recordingContext(rig.context);
    rig.stub.gateway.refuse = 4014;
    assert.equal((await refused()).code, "CONF_001");
  });
});
