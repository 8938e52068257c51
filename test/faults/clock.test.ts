/**
 * F25: the wall clock goes wrong by an hour, a day, half a century, past what 32 bits hold, over both changes of clocks and the leap day.
 * No schedule storms or repeats itself, no wrong time lets a signature pass, and nothing that is under way ends too early or too late.
 */
import assert from "node:assert/strict";
import { createHmac, generateKeyPairSync, sign } from "node:crypto";
import { ChannelError } from "../../engine/errors.ts";
import { MESSAGE_VERSION, type Message } from "../../engine/message.ts";
import { createSchedule, type Missed, type Schedule, type Spec, type Tick } from "../../engine/schedule.ts";
import { HMAC_FORMATS, type Scheme } from "../../engine/webhook/verify.ts";
import { createWebhook } from "../../engine/webhook/webhook.ts";
import { message, scriptedChannel, settle } from "../kit/scripted.ts";
import { DAY, type EngineRig, HOUR, MINUTE, NOON, startEngine } from "./engine.ts";

const PAST_32_BITS = 2 ** 31 * 1000 + 5_000;
/** Where a clock may suddenly stand. */
const WRONG: readonly (readonly [name: string, to: (right: number) => number])[] = [
  ["an hour ahead", (right) => right + HOUR], ["an hour back", (right) => right - HOUR],
  ["a day ahead", (right) => right + DAY], ["a day back", (right) => right - DAY],
  ["in 1970", () => 7_000], ["behind 2038", () => PAST_32_BITS],
];
const berlin = (expression: string): Spec => ({ kind: "cron", expression, timeZone: "Europe/Berlin" });
const iso = (at: number): string => new Date(at).toISOString().slice(0, 16);

/** A schedule as the cron node has it: its ticks are messages in the inbox, its mark is in the store. */
function cronOf(rig: EngineRig, spec: Spec, missed: Missed) {
  const ticks: Tick[] = [];
  let schedule: Schedule | undefined;
  const asMessage = ({ scheduledAt }: Tick): Message => ({
    version: MESSAGE_VERSION, id: String(scheduledAt), ref: String(scheduledAt), kind: "tick", at: { channel: "cron", account: "tick", chat: "tick", kind: "direct" },
    sender: { id: "cron", name: "cron", bot: true, self: false }, sentAt: scheduledAt, text: iso(scheduledAt), attachments: [], addressed: true,
  });
  return {
    ticks,
    async open() {
      const { gateway } = rig;
      const lastFired = (await gateway.store.get("cron", "tick")) as number | undefined;
      schedule = await createSchedule({
        spec, clock: rig.time.clock, missed, overlap: "queue", ...(lastFired === undefined ? {} : { lastFired }),
        async fire(tick) { ticks.push(tick); await gateway.accept(asMessage(tick), { trust: "owner", tainted: false }); },
        async save(at) { await gateway.store.commit([{ do: "set", space: "cron", key: "tick", value: at }]); },
      });
      await settle();
    },
    async close() { await schedule?.close(); },
  };
}

