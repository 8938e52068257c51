/** Buttons, commands and forms of Discord: saved before they are answered, answered in time, private when they should be, and found again after a restart. */
import assert from "node:assert/strict";
import { generateKeyPairSync, sign } from "node:crypto";
import type { Connection } from "../../engine/channels/channel.ts";
import { discord } from "../../engine/channels/discord/discord.ts";
import { systemClock } from "../../engine/clock.ts";
import { ChannelError } from "../../engine/errors.ts";
import type { Address, Form } from "../../engine/message.ts";
import { type RecordingContext, recordingContext } from "../contracts/channel.ts";
import { settle, until } from "../kit/scripted.ts";
import { ADA, APP, GUILD, type Json, ROLE, ROOM } from "../platforms/discord.ts";
import { type DiscordRig, discordRig, MESSAGES } from "../platforms/discord-rig.ts";

const CALLBACK = "/interactions/{interaction_id}/{interaction_token}/callback";
const ORIGINAL = "/webhooks/{webhook_id}/{webhook_token}/messages/@original";
const FOLLOW_UP = "/webhooks/{webhook_id}/{webhook_token}";
const AT: Address = { channel: "discord", account: "home", chat: ROOM, space: GUILD, kind: "group" };
const FORM: Form = { name: "report", title: "What is broken?", fields: [{ key: "what", label: "Thing", type: "text", required: true }, { key: "where", label: "Room", type: "choice", options: [{ label: "Hall", value: "hall" }] }] };

