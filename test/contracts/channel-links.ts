/** Contract of a channel, continued: signatures, the doubled send, a link that breaks, a proxy, the platform's own calls, and that nothing is left behind. */
import { skip } from "../rigs/skip.ts";
import assert from "node:assert/strict";
import { inspect } from "node:util";
import { createFetch } from "../../engine/http.ts";
import { asClawError } from "../../engine/errors.ts";
import { startProxy } from "../kit/proxy.ts";
import { settle, until } from "../kit/scripted.ts";
import { type Bench, faultOf } from "./channel.ts";
import { type Forgery, type Hook, recordingContext } from "./channel-rig.ts";

export function linkTests(bench: Bench): void {
  const missing = (test: Mocha.Context, hook: Hook): never => skip(test, bench.rig.without?.[hook] ?? `the rig of ${bench.name} has no ${hook}: this is not proven here`);

  describe("its webhook", () => {
    it("takes what is signed rightly, and refuses what is not before it believes a word", async function () {
      const connection = await bench.connect();
      if (connection.webhook === undefined) return skip(this, `${bench.name} has no webhook`);
      if (bench.rig.signed === undefined) return missing(this, "signed");
      const tried: Forgery[] = [];
      for (const how of ["wrong", "missing", "stale", "tampered"] as const) {
        const request = await bench.rig.signed(`forged ${how}`, how);
        if (request === undefined) continue;
        tried.push(how);
        const { status } = await connection.webhook(request);
        assert.ok(status === 401 || status === 403, `${how}: expected 401 or 403, got ${status}`);
      }
      assert.ok(tried.includes("wrong") && tried.includes("missing"), `only ${tried.join(", ")} were tried`);
      await settle();
      assert.deepEqual(bench.context.received.map(({ text }) => text), []);
      const right = await bench.rig.signed("signed rightly", "right");
      assert.ok(right !== undefined);
      const { status } = await connection.webhook(right);
      assert.ok(status >= 200 && status < 300, `a right signature: expected 2xx, got ${status}`);
      await until(() => bench.context.received.length === 1, "the message");
      assert.equal(bench.context.received[0]?.text, "signed rightly");
    });

    it("takes nothing while no secret is set", async function () {
      const connection = await bench.connect();
      if (connection.webhook === undefined) return skip(this, `${bench.name} has no webhook`);
      const { unsecured, signed } = bench.rig;
      if (unsecured === undefined || signed === undefined) return missing(this, "unsecured");
      const before = bench.context.received.length;
      const opened = await bench.connect(unsecured).catch((error: unknown) => asClawError(error, "CORE_001"));
      // Refused at opening is as good as refused at each request.
      if (opened instanceof Error) return assert.match(opened.code, /^(CONF|CONN)_/);
      for (const how of ["right", "wrong", "missing"] as const) {
        const request = await signed("nobody signed this", how);
        if (request !== undefined) assert.ok([401, 403, 503].includes((await opened.webhook?.(request))?.status ?? 401), how);
      }
      assert.equal(bench.context.received.length, before);
    });
  });

  describe("against a doubled send", () => {
    it("offers what it says: a key that is honoured, or a way to look, or neither", async () => {
      const { rig } = bench;
      const { keyMs } = rig.channel.delivery;
      const connection = await bench.connect();
      const startedAt = bench.context.clock.now();
      const first = await connection.send(rig.to, { text: "only once" }, "key-once");
      assert.deepEqual(rig.shown(), ["only once"]);
      if (keyMs !== undefined) {
        assert.equal(await connection.send(rig.to, { text: "only once" }, "key-once"), first, "the same key, the same message");
        assert.deepEqual(rig.shown(), ["only once"]);
        assert.notEqual(await connection.send(rig.to, { text: "only once" }, "key-other"), first, "another key, another message");
        assert.deepEqual(rig.shown(), ["only once", "only once"]);
      }
      if (connection.find === undefined) return;
      // A platform that tells by and by asks to be asked later; the engine does.
      const look = (key: string, text: string) => connection.find?.(rig.to, { key, draft: { text }, startedAt }).catch((thrown: unknown) => {
        const error = asClawError(thrown, "CORE_001");
        assert.deepEqual([error.retry, (error.afterMs ?? 0) > 0], ["later", true], error.message);
        return undefined;
      });
      await until(async () => (await look("key-once", "only once")) === first, "what was sent to be found");
      assert.equal(await look("key-never", "never said"), undefined);
    });
  });

  describe("its link", () => {
    it("comes back after the platform dropped it, and brings what was said meanwhile", async function () {
      this.timeout(60_000);
      if (bench.rig.drop === undefined) return missing(this, "drop");
      const first = await bench.connect();
      let gone = false;
      void first.gone?.then(() => { gone = true; });
      await bench.rig.say("before");
      await until(() => bench.context.received.length === 1, "the message before");
      await bench.rig.drop();
      // Both sides notice: a platform that hands a message into a broken connection has lost it for good.
      await settle(100);
      await bench.rig.say("after");
      const came = () => bench.context.received.some(({ text }) => text === "after");
      const over = () => gone || bench.context.states.at(-1)?.state === "error";
      await until(() => came() || over(), "the message after the drop, or the word that the link is over", 45_000);
      if (!came()) {
        // The engine opens an account anew whose link is over.
        await bench.connect();
        await until(came, "the message after it was opened again", 20_000);
      }
      assert.deepEqual(bench.context.received.map(({ text }) => text), ["before", "after"]);
      if (bench.rig.plugin !== true) assert.equal(bench.context.states.at(-1)?.state, "connected");
    });

    it("goes through the proxy of its settings", async function () {
      const { rig } = bench;
      if (!rig.channel.settings.some(({ key }) => key === "proxy")) return skip(this, rig.without?.host ?? `${bench.name} has no setting for a proxy`);
      if (rig.host === undefined) return missing(this, "host");
      const proxy = await startProxy();
      const fetch = createFetch({ proxy: proxy.url });
      try {
        bench.context = recordingContext({ ...rig.context, fetch });
        const connection = await bench.connect({ ...rig.account, settings: { ...rig.account.settings, proxy: proxy.url } });
        await connection.send(rig.to, { text: "by proxy" }, "proxy-1");
        await rig.say("back by proxy");
        await until(() => bench.context.received.length === 1, "the message");
        assert.deepEqual(rig.shown(), ["by proxy"]);
        assert.ok(proxy.asked.includes(rig.host), `expected the proxy to be asked for ${rig.host}, got ${proxy.asked.join(", ") || "nothing"}`);
        bench.context.abort();
        await connection.close();
      } finally {
        await fetch.destroy();
        await proxy.close();
      }
    });

    it("calls the platform's own methods, and says what it refuses", async function () {
      const connection = await bench.connect();
      if (connection.call === undefined) return skip(this, `${bench.name} lends no calls of its own`);
      if (bench.rig.call === undefined) return missing(this, "call");
      const { method, parameters } = bench.rig.call;
      assert.notEqual(await connection.call(method, parameters), undefined);
      const error = await faultOf(connection.call("no.such/method", {}));
      assert.equal(error.retry, "no");
      for (const secret of bench.rig.secrets) assert.ok(!inspect(error, { depth: 8 }).includes(secret));
    });

    it("leaves no socket, server, child or timer behind when it is closed", async () => {
      // Mocha starts its own timer once the test has begun.
      await settle();
      const before = handles();
      const timers = timersOf();
      const rig = await bench.make();
      const context = recordingContext(rig.context);
      const connection = await rig.channel.open(rig.account, context);
      rig.serve?.(connection);
      await connection.send(rig.to, { text: "soon gone" }, "leak-1");
      await connection.typing?.(rig.to);
      await rig.say("hello");
      await until(() => context.received.length === 1, "the message");
      context.abort();
      await connection.close();
      await connection.close();
      await rig.close();
      const left = () => [...handles()].filter((each) => !before.has(each));
      await until(() => left().length === 0 && timersOf() <= timers, "all to be gone", 15_000).catch(() => assert.fail(`left behind: ${left().map((each) => inspect(each, { depth: 0 }).slice(0, 300)).join("; ")}; ${timersOf() - timers} timers`));
    });
  });
}

/** What keeps the process alive beside timers; not part of Node's public API, and there since its beginnings. */
function handles(): Set<object> {
  return new Set((process as unknown as { _getActiveHandles(): object[] })._getActiveHandles().filter((each) => !(each as { destroyed?: boolean }).destroyed));
}
const timersOf = (): number => process.getActiveResourcesInfo().filter((each) => each === "Timeout").length;
