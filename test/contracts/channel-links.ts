/** Contract of a channel, continued: signatures, the doubled send, a link that breaks, a proxy, the platform's own calls, and that nothing is left behind. */
import assert from "node:assert/strict";
import { inspect } from "node:util";
import { createFetch } from "../../engine/http.ts";
import { asClawError } from "../../engine/errors.ts";
import { startProxy } from "../kit/proxy.ts";
import { settle, until } from "../kit/scripted.ts";
import { type Bench, faultOf } from "./channel.ts";
import { type Forgery, recordingContext } from "./channel-rig.ts";

export function linkTests(bench: Bench): void {
  const signed = (text: string, how: Forgery) => bench.hook("signed").call(bench.rig, text, how);

  describe("its webhook", () => {
    bench.test("signed", "takes what is signed rightly, and refuses what is not before it believes a word", async () => {
      const connection = await bench.connect();
      assert.ok(connection.webhook !== undefined, "it has no webhook");
      const tried: Forgery[] = [];
      for (const how of ["wrong", "missing", "stale", "tampered"] as const) {
        const request = await signed(`forged ${how}`, how);
        if (request === undefined) continue;
        tried.push(how);
        const { status } = await connection.webhook(request);
        assert.ok(status === 401 || status === 403, `${how}: expected 401 or 403, got ${status}`);
      }
      assert.ok(tried.includes("wrong") && tried.includes("missing"), `only ${tried.join(", ")} were tried`);
      await settle();
      assert.deepEqual(bench.context.received.map(({ text }) => text), []);
      const right = await signed("signed rightly", "right");
      assert.ok(right !== undefined);
      const { status } = await connection.webhook(right);
      assert.ok(status >= 200 && status < 300, `a right signature: expected 2xx, got ${status}`);
      await until(() => bench.context.received.length === 1, "the message");
      assert.equal(bench.context.received[0]?.text, "signed rightly");
    });

    bench.test("unsecured", "takes nothing while no secret is set", async () => {
      const unsecured = bench.hook("unsecured");
      // What check() finds fault with is not opened.
      if (bench.channel.check(unsecured).length > 0) return;
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
    bench.test("drop", "comes back after the platform dropped it, and brings what was said meanwhile", async function () {
      this.timeout(60_000);
      const drop = bench.hook("drop");
      const first = await bench.connect();
      let gone = false;
      void first.gone?.then(() => { gone = true; });
      await bench.rig.say("before");
      await until(() => bench.context.received.length === 1, "the message before");
      await drop.call(bench.rig);
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
      if (bench.plugin !== true) assert.equal(bench.context.states.at(-1)?.state, "connected");
    });

    bench.test("host", "goes through the proxy of its settings", async () => {
      const { rig } = bench;
      const host = bench.hook("host");
      const proxy = await startProxy();
      const fetch = createFetch({ proxy: proxy.url });
      try {
        bench.context = recordingContext({ ...rig.context, fetch });
        const connection = await bench.connect({ ...rig.account, settings: { ...rig.account.settings, proxy: proxy.url } });
        await connection.send(rig.to, { text: "by proxy" }, "proxy-1");
        await rig.say("back by proxy");
        await until(() => bench.context.received.length === 1, "the message");
        assert.deepEqual(rig.shown(), ["by proxy"]);
        assert.ok(proxy.asked.includes(host), `expected the proxy to be asked for ${host}, got ${proxy.asked.join(", ") || "nothing"}`);
        bench.context.abort();
        await connection.close();
      } finally {
        await fetch.destroy();
        await proxy.close();
      }
    });

    bench.test("call", "calls the platform's own methods, and says what it refuses", async () => {
      const connection = await bench.connect();
      assert.ok(connection.call !== undefined, "it lends no calls");
      const { method, parameters } = bench.hook("call");
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
