/** Slack's two ways to listen: saved before it is confirmed, links that end, several workspaces, gaps. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import type { Account, Connection } from "../../engine/channels/channel.ts";
import { createWebhook } from "../../engine/channels/slack/webhook.ts";
import { slack } from "../../engine/channels/slack/slack.ts";
import { StoreError } from "../../engine/errors.ts";
import { channelContract, memoryStorage, recordingContext, type RecordingContext } from "../contracts/channel.ts";
import { startProxy } from "../kit/proxy.ts";
import { manualClock, settle, until } from "../kit/scripted.ts";
import { startSlack } from "../platforms/slack.ts";
import { ADA, CHANNEL, DIRECT, envelope, said, type SlackRig, slackRig } from "../platforms/slack-rig.ts";
import { skip } from "../rigs/skip.ts";
import { dataFolder } from "../spec/telegram-schema.ts";
import { createHmac } from "node:crypto";

channelContract("slack (Socket Mode)", { channel: slack, lacks: { signed: "Slack speaks by the socket", unsecured: "Slack speaks by the socket" }, make: () => slackRig("socket") });
channelContract("slack (Events API)", { channel: slack, lacks: { drop: "the Events API holds no link: Slack posts" }, make: () => slackRig("events") });

describe("Slack", () => {
  let rig: SlackRig;
  let context: RecordingContext;
  const open: Connection[] = [];
  async function start(mode: "socket" | "events", settings: Record<string, unknown> = {}, more: Partial<RecordingContext> = {}): Promise<Connection> {
    rig = await slackRig(mode, settings);
    context = recordingContext({ ...rig.context, ...more });
    return connect(rig.account);
  }
  async function connect(account: Account, into: RecordingContext = context): Promise<Connection> {
    const connection = await slack.open(account, into);
    open.push(connection);
    rig.serve?.(connection);
    return connection;
  }
  afterEach(async () => {
    for (const connection of open.splice(0)) await connection.close();
    await rig.close();
  });

  it("warns of a setting that cannot work, and names no secret", async () => {
    rig = await slackRig("socket");
    const problems = (settings: Record<string, unknown>) => slack.check({ ...rig.account, settings: { ...rig.account.settings, ...settings } });
    assert.match(problems({ key: "" })[0] ?? "", /app-level token is missing/);
    assert.match(problems({ key: "xoxb-1-canary" })[0] ?? "", /begin with xapp-/);
    assert.match(problems({ token: "xoxp-user-token" })[0] ?? "", /begin with xoxb-/);
    assert.match(problems({ mode: "events" })[0] ?? "", /signing secret is missing/);
    assert.match(problems({ mode: "rtm" })[0] ?? "", /socket or events/);
    assert.match(problems({ apiUrl: "ftp://x" })[0] ?? "", /http or https/);
    assert.match(problems({ proxy: "ftp://x" })[0] ?? "", /proxy/);
    assert.deepEqual(problems({ token: "xoxe.xoxb-1-MTIz" }), []);
  });

  it("says who the bot is without opening a socket", async () => {
    rig = await slackRig("socket");
    context = recordingContext(rig.context);
    assert.deepEqual(await slack.try?.(rig.account, context), { id: rig.stub.team.userId, name: "@claw" });
    assert.equal(rig.stub.calls("apps.connections.open").length, 0);
  });

  describe("by Socket Mode", () => {
    it("confirms an envelope only after it is on disk", async () => {
      let let_through: () => void = () => undefined;
      const gate = new Promise<void>((resolve) => { let_through = resolve; });
      await start("socket", {}, { async receive() { await gate; return "saved"; } });
      const id = rig.stub.push(envelope(said("hold")));
      await settle();
      assert.deepEqual([rig.stub.pending(), rig.stub.acked], [[id], []]);
      let_through();
      await until(() => rig.stub.acked.includes(id), "the confirmation");
    });

    it("keeps on trying to save, says so, and holds no other chat back", async () => {
      const seen: string[] = [];
      let failures = 3;
      await start("socket", {}, { async receive(message) {
        if (message.at.chat === DIRECT && failures-- > 0) throw new StoreError("STORE_001", { retry: "later", afterMs: 5 });
        seen.push(message.text);
        return "saved";
      } });
      rig.stub.push(envelope(said("d1")));
      rig.stub.push(envelope(said("d2")));
      rig.stub.push(envelope(said("c1", { channel: CHANNEL, channel_type: "channel" })));
      await until(() => rig.stub.pending().length === 0, "all of them", 20_000);
      assert.deepEqual(seen.filter((text) => text.startsWith("d")), ["d1", "d2"]);
      assert.equal(seen[0], "c1");
      assert.ok(context.states.some(({ state, error }) => state === "error" && error?.code === "STORE_001"));
      assert.equal(context.states.at(-1)?.state, "connected");
    });

    it("takes the twin events of a mention as one message, and presses, commands and forms", async () => {
      await start("socket");
      const mention = said(`<@${rig.stub.team.userId}> hi`, { channel: CHANNEL, channel_type: "channel" });
      rig.stub.push(envelope(mention));
      rig.stub.push(envelope({ ...mention, type: "app_mention" }));
      const user = { id: ADA, name: "ada", team_id: "T00FAKE00AA" };
      rig.stub.push({ type: "block_actions", user, team: { id: "T00FAKE00AA" }, trigger_id: "1.1.a", channel: { id: CHANNEL }, container: { message_ts: "1.000001" }, actions: [{ type: "button", action_id: "a", value: "v", action_ts: "2.2" }] }, "interactive");
      rig.stub.push({ command: "/lights", text: "on", user_id: ADA, user_name: "ada", team_id: "T00FAKE00AA", channel_id: CHANNEL, trigger_id: "1.1.b", response_url: "https://hooks.slack.com/x" }, "slash_commands");
      await until(() => rig.stub.pending().length === 0, "the confirmations");
      assert.deepEqual(context.received.map(({ action, kind }) => action?.type ?? kind), ["message", "button", "command"]);
      assert.deepEqual(context.received.map(({ sender }) => sender.name), ["Ada", "Ada", "Ada"], "names come from users.info");
      assert.equal(rig.stub.calls("users.info").length, 2, "each person and the bot once");
    });

    it("opens the next link at once when Slack renews it, and asks again with patience when it is away", async () => {
      const waits: number[] = [];
      const clock = manualClock();
      await start("socket", {}, { clock: { ...clock, after(ms, act) { waits.push(ms); return clock.after(ms, act); } } });
      rig.stub.renew();
      await until(() => rig.stub.calls("apps.connections.open").length === 2 && rig.stub.sockets.size === 1, "the second link");
      await until(() => context.states.at(-1)?.state === "connected", "the word");
      rig.stub.fault("apps.connections.open", { reset: "before" }, 2);
      rig.stub.fault("apps.connections.open", { status: 429, body: "", headers: { "retry-after": "33" } });
      waits.length = 0;
      rig.stub.cut();
      const patient = () => waits.filter((ms) => ms !== 20_000 && ms !== 2_000 && ms !== 5_000);
      for (let turn = 1; turn <= 3; turn++) {
        await until(() => patient().length >= turn, `wait ${turn}`);
        await clock.advance(patient()[turn - 1] as number);
      }
      await until(() => rig.stub.sockets.size === 1, "the link after it");
      assert.ok(Math.abs((patient()[0] as number) - 1_000) <= 250 && Math.abs((patient()[1] as number) - 2_000) <= 500, String(patient()));
      assert.equal(patient()[2], 33_000);
      await until(() => context.states.at(-1)?.state === "connected", "the word");
    });

    it("gives up when the app-level token is refused, at the beginning and later", async () => {
      await start("socket");
      const other = recordingContext(rig.context);
      await assert.rejects(slack.open({ ...rig.account, settings: { ...rig.account.settings, key: "xapp-1-wrong-one" } }, other), { name: "ChannelError", code: "CONN_002", retry: "no" });
      rig.stub.fault("apps.connections.open", { error: "invalid_auth" });
      rig.stub.cut();
      await until(() => context.states.at(-1)?.error?.code === "CONN_002", "the refusal");
      assert.equal(context.states.at(-1)?.state, "error");
      assert.equal(rig.stub.sockets.size, 0);
    });

    it("does not wait for ever for Slack's greeting", async () => {
      rig = await slackRig("socket");
      const clock = manualClock();
      context = recordingContext({ ...rig.context, clock });
      rig.stub.mute = true;
      const opening = assert.rejects(slack.open(rig.account, context), { name: "ChannelError", code: "CONN_001", retry: "later" });
      await until(() => rig.stub.sockets.size === 1, "the socket");
      await clock.advance(20_000);
      await opening;
      await until(() => rig.stub.sockets.size === 0, "the end of the socket");
    });

    it("goes through a proxy with HTTP and with the socket alike", async () => {
      const proxy = await startProxy();
      await start("socket", { proxy: proxy.url });
      rig.stub.push(envelope(said("through")));
      await until(() => context.received.length === 1, "the message");
      assert.ok(proxy.asked.length > 0, "the socket went around the proxy");
      await open.pop()?.close();
      await proxy.close();
    });

    it("leaves out what cannot be read, confirms it, says so, and goes on", async () => {
      await start("socket");
      rig.stub.push({ type: "event_callback", team_id: "T00FAKE00AA" });
      rig.stub.push(envelope({ type: "message", channel: CHANNEL, user: ADA, ts: "1.1", text: 5 }));
      rig.stub.push(envelope(said("after")));
      await until(() => rig.stub.pending().length === 0, "the confirmations");
      assert.deepEqual(context.received.map(({ text }) => text), ["after"]);
      assert.equal(context.logs.filter((line) => line.includes("MSG_001")).length, 2);
    });

    it("lets no missing or slow name hold a message back", async () => {
      const clock = manualClock();
      rig = await slackRig("socket");
      context = recordingContext({ ...rig.context, clock });
      rig.stub.fault("users.info", { delayMs: 3_000 });
      await connect(rig.account);
      rig.stub.push(envelope(said("quick")));
      await until(() => rig.stub.calls("users.info").length === 1, "the question");
      await clock.advance(700);
      await until(() => context.received.length === 1, "the message");
      assert.equal(context.received[0]?.sender.name, ADA);
      rig.stub.fault("users.info", { error: "missing_scope", more: { needed: "users:read" } });
      rig.stub.push(envelope(said("next", { user: "U2" })));
      await until(() => context.received.length === 2, "the next");
      rig.stub.push(envelope(said("last", { user: "U3" })));
      await until(() => context.received.length === 3, "the last");
      assert.equal(rig.stub.calls("users.info").length, 2, "without the scope it is not asked again");
    });

    it("keeps Slack's payload as raw only when asked, without tokens and __proto__", async () => {
      await start("socket", { raw: true });
      rig.stub.push(JSON.parse(JSON.stringify(envelope(said("x"))).replace('"text":"x"', '"text":"x","__proto__":{"isOwner":true}')) as Record<string, unknown>);
      await until(() => context.received.length === 1, "the message");
      const raw = context.received[0]?.raw as { token?: string; event: Record<string, unknown> };
      assert.equal(raw.event.text, "x");
      assert.equal(raw.token, undefined);
      assert.equal(Object.hasOwn(raw.event, "__proto__"), false);
    });
  });

  describe("by the Events API", () => {
    it("answers Slack's question for the address, and nothing unsigned", async () => {
      await start("events");
      const answer = await rig.stub.post(JSON.stringify({ type: "url_verification", challenge: "3eZbrw1aB", token: "x" }));
      assert.deepEqual([answer.status, await answer.text()], [200, "3eZbrw1aB"]);
      assert.equal((await rig.stub.post('{"type":"url_verification","challenge":"x"}', { secret: "wrong" })).status, 401);
      assert.equal((await rig.stub.post("ssl_check=1&token=x", { type: "application/x-www-form-urlencoded" })).status, 200);
      assert.equal((await fetch(rig.webhookUrl)).status, 405);
      for (const body of ["", "null", "[]", "5", "{", "\u0000"]) assert.equal((await rig.stub.post(body)).status, 400, body);
    });

    it("answers 200 only after the save, 503 with Retry-After when it fails", async () => {
      await start("events");
      const body = JSON.stringify(envelope(said("hi")));
      context.refuseSaves = 1;
      const refused = await rig.stub.post(body);
      assert.deepEqual([refused.status, refused.headers.get("retry-after")], [503, "1"]);
      assert.equal((await rig.stub.post(body, { headers: { "x-slack-retry-num": "1" } })).status, 200);
      assert.equal((await rig.stub.post(body)).status, 200);
      assert.equal(context.received.length, 1);
      const press = new URLSearchParams({ payload: JSON.stringify({ type: "block_actions", user: { id: ADA }, team: { id: "T00FAKE00AA" }, trigger_id: "1.1.z", channel: { id: CHANNEL }, actions: [{ type: "button", value: "v", action_id: "a" }] }) });
      const form = { type: "application/x-www-form-urlencoded; charset=utf-8" };
      assert.equal((await rig.stub.post(String(press), form)).status, 200);
      const command = await rig.stub.post(String(new URLSearchParams({ command: "/lights", text: "a & b", user_id: ADA, team_id: "T00FAKE00AA", channel_id: CHANNEL, trigger_id: "1.1.y" })), form);
      assert.deepEqual([command.status, await command.text()], [200, ""], "anything said here would be shown");
      assert.deepEqual(context.received.slice(1).map(({ action }) => action), [{ type: "button", value: "v" }, { type: "command", name: "lights", args: "a & b" }]);
    });

    it("keeps a chat in order, also while the first message waits for a name", async () => {
      await start("events");
      rig.stub.fault("users.info", { delayMs: 300 });
      const first = rig.stub.post(JSON.stringify(envelope(said("first", { user: "U00UNKNOWN1" }))));
      await until(() => rig.stub.calls("users.info").length === 1, "the question for the name");
      const second = await rig.stub.post(JSON.stringify(envelope(said("second", { user: "B00OTHERBOT", bot_id: "B00OTHERBOT" }))));
      assert.deepEqual([(await first).status, second.status], [200, 200]);
      assert.deepEqual(context.received.map(({ text }) => text), ["first", "second"]);
    });

    it("gives every signature vector the right answer", async function () {
      rig = await slackRig("events");
      const folder = dataFolder("payloads", "slack");
      if (folder === undefined) return skip(this, "no signature vectors beside this checkout");
      interface Vector { scheme: string; name: string; expect: string; now: number; headers: Record<string, string>; bodyB64: string; secret: string }
      const bad = (JSON.parse(readFileSync(path.join(folder, "../../badinputs/webhook-signatures.json"), "utf8")) as { cases: Vector[] }).cases.filter(({ scheme }) => scheme === "slack");
      const official = (JSON.parse(readFileSync(path.join(folder, "../signature-vectors.json"), "utf8")) as { slack: { signing_secret: string; timestamp: string; body: string; expected: string } }).slack;
      const vectors: Vector[] = [...bad, { scheme: "slack", name: "official", expect: "accept", now: Number(official.timestamp), headers: { "x-slack-signature": official.expected, "x-slack-request-timestamp": official.timestamp, "content-type": "application/x-www-form-urlencoded" }, bodyB64: Buffer.from(official.body).toString("base64"), secret: official.signing_secret }];
      for (const { name, expect, now, headers, bodyB64, secret } of vectors) {
        let taken = 0;
        const webhook = createWebhook({ secret, context: { clock: { ...recordingContext().clock, now: () => now * 1000 }, log() {} }, signal: new AbortController().signal, async take() { taken += 1; } });
        const { status } = await webhook({ method: "POST", path: "/", query: new URLSearchParams(), headers, body: Buffer.from(bodyB64, "base64"), remote: "x", signal: new AbortController().signal });
        if (expect === "accept") assert.deepEqual([status, taken], [200, 1], name);
        else if (expect === "reject") assert.deepEqual([status, taken], [401, 0], name);
        else assert.ok(status === 200 || status === 401, name);
      }
      console.log(`      ${vectors.length} signature vectors`);
      assert.ok(vectors.length >= 9);
    });

    it("answers a thousand mutilated bodies with 200, 400 or 401, and goes on", async () => {
      const times = Number(process.env.CLAWFLOW_FUZZ ?? 1_000);
      const heard = recordingContext();
      rig = await slackRig("events");
      context = recordingContext(rig.context);
      const connection = await connect(rig.account);
      const now = Math.floor(Date.now() / 1000);
      const whole = JSON.stringify(envelope(said("*fuzz* <@U1>")));
      let seed = 7;
      const random = (most: number): number => { seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648; return seed % most; };
      const seen = new Map<number, number>();
      for (let turn = 0; turn < times; turn++) {
        const bytes = Buffer.from(whole);
        for (let changes = 1 + random(4); changes > 0; changes--) bytes[random(bytes.length)] = random(256);
        const body = bytes.subarray(0, random(5) === 0 ? random(bytes.length) : bytes.length);
        const signature = `v0=${createHmac("sha256", rig.stub.signingSecret).update(`v0:${now}:`).update(body).digest("hex")}`;
        const answer = await connection.webhook?.({ method: "POST", path: "/", query: new URLSearchParams(), headers: { "content-type": random(4) === 0 ? "application/x-www-form-urlencoded" : "application/json", "x-slack-request-timestamp": String(now), "x-slack-signature": signature }, body, remote: "x", signal: heard.signal });
        seen.set(answer?.status ?? 0, (seen.get(answer?.status ?? 0) ?? 0) + 1);
      }
      assert.deepEqual([...seen.keys()].filter((status) => status !== 200 && status !== 400), []);
      assert.equal((await rig.stub.post(JSON.stringify(envelope(said("still here"))))).status, 200);
      assert.equal(context.received.at(-1)?.text, "still here");
      assert.equal(({} as { polluted?: unknown }).polluted, undefined);
    });
  });

  describe("in several workspaces", () => {
    const SECOND = { id: "T00SECOND01", token: "xoxb-555-666-canarysecond", userId: "U00SECONDB1", botId: "B00SECONDB1", name: "claw2" };
    for (const mode of ["socket", "events"] as const) it(`hands what arrives at one account to the account of its workspace (${mode})`, async () => {
      await start(mode);
      rig.stub.addTeam(SECOND);
      const second = recordingContext(rig.context);
      const account = { ...rig.account, id: "second", settings: { ...rig.account.settings, token: SECOND.token } };
      const other = await slack.open(account, second);
      open.push(other);
      // All of one app's events go to one address, and to any of its sockets.
      for (const [text, team] of [["for one", "T00FAKE00AA"], ["for two", SECOND.id], ["for one again", "T00FAKE00AA"], ["for two again", SECOND.id], ["for nobody", "T00UNKNOWN1"]] as const) rig.stub.push(envelope(said(text, { team }), { authorizations: [{ team_id: team, enterprise_id: null }] }, team));
      await until(() => rig.stub.pending().length === 0, "the confirmations");
      assert.deepEqual(context.received.map(({ text, at }) => [text, at.space, at.account]), [["for one", "T00FAKE00AA", "home"], ["for one again", "T00FAKE00AA", "home"]]);
      assert.deepEqual(second.received.map(({ text, at }) => [text, at.space, at.account]), [["for two", SECOND.id, "second"], ["for two again", SECOND.id, "second"]]);
      assert.equal([...context.logs, ...second.logs].filter((line) => line.includes("no account is open")).length, 1);
      await other.send({ channel: "slack", account: "second", chat: "D2", space: SECOND.id, kind: "direct" }, { text: "hello" }, "k");
      assert.equal(rig.stub.calls("chat.postMessage").at(-1)?.token, SECOND.token);
      // What cannot be saved there is not confirmed here.
      second.refuseSaves = 1;
      rig.stub.push(envelope(said("twice"), {}, SECOND.id));
      await until(() => rig.stub.pending().length === 0 && second.received.at(-1)?.text === "twice", "the message");
    });

    it("takes every workspace of an enterprise that installed the app as a whole", async () => {
      const stub = await startSlack({ team: { enterprise: "E00FAKE0001", everywhere: true } });
      rig = await slackRig("socket", {}, stub);
      context = recordingContext(rig.context);
      await connect(rig.account);
      stub.push(envelope(said("grid"), { enterprise_id: "E00FAKE0001", context_enterprise_id: "E00FAKE0001", authorizations: [{ team_id: "T00ANYTEAM1", enterprise_id: "E00FAKE0001", is_enterprise_install: true }] }, "T00ANYTEAM1"));
      await until(() => context.received.length === 1, "the message");
      assert.equal(context.received[0]?.at.space, "T00ANYTEAM1");
      for (const connection of open.splice(0)) await connection.close();
      await stub.close();
    });
  });

  describe("after a gap", () => {
    it("reads what was said meanwhile in chats and threads, in order, each once, and none of its own", async () => {
      const storage = memoryStorage();
      await start("socket", {}, { storage });
      const { stub } = rig;
      const speak = (text: string, more: Record<string, unknown> = {}) => {
        const message = stub.said({ channel: CHANNEL, text, user: ADA, ...more });
        return { ...message, type: "message", channel_type: "channel", event_ts: message.ts };
      };
      const root = speak("root");
      stub.push(envelope(root));
      stub.push(envelope(speak("first in thread", { thread_ts: root.ts })));
      await until(() => context.received.length === 2, "the live messages");
      await open.pop()?.close();
      assert.equal((await storage.list("seen:")).length, 2, "written at the end at the latest");
      speak("missed 1");
      await Promise.all([stub.said({ channel: CHANNEL, text: "mine", user: stub.team.userId })]);
      for (let index = 2; index <= 120; index++) speak(`missed ${index}`);
      speak("missed in thread", { thread_ts: root.ts });
      stub.fault("conversations.history", { status: 429, body: "", headers: { "retry-after": "0" } });
      const again = recordingContext({ ...rig.context, storage });
      await connect(rig.account, again);
      await until(() => again.received.length >= 122, "what was missed", 20_000);
      const texts = again.received.filter(({ at, sender }) => at.thread === undefined && !sender.self).map(({ text }) => text);
      assert.deepEqual(texts, Array.from({ length: 120 }, (_, index) => `missed ${index + 1}`));
      assert.deepEqual(again.received.filter(({ at }) => at.thread !== undefined).map(({ text }) => text), ["missed in thread"]);
      assert.deepEqual(stub.problems(), []);
    });

    it("does without where the scope is missing, and forgets a chat it was put out of", async () => {
      const storage = memoryStorage();
      await storage.set({ "seen:C1": { ts: `${Math.floor(Date.now() / 1000) - 60}.000001` }, "seen:C2": { ts: `${Math.floor(Date.now() / 1000) - 61}.000001` }, "seen:C3": { ts: "1700000000.000001" } });
      rig = await slackRig("socket");
      context = recordingContext({ ...rig.context, storage });
      rig.stub.fault("conversations.history", { error: "missing_scope", more: { needed: "channels:history" } });
      rig.stub.fault("conversations.history", { error: "not_in_channel" });
      await connect(rig.account);
      await until(() => rig.stub.calls("conversations.history").length === 2, "both looks");
      await open.pop()?.close();
      assert.deepEqual((await storage.list("seen:")).map(([key]) => key), ["seen:C1"], "what is older than a week is not looked into");
    });
  });
});