describe("Discord's interactions", function () {
  this.timeout(60_000);
  let rig: DiscordRig;
  let context: RecordingContext;
  let connection: Connection;
  /** Timers of a second and more stand still until they are fired. */
  let timers: { ms: number; act: () => void }[];
  let tokens = 0;
  const open = async (more: Partial<RecordingContext> = {}): Promise<void> => {
    context = recordingContext({
      ...rig.context,
      clock: { ...systemClock, after(ms, act) {
        if (ms < 1_500) return systemClock.after(ms, act);
        const timer = { ms, act };
        timers.push(timer);
        return () => { timers = timers.filter((each) => each !== timer); };
      } },
      ...more,
    });
    connection = await discord.open(rig.account, context);
  };
  /** The time of the first answer is over. */
  const holdOver = (): void => { for (const timer of timers.filter(({ ms }) => ms > 1_500 && ms <= 2_000)) { timers = timers.filter((each) => each !== timer); timer.act(); } };
  const tokenOver = (): void => { for (const timer of timers.filter(({ ms }) => ms > 60_000)) timer.act(); };
  beforeEach(async () => { timers = []; rig = await discordRig(); await open(); });
  afterEach(async () => {
    context.abort();
    await connection.close();
    await rig.close();
    assert.deepEqual(rig.stub.problems(), []);
  });

  async function act(type: number, data: Json, more: Json = {}): Promise<{ id: string; token: string }> {
    const id = rig.stub.nextId();
    const token = `token-${++tokens}`;
    const before = context.received.length;
    rig.stub.dispatch("INTERACTION_CREATE", { id, application_id: APP, token, type, channel_id: ROOM, channel: { id: ROOM, type: 0 }, guild_id: GUILD, member: { user: ADA, roles: [ROLE] }, locale: "en-GB", version: 1, app_permissions: "2248473465835073", data, ...more });
    await until(() => context.received.length > before, "the interaction");
    return { id, token };
  }
  const command = (more: Json = {}) => act(2, { id: "1", name: "weather", type: 1, options: [{ name: "text", type: 3, value: "Berlin" }] }, more);
  const press = (value = "yes", more: Json = {}) => act(3, { custom_id: value, component_type: 2 }, { message: { id: "600000000000000100", components: [] }, ...more });
  const first = (token: string) => rig.stub.answers.get(token);

  it("saves a button before it is answered, and ends its waiting when nothing else came", async () => {
    const { token } = await press();
    await settle();
    assert.equal(first(token), undefined);
    holdOver();
    await until(() => first(token) !== undefined, "the answer");
    assert.equal(first(token)?.type, 6);
    assert.deepEqual(context.received[0]?.action, { type: "button", value: "yes" });
  });

  it("answers nothing that could not be saved", async () => {
    context.refuseSaves = 1;
    rig.stub.dispatch("INTERACTION_CREATE", { id: rig.stub.nextId(), application_id: APP, token: "unsaved", type: 3, channel_id: ROOM, guild_id: GUILD, member: { user: ADA, roles: [] }, data: { custom_id: "x", component_type: 2 } });
    await until(() => context.logs.some((line) => line.includes("could not be taken")), "the word of it");
    holdOver();
    await settle();
    assert.equal(first("unsaved"), undefined);
  });

  it("puts the answer to a command where it is thinking, and repeats it without doubling", async () => {
    const { id, token } = await command();
    holdOver();
    await until(() => first(token)?.type === 5, "thinking");
    const ref = await connection.send(AT, { text: "**Rain**", replyTo: id }, "k1.x.0");
    assert.equal(await connection.send(AT, { text: "**Rain**", replyTo: id }, "k1.x.0"), ref);
    assert.deepEqual(rig.stub.hooked(token).map(({ content }) => content), ["**Rain**"]);
    await connection.edit?.(AT, ref, { text: "Sun" });
    assert.deepEqual(rig.stub.hooked(token).map(({ content }) => content), ["Sun"]);
    // What follows is a message of its own, with a key.
    await connection.send(AT, { text: "and wind", replyTo: id }, "k1.x.1");
    assert.deepEqual(rig.stub.shown(ROOM).map(({ content }) => content), ["and wind"]);
    assert.equal(rig.stub.calls("POST", MESSAGES)[0]?.body["message_reference"], undefined);
  });

  it("answers at once when the flow is quick", async () => {
    const { token } = await command();
    await connection.send(AT, { text: "quick" }, "k2.x.0");
    assert.equal(first(token)?.type, 5);
    assert.deepEqual(rig.stub.hooked(token).map(({ content }) => content), ["quick"]);
  });

  it("gives each of two commands its own answer", async () => {
    const one = await command();
    const two = await command();
    holdOver();
    await until(() => first(two.token) !== undefined && first(one.token) !== undefined, "thinking");
    await connection.send(AT, { text: "for two", replyTo: two.id }, "k3.b.0");
    await connection.send(AT, { text: "for one", replyTo: one.id }, "k3.a.0");
    assert.deepEqual([rig.stub.hooked(one.token)[0]?.content, rig.stub.hooked(two.token)[0]?.content], ["for one", "for two"]);
  });

  it("opens a form as the first answer, and brings back what was filled in", async () => {
    const { token } = await press();
    await connection.send(AT, { text: "", form: FORM }, "k4.x.0");
    assert.equal(first(token)?.type, 9);
    assert.equal(first(token)?.data?.["custom_id"], "report");
    await act(5, { custom_id: "report", components: [{ type: 18, component: { type: 4, custom_id: "what", value: "Lamp" } }, { type: 18, component: { type: 3, custom_id: "where", values: ["hall"] } }] }, { message: { id: "600000000000000100" } });
    assert.deepEqual(context.received.at(-1)?.action, { type: "form", name: "report", values: { what: "Lamp", where: "hall" } });
  });

  it("shows a form that comes late as a button, which opens it without troubling the flow", async () => {
    const { token } = await press();
    holdOver();
    await until(() => first(token) !== undefined, "the answer");
    await connection.send(AT, { text: "Tell me", form: FORM }, "k5.x.0");
    const [{ body } = { body: {} as Json }] = rig.stub.shown(ROOM);
    const [row] = body["components"] as { components: { custom_id: string; label: string }[] }[];
    assert.equal(row?.components[0]?.label, "What is broken?");
    const before = context.received.length;
    rig.stub.dispatch("INTERACTION_CREATE", { id: rig.stub.nextId(), application_id: APP, token: "opener", type: 3, channel_id: ROOM, guild_id: GUILD, member: { user: ADA, roles: [] }, data: { custom_id: row?.components[0]?.custom_id, component_type: 2 }, message: { id: "600000000000000101" } });
    await until(() => first("opener") !== undefined, "the form");
    assert.equal(first("opener")?.type, 9);
    assert.equal(context.received.length, before);
  });

  it("keeps a private answer private: quick, after thinking, and under a button", async () => {
    const quick = await command();
    await connection.send(AT, { text: "secret 1", only: ADA.id, replyTo: quick.id }, "k6.a.0");
    assert.deepEqual(first(quick.token), { type: 5, data: { flags: 64 }, original: rig.stub.hooked(quick.token)[0]?.id });
    const slow = await command();
    holdOver();
    await until(() => first(slow.token) !== undefined, "thinking");
    await connection.send(AT, { text: "secret 2", only: ADA.id }, "k6.b.0");
    assert.equal(first(slow.token)?.deleted, true);
    assert.deepEqual(rig.stub.hooked(slow.token).map(({ content, flags }) => [content, (flags & 64) !== 0]), [["secret 2", true]]);
    const button = await press();
    await connection.send(AT, { text: "secret 3", only: ADA.id }, "k6.c.0");
    assert.deepEqual(rig.stub.hooked(button.token).map(({ content, flags }) => [content, (flags & 64) !== 0]), [["secret 3", true]]);
    assert.deepEqual(rig.stub.shown(ROOM), []);
  });

  it("sends nothing private into a channel when there is nothing to answer", async () => {
    const error = await connection.send(AT, { text: "secret", only: ADA.id }, "k7.x.0").then(() => assert.fail("expected an error"), (thrown: unknown) => thrown);
    assert.ok(error instanceof ChannelError);
    assert.deepEqual([error.code, error.retry], ["MSG_005", "no"]);
    await press("yes", { member: { user: { ...ADA, id: "800000000000000008" }, roles: [] } });
    await assert.rejects(connection.send(AT, { text: "secret", only: ADA.id }, "k7.y.0"));
    assert.deepEqual([rig.stub.shown(ROOM), rig.stub.hooked(`token-${tokens}`)], [[], []]);
  });

  it("finds its command again after a restart", async () => {
    const { token } = await command();
    holdOver();
    await until(() => first(token) !== undefined, "thinking");
    await settle();
    context.abort();
    await connection.close();
    await open();
    await connection.send(AT, { text: "back again" }, "k8.x.0");
    assert.deepEqual(rig.stub.hooked(token).map(({ content }) => content), ["back again"]);
    // A crash before the answer was recorded: the same key edits the same message.
    context.abort();
    await connection.close();
    await open();
    await connection.send(AT, { text: "back again" }, "k8.x.0");
    assert.deepEqual(rig.stub.hooked(token).map(({ content }) => content), ["back again"]);
    assert.deepEqual(rig.stub.shown(ROOM), []);
  });

  it("answers in the channel when an interaction is over, and leaves no thinking behind", async () => {
    const { token } = await command();
    holdOver();
    await until(() => first(token) !== undefined, "thinking");
    rig.stub.kill(token);
    await connection.send(AT, { text: "late" }, "k9.x.0");
    assert.deepEqual(rig.stub.shown(ROOM).map(({ content }) => content), ["late"]);
    const other = await command();
    holdOver();
    await until(() => first(other.token) !== undefined, "thinking");
    tokenOver();
    await until(() => rig.stub.calls("DELETE", ORIGINAL).length === 1, "the end of thinking");
  });

  it("tells plainly that the first answer came too late", async () => {
    rig.stub.fault("POST", CALLBACK, { status: 404, body: { message: "Unknown interaction", code: 10062 } });
    await press();
    holdOver();
    await until(() => context.logs.some((line) => line.includes("10062")), "the word of it");
    assert.ok(!context.logs.join().includes(`token-${tokens}`));
  });

  it("takes a first answer that was lost on its way for given", async () => {
    rig.stub.fault("POST", CALLBACK, { reset: "after" });
    const { token } = await command();
    holdOver();
    await until(() => first(token) !== undefined, "the answer");
    await connection.send(AT, { text: "anyway" }, "k10.x.0");
    assert.deepEqual(rig.stub.hooked(token).map(({ content }) => content), ["anyway"]);
    assert.deepEqual(rig.stub.shown(ROOM), []);
  });

  it("follows up where the bot may not write", async () => {
    const { token } = await press("yes", { app_permissions: "0" });
    await connection.send(AT, { text: "by the side door" }, "k11.x.0");
    assert.deepEqual(rig.stub.hooked(token).map(({ content }) => content), ["by the side door"]);
    assert.equal(rig.stub.calls("POST", FOLLOW_UP).length, 1);
    assert.deepEqual(rig.stub.shown(ROOM), []);
  });

  it("ends the waiting of a stranger's button, and leaves a stranger's command alone", async () => {
    context.abort();
    await connection.close();
    const seen: string[] = [];
    await open({ async receive(message) { seen.push(message.id); return "refused"; } });
    const base = { application_id: APP, channel_id: ROOM, guild_id: GUILD, member: { user: ADA, roles: [] } };
    rig.stub.dispatch("INTERACTION_CREATE", { ...base, id: rig.stub.nextId(), token: "s1", type: 3, data: { custom_id: "x", component_type: 2 }, message: { id: "1" } });
    rig.stub.dispatch("INTERACTION_CREATE", { ...base, id: rig.stub.nextId(), token: "s2", type: 2, data: { name: "x", type: 1 } });
    await until(() => seen.length === 2 && first("s1") !== undefined, "both");
    holdOver();
    await settle();
    assert.equal(first("s1")?.type, 6);
    assert.equal(first("s2"), undefined);
  });
});

