import assert from "node:assert/strict";
import type { Account, Channel, ChannelContext, Connection } from "../engine/channels/channel.ts";
import type { Clock } from "../engine/clock.ts";
import { type AccountStatus, type Connections, type ConnectionsOptions, createConnections } from "../engine/connections.ts";
import { ChannelError, StoreError } from "../engine/errors.ts";
import { manualClock, message, settle } from "./kit/scripted.ts";

const TO = { channel: "stub", account: "a", chat: "c", kind: "direct" } as const;
const account = (id = "a", settings: Account["settings"] = { token: "t" }, name = id): Account => ({ id, channel: "stub", name, settings });
const gone = (text = "no network") => new ChannelError("CONN_001", { retry: "later" }, text);
const refused = () => new ChannelError("CONN_002", { retry: "no" }, "wrong token");
const never = <T>() => new Promise<T>(() => undefined);

/** One opening as the platform sees it. `polls`: it was opened and nobody told it to stop. */
interface Opening { readonly account: Account; readonly context: ChannelContext; readonly at: number; polls: boolean; closed: boolean }
interface Script {
  open?(opening: Opening, n: number): unknown;
  close?(opening: Opening): Promise<void>;
  options?: Partial<ConnectionsOptions>;
}
interface Rig { readonly connections: Connections; readonly clock: Clock & { advance(ms: number): Promise<void> }; readonly told: AccountStatus[]; readonly openings: Opening[]; readonly channel: Channel; readonly logs: string[]; timers(): number; /** Most links of one account at once. */ most(): number; states(id?: string): string[]; last(): Opening }

function rigOf({ open, close, options }: Script = {}): Rig {
  const manual = manualClock();
  const running = new Set<object>();
  const clock = {
    ...manual,
    // What was begun just now happens before time goes on.
    async advance(ms: number) { await settle(); await manual.advance(ms); },
    after(ms: number, act: () => void) {
      const timer = {};
      running.add(timer);
      const cancel = manual.after(ms, () => { running.delete(timer); act(); });
      return () => { running.delete(timer); cancel(); };
    },
  };
  const told: AccountStatus[] = [];
  const logs: string[] = [];
  const openings: Opening[] = [];
  let most = 0;
  const channel: Channel = {
    id: "stub", label: "Stub", settings: [], limits: { text: 100, unit: "utf16" }, delivery: {}, check: () => [],
    async open(of, context) {
      const opening: Opening = { account: of, context, at: clock.now(), polls: true, closed: false };
      openings.push(opening);
      context.signal.addEventListener("abort", () => { opening.polls = false; });
      most = Math.max(most, openings.filter((one) => one.polls && one.account.id === of.id).length);
      const more = (await open?.(opening, openings.length)) as Partial<Connection> | undefined;
      return { self: { id: "bot", name: "Bot" }, async send() { return "ref"; }, async close() { opening.closed = true; await close?.(opening); }, ...more };
    },
  };
  const connections = createConnections({
    clock, random: () => 0.5,
    async context() { return { receive: async () => "saved", fetch, file: async () => assert.fail(), download: async () => assert.fail(), storage: {} as never, clock, commands: [], log: (_level, text) => { logs.push(text); } }; },
    onStatus(status) { told.push(status); },
    ...options,
  });
  return {
    connections, clock, told, logs, openings, channel, timers: () => running.size, most: () => most,
    states: (id = "a") => told.filter((status) => status.account === id).map(({ state }) => state),
    last: () => openings.at(-1) as Opening,
  };
}

