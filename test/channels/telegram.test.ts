import assert from "node:assert/strict";
import type { Connection } from "../../engine/channels/channel.ts";
import { telegram } from "../../engine/channels/telegram/telegram.ts";
import { derivedSecret } from "../../engine/channels/telegram/webhook.ts";
import { channelContract, recordingContext, type RecordingContext } from "../contracts/channel.ts";
import { manualClock, settle, until } from "../kit/scripted.ts";
import { startTelegram } from "../platforms/telegram.ts";
import { ADA, ADA_CHAT, telegramRig, type TelegramRig } from "../platforms/telegram-rig.ts";

const said = (text: string, chat: { id: number } = ADA_CHAT, id = 1) => ({ message: { message_id: id, date: 1_790_000_000, chat: { type: "private", first_name: "Ada", ...chat }, from: ADA, text } });
const SECRET = "x-telegram-bot-api-secret-token";

describe("Telegram", () => {
  let rig: TelegramRig | undefined;
  async function rigFor(mode: "polling" | "webhook", settings: Record<string, unknown> = {}): Promise<TelegramRig> {
    const made = await telegramRig(mode, settings);
    rig = made;
    return made;
  }
  // Whatever a test made the channel send, the stub held it against the specification.
  afterEach(() => {
    const problems = rig?.stub.problems() ?? [];
    rig = undefined;
    assert.deepEqual(problems, []);
  });

  const lacks = { polling: { signed: "it polls", unsecured: "it polls" }, webhook: { unsecured: "the secret is derived from the token where none is set: there is always one" } };
  for (const mode of ["polling", "webhook"] as const) channelContract(`Telegram by ${mode}`, { channel: telegram, lacks: lacks[mode], make: () => rigFor(mode) });

  describe("its polling", () => {
    let context: RecordingContext;
    let connection: Connection | undefined;
    async function connect(more: Partial<RecordingContext> = {}, settings: Record<string, unknown> = {}): Promise<TelegramRig> {
      const made = await rigFor("polling", settings);
      context = recordingContext({ ...made.context, ...more });
      connection = await made.channel.open(made.account, context);
      return made;
    }
    afterEach(async () => {
      const ended = rig;
      await connection?.close();
      connection = undefined;
      await ended?.close();
    });

    it("confirms an update only once it is on disk", async () => {
      let save: (() => void) | undefined;
      const { stub } = await connect({ receive: () => new Promise((resolve) => { save = () => resolve("saved"); }) });
      const id = stub.push(said("hello"));
      await until(() => save !== undefined, "the receive");
      await settle();
      assert.deepEqual(stub.pending(), [id]);
      assert.equal(stub.calls("getUpdates").length, 1);
      save?.();
      await until(() => stub.pending().length === 0, "the confirmation");
      assert.equal(stub.calls("getUpdates")[1]?.payload.offset, id + 1);
    });

    it("closes when what it was saving is saved", async () => {
      let save: (() => void) | undefined;
      const { stub } = await connect({ receive: () => new Promise((resolve) => { save = () => resolve("saved"); }) });
      stub.push(said("hello"));
      await until(() => save !== undefined, "the receive");
      let closed = false;
      const closing = connection?.close().then(() => { closed = true; });
      await settle();
      assert.equal(closed, false);
      save?.();
      await closing;
      assert.equal(closed, true);
    });

    it("goes on from the first update that could not be saved, keeps each chat in order and does not lose the others", async () => {
      let broken = true;
      const seen: string[] = [];
      const { stub } = await connect({
        async receive(message) {
          if (broken && message.text === "a2") { broken = false; throw Object.assign(new Error("disk full"), { afterMs: 1 }); }
          seen.push(message.text);
          return "saved";
        },
        clock: { ...recordingContext().clock, after: (_ms, act) => { const timer = setTimeout(act, 1); return () => clearTimeout(timer); } },
      });
      stub.fault("getUpdates", { delayMs: 30 });
      for (const [index, text] of ["a1", "b1", "a2", "b2", "a3"].entries()) stub.push(said(text, { id: text.startsWith("a") ? 1 : 2 }, index + 1));
      await until(() => stub.pending().length === 0, "all updates");
      assert.deepEqual(seen.filter((text) => text.startsWith("a")), ["a1", "a2", "a3"]);
      assert.equal(seen.filter((text) => text === "b1").length >= 1 && seen.includes("b2"), true);
      assert.equal(context.states.some(({ state, error }) => state === "error" && error?.code === "STORE_001"), true);
      assert.equal(context.states.at(-1)?.state, "connected");
    });

    it("follows ids downwards: after a week of silence Telegram begins anew at a random id", async () => {
      const { stub } = await connect();
      stub.push(said("old"), { id: 900_000 });
      await until(() => stub.pending().length === 0);
      stub.push(said("new"), { id: 50 });
      await until(() => context.received.length === 2 && stub.pending().length === 0);
      assert.equal(stub.calls("getUpdates").at(-1)?.payload.offset, 51);
    });

    it("names a second poller, backs off and comes back", async () => {
      const clock = manualClock();
      const { stub } = await connect({ clock });
      const other = fetch(`${stub.url}/bot${stub.token}/getUpdates`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ timeout: 1 }) });
      await until(() => context.states.some(({ state }) => state === "error"), "the conflict");
      assert.equal(context.states.at(-1)?.error?.code, "CONN_005");
      await other;
      const before = stub.calls("getUpdates").length;
      await settle();
      assert.equal(stub.calls("getUpdates").length, before);
      await clock.advance(2_000);
      stub.push(said("still here"));
      await until(() => context.received.length === 1, "the message after the conflict");
      assert.equal(context.states.at(-1)?.state, "connected");
    });

    it("stops when the token is refused while it runs", async () => {
      const clock = manualClock();
      const { stub } = await connect({ clock });
      stub.fault("getUpdates", { code: 401, description: "Unauthorized" }, 5);
      stub.push(said("wakes the poller"));
      await until(() => context.states.at(-1)?.state === "error", "the refusal");
      assert.equal(context.states.at(-1)?.error?.code, "CONN_002");
      const before = stub.calls("getUpdates").length;
      await clock.advance(600_000);
      assert.equal(stub.calls("getUpdates").length, before);
      await (connection as Connection).close();
    });

    it("waits 1, 2, 4 … seconds between failures, give or take a quarter, and as long as Telegram asks", async () => {
      const clock = manualClock();
      const waits: number[] = [];
      const { stub } = await connect({ clock: { ...clock, after(ms, act) { waits.push(ms); return clock.after(ms, act); } } });
      stub.fault("getUpdates", { reset: "before" }, 3);
      stub.fault("getUpdates", { status: 502, body: "<html>Bad Gateway</html>" });
      stub.fault("getUpdates", { code: 429, description: "Too Many Requests: retry after 77", parameters: { retry_after: 77 } });
      stub.push(said("wakes the poller"));
      for (let turn = 0; turn < 5; turn++) {
        await until(() => waits.length > turn, `wait ${turn + 1}`);
        await clock.advance(waits[turn] as number);
      }
      await until(() => context.received.length === 1, "the message after the faults");
      assert.equal(waits.length, 5);
      for (const [index, wanted] of [1_000, 2_000, 4_000, 8_000].entries()) assert.ok(Math.abs((waits[index] as number) - wanted) <= wanted / 4, `${waits[index]}`);
      assert.equal(waits[4], 77_000);
      assert.deepEqual([...new Set(context.states.map(({ state }) => state))], ["connecting", "connected", "reconnecting"]);
      assert.equal(context.states.at(-1)?.state, "connected");
    });

    it("tells its health by one getMe: well, refused, away, and no longer than it is asked to", async () => {
      const { stub } = await connect();
      const health = (signal = new AbortController().signal) => (connection as Connection).health?.(signal);
      const before = stub.calls("getMe").length;
      await health();
      assert.equal(stub.calls("getMe").length, before + 1);
      stub.fault("getMe", { code: 401, description: "Unauthorized" });
      await assert.rejects(async () => health(), { name: "ChannelError", code: "CONN_002", retry: "no" });
      stub.fault("getMe", { reset: "before" });
      await assert.rejects(async () => health(), { name: "ChannelError", code: "CONN_001", retry: "later" });
      stub.fault("getMe", { delayMs: 5_000 });
      const limit = new AbortController();
      const asked = assert.rejects(async () => health(limit.signal), { name: "ChannelError", code: "CONN_001" });
      await until(() => stub.calls("getMe").length === before + 4, "the slow call");
      limit.abort();
      await asked;
      stub.push(said("the poller was not disturbed"));
      await until(() => context.received.length === 1, "a message");
    });

    it("removes a webhook that was set, without dropping what waits", async () => {
      const stub = await startTelegram();
      stub.webhook.url = "http://127.0.0.1:9/";
      const id = stub.push(said("waits"));
      assert.deepEqual(stub.pending(), [id]);
      const made = await rigFor("polling");
      context = recordingContext(made.context ?? {});
      connection = await made.channel.open({ ...made.account, settings: { ...made.account.settings, apiRoot: stub.url } }, context);
      await until(() => context.received.length === 1, "what waited");
      assert.deepEqual(stub.calls("deleteWebhook")[0]?.payload, {});
      assert.deepEqual(stub.problems(), []);
      await connection.close();
      await stub.close();
    });

    it("leaves out an update that cannot be read, says so, and goes on", async () => {
      const { stub } = await connect();
      stub.push({ message: { message_id: 1 } });
      stub.push({ new_update_kind: { some_field: 1 } });
      stub.push(said("after it"));
      await until(() => context.received.length === 1, "the message after it");
      assert.equal(context.logs.filter((line) => line.includes("MSG_001")).length, 1);
      await until(() => stub.pending().length === 0);
    });

    it("ends the waiting sign of a button after the press is saved, and survives when that fails", async () => {
      const { stub } = await connect();
      stub.fault("answerCallbackQuery", { code: 400, description: "Bad Request: query is too old and response timeout expired or query ID is invalid" });
      for (const id of ["q1", "q2"]) stub.push({ callback_query: { id, from: ADA, chat_instance: "1", data: "yes", message: { message_id: 5, date: 0, chat: ADA_CHAT } } });
      await until(() => stub.calls("answerCallbackQuery").length === 2, "both answers");
      assert.deepEqual(context.received.map(({ action }) => action), [{ type: "button", value: "yes" }, { type: "button", value: "yes" }]);
    });

    it("keeps Telegram's update as raw only when asked, capped, and free of __proto__", async () => {
      const { stub } = await connect({}, { raw: true });
      stub.push(JSON.parse(`{"message":{"message_id":1,"date":1,"chat":${JSON.stringify(ADA_CHAT)},"from":${JSON.stringify(ADA)},"text":"x","__proto__":{"isOwner":true}}}`) as Record<string, unknown>);
      stub.push(said("y".repeat(70_000)));
      await until(() => context.received.length === 2);
      const raw = context.received[0]?.raw as { message: Record<string, unknown> };
      assert.equal(raw.message.text, "x");
      assert.equal(Object.hasOwn(raw.message, "__proto__"), false);
      assert.equal("raw" in (context.received[1] ?? {}), false);
    });

    it("puts the flows' commands into the menu once, and takes them out when they are gone", async () => {
      const made = await rigFor("polling");
      context = recordingContext({ ...made.context, commands: [{ name: "Lights", description: "Switch lights" }, { name: "not-possible", description: "" }, { name: "help", description: "" }] });
      const { stub, channel, account } = made;
      for (let turn = 0; turn < 2; turn++) {
        const opened = await channel.open(account, context);
        await settle();
        await until(() => stub.calls("setMyCommands").length === 1);
        await opened.close();
      }
      assert.deepEqual(stub.calls("setMyCommands")[0]?.payload.commands, [{ command: "lights", description: "Switch lights" }, { command: "help", description: "help" }]);
      connection = await channel.open(account, { ...context, commands: [] });
      await until(() => stub.calls("deleteMyCommands").length === 1);
      assert.equal(stub.calls("setMyCommands").length, 1);
    });
  });

  describe("its webhook", () => {
    let context: RecordingContext;
    let connection: Connection;
    let made: TelegramRig;
    async function connect(settings: Record<string, unknown> = {}): Promise<void> {
      made = await rigFor("webhook", settings);
      context = recordingContext(made.context ?? {});
      connection = await made.channel.open(made.account, context);
      made.serve?.(connection);
    }
    afterEach(async () => {
      await connection.close();
      await made.close();
    });

    it("is set with a secret derived from the token, of allowed characters, the same at every start and no other account's", async () => {
      await connect();
      const [call] = made.stub.calls("setWebhook");
      const secret = call?.payload.secret_token as string;
      assert.equal(secret, derivedSecret(made.stub.token, "home"));
      assert.match(secret, /^[\w-]{40,256}$/);
      assert.notEqual(secret, derivedSecret(made.stub.token, "other"));
      assert.equal(call?.payload.url, made.webhookUrl);
      assert.equal("drop_pending_updates" in (call?.payload ?? {}), false);
    });

    it("takes the secret of the settings instead", async () => {
      await connect({ secret: "my-own_secret" });
      assert.equal(made.stub.webhook.secret, "my-own_secret");
      assert.equal((await made.post({ update_id: 1, ...said("hi") }, { [SECRET]: "my-own_secret" })).status, 200);
      assert.equal(context.received.length, 1);
    });

    it("refuses everything without the right secret before it reads a byte", async () => {
      await connect();
      const secret = made.stub.webhook.secret as string;
      for (const headers of [{}, { [SECRET]: "" }, { [SECRET]: "wrong" }, { [SECRET]: secret.slice(0, -1) }, { [SECRET]: `${secret}x` }, { [SECRET]: secret.toUpperCase() }, { [SECRET]: `${secret}, ${secret}` }]) {
        assert.equal((await made.post({ update_id: 1, ...said("forged") }, headers as Record<string, string>)).status, 401);
        assert.equal((await made.post("not json", headers as Record<string, string>)).status, 401);
      }
      assert.equal(context.received.length, 0);
      assert.equal(context.logs.filter((line) => line.includes("CONN_004")).length, 1, "a flood of them fills no log");
      assert.equal((await fetch(made.webhookUrl)).status, 405);
    });

    it("answers 200 only after the save, 503 with Retry-After when it fails, 400 to what is no update", async () => {
      await connect();
      const headers = { [SECRET]: made.stub.webhook.secret as string };
      context.refuseSaves = 1;
      const refused = await made.post({ update_id: 1, ...said("hi") }, headers);
      assert.equal(refused.status, 503);
      assert.equal(refused.headers.get("retry-after"), "1");
      assert.equal((await made.post({ update_id: 1, ...said("hi") }, headers)).status, 200);
      assert.equal((await made.post({ update_id: 1, ...said("hi") }, headers)).status, 200);
      assert.equal(context.received.length, 1);
      for (const body of ["", "null", "[]", "5", "{}", '{"update_id":"1"}', '{"update_id":1', "\u0000"]) assert.equal((await made.post(body, headers)).status, 400, body);
      // Telegram would bring it for a day.
      assert.equal((await made.post({ update_id: 2, message: 5 }, headers)).status, 200);
    });

    it("needs a public address", async () => {
      await connect();
      const { webhookUrl: _, ...without } = context;
      await assert.rejects(made.channel.open(made.account, without), { name: "ChannelError", code: "CONF_001", retry: "no" });
    });

    it("is left set at Telegram when the account closes, so that nothing is lost meanwhile", async () => {
      await connect();
      await connection.close();
      assert.equal(made.stub.calls("deleteWebhook").length, 0);
      assert.equal(made.stub.webhook.url, made.webhookUrl);
    });
  });

  it("warns of nothing when thirty calls and a poller share one signal", async () => {
    const warnings: Error[] = [];
    const note = (warning: Error) => warnings.push(warning);
    process.on("warning", note);
    const made = await telegramRig("polling");
    const context = recordingContext(made.context ?? {});
    const connection = await made.channel.open(made.account, context);
    made.stub.fault("sendMessage", { delayMs: 30 }, 30);
    await Promise.all(Array.from({ length: 30 }, () => connection.send(made.to, { text: "x" }, "k")));
    await connection.close();
    await made.close();
    process.off("warning", note);
    assert.deepEqual(warnings, []);
  });
});