describe("Discord's commands", function () {
  this.timeout(60_000);
  it("are registered when they changed, where the account says, and taken back with the last", async () => {
    const rig = await discordRig({ guilds: [GUILD] });
    const PUT = "/applications/{application_id}/guilds/{guild_id}/commands";
    const GLOBAL = "/applications/{application_id}/commands";
    const weather = { name: "Weather", description: "What the sky does" };
    const openWith = async (commands: readonly { name: string; description: string }[], settings: Json = {}): Promise<void> => {
      const context = recordingContext({ ...rig.context, commands });
      const connection = await discord.open({ ...rig.account, settings: { ...rig.account.settings, ...settings } }, context);
      await settle();
      await new Promise((resolve) => setTimeout(resolve, 100));
      context.abort();
      await connection.close();
    };
    await openWith([]);
    assert.equal(rig.stub.calls("PUT", PUT).length, 0);
    await openWith([weather, { name: "not a name!", description: "" }]);
    assert.equal(rig.stub.calls("PUT", PUT).length, 1);
    assert.deepEqual(rig.stub.calls("PUT", PUT)[0]?.body, [{ type: 1, name: "weather", description: "What the sky does", options: [{ type: 3, name: "text", description: "…", required: false }] }]);
    await openWith([weather]);
    assert.equal(rig.stub.calls("PUT", PUT).length, 1);
    await openWith([weather], { guilds: [] });
    assert.equal(rig.stub.calls("PUT", GLOBAL).length, 1);
    assert.deepEqual(rig.stub.calls("PUT", PUT)[1]?.body, []);
    await openWith([], { guilds: [] });
    assert.deepEqual(rig.stub.calls("PUT", GLOBAL)[1]?.body, []);
    assert.deepEqual(rig.stub.problems(), []);
    await rig.close();
  });

  it("are missing for nobody: the Test button says which intent is", async () => {
    const rig = await discordRig({ members: true });
    const context = recordingContext(rig.context);
    assert.deepEqual(await discord.try?.(rig.account, context), { id: "900000000000000001", name: "Home bot" });
    rig.stub.fault("GET", "/applications/@me", { status: 200, body: { id: APP, flags: 1 << 18 } });
    await assert.rejects(async () => discord.try?.(rig.account, context), /has no Server Members Intent/);
    assert.equal(rig.stub.gateway.connections, 0);
    await rig.close();
  });
});