describe("a connection", () => {
  const unhandled: unknown[] = [];
  const note = (reason: unknown) => { unhandled.push(reason); };
  before(() => { process.on("unhandledRejection", note); process.on("uncaughtException", note); });
  after(() => { process.off("unhandledRejection", note); process.off("uncaughtException", note); });
  afterEach(() => { assert.deepEqual(unhandled.splice(0), []); });

  describe("its states", () => {
    it("that ended by itself is opened anew, with patience", async () => {
    const ends = Promise.withResolvers<ChannelError>();
    let first = true;
    const { connections, clock, channel, states, openings } = rigOf({ open: async () => { if (!first) return {}; first = false; return { gone: ends.promise }; } });
    connections.open(account("a"), channel);
    await settle();
    assert.equal(states().at(-1), "connected");
    ends.resolve(gone("the socket ended"));
    await settle();
    assert.equal(states().at(-1), "reconnecting");
    assert.equal(openings.length, 1);
    await clock.advance(5_000);
    assert.deepEqual([states().at(-1), openings.length], ["connected", 2]);
    await connections.close("a");
  });

  it("are told as they come, each with its beginning, and the time of the next try where it is known", async () => {
      let fault: Error | undefined;
      const { connections, clock, channel, told } = rigOf({ open: () => { if (fault !== undefined) throw fault; } });
      assert.equal(connections.status("a"), undefined);
      connections.open(account(), channel);
      assert.deepEqual(told.map(({ state, since }) => [state, since]), [["connecting", 1_000_000]]);
      await settle();
      assert.deepEqual(connections.status("a"), { account: "a", channel: "stub", state: "connected", since: 1_000_000, self: { id: "bot", name: "Bot" } });
      assert.deepEqual(connections.all(), [connections.status("a")]);
      fault = gone();
      connections.reopen("a");
      await settle();
      assert.deepEqual(connections.status("a"), { account: "a", channel: "stub", state: "error", since: 1_000_000, nextTryAt: 1_001_000, error: { code: "CONN_001", text: "no network" } });
      await clock.advance(1_000);
      assert.deepEqual([told.at(-2), told.at(-1)].map((status) => [status?.state, status?.since, status?.nextTryAt]), [["reconnecting", 1_001_000, undefined], ["error", 1_001_000, 1_003_000]]);
      await connections.close("a");
      assert.equal(told.at(-1)?.state, "disconnected");
      assert.equal(connections.status("a"), undefined);
      assert.deepEqual(connections.all(), []);
    });

    it("keep their beginning while nothing changes but the words", async () => {
      const { connections, clock, channel, last } = rigOf();
      connections.open(account(), channel);
      await settle();
      last().context.status("reconnecting", gone());
      await clock.advance(5_000);
      last().context.status("reconnecting", gone("still no network"));
      assert.equal(connections.status("a")?.since, 1_000_000);
      assert.equal(connections.status("a")?.error?.text, "still no network");
      assert.deepEqual(connections.status("a")?.self, { id: "bot", name: "Bot" });
    });

    it("are told without secrets, and once", async () => {
      const { connections, channel, last, states, told } = rigOf({ options: { redact: (text) => text.replaceAll("s3cret", "…") } });
      connections.open(account(), channel);
      await settle();
      for (let times = 0; times < 3; times++) last().context.status("connected");
      assert.deepEqual(states(), ["connecting", "connected"]);
      last().context.status("reconnecting", gone("at /s3cret/"));
      assert.equal(told.at(-1)?.error?.text, "at /…/");
    });
  });

  describe("a failing one", () => {
    it("is tried after 1, 2, 4, 8 s, then has failed and is tried once a minute, until it works and has held", async () => {
      let fault: Error | undefined = gone();
      const { connections, clock, channel, openings, states } = rigOf({ open: () => { if (fault !== undefined) throw fault; } });
      connections.open(account(), channel);
      await clock.advance(200_000);
      assert.deepEqual(openings.map(({ at }) => (at - 1_000_000) / 1000), [0, 1, 3, 7, 15, 75, 135, 195]);
      assert.deepEqual(states().slice(0, 12), ["connecting", "error", "reconnecting", "error", "reconnecting", "error", "reconnecting", "error", "reconnecting", "failed", "reconnecting", "failed"]);
      fault = undefined;
      await clock.advance(60_000);
      assert.equal(connections.status("a")?.state, "connected");
      // It breaks at once: that was a trial, not a success.
      openings.at(-1)?.context.status("error", gone());
      assert.equal(connections.status("a")?.state, "failed");
      await clock.advance(60_000);
      assert.equal(connections.status("a")?.state, "connected");
      await clock.advance(31_000);
      openings.at(-1)?.context.status("reconnecting", gone());
      assert.equal(connections.status("a")?.state, "reconnecting");
    });

    it("that opens well each time and is never well is no success each time", async () => {
      const { connections, clock, channel, openings, states } = rigOf({ open: () => ({ async health() { throw gone(); } }) });
      connections.open(account(), channel);
      await clock.advance(400_000);
      assert.deepEqual(openings.map(({ at }) => (at - 1_000_000) / 1000), [0, 31, 63, 97, 135, 225, 315]);
      assert.deepEqual(states().slice(-7), ["failed", "reconnecting", "connected", "failed", "reconnecting", "connected", "failed"]);
    });

    it("waits as long as the platform asks", async () => {
      const { connections, clock, channel, openings } = rigOf({ open: (_, n) => { if (n === 1) throw new ChannelError("CONN_003", { retry: "later", afterMs: 3_600_000 }, "too many"); } });
      connections.open(account(), channel);
      await settle();
      assert.deepEqual([connections.status("a")?.state, connections.status("a")?.nextTryAt], ["error", 1_000_000 + 3_600_000]);
      await clock.advance(3_599_000);
      assert.equal(openings.length, 1);
      await clock.advance(1_000);
      assert.equal(openings.length, 2);
      assert.equal(connections.status("a")?.state, "connected");
    });

    it("for good is left alone until its settings change or somebody asks", async () => {
      let fault: Error | undefined = refused();
      const { connections, clock, channel, openings, timers, states } = rigOf({ open: () => { if (fault !== undefined) throw fault; } });
      connections.open(account(), channel);
      await clock.advance(3_600_000);
      // A deploy that changes nothing, or only its name, is no reason.
      for (let deploys = 0; deploys < 50; deploys++) connections.open(account("a", { token: "t" }, `name ${deploys}`), channel);
      await clock.advance(3_600_000);
      assert.equal(openings.length, 1);
      assert.deepEqual(states(), ["connecting", "failed"]);
      assert.deepEqual([connections.status("a")?.nextTryAt, connections.status("a")?.error?.code], [undefined, "CONN_002"]);
      assert.equal(timers(), 0);
      connections.reopen("a");
      await clock.advance(3_600_000);
      assert.equal(openings.length, 2);
      fault = undefined;
      connections.open(account("a", { token: "new" }), channel);
      await settle();
      assert.equal(openings.length, 3);
      assert.equal(connections.status("a")?.state, "connected");
    });

    it("for good while it was open is closed and left alone too", async () => {
      const { connections, clock, channel, openings, last } = rigOf();
      connections.open(account(), channel);
      await settle();
      last().context.status("error", refused());
      await clock.advance(3_600_000);
      assert.deepEqual([connections.status("a")?.state, openings.length, last().closed, last().polls], ["failed", 1, true, false]);
      assert.equal(connections.get("a")?.connection, undefined);
    });

    it("harms no other: what throws at once, hangs, gives nonsense, or fails in its context", async () => {
      const { connections, clock, channel, states, openings, timers, told } = rigOf({
        open(opening) {
          switch (opening.account.id) {
            case "throws": throw new TypeError("a bug");
            case "hangs": return never();
            case "odd": return { send: undefined } as never;
            default: return undefined;
          }
        },
        options: { context: async ({ id }) => { if (id === "context") throw new StoreError("STORE_001", { retry: "later" }, "no disk"); if (id === "slow") return never(); return { receive: async () => "saved", log: () => { throw new Error("log"); } } as never; } },
      });
      const sync: Channel = { ...channel, open() { throw new Error("not even a promise"); } };
      connections.open(account("sync"), sync);
      for (const id of ["throws", "hangs", "context", "odd", "slow", "fine"]) connections.open(account(id), channel);
      await clock.advance(4_000);
      assert.equal(connections.status("fine")?.state, "connected");
      assert.deepEqual(["sync", "throws", "context"].map((id) => connections.status(id)?.error?.code), ["CONN_001", "CONN_001", "STORE_001"]);
      assert.deepEqual([connections.status("hangs")?.state, connections.status("slow")?.state, connections.status("odd")?.state], ["connecting", "connecting", "failed"]);
      await clock.advance(32_000);
      assert.match(told.find(({ account: id, error }) => id === "hangs" && error !== undefined)?.error?.text ?? "", /within 30 s/);
      await clock.advance(600_000);
      assert.equal(openings.filter(({ account: { id } }) => id === "fine").length, 1);
      const [first, second] = openings.filter(({ account: { id } }) => id === "hangs");
      assert.equal((second?.at ?? 0) - (first?.at ?? 0), 35_000, "what hangs is given five seconds to go");
      assert.ok(openings.filter(({ account: { id } }) => id === "hangs").length <= 12);
      assert.equal(states("hangs").at(-1) === "failed" || states("hangs").at(-1) === "reconnecting", true);
      const closing = connections.keepOnly(new Set());
      await clock.advance(10_000);
      await closing;
      assert.equal(timers(), 0);
    });

    it("survives a listener that throws or rejects", async () => {
      for (const onStatus of [() => { throw new Error("listener"); }, async () => { throw new Error("async listener"); }, () => never()]) {
        const { connections, channel } = rigOf({ options: { onStatus: onStatus as () => void } });
        connections.open(account(), channel);
        await settle();
        assert.equal(connections.status("a")?.state, "connected");
        await connections.close("a");
      }
    });
  });

  describe("that connects again by itself", () => {
    it("is let, and its link is kept", async () => {
      const { connections, clock, channel, openings, last, states } = rigOf();
      connections.open(account(), channel);
      await settle();
      for (let times = 0; times < 20; times++) {
        last().context.status("reconnecting", gone());
        last().context.status("reconnecting", gone());
        last().context.status("connected");
        await clock.advance(30_000);
      }
      assert.equal(openings.length, 1);
      assert.deepEqual(states().slice(1, 5), ["connected", "reconnecting", "reconnecting", "connected"]);
      assert.ok(connections.get("a")?.connection);
    });

    it("is taken over when it fails at it five times in a row", async () => {
      const { connections, clock, channel, openings, last, most } = rigOf();
      connections.open(account(), channel);
      await clock.advance(30_000);
      for (let times = 0; times < 4; times++) last().context.status("reconnecting", gone());
      await clock.advance(35_000);
      assert.equal(connections.status("a")?.state, "reconnecting");
      last().context.status("reconnecting", gone());
      assert.deepEqual([connections.status("a")?.state, last().polls, connections.status("a")?.nextTryAt], ["failed", false, 1_065_000 + 60_000]);
      assert.equal(connections.get("a")?.connection, undefined);
      last().context.status("connected");
      assert.equal(connections.status("a")?.state, "failed", "a link that was given up has nothing to say");
      await clock.advance(60_000);
      assert.deepEqual([connections.status("a")?.state, openings.length, most()], ["connected", 2, 1]);
    });

    it("is not blamed for a second poller, a full disk or a rate limit", async () => {
      const { connections, clock, channel, openings, last } = rigOf();
      connections.open(account(), channel);
      await settle();
      for (const error of [new ChannelError("CONN_005", { retry: "later" }), new StoreError("STORE_001", { retry: "no" }), new ChannelError("CONN_003", { retry: "later", afterMs: 9_000 }), new ChannelError("MSG_002", {})]) {
        for (let times = 0; times < 8; times++) last().context.status("error", error);
        assert.equal(connections.status("a")?.error?.code, error.code);
        assert.equal(connections.status("a")?.nextTryAt, error.afterMs === undefined ? undefined : 1_000_000 + 9_000);
      }
      await clock.advance(100_000);
      assert.equal(openings.length, 1);
      assert.ok(connections.get("a")?.connection);
    });

    it("and is never heard of again is opened anew", async () => {
      const { connections, clock, channel, openings, last } = rigOf();
      connections.open(account(), channel);
      await settle();
      last().context.status("reconnecting", new ChannelError("CONN_003", { retry: "later", afterMs: 300_000 }));
      await clock.advance(450_000);
      assert.equal(openings.length, 1, "it was told to wait");
      await clock.advance(90_000);
      assert.deepEqual([openings.length, connections.status("a")?.state], [2, "connected"]);
    });

    it("may say so before it is open", async () => {
      const { connections, channel, states } = rigOf({ open: ({ context }) => { context.status("connecting"); context.status("connected"); context.status("reconnecting", gone()); } });
      connections.open(account(), channel);
      await settle();
      assert.deepEqual(states(), ["connecting", "connected", "reconnecting"]);
    });
  });

  describe("its health", () => {
    it("is asked each 30 s while it is connected; a failure opens it anew by way of reconnecting", async () => {
      let ill = false;
      let asked = 0;
      const { connections, clock, channel, openings, states, most, told } = rigOf({ open: () => ({ async health() { asked++; if (ill) throw refused(); } }) });
      connections.open(account(), channel);
      await clock.advance(29_999);
      assert.equal(asked, 0);
      await clock.advance(270_001);
      assert.equal(asked, 10);
      ill = true;
      await clock.advance(30_000);
      assert.deepEqual([connections.status("a")?.state, connections.status("a")?.error?.code, connections.status("a")?.nextTryAt], ["reconnecting", "CONN_002", 1_331_000]);
      assert.deepEqual([openings[0]?.polls, openings[0]?.closed], [false, true]);
      assert.equal(connections.get("a")?.connection, undefined);
      ill = false;
      await clock.advance(1_000);
      assert.deepEqual([connections.status("a")?.state, openings.length, most()], ["connected", 2, 1]);
      assert.deepEqual(states(), ["connecting", "connected", "reconnecting", "reconnecting", "connected"]);
      assert.equal(told.some(({ state }) => state === "failed"), false);
    });

    it("with a token that was taken back ends in failed by the opening that follows, and not before", async () => {
      let revoked = false;
      const { connections, clock, channel, openings, states } = rigOf({ open: () => { if (revoked) throw refused(); return { async health() { if (revoked) throw refused(); } }; } });
      connections.open(account(), channel);
      await settle();
      revoked = true;
      await clock.advance(3_600_000);
      assert.deepEqual(states(), ["connecting", "connected", "reconnecting", "reconnecting", "failed"]);
      assert.equal(openings.length, 2);
      assert.equal(connections.status("a")?.nextTryAt, undefined);
    });

    it("that does not answer within 10 s is bad, and its call is told to stop", async () => {
      let signal: AbortSignal | undefined;
      const { connections, clock, channel } = rigOf({ open: (_, n) => ({ health: (given: AbortSignal) => { signal = given; return n === 1 ? never<void>() : Promise.resolve(); } }) });
      connections.open(account(), channel);
      await clock.advance(39_999);
      assert.equal(connections.status("a")?.state, "connected");
      await clock.advance(1);
      assert.deepEqual([connections.status("a")?.state, signal?.aborted], ["reconnecting", true]);
    });

    it("is not asked where something was received or sent since, while a call is under way, or where nobody can be asked", async () => {
      let asked = 0;
      let answer: (() => void) | undefined;
      const { connections, clock, channel, last, openings } = rigOf({ open: ({ account: { id } }) => (id === "bare" ? {} : { async health() { asked++; }, send: (_to: unknown, draft: { text: string }) => (draft.text === "slow" ? new Promise((resolve) => { answer = () => resolve("ref"); }) : draft.text === "bad" ? Promise.reject(gone()) : Promise.resolve("ref")) }) });
      connections.open(account("bare"), channel);
      connections.open(account(), channel);
      await clock.advance(1_000);
      const { context } = last();
      const connection = connections.get("a")?.connection as Connection;
      for (const act of [() => context.receive(message()), () => connection.send(TO, { text: "x" }, "k"), () => context.status("connected")]) {
        await act();
        await clock.advance(30_000);
        assert.equal(asked, 0, String(act));
      }
      await assert.rejects(connection.send(TO, { text: "bad" }, "k"), /no network/);
      await clock.advance(30_000);
      assert.equal(asked, 1, "a send that fails proves nothing");
      void connection.send(TO, { text: "slow" }, "k");
      await clock.advance(300_000);
      void connection.send(TO, { text: "slow" }, "k");
      assert.equal(asked, 1, "an upload takes its time");
      await clock.advance(330_000);
      assert.ok(asked > 1, "but not for ever");
      answer?.();
      assert.equal(openings.length, 2);
      assert.equal(connections.status("bare")?.state, "connected");
    });

    it("counts a rate limit as alive, and waits as long as it says", async () => {
      const asked: number[] = [];
      const { connections, clock, channel, openings } = rigOf({ open: () => ({ async health() { asked.push(clock.now() - 1_000_000); throw new ChannelError("CONN_003", { retry: "later", afterMs: 100_000 }); } }) });
      connections.open(account(), channel);
      await clock.advance(200_000);
      assert.deepEqual(asked, [30_000, 150_000]);
      assert.deepEqual([openings.length, connections.status("a")?.state], [1, "connected"]);
    });
  });

  describe("one for each account", () => {
    it("is kept over every deploy that does not change it: a new name, another order of its settings", async () => {
      const { connections, channel, openings } = rigOf();
      connections.open(account("a", { token: "t", mode: "polling" }), channel, { commands: [{ name: "x", description: "y" }], webhookUrl: undefined });
      await settle();
      for (let times = 0; times < 50; times++) connections.open(account("a", { mode: "polling", token: "t" }, `name ${times}`), channel, { webhookUrl: undefined, commands: [{ description: "y", name: "x" }] });
      await settle();
      assert.deepEqual([openings.length, openings[0]?.closed], [1, false]);
      connections.open(account("a", { token: "t", mode: "polling" }), channel, { commands: [] });
      await settle();
      assert.deepEqual([openings.length, openings[0]?.closed], [2, true]);
    });

    it("is kept while it waits for its next try, too", async () => {
      const { connections, clock, channel, openings } = rigOf({ open: () => { throw gone(); } });
      connections.open(account(), channel);
      for (let times = 0; times < 100; times++) {
        await clock.advance(100);
        connections.open(account(), channel);
      }
      assert.deepEqual(openings.map(({ at }) => at - 1_000_000), [0, 1_000, 3_000, 7_000]);
    });

    it("is gone before its successor begins; of many quick changes only the last is opened", async () => {
      let let_go: (() => void) | undefined;
      const { connections, channel, openings, most } = rigOf({ close: ({ account: { settings } }) => (settings.token === "1" ? new Promise((resolve) => { let_go = resolve; }) : Promise.resolve()) });
      connections.open(account("a", { token: "1" }), channel);
      await settle();
      for (const token of ["2", "3", "1", "4", "5"]) connections.open(account("a", { token }), channel);
      connections.reopen("a");
      await settle();
      assert.deepEqual([openings.length, openings[0]?.polls, connections.status("a")?.state], [1, false, "disconnected"]);
      let_go?.();
      await settle();
      assert.deepEqual(openings.map(({ account: { settings } }) => settings.token), ["1", "5"]);
      assert.equal(most(), 1);
    });

    it("that was closed while it closes, and comes back, waits for that as well", async () => {
      let let_go: (() => void) | undefined;
      const { connections, channel, openings } = rigOf({ close: () => new Promise((resolve) => { let_go = resolve; }) });
      connections.open(account(), channel);
      await settle();
      const ends: string[] = [];
      void connections.keepOnly(new Set()).then(() => ends.push("kept only"));
      void connections.close("a").then(() => ends.push("closed"));
      await settle();
      assert.deepEqual(ends, []);
      connections.open(account(), channel);
      await settle();
      assert.equal(openings.length, 1);
      let_go?.();
      await settle();
      assert.equal(openings.length, 2);
      assert.deepEqual(ends.sort(), ["closed", "kept only"]);
    });

    it("that does not close delays the next by five seconds, and is named in the log", async () => {
      const { connections, clock, channel, openings, logs, most } = rigOf({ close: ({ account: { settings } }) => (settings.token === "t" ? never() : Promise.resolve()) });
      connections.open(account(), channel);
      await settle();
      connections.open(account("a", { token: "2" }), channel);
      await clock.advance(4_999);
      assert.equal(openings.length, 1);
      await clock.advance(1);
      assert.deepEqual([openings.length, most(), connections.status("a")?.state], [2, 1, "connected"]);
      assert.match(logs.join(), /did not close within 5 s/);
      const other = rigOf({ close: () => { throw new Error("bad close"); } });
      other.connections.open(account(), other.channel);
      await settle();
      await other.connections.close("a");
      assert.equal(other.connections.status("a"), undefined);
    });

    it("lets what is under way end before it is closed, begins nothing more on it, and is watched no more", async () => {
      const sends: { readonly key: string; readonly aborted: () => boolean; readonly end: () => void }[] = [];
      const ends = Promise.withResolvers<ChannelError>();
      for (const leave of ["deploy", "gone"] as const) {
        sends.length = 0;
        const { connections, clock, channel, openings, most, told, timers } = rigOf({
          open: ({ context: { signal } }, n) => ({
            ...(leave === "gone" && n === 1 ? { gone: ends.promise } : {}),
            send: (_to: unknown, _draft: unknown, key: string) => new Promise((resolve, reject) => {
              signal.addEventListener("abort", () => reject(gone("cut off")));
              sends.push({ key, aborted: () => signal.aborted, end: () => resolve(`sent ${key}`) });
            }),
          }),
        });
        connections.open(account(), channel);
        await settle();
        const sent = Promise.all(["1", "2"].map((key) => connections.get("a")?.connection?.send(TO, { text: "x" }, key)));
        if (leave === "gone") ends.resolve(gone("the other half ended"));
        else connections.open(account("a", { token: "2" }), channel);
        await clock.advance(1_500);
        assert.deepEqual([sends.length, sends[0]?.aborted(), openings.length, openings[0]?.closed], [2, false, 1, false], leave);
        assert.equal(connections.get("a")?.connection, undefined, "nothing more begins");
        const before = told.length;
        openings[0]?.context.status("error", gone());
        sends[0]?.end();
        await settle();
        assert.deepEqual([sends[1]?.aborted(), openings.length, told.length], [false, 1, before], leave);
        sends[1]?.end();
        assert.deepEqual(await sent, ["sent 1", "sent 2"], leave);
        await clock.advance(0);
        assert.deepEqual([openings[0]?.polls, openings[0]?.closed, openings.length, most(), connections.status("a")?.state], [false, true, 2, 1, "connected"], leave);
        await connections.close("a");
        assert.equal(timers(), 0);
      }
    });

    it("waits three seconds for what hangs, and not at all where nothing is under way", async () => {
      const { connections, clock, channel, openings, most } = rigOf({ open: ({ context: { signal } }) => ({ send: () => new Promise((_, reject) => { signal.addEventListener("abort", () => reject(gone("cut off"))); }) }) });
      connections.open(account(), channel);
      await settle();
      connections.open(account("a", { token: "2" }), channel);
      assert.equal(openings[0]?.polls, false, "at once");
      await settle();
      assert.deepEqual([openings.length, connections.status("a")?.state], [2, "connected"]);
      const cut = assert.rejects(async () => connections.get("a")?.connection?.send(TO, { text: "x" }, "k"), /cut off/);
      connections.open(account("a", { token: "3" }), channel);
      await clock.advance(2_999);
      assert.deepEqual([openings.length, openings[1]?.polls], [2, true]);
      await clock.advance(1);
      await cut;
      assert.deepEqual([openings.length, most(), connections.status("a")?.state], [3, 1, "connected"]);
    });

    it("that is still opening when it is closed is closed when it has opened; the next waits some seconds for that", async () => {
      let opened: (() => void) | undefined;
      const { connections, clock, channel, openings, states } = rigOf({ open: (_, n) => (n === 1 ? new Promise((resolve) => { opened = () => resolve({}); }) : {}) });
      connections.open(account(), channel);
      await settle();
      connections.open(account("a", { token: "2" }), channel);
      await clock.advance(1_000);
      assert.equal(openings.length, 1);
      opened?.();
      await settle();
      assert.deepEqual(openings.map(({ closed }) => closed), [true, false]);
      assert.deepEqual(states(), ["connecting", "disconnected", "connecting", "connected"]);
    });
  });

  describe("many of them", () => {
    const ids = Array.from({ length: 30 }, (_, index) => `bot${index}`);

    it("do not begin in one moment; one begins at once", async () => {
      let opening = 0;
      let most = 0;
      const { connections, clock, channel, openings } = rigOf({ async open({ context }) { most = Math.max(most, ++opening); await new Promise<void>((resolve) => { context.clock.after(200, resolve); }); opening--; } });
      connections.open(account("first"), channel);
      await settle(1);
      assert.equal(openings.length, 1);
      for (let times = 0; times < 3; times++) {
        await clock.advance(1_000);
        connections.reopen("first");
      }
      await clock.advance(1_000);
      for (const id of ids) connections.open(account(id), channel);
      await settle();
      assert.equal(openings.length, 8);
      assert.ok(ids.every((id) => connections.status(id)?.state === "connecting"));
      await clock.advance(10_000);
      assert.equal(most, 4);
      assert.ok(ids.every((id) => connections.status(id)?.state === "connected"));
      const moments = new Set(openings.map(({ at }) => at));
      assert.ok(moments.size >= 8, `${moments.size} moments`);
    });

    it("leave nothing behind when they are closed at once", async () => {
      const { connections, channel, timers } = rigOf();
      for (const id of ids) connections.open(account(id), channel);
      await settle();
      await connections.keepOnly(new Set());
      assert.equal(timers(), 0);
    });

    it("wait for no one that hangs or was closed before its turn", async () => {
      const { connections, clock, channel, openings } = rigOf({ open: ({ account: { id } }) => (Number(id.slice(3)) < 8 ? never() : {}) });
      for (const id of ids) connections.open(account(id), channel);
      await connections.close("bot20");
      await clock.advance(9_000);
      assert.deepEqual(ids.filter((id) => connections.status(id)?.state !== "connected"), [...ids.slice(0, 8), "bot20"]);
      assert.equal(openings.length, 29);
    });

    it("leave no timer behind, whatever they were doing", async () => {
      const { connections, clock, channel, timers, openings, states } = rigOf({
        open({ account: { id } }, n) {
          if (id.startsWith("hangs")) return never();
          if (id === "waits") throw gone();
          if (id === "asks") return { health: () => never<void>() };
          return n > 5 ? undefined : {};
        },
      });
      for (const id of ["waits", "asks", "fine", "hangs"]) connections.open(account(id), channel);
      await clock.advance(31_000);
      connections.open(account("hangs", { token: "again" }), channel);
      connections.open(account("hangs too"), channel);
      for (const id of ids) connections.open(account(id), channel);
      await clock.advance(100);
      assert.ok(openings.length < 30 && timers() > 5);
      const before = openings.length;
      const closing = connections.keepOnly(new Set());
      await clock.advance(5_000);
      await closing;
      assert.equal(timers(), 0);
      await clock.advance(600_000);
      assert.equal(openings.length, before);
      for (const { account: { id } } of openings) assert.equal(states(id).at(-1), "disconnected");
      assert.deepEqual(connections.all(), []);
    });
  });

  describe("as it is handed on", () => {
    it("is what the adapter made: its own this, what it cannot do left out, what is set on it kept", async () => {
      class Own implements Connection {
        readonly #secret = "mine";
        get self() { return { id: this.#secret, name: "Own" }; }
        async send() { return this.#secret; }
        async typing() { throw gone(this.#secret); }
        async webhook() { return { status: 200, body: this.#secret }; }
        async close() { /* Nothing is open. */ }
      }
      const { connections, channel } = rigOf();
      const made = Object.freeze(new Own());
      connections.open(account(), { ...channel, open: async () => made });
      await settle();
      const connection = connections.get("a")?.connection as Connection;
      assert.equal(await connection.send(TO, { text: "" }, "k"), "mine");
      await assert.rejects(async () => connection.typing?.(TO), /mine/);
      assert.deepEqual([connection.edit, "edit" in connection, "send" in connection, connections.status("a")?.self?.id], [undefined, false, true, "mine"]);
      assert.deepEqual(await connection.webhook?.({} as never), { status: 200, body: "mine" });
      connections.open(account("frozen"), { ...channel, open: async () => Object.freeze({ self: { id: "f", name: "f" }, send: async () => "frozen", close: async () => undefined }) });
      await settle();
      assert.equal(await connections.get("frozen")?.connection?.send(TO, { text: "" }, "k"), "frozen");
      const loose: { media?: unknown } & Connection = { self: { id: "x", name: "x" }, send: async () => "", close: async () => undefined };
      connections.open(account("b"), { ...channel, open: async () => loose });
      await settle();
      const media = async () => new Blob([]).stream();
      (connections.get("b")?.connection as { media?: unknown }).media = media;
      assert.equal(loose.media, media);
    });
  });
});
