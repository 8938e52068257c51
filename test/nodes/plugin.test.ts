import assert from "node:assert/strict";
import { rmSync, symlinkSync } from "node:fs";
import path from "node:path";
import { watchStatuses } from "../rigs/comms.ts";
import { account, gateway, on, startHome, tab } from "../rigs/home.ts";
import { projectRoot } from "../rigs/node-red.ts";
import { until } from "../kit/scripted.ts";

describe("a channel of another package", function () {
  this.timeout(60_000);

  it("is found, listed, usable; while it is gone its account says so, and nothing it took is lost", async () => {
    await using home = await startHome((sink) => [
      tab, gateway, account(sink), on("in", "clawflow-channel-in", { gateway: "gw", accounts: ["acc"] }, ["wait"], []),
      on("wait", "delay", { pauseType: "delay", timeout: "600", timeoutUnits: "milliseconds", rate: "1", nbRateUnits: "1", rateUnits: "second", outputs: 1 }, ["out"]), on("out", "clawflow-channel-out", { gateway: "gw", action: "reply" }, []),
    ]);
    const { red } = home;
    const channels = async () => (await red.admin<{ channels: { id: string; label: string; settings: { key: string }[]; limits: object }[] }>("GET", "/clawflow/tables")).channels;
    const overview = () => red.admin<{ accounts: { state: string; code?: string; text?: string }[]; counts: { pending: number; outbox: Record<string, number> } }>("GET", "/clawflow/gateway/gw");
    const echo = (await channels()).find(({ id }) => id === "echo");
    assert.deepEqual([echo?.label, echo?.settings.map(({ key }) => key), echo?.limits], ["Echo", ["sink", "token", "closeMs"], { text: 4000, unit: "utf16", editEveryMs: 20 }]);
    await home.say("one");
    assert.deepEqual(await home.heard(1), ["one"]);
    assert.equal((await overview()).accounts[0]?.state, "connected");
    const tried = await red.admin<{ ok: boolean; code?: string }>("POST", "/clawflow/try/account", { channel: "echo", settings: { sink: home.sink.url }, credentials: {} });
    assert.deepEqual([tried.ok, tried.code], [false, "MSG_005"], "a channel without a test does not pass one");

    const package_ = path.join(red.userDir, "node_modules", "node-red-contrib-echo-channel");
    assert.equal(await home.say("two"), "saved");
    await red.stop();
    rmSync(package_);
    await red.start();
    using statuses = await watchStatuses(red);
    assert.ok(!(await channels()).some(({ id }) => id === "echo"));
    const [gone] = (await overview()).accounts;
    assert.deepEqual([gone?.state, gone?.code], ["failed", "CONF_001"]);
    assert.match(gone?.text ?? "", /got "echo"\. Is its package installed\?/);
    await statuses.wait("in", /CONF_001.*known channel/);
    assert.equal((await red.fetch("/clawflow/home/echo", { method: "POST", body: "{}" })).status, 404);
    const { counts } = await overview();
    assert.equal(counts.pending + (counts.outbox.planned ?? 0), 1, `what it took waits: ${JSON.stringify(counts)}`);

    await red.stop();
    symlinkSync(path.join(projectRoot, "test/plugins/echo-channel"), package_, "junction");
    await red.start();
    assert.deepEqual(await home.heard(2), ["one", "two"]);
    await until(async () => (await overview()).counts.pending === 0, "the end");
  });
});
