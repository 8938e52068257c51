/** What a draft becomes at Discord: each request held against Discord's own description, each fault read rightly, and nothing doubled. */
import { skip } from "../rigs/skip.ts";
import assert from "node:assert/strict";
import { inspect } from "node:util";
import type { Connection } from "../../engine/channels/channel.ts";
import { discord } from "../../engine/channels/discord/discord.ts";
import { nonceOf } from "../../engine/channels/discord/send.ts";
import { ChannelError, type ErrorCode } from "../../engine/errors.ts";
import type { Address, Draft } from "../../engine/message.ts";
import { type RecordingContext, recordingContext } from "../contracts/channel.ts";
import { BOT, DM, type Fault, FORUM, GUILD, type Json, ROOM, THREAD } from "../platforms/discord.ts";
import { type DiscordRig, discordRig, MESSAGES } from "../platforms/discord-rig.ts";
import { systemClock } from "../../engine/clock.ts";
import { loadDiscordSpec } from "../spec/discord-schema.ts";
import { dataFolder } from "../spec/telegram-schema.ts";

const AT: Address = { channel: "discord", account: "home", chat: ROOM, space: GUILD, kind: "group" };
const MESSAGE = "/channels/{channel_id}/messages/{message_id}";

describe("Sending to Discord", function () {
  this.timeout(60_000);
  let rig: DiscordRig;
  let context: RecordingContext;
  let connection: Connection;
  let skewMs = 0;
  let keys = 0;
  beforeEach(async () => {
    skewMs = 0;
    rig = await discordRig();
    context = recordingContext({ ...rig.context, clock: { ...systemClock, now: () => Date.now() + skewMs } });
    connection = await discord.open(rig.account, context);
  });
  afterEach(async () => {
    context.abort();
    await connection.close();
    await rig.close();
    assert.deepEqual(rig.stub.problems(), []);
  });
  const send = (draft: Draft, to: Address = AT, key = `key.${++keys}.0`) => connection.send(to, draft, key);
  const body = (): Json => rig.stub.calls("POST", MESSAGES).at(-1)?.body ?? {};
  const faultOf = async (act: Promise<unknown>): Promise<ChannelError> => {
    const error = await act.then(() => assert.fail("expected an error"), (thrown: unknown) => thrown);
    assert.ok(error instanceof ChannelError, String(error));
    for (const secret of rig.secrets) assert.ok(!inspect(error, { depth: 8 }).includes(secret), "a secret shows");
    return error;
  };

  it("gives every message a key, pings nobody, previews no link, and replies without insisting", async () => {
    await send({ text: "@everyone see https://example.org", replyTo: "600000000000000050", silent: true }, AT, "k.1.0");
    assert.deepEqual(body(), {
      nonce: nonceOf("k.1.0"), enforce_nonce: true, flags: (1 << 2) | (1 << 12), content: "@everyone see https://example.org",
      message_reference: { message_id: "600000000000000050", fail_if_not_exists: false }, allowed_mentions: { parse: [], replied_user: false },
    });
    assert.ok(nonceOf("x".repeat(64)).length <= 25);
  });

  it("speaks into threads, posts in forums, and opens direct chats", async () => {
    await send({ text: "in the thread" }, { ...AT, thread: THREAD });
    assert.deepEqual(rig.stub.shown(THREAD).map(({ content }) => content), ["in the thread"]);
    const ref = await send({ text: "# A post\nwith words" }, { ...AT, chat: FORUM }, "k.2.0");
    const [made] = rig.stub.calls("POST", "/channels/{channel_id}/threads");
    assert.equal(made?.body["name"], "A post");
    await send({ text: "and more of it" }, { ...AT, chat: FORUM }, "k.2.1");
    assert.equal(rig.stub.calls("POST", "/channels/{channel_id}/threads").length, 1);
    assert.deepEqual(rig.stub.shown(ref).map(({ content }) => content), ["# A post\n\nwith words", "and more of it"]);
    await send({ text: "hello" }, { channel: "discord", account: "home", chat: "@800000000000000007", kind: "direct" });
    await send({ text: "again" }, { channel: "discord", account: "home", chat: "@800000000000000007", kind: "direct" });
    assert.deepEqual(rig.stub.shown(DM).map(({ content }) => content), ["hello", "again"]);
    assert.equal(rig.stub.calls("POST", "/users/@me/channels").length, 1);
  });

  it("lays out buttons in rows of five, tells twins apart, and takes fields of our own over", async () => {
    await send({ text: "press", buttons: [Array.from({ length: 6 }, (_, index) => ({ label: `B${index}`, value: index < 2 ? "same" : `v${index}` }))], choices: { name: "room", multiple: true, options: [{ label: "Hall" }, { label: "Attic", value: "a", about: "dusty" }] }, native: { discord: { tts: true } } });
    const rows = body()["components"] as { components: Json[] }[];
    assert.deepEqual(rows.map(({ components }) => components.length), [5, 1, 1]);
    assert.deepEqual(rows[0]?.components.slice(0, 2).map((each) => each["custom_id"]), ["same", "same\u200b"]);
    assert.deepEqual(rows[2]?.components[0], { type: 3, custom_id: "room", options: [{ label: "Hall", value: "Hall" }, { label: "Attic", value: "a", description: "dusty" }], min_values: 1, max_values: 2 });
    assert.equal(body()["tts"], true);
  });

  it("uploads files and pictures of cards with their descriptions", async () => {
    assert.ok(context.spool !== undefined);
    const kept = await context.spool.save(new Blob([Buffer.from("R0lGODlhAQABAAAAACw=", "base64")]).stream(), { name: "a b.gif", mime: "image/gif" });
    await send({ text: "", attachments: [{ kind: "image", media: `spool:${kept.id}`, name: "a b.gif", alt: "one pixel" }], cards: [{ title: "Card", image: `spool:${kept.id}` }] });
    const [sent] = rig.stub.calls("POST", MESSAGES);
    assert.deepEqual((body()["attachments"] as Json[]).map((each) => [each["id"], each["description"]]), [["0", "one pixel"], ["1", undefined]]);
    assert.match(String((body()["embeds"] as { image: { url: string } }[])[0]?.image.url), /^attachment:\/\/card0-[\w.-]+$/);
    assert.equal(sent?.uploads.length, 2);
  });

  it("edits whole messages, takes back its reactions, shows typing", async () => {
    const ref = await send({ text: "one", buttons: [[{ label: "Go" }]] });
    await connection.edit?.(AT, ref, { text: "two" });
    const edit = rig.stub.calls("PATCH", MESSAGE).at(-1)?.body;
    assert.deepEqual([edit?.["content"], edit?.["components"], edit?.["embeds"]], ["two", [], []]);
    await connection.react?.(AT, ref, "cat:41771983429993937");
    await connection.react?.(AT, ref, "");
    assert.equal(rig.stub.calls("DELETE", "/channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}/@me").length, 1);
    await connection.typing?.({ ...AT, thread: THREAD });
    assert.equal(rig.stub.calls("POST", "/channels/{channel_id}/typing").length, 1);
  });

  it("refuses by itself what Discord would refuse: sizes and names", async () => {
    const long = "x".repeat(101);
    const cases: readonly (readonly [Draft, ErrorCode, Address?])[] = [
      [{ text: "x".repeat(2001) }, "MSG_003"],
      [{ text: "a", buttons: [[{ label: "b", value: long }]] }, "MSG_003"],
      [{ text: "a", buttons: [[{ label: "b", url: `https://example.org/${"x".repeat(600)}` }]] }, "MSG_003"],
      [{ text: "a", buttons: Array.from({ length: 6 }, (_, index) => [{ label: `b${index}` }]) }, "MSG_003"],
      [{ text: "a", choices: { options: Array.from({ length: 26 }, (_, index) => ({ label: `o${index}` })) } }, "MSG_003"],
      [{ text: "a", choices: { options: [{ label: long }] } }, "MSG_003"],
      [{ text: "a", cards: [{ title: "x".repeat(257) }] }, "MSG_003"],
      [{ text: "a", cards: [{ text: "x".repeat(4000) }, { text: "x".repeat(2001) }] }, "MSG_003"],
      [{ text: "", poll: { question: "q", options: Array.from({ length: 11 }, () => "o") } }, "MSG_003"],
      [{ text: "", poll: { question: "q", options: ["x".repeat(56)] } }, "MSG_003"],
      [{ text: "a" }, "MSG_002", { ...AT, chat: "general" }],
    ];
    for (const [draft, code, to] of cases) assert.deepEqual([(await faultOf(send(draft, to))).code], [code], inspect(draft).slice(0, 80));
    assert.equal(rig.stub.calls("POST", MESSAGES).length, 0);
  });

  describe("when it fails", () => {
    const told = (status: number, code: number, message = "no"): Fault => ({ status, body: { message, code } });
    const CASES: readonly (readonly [what: string, fault: Fault, code: ErrorCode, retry: "no" | "later", more?: Partial<ChannelError>])[] = [
      ["a token that was reset", { status: 401, body: { message: "401: Unauthorized", code: 0 } }, "CONN_002", "no"],
      ["no access", told(403, 50001), "MSG_002", "no", { answered: true }],
      ["no permission", told(403, 50013), "MSG_002", "no"],
      ["closed direct messages", told(403, 50007), "MSG_002", "no"],
      ["an unknown channel", told(404, 10003), "MSG_002", "no"],
      ["an unknown emoji", told(400, 10014), "MSG_005", "no"],
      ["an upload too large", told(413, 40005), "MSG_003", "no"],
      ["a body too large, by a proxy", { status: 413, body: "<html>413</html>" }, "MSG_003", "no"],
      ["a form that is wrong", { status: 400, body: { message: "Invalid Form Body", code: 50035, errors: { content: { _errors: [{ code: "BASE_TYPE_MAX_LENGTH", message: "Must be 2000 or fewer in length." }] } } } }, "MSG_003", "no"],
      ["a code nobody has seen yet", told(400, 999_999), "MSG_002", "no"],
      ["a busy API", told(503, 130_000), "CONN_001", "later", { answered: true }],
      ["a bad gateway", { status: 502, body: "<html>" }, "CONN_001", "later", { answered: true, unsent: false }],
      ["a page of Cloudflare", { status: 403, body: "<html>Access denied</html>" }, "CONN_001", "later", { answered: true }],
      ["a page that pretends to be right", { status: 200, body: "<html>Login</html>" }, "CONN_001", "later", { answered: false, unsent: false }],
      ["half an answer", { status: 200, body: "{\"id\":", headers: { "content-type": "application/json" } }, "CONN_001", "later", { answered: false }],
      ["a flood, by header", { status: 429, body: { message: "x", retry_after: 9, global: false }, headers: { "retry-after": "3" } }, "CONN_003", "later"],
      ["a flood, by body alone", { status: 429, body: { message: "x", retry_after: 1.5, global: true } }, "CONN_003", "later"],
      ["a flood, by a proxy", { status: 429, body: "slow down" }, "CONN_003", "later"],
      ["a reset before anything came back", { reset: "before" }, "CONN_001", "later", { unsent: false, answered: false }],
    ];
    for (const [what, fault, code, retry, more = {}] of CASES) it(`reads ${what}`, async () => {
      rig.stub.fault("POST", MESSAGES, fault);
      const error = await faultOf(send({ text: "x" }));
      assert.deepEqual([error.code, error.retry], [code, retry], error.message);
      for (const [key, value] of Object.entries(more)) assert.equal(error[key as keyof ChannelError], value, `${key}: ${error.message}`);
      assert.equal(rig.stub.calls("POST", MESSAGES).length, 1, "asked once");
    });

    it("keeps the buckets Discord names: the next call is not made before its time", async () => {
      rig.stub.fault("POST", MESSAGES, { status: 429, body: { message: "x", retry_after: 60, global: false }, headers: { "retry-after": "60", "x-ratelimit-limit": "5", "x-ratelimit-remaining": "0", "x-ratelimit-reset-after": "60" } });
      const first = await faultOf(send({ text: "x" }));
      assert.ok((first.afterMs ?? 0) >= 60_000 && (first.afterMs ?? 0) < 62_000, String(first.afterMs));
      const second = await faultOf(send({ text: "x" }));
      assert.deepEqual([second.code, (second.afterMs ?? 0) > 50_000], ["CONN_003", true]);
      assert.equal(rig.stub.calls("POST", MESSAGES).length, 1);
      // Another channel has a bucket of its own.
      await send({ text: "x" }, { channel: "discord", account: "home", chat: DM, kind: "direct" });
    });
  });

  describe("after a crash in the moment of sending", () => {
    it("shows it once: by its key for minutes, by looking afterwards", async () => {
      rig.stub.fault("POST", MESSAGES, { reset: "after" });
      const startedAt = Date.now();
      const lost = await faultOf(send({ text: "once" }, AT, "k.9.0"));
      assert.deepEqual([lost.unsent, lost.answered], [false, false]);
      const ref = await send({ text: "once" }, AT, "k.9.0");
      assert.deepEqual(rig.stub.shown(ROOM).map(({ id }) => id), [ref]);
      skewMs = 600_000;
      assert.equal(await connection.find?.(AT, { key: "k.9.0", draft: { text: "once" }, startedAt }), ref);
      assert.equal(await connection.find?.(AT, { key: "k.8.0", draft: { text: "once" }, startedAt }), undefined, "another's nonce is another message");
    });

    it("knows it by its words where Discord lists no nonce, once the key is no help any more", async () => {
      const startedAt = Date.now();
      const mine = { id: rig.stub.nextId(), channel_id: ROOM, author: BOT, content: "**by words**", attachments: [], embeds: [], timestamp: new Date().toISOString() };
      rig.stub.history.set(ROOM, [{ ...mine, author: { ...BOT, id: "1" }, id: rig.stub.nextId() }, mine]);
      const look = () => connection.find?.(AT, { key: "k.7.0", draft: { text: "**by words**" }, startedAt });
      assert.equal(await look(), undefined);
      skewMs = 600_000;
      assert.equal(await look(), mine.id);
    });

    it("takes no message for it that belongs to something else", async () => {
      const startedAt = Date.now();
      const mine = { id: rig.stub.nextId(), channel_id: ROOM, author: BOT, content: "ok", attachments: [], embeds: [], timestamp: new Date().toISOString() };
      const other = { ...mine, id: rig.stub.nextId() };
      rig.stub.history.set(ROOM, [mine, other]);
      const look = (...taken: string[]) => connection.find?.(AT, { key: "k.6.0", draft: { text: "ok" }, startedAt, isTaken: async (ref) => taken.includes(ref) });
      skewMs = 600_000;
      assert.equal(await look(other.id), mine.id);
      assert.equal(await look(mine.id), other.id);
      assert.equal(await look(mine.id, other.id), undefined);
    });
  });

  it("asks for a new address of a file when the old one has ended", async () => {
    const origin = new URL(rig.stub.url).origin;
    rig.stub.cdn.set("/cdn/7/cat.png", Buffer.from("meow"));
    const url = (ex: number) => `${origin}/cdn/7/cat.png?ex=${Math.floor(ex / 1000).toString(16)}&hm=0`;
    const said = rig.stub.say(ROOM, "look", { attachments: [{ id: "7", filename: "cat.png", url: url(Date.now() + 86_400_000), size: 4 }] });
    const stream = await connection.media?.(`${url(Date.now() - 1_000)}#${ROOM}/${String(said["id"])}`, new AbortController().signal);
    assert.equal(await new Response(stream).text(), "meow");
    assert.equal(rig.stub.calls("GET", MESSAGE).length, 1);
    await assert.rejects(async () => connection.media?.("http://127.0.0.1:1/other", new AbortController().signal));
  });

  it("catches slips of the pen: the judge refuses faults that were planted", function () {
    const folder = dataFolder("specs", "discord");
    if (folder === undefined) return skip(this, "Discord's description is not beside this checkout");
    const spec = loadDiscordSpec(folder);
    const good = { content: "x", nonce: "a", enforce_nonce: true, flags: 4, allowed_mentions: { parse: [] }, components: [{ type: 1, components: [{ type: 2, style: 1, label: "a", custom_id: "a" }] }] };
    const place = `/channels/${ROOM}/messages`;
    const none = new URLSearchParams();
    assert.deepEqual(spec.request("POST", place, none, good, 0), []);
    const planted: readonly (readonly [string, Json])[] = [
      ["a nonce too long", { ...good, nonce: "x".repeat(26) }], ["a key in another spelling", { ...good, enforceNonce: true }], ["a text too long", { ...good, content: "x".repeat(2001) }],
      ["a row too long", { ...good, components: [{ type: 1, components: Array.from({ length: 6 }, (_, index) => ({ type: 2, style: 1, label: "a", custom_id: `${index}` })) }] }],
      ["too many rows", { ...good, components: Array.from({ length: 6 }, (_, index) => ({ type: 1, components: [{ type: 2, style: 1, label: "a", custom_id: `${index}` }] })) }],
      ["twins", { ...good, components: [{ type: 1, components: [{ type: 2, style: 1, label: "a", custom_id: "a" }, { type: 2, style: 1, label: "b", custom_id: "a" }] }] }],
      ["an unknown style", { ...good, components: [{ type: 1, components: [{ type: 2, style: 9, label: "a", custom_id: "a" }] }] }],
      ["a label too long", { ...good, components: [{ type: 1, components: [{ type: 2, style: 1, label: "x".repeat(81), custom_id: "a" }] }] }],
      ["a reply without a message", { ...good, message_reference: { channel_id: ROOM } }], ["eleven embeds", { ...good, embeds: Array.from({ length: 11 }, () => ({ title: "a" })) }],
      ["embeds too long together", { ...good, embeds: [{ description: "x".repeat(4000) }, { description: "x".repeat(2001) }] }], ["a file that was not sent", { ...good, attachments: [{ id: "0" }] }],
      ["pings left open", { content: "x" }], ["an empty poll", { ...good, poll: { question: { text: "q" }, answers: [] } }], ["a number for a text", { ...good, content: 5 }],
    ];
    const missed = planted.filter(([, wrong]) => spec.request("POST", place, none, wrong, 0).length === 0).map(([name]) => name);
    assert.deepEqual(missed, []);
    assert.ok(spec.request("POST", `/channels/${ROOM}/message`, none, good, 0).length > 0);
    assert.ok(spec.request("GET", place, new URLSearchParams({ limit: "101" }), undefined, 0).length > 0);
    console.log(`      ${planted.length + 2} planted faults of requests to Discord were caught`);
  });
});
