/** Calls: who has the word, what is heard, how they end. The judge is the TwiML that Twilio got. */
import assert from "node:assert/strict";
import type { Connection } from "../../engine/channels/channel.ts";
import { createTurns } from "../../engine/channels/twilio-voice/turns.ts";
import { speechOf } from "../../engine/channels/twilio-voice/twiml.ts";
import { systemClock } from "../../engine/clock.ts";
import type { ChannelError } from "../../engine/errors.ts";
import type { Address } from "../../engine/message.ts";
import { recordingContext, type RecordingContext, refuseWrites } from "../contracts/channel.ts";
import { manualClock, until } from "../kit/scripted.ts";
import { ADA, CALL, spoken, twilioRig, type TwilioRig } from "../platforms/twilio-rig.ts";

const VOICE = { language: "en-US", voice: "" };

describe("a phone call", () => {
  let rig: TwilioRig;
  let context: RecordingContext;
  let connection: Connection;
  async function connect(settings: Record<string, unknown> = {}): Promise<void> {
    rig = await twilioRig("voice", settings);
    context = recordingContext(rig.context);
    connection = await rig.channel.open(rig.account, context);
    rig.serve?.(connection);
  }
  afterEach(async () => {
    await connection.close();
    await rig.close();
    assert.deepEqual(rig.stub.problems(), []);
  });
  const fields = (more: Record<string, string> = {}) => ({ CallSid: CALL, AccountSid: rig.stub.accountSid, From: ADA, To: rig.stub.number, CallStatus: "in-progress", ...more });
  const here = (): Address => ({ channel: "twilio-voice", account: "line", chat: ADA, thread: CALL, kind: "direct" });
  const next = (twiml: string): string => /action="[^"]*?(\/heard[^"]*)"/.exec(twiml)?.[1]?.replaceAll("&amp;", "&") ?? assert.fail(`no Gather in ${twiml}`);

  it("that was begun is begun, also where that cannot be kept", async () => {
    await connect();
    refuseWrites(context.storage, "call/");
    const ref = await connection.send({ channel: "twilio-voice", account: "line", chat: ADA, kind: "direct" }, { text: "The alarm went off." }, "k1");
    assert.deepEqual(spoken(rig.stub.said.get(ref)?.[0] ?? ""), ["The alarm went off."]);
    assert.ok(context.logs.some((line) => /^warn STORE_001: a message was sent/.test(line)));
  });

  it("is greeted, heard and answered, turn by turn; its length is limited", async () => {
    await connect({ maxMinutes: 5, language: "de-DE", voice: "Polly.Vicki", greeting: "Hallo <Welt>" });
    const first = await rig.stub.post(fields({ CallStatus: "ringing" }));
    assert.match(first.body, /<Gather input="speech dtmf"[^>]*language="de-DE"[^>]*><Say language="de-DE" voice="Polly.Vicki">Hallo &lt;Welt&gt;<\/Say><\/Gather>/);
    assert.deepEqual(rig.stub.seen.filter(({ path }) => path.includes("/Calls/")).map(({ fields: given }) => given), [{ TimeLimit: ["300"] }]);
    const answer = rig.stub.post(fields({ SpeechResult: "Licht an", Confidence: "0.9" }), next(first.body));
    await until(() => context.received.some(({ text }) => text === "Licht an"), "the words");
    await connection.send(here(), { text: "The **light** is on." }, "k1");
    const second = await answer;
    assert.deepEqual(spoken(second.body), ["The light is on."]);
    const keys = rig.stub.post(fields({ Digits: "42" }), next(second.body));
    await until(() => context.received.length === 3, "the keys");
    await connection.send(here(), { text: "Bye", native: { "twilio-voice": { hangup: true } } }, "k2");
    const last = await keys;
    assert.match(last.body, /<Say[^>]*>Bye<\/Say><Hangup\/>/);
    assert.deepEqual(context.received.map(({ kind, text }) => [kind, text]), [["call", ""], ["message", "Licht an"], ["message", "42"]]);
    assert.equal(new Set(context.received.map(({ id }) => id)).size, 3);
  });

  it("brings the same under the same id when Twilio asks again", async () => {
    await connect();
    const path = "/heard?turn=1";
    for (let times = 0; times < 2; times++) await rig.stub.post(fields({ SpeechResult: "once" }), path, { signal: AbortSignal.timeout(20) });
    assert.equal(context.received.length, 1);
  });

  it("hears two answers one after the other, the second when the first was said", async () => {
    await connect();
    const asked = rig.stub.post(fields({ SpeechResult: "two, please" }), "/heard?turn=1");
    await until(() => context.received.length === 1, "the words");
    const [, second] = [connection.send(here(), { text: "one" }, "k1"), connection.send(here(), { text: "two" }, "k2")];
    const heard = await asked;
    assert.deepEqual(spoken(heard.body), ["one"]);
    const silent = await rig.stub.post(fields(), next(heard.body));
    await second;
    assert.deepEqual(spoken(silent.body), ["two"]);
    assert.equal(rig.stub.said.get(CALL), undefined);
  });

  it("waits while the flow thinks, and is told when no answer comes", async () => {
    await connect({ sorry: "No answer." });
    let { body } = await rig.stub.post(fields({ SpeechResult: "hm" }), "/heard?turn=1", { signal: AbortSignal.timeout(20) });
    for (let waits = 1; waits < 8; waits++) {
      const path = /<Redirect[^>]*>[^<]*?(\/wait[^<]*)</.exec(body)?.[1]?.replaceAll("&amp;", "&") ?? assert.fail(body);
      assert.equal(path, `/wait?turn=1&waits=${waits}`);
      ({ body } = await rig.stub.post(fields(), path, { signal: AbortSignal.timeout(5) }));
    }
    assert.deepEqual(spoken(body), ["No answer."]);
    const sending = connection.send(here(), { text: "Here it is after all." }, "k1");
    assert.deepEqual(spoken((await rig.stub.post(fields(), next(body))).body), ["Here it is after all."]);
    await sending;
  });

  it("ends after three silences", async () => {
    await connect({ goodbye: "Until next time." });
    let { body } = await rig.stub.post(fields(), "/heard?turn=1");
    ({ body } = await rig.stub.post(fields(), next(body)));
    ({ body } = await rig.stub.post(fields(), next(body)));
    assert.match(body, /<Say[^>]*>Until next time\.<\/Say><Hangup\/>/);
    assert.equal(context.received.length, 0);
  });

  it("is put through, spoken into and rung up by the API; one that is over is a fault for good", async () => {
    await connect();
    const to = { channel: "twilio-voice", account: "line", chat: "+14155550177", kind: "direct" } as const;
    const ref = await connection.send(to, { text: "The alarm went off." }, "k1");
    assert.match(ref, /^CA/);
    assert.deepEqual((rig.stub.said.get(ref) ?? []).flatMap(spoken), ["The alarm went off."]);
    await connection.send({ ...to, thread: ref }, { text: "A person will help.", native: { "twilio-voice": { dial: "+14155550188" } } }, "k2");
    assert.match(rig.stub.said.get(ref)?.[1] ?? "", /<Say[^>]*>A person will help\.<\/Say><Dial>\+14155550188<\/Dial>/);
    rig.stub.fault(/\/Calls\/CA\w+\.json$/, { status: 400, code: 21220, message: "Call is not in-progress. Cannot redirect." });
    await assert.rejects(connection.send({ ...to, thread: ref }, { text: "too late" }, "k3"), (error: ChannelError) => error.code === "MSG_002" && error.retry === "no" && /over/.test(error.message));
  });

  it("of a stranger is rejected before the line is taken", async () => {
    await connect();
    (context as { receive: RecordingContext["receive"] }).receive = async () => "refused";
    await connection.close();
    connection = await rig.channel.open(rig.account, context);
    rig.serve?.(connection);
    assert.match((await rig.stub.post(fields({ CallStatus: "ringing" }))).body, /<Response><Reject\/><\/Response>/);
    assert.match((await rig.stub.post(fields({ SpeechResult: "let me in" }), "/heard?turn=1")).body, /<Hangup\/>/);
  });

  it("is recorded with its transcript when the account says so, and its end is told", async () => {
    await connect({ record: true, greeting: "Hello." });
    const first = await rig.stub.post(fields({ CallStatus: "ringing" }));
    assert.match(first.body, new RegExp(`^<\\?xml[^>]*><Response><Start><Recording channels="dual" recordingStatusCallback="${rig.webhookUrl}/recording"`));
    const said = rig.stub.post(fields({ SpeechResult: "What is the time?" }), next(first.body));
    await until(() => context.received.length === 2, "the words");
    await connection.send(here(), { text: "Noon." }, "k1");
    await said;
    assert.equal((await rig.stub.post(fields({ CallStatus: "completed", CallDuration: "12" }), "/status")).status, 204);
    const recording = { AccountSid: rig.stub.accountSid, CallSid: CALL, RecordingSid: rig.stub.newSid("RE"), RecordingUrl: rig.stub.keep(Buffer.from("mp3"), "audio/mpeg"), RecordingStatus: "completed", RecordingDuration: "12" };
    assert.equal((await rig.stub.post(recording, "/recording")).status, 204);
    const [, , end, record] = context.received;
    assert.deepEqual([end?.kind, end?.action], ["call", { type: "call", state: "ended", seconds: 12 }]);
    assert.deepEqual([record?.kind, record?.text, record?.action, record?.at], ["call", "Bot: Hello.\nCaller: What is the time?\nBot: Noon.", { type: "call", state: "recording", seconds: 12 }, here()]);
    assert.equal(record?.attachments[0]?.kind, "audio");
    assert.equal((await context.storage.list("call/")).length, 0);
  });

  it("is not answered with what nobody could have signed", async () => {
    await connect();
    assert.equal((await rig.stub.post(fields({ SpeechResult: "x" }), "/heard?turn=1", { token: "another token" })).status, 403);
    assert.equal((await rig.stub.post(fields(), "/nowhere")).status, 404);
    assert.equal(context.received.length, 0);
    assert.ok(context.logs.some((line) => line.includes("SEC_002")) && !context.logs.join().includes(rig.stub.token));
  });
});

describe("who has the word", () => {
  const speech = (text: string) => speechOf({ text }, [], VOICE);
  const gone = new AbortController().signal;

  it("is never two at once, and nobody waits for ever", async () => {
    const clock = manualClock();
    const turns = createTurns(clock);
    const first = turns.hear("a", 100, gone);
    assert.equal(await turns.speak("a", speech("1"), 100), true);
    assert.equal((await first)?.text, "1");
    const waiting = turns.speak("a", speech("2"), 100);
    assert.ok(turns.pending("a") && !turns.pending("b"));
    clock.advance(101);
    assert.equal(await waiting, false);
    assert.ok(!turns.pending("a"));
    const silent = turns.hear("a", 100, gone);
    clock.advance(101);
    assert.equal(await silent, undefined);
    // Nothing has come from this call for long: there is nobody to wait for.
    clock.advance(60_000);
    assert.equal(await turns.speak("a", speech("3"), 100), false);
    const left = turns.hear("a", 100, gone);
    turns.close();
    assert.equal(await left, undefined);
  });

  it("takes nothing for somebody who has gone", async () => {
    const turns = createTurns(systemClock);
    const hangs = new AbortController();
    const heard = turns.hear("a", 10_000, hangs.signal);
    hangs.abort();
    assert.equal(await heard, undefined);
    assert.equal(await turns.hear("a", 10_000, AbortSignal.abort()), undefined);
  });

  it("says what a reader would read", () => {
    assert.equal(speech("# Title\n\n- **one**\n- [two](https://a.example)\n\n> quoted").text, "Title\n\none\ntwo (https://a.example)\n\nquoted");
    assert.equal(speechOf({ text: "a **b**", plain: true }, [], VOICE).text, "a **b**");
  });
});