describe("F25: a clock that is wrong", function () {
  this.timeout(60_000);

  describe("and a schedule", () => {
    const SPECS: readonly (readonly [string, Spec])[] = [["every minute", berlin("* * * * *")], ["every 10 minutes by elapsed time", { kind: "every", every: 10, unit: "minutes" }], ["at half past noon", berlin("30 14 * * *")]];
    for (const [wrong, to] of WRONG) {
      for (const missed of ["skip", "once", "all"] as const) {
        it(`${wrong}, ${missed}: no run comes twice, none in a storm, and all goes on when the clock is right again`, async () => {
          for (const [name, spec] of SPECS) {
            for (const restarts of [false, true]) {
              await using rig = await startEngine();
              const cron = cronOf(rig, spec, missed);
              const again = async () => { if (!restarts) return; await cron.close(); await rig.restart("crash"); await cron.open(); };
              await cron.open();
              await rig.pass(5 * MINUTE);
              rig.time.jump(to(rig.time.clock.now()));
              await again();
              const before = cron.ticks.length;
              await rig.pass(MINUTE);
              const storm = cron.ticks.length - before;
              assert.ok(storm <= (missed === "all" ? 101 : 2), `${name}: ${storm} ticks in the first minute`);
              rig.time.jump(NOON + 6 * MINUTE);
              await again();
              const back = cron.ticks.length;
              await rig.pass(MINUTE);
              assert.ok(cron.ticks.length - back <= (missed === "all" ? 101 : 2), `${name}: ${cron.ticks.length - back} ticks in the first minute of the right time`);
              await rig.pass(30 * MINUTE);
              const texts = rig.texts();
              assert.equal(new Set(texts).size, texts.length, `${name}: a run came twice`);
              if (!restarts) assert.equal(new Set(cron.ticks.map(({ scheduledAt }) => scheduledAt)).size, cron.ticks.length, `${name}: a tick came twice`);
              // All that were due in the right time are there, whatever the wrong time had fired already.
              const due = name === "every minute" ? Array.from({ length: 28 }, (_, n) => NOON + (9 + n) * MINUTE) : name === "at half past noon" ? [NOON + 30 * MINUTE] : [10, 20, 30].map((n) => NOON + n * MINUTE);
              const lost = due.filter((at) => !texts.includes(iso(at)));
              if (spec.kind === "every" && restarts) assert.ok(lost.length <= 3); // its phase may move with the mark
              else assert.deepEqual(lost.map(iso), [], `${name}${restarts ? " with restarts" : ""}: runs that never came`);
              await cron.close();
              await rig.conserve();
            }
          }
        });
      }
    }

    it("a machine that takes the change of clocks for an hour ahead, or back, runs the day's job once", async () => {
      for (const [day, expected] of [["2026-03-29", "2026-03-29T01:00"], ["2026-10-25", "2026-10-25T00:30"]] as const) {
        for (const jump of [HOUR, -HOUR, 0]) {
          for (const restarts of [false, true]) {
            const midnight = Date.parse(`${day}T00:00Z`);
            await using rig = await startEngine({ start: midnight - 2 * HOUR });
            const cron = cronOf(rig, berlin("30 2 * * *"), "once");
            await cron.open();
            await rig.pass(2 * HOUR + 50 * MINUTE);
            rig.time.jump(rig.time.clock.now() + jump);
            if (restarts) { await cron.close(); await rig.restart("crash"); await cron.open(); }
            await rig.pass(10 * MINUTE);
            rig.time.jump(rig.time.clock.now() - jump);
            await rig.pass(6 * HOUR);
            await cron.close();
            assert.deepEqual(rig.texts(), [expected], `${day}, ${jump / MINUTE} minutes${restarts ? ", restarted" : ""}`);
          }
        }
      }
    });

    it("the leap day comes once, whatever day the clock shows meanwhile", async () => {
      const eve = Date.parse("2028-02-28T20:00Z");
      for (const jump of [DAY, -DAY, HOUR, 0]) {
        for (const restarts of [false, true]) {
          await using rig = await startEngine({ start: eve });
          const cron = cronOf(rig, { kind: "cron", expression: "0 9 29 2 *", timeZone: "UTC" }, "once");
          await cron.open();
          rig.time.jump(eve + jump);
          await rig.pass(5 * MINUTE);
          rig.time.jump(eve + 5 * MINUTE);
          if (restarts) { await cron.close(); await rig.restart("crash"); await cron.open(); }
          await rig.pass(15 * HOUR);
          await cron.close();
          assert.deepEqual(rig.texts(), ["2028-02-29T09:00"]);
        }
      }
    });

    it("a schedule runs through the end of 32-bit time, and one that is far away is not run at once", async () => {
      await using rig = await startEngine({ start: 2 ** 31 * 1000 - 3 * MINUTE });
      const cron = cronOf(rig, berlin("* * * * *"), "once");
      await cron.open();
      const far = await createSchedule({ spec: { kind: "once", at: "2039-03-01T00:00", timeZone: "UTC" }, clock: rig.time.clock, missed: "once", overlap: "queue", fire: async () => { assert.fail("fired too early"); }, save: () => undefined });
      await rig.pass(6 * MINUTE);
      await cron.close();
      await far.close();
      assert.deepEqual(rig.texts(), ["2038-01-19T03:12", "2038-01-19T03:13", "2038-01-19T03:14", "2038-01-19T03:15", "2038-01-19T03:16", "2038-01-19T03:17"]);
    });
  });

  describe("and a signed webhook", () => {
    const { publicKey, privateKey } = generateKeyPairSync("ed25519");
    const hmac = (name: keyof typeof HMAC_FORMATS): Scheme => ({ kind: "hmac", secret: "s3cret", format: HMAC_FORMATS[name] });
    const hex = (key: string | Buffer, text: string): string => createHmac("sha256", key).update(text).digest("hex");
    /** Headers of a right request, signed at `seconds`. */
    const SIGNED: readonly { readonly name: string; readonly scheme: Scheme; headers(seconds: number, body: string): Record<string, string> }[] = [
      { name: "standard", scheme: { kind: "standard", secret: "whsec_c2VjcmV0" }, headers: (seconds, body) => ({ "webhook-id": "msg1", "webhook-timestamp": String(seconds), "webhook-signature": `v1,${createHmac("sha256", "secret").update(`msg1.${seconds}.${body}`).digest("base64")}` }) },
      { name: "slack", scheme: hmac("slack"), headers: (seconds, body) => ({ "x-slack-request-timestamp": String(seconds), "x-slack-signature": `v0=${hex("s3cret", `v0:${seconds}:${body}`)}` }) },
      { name: "stripe", scheme: hmac("stripe"), headers: (seconds, body) => ({ "stripe-signature": `t=${seconds},v1=${hex("s3cret", `${seconds}.${body}`)}` }) },
      { name: "twitch", scheme: hmac("twitch"), headers: (seconds, body) => { const at = new Date(seconds * 1000).toISOString(); return { "twitch-eventsub-message-id": "e1", "twitch-eventsub-message-timestamp": at, "twitch-eventsub-message-signature": `sha256=${hex("s3cret", `e1${at}${body}`)}` }; } },
      {
        name: "ed25519", scheme: { kind: "ed25519", publicKey: publicKey.export({ format: "der", type: "spki" }).subarray(-32).toString("hex"), header: "x-signature-ed25519", timestamp: "x-signature-timestamp" },
        headers: (seconds, body) => ({ "x-signature-timestamp": String(seconds), "x-signature-ed25519": sign(null, Buffer.from(`${seconds}${body}`), privateKey).toString("hex") }),
      },
    ];
    function endpoint(rig: EngineRig, scheme: Scheme, wrongKey = false) {
      const webhook = createWebhook({ scheme: wrongKey && "secret" in scheme ? { ...scheme, secret: "c29tZXRoaW5nIGVsc2U=" } : scheme, answer: { mode: "now" } }, {
        clock: rig.time.clock,
        receive: (inbound) => rig.gateway.accept({ ...message({ id: inbound.id, ref: inbound.id, text: inbound.id }), kind: "event", at: { channel: "webhook", account: "hook", chat: "hook", kind: "direct" } }, { trust: "allowed", tainted: true }),
      });
      return async (headers: Record<string, string>, body: string) => {
        const answer = await webhook.handle({ method: "POST", path: "/", query: new URLSearchParams(), headers: { "content-type": "application/json", ...headers }, body: Buffer.from(body), remote: "127.0.0.1", signal: new AbortController().signal });
        await settle();
        return `${answer.status} ${(JSON.parse(String(answer.body)) as { status?: string }).status ?? ""}`.trim();
      };
    }
    for (const { name, scheme, headers } of SIGNED) {
      it(`${name}: an old request passes at no wrong time, a true one runs once, and again when the clock is set back not a second time`, async () => {
        await using rig = await startEngine();
        const post = endpoint(rig, scheme);
        const body = '{"text":"hi"}';
        const signed = headers(NOON / 1000, body);
        assert.equal(await post(signed, body), "202 accepted");
        for (const [wrong, to] of WRONG) {
          rig.time.jump(to(NOON));
          assert.equal(await post(signed, body), "401", `replayed with the clock ${wrong}`);
          for (const made of [0, -1, 7, 2 ** 31, 2 ** 32, to(NOON) / 1000, NOON / 1000]) {
            const forged = Object.fromEntries(Object.entries(signed).map(([key, value]) => [key, value.replaceAll(String(NOON / 1000), String(made)).replaceAll(new Date(NOON).toISOString(), made < 0 ? "-1" : new Date(made * 1000).toISOString())]));
            if (JSON.stringify(forged) !== JSON.stringify(signed)) assert.equal(await post(forged, body), "401", `dated ${made}, the clock ${wrong}`);
          }
          // What is signed by this wrong clock's own time is new, and true.
          assert.match(await post(headers(Math.floor(to(NOON) / 1000), body), body), /^20[02] (accepted|duplicate)$/);
          assert.equal(await endpoint(rig, scheme, true)(name === "ed25519" ? { ...headers(Math.floor(to(NOON) / 1000), "{}") } : headers(Math.floor(to(NOON) / 1000), body), body), "401", `a wrong key with the clock ${wrong}`);
        }
        const runs = rig.runs.length;
        rig.time.jump(NOON + MINUTE);
        assert.equal(await post(signed, body), "200 duplicate");
        await rig.restart("crash");
        assert.equal(await endpoint(rig, scheme)(signed, body), "200 duplicate");
        assert.equal(rig.runs.length, runs);
        await rig.conserve();
      });
    }
  });

  describe("and what is under way", () => {
    for (const [wrong, jump] of WRONG) {
      it(`${wrong}: a run that waits ends by its idle limit in elapsed time, not earlier and not later`, async () => {
        await using rig = await startEngine({ limits: { idleMs: 10 * MINUTE }, flow: () => undefined });
        await rig.gateway.accept(message({ text: "waits" }), { trust: "owner", tainted: false });
        await settle();
        rig.time.jump(jump(NOON));
        await rig.pass(9 * MINUTE);
        assert.equal([...rig.gateway.inbox.runs()].length, 1, "ended too early");
        await rig.pass(2 * MINUTE);
        assert.equal([...rig.gateway.inbox.runs()].length, 0, "never ended");
        assert.deepEqual(await rig.conserve(), { received: 1, pending: 0, done: 1, dead: 0 });
      });

      it(`${wrong}: an account whose link breaks is tried again in elapsed time`, async () => {
        let faults = 0;
        const channel = scriptedChannel({ failOpen: () => (faults++ < 3 ? new ChannelError("CONN_001", { retry: "later" }, "away") : undefined) });
        await using rig = await startEngine({ accounts: [{ account: { id: "acc" }, channel }] });
        rig.time.jump(jump(NOON));
        await rig.pass(20_000);
        assert.equal(channel.opened, 1);
        assert.equal(rig.gateway.connections.status("acc")?.state, "connected");
      });
    }

    it("a delivery far in the future does not go out at once", async () => {
      const channel = scriptedChannel();
      await using rig = await startEngine({ accounts: [{ account: { id: "acc" }, channel }] });
      void rig.gateway.deliver({ run: "", step: "far", op: "send", to: { channel: "scripted", account: "acc", chat: "c1", kind: "direct" }, draft: { text: "far" }, dueAt: NOON + 40 * DAY });
      await rig.pass(HOUR);
      assert.deepEqual(channel.sent, []);
    });
  });
});