describe("Discord by the interactions endpoint", function () {
  this.timeout(60_000);
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const hex = (publicKey.export({ format: "der", type: "spki" }) as Buffer).subarray(-32).toString("hex");
  let rig: DiscordRig;
  let context: RecordingContext;
  let connection: Connection;
  beforeEach(async () => {
    // The public key is asked of Discord.
    rig = await discordRig({ mode: "webhook" }, { publicKey: hex });
    context = recordingContext(rig.context);
    connection = await discord.open(rig.account, context);
  });
  afterEach(async () => {
    context.abort();
    await connection.close();
    await rig.close();
    assert.deepEqual(rig.stub.problems(), []);
  });
  async function post(value: Json) {
    const body = Buffer.from(JSON.stringify({ application_id: APP, channel_id: ROOM, channel: { id: ROOM, type: 0 }, guild_id: GUILD, member: { user: ADA, roles: [ROLE] }, locale: "en-GB", ...value }));
    const timestamp = String(Math.floor(Date.now() / 1000));
    const headers = { "x-signature-timestamp": timestamp, "x-signature-ed25519": sign(null, Buffer.concat([Buffer.from(timestamp), body]), privateKey).toString("hex") };
    const answer = await connection.webhook?.({ method: "POST", path: "/", query: new URLSearchParams(), headers, body, remote: "127.0.0.1", signal: new AbortController().signal });
    return { status: answer?.status, body: answer?.body === undefined ? undefined : JSON.parse(String(answer.body)) as Json };
  }

  it("opens no gateway, and proves its link by asking", async () => {
    assert.equal(rig.stub.gateway.connections, 0);
    await connection.health?.(new AbortController().signal);
    assert.deepEqual(await post({ type: 1, id: "1" }), { status: 200, body: { type: 1 } });
  });

  it("has a command once it is on disk, and answers where it is thinking", async () => {
    assert.deepEqual(await post({ id: rig.stub.nextId(), token: "h1", type: 2, data: { name: "weather", type: 1, options: [{ name: "text", type: 3, value: "Berlin" }] } }), { status: 202, body: undefined });
    assert.equal(context.received.length, 1);
    await connection.send(AT, { text: "Rain" }, "h.1.0");
    assert.equal(rig.stub.answers.get("h1")?.type, 5);
    assert.deepEqual(rig.stub.hooked("h1").map(({ content }) => content), ["Rain"]);
    assert.deepEqual(context.received[0]?.sender.roles, [ROLE]);
  });

  it("opens a form by the callback", async () => {
    assert.equal((await post({ id: rig.stub.nextId(), token: "h2", type: 3, data: { custom_id: "x", component_type: 2 }, message: { id: "600000000000000100" } })).status, 202);
    await connection.send(AT, { text: "", form: FORM }, "h.2.0");
    assert.deepEqual([rig.stub.answers.get("h2")?.type, rig.stub.answers.get("h2")?.data?.["custom_id"]], [9, "report"]);
  });

  it("gives no yes to what could not be saved, and none once it is closed", async () => {
    context.refuseSaves = 1;
    assert.equal((await post({ id: rig.stub.nextId(), token: "h3", type: 2, data: { name: "weather", type: 1 } })).status, 503);
    context.abort();
    assert.equal((await post({ id: rig.stub.nextId(), token: "h4", type: 2, data: { name: "weather", type: 1 } })).status, 503);
    assert.equal(context.received.length, 0);
  });
});
