/**
 * F49, F51, and the stopped owner of F58: two Node-REDs on one store, and processes that cannot be told apart by number or host name.
 *
 *     npx mocha test/faults/owner.test.ts                    one take-over
 *     CLAWFLOW_FAULTS=full npx mocha …                       ten
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { type NodeRed, projectRoot, startNodeRed } from "../rigs/node-red.ts";
import { CORE } from "./flow.ts";
import { type Counts, judge } from "./judge.ts";
import { buildFaultPackage, type FaultRig, startFaultRig } from "./rig.ts";
import { dice, talk } from "./rounds.ts";
import { childArgs, childEnv, cleanUp, freshFolder } from "./store/common.ts";
import { opened, until } from "./work.ts";

const full = process.env.CLAWFLOW_FAULTS === "full";
const seed = Number(process.env.CLAWFLOW_SEED ?? Math.floor(Math.random() * 1_000_000));
/** What the goals allow; a fresh look comes every 5 s. */
const TAKEOVER_MS = 10_000;

const overview = (red: NodeRed): Promise<{ counts?: Counts; problems: { code: string }[] }> => red.admin("GET", "/clawflow/gateway/gw");
const owns = async (red: NodeRed): Promise<boolean> => (await overview(red).catch(() => undefined))?.counts !== undefined;

/** Another Node-RED with the same flows, whose gateways are those of the first. */
async function beside(rig: FaultRig): Promise<NodeRed & { removeAll(): Promise<void> }> {
  const userDir = mkdtempSync(path.join(tmpdir(), "clawflow-beside-"));
  symlinkSync(path.join(rig.red.userDir, "clawflow"), path.join(userDir, "clawflow"));
  const red = await startNodeRed({ core: CORE, userDir, clawflow: buildFaultPackage(), flows: rig.flows, packages: [path.join(projectRoot, "test/plugins/fault-channels")], settings: { disableEditor: true } });
  return Object.assign(red, { async removeAll() { await red.remove(); rmSync(userDir, { recursive: true, force: true }); } });
}
const hook = async (rig: FaultRig, red: NodeRed): Promise<void> => { for (const bot of ["key", "none"]) await rig.world.platform.control("hook", { bot, url: `${red.url}/clawflow/home/${bot}` }); };

describe("F49: two Node-REDs on one store", function () {
  this.timeout(600_000);

  it(`one of them runs each message; the other takes over when the first is killed, not when it is only stopped (seed ${seed})`, async () => {
    const random = dice(seed);
    await using rig = await startFaultRig({ seed });
    const second = await beside(rig);
    try {
      await opened(rig);
      let [owner, other]: NodeRed[] = [rig.red, second];
      const answered = (what: string) => until(async () => (await rig.world.open()).length === 0, what, 90_000).catch(async (error: Error) => { throw new Error(`${error.message}:\n${(await Promise.all((await rig.world.open()).map((id) => rig.world.story(id, rig.kills)))).join("\n")}\n${owner?.lines.slice(-10).join("\n")}`); });
      const pauses: number[] = [];
      for (let turn = 0; turn < (full ? 10 : 1); turn++) {
        if (owner === undefined || other === undefined) throw new Error("one is missing");
        const waiting = other;
        await until(async () => (await overview(waiting)).problems.some(({ code }) => code === "STORE_004"), "word of the other's store");
        // A platform that knocks at the wrong door is told to come again.
        const refused = await fetch(`${waiting.url}/clawflow/home/key`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ id: "m0", chat: "key-1", from: "u-key-1", text: "m0", sentAt: 0 }) });
        assert.equal(refused.status, 503);
        assert.ok(Number(refused.headers.get("retry-after")) > 0);
        const said = talk(random);
        for (const one of said) await owner.admin("POST", "/clawflow/gateway/gw/people", { channel: one.bot === "telegram" ? "telegram" : `fault-${one.bot}`, account: one.bot, id: one.bot === "telegram" ? one.chat : `u-${one.chat}`, name: one.chat, trust: "paired" });
        const speak = () => rig.world.say(said.map((one) => { const id = `m${++ids}`; return { bot: one.bot, chat: one.chat, from: one.bot === "telegram" ? one.chat : `u-${one.chat}`, id, copies: one.copies ?? 1, text: `${id} ${one.text ?? ""}`.trim() }; }));
        await speak();
        if (turn === 0) {
          // Longer than the other waits between two looks.
          process.kill(owner.pid, "SIGSTOP");
          try {
            await pause(6_000);
            assert.equal(await owns(waiting), false, "taken over from one that is only stopped");
          } finally {
            process.kill(owner.pid, "SIGCONT");
          }
          await answered("the stopped one to answer all");
          await speak();
        }
        await until(async () => (await rig.world.inFlight()) > 0, "runs in flight");
        const t = monotonicMs();
        await owner.kill();
        (rig.kills as { t: number; until: number; point: string }[]).push({ t, until: monotonicMs() + 100, point: "owner" });
        await hook(rig, waiting);
        await until(() => owns(waiting), "the other to take over", 30_000);
        pauses.push(monotonicMs() - t);
        await answered("the other to answer all");
        await owner.start();
        [owner, other] = [waiting, owner];
      }
      assert.ok(Math.max(...pauses) <= TAKEOVER_MS, `took over after ${pauses.map((ms) => ms.toFixed(0)).join(", ")} ms`);
      const last = owner as NodeRed;
      await until(async () => { const { counts } = await overview(last); return counts?.pending === 0 && (counts.outbox.planned ?? 0) + (counts.outbox.sending ?? 0) === 0; }, "the last records");
      assert.equal(await owns(other as NodeRed), false, "two own it");
      const verdict = judge(await rig.world.seen(), await rig.world.model.entries(), rig.kills, (await overview(last)).counts);
      console.log(`      ${pauses.length} take-overs in ${pauses.map((ms) => ms.toFixed(0)).join(", ")} ms, ${verdict.messages} messages`);
      assert.deepEqual(verdict.findings.map(({ what, text }) => `${what}: ${text}`), []);
    } finally {
      await second.removeAll();
    }
  });
});
let ids = 0;
const monotonicMs = (): number => Number(process.hrtime.bigint()) / 1e6;

/** A process with the number 1 on a host of this name, as in a container. */
const inContainer = (name: string, args: readonly string[]): [string, string[]] => ["unshare", ["--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--uts", "--mount-proc", "sh", "-c", `hostname ${name} && exec "$0" "$@"`, process.execPath, ...args]];
const canContain = (): boolean => spawnSync(...inContainer("clawflow", ["-e", "process.exit(process.pid === 1 && require('os').hostname() === 'clawflow' ? 0 : 1)"])).status === 0;

describe("F51: owners that look the same", function () {
  this.timeout(60_000);
  const children: ChildProcess[] = [];
  before(function () {
    if (canContain()) return;
    console.log("      skipped: this machine gives processes no number and host name of their own (unshare)");
    this.skip();
  });
  after(async () => {
    for (const child of children) child.kill("SIGKILL");
    await cleanUp();
  });

  function start(folder: string) {
    const [command, args] = inContainer("gateway", childArgs("step", folder));
    const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"], env: childEnv() });
    children.push(child);
    const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const next = async (): Promise<string> => (await answers.next()).value as string;
    return {
      ready: next,
      async ask(what: string): Promise<unknown> { child.stdin.write(`${what}\n`); return JSON.parse(await next()); },
      async kill(): Promise<void> { const gone = once(child, "exit"); child.kill("SIGKILL"); await gone; },
    };
  }
  async function begun(folder: string) {
    const one = start(folder);
    assert.equal(await one.ready(), "ready");
    return one;
  }

  it("same number, same host: the second is refused while the first lives, and gets all when it is dead", async () => {
    const folder = freshFolder();
    const first = await begun(folder);
    assert.equal(await first.ask("open"), 0);
    for (let n = 1; n <= 20; n++) assert.equal(await first.ask("commit"), n);
    const second = await begun(folder);
    for (let n = 0; n < 3; n++) assert.equal(await second.ask("open"), "STORE_004 later");
    assert.equal(await first.ask("commit"), 21);
    assert.deepEqual(await first.ask("read"), [true, true]);
    await first.kill();
    await until(async () => (await second.ask("open")) === 0, "the store", 10_000);
    assert.deepEqual(await second.ask("read"), [21, true], "21 rows that it did not write, each whole");
    const third = await begun(folder);
    assert.equal(await third.ask("open"), "STORE_004 later");
  });

  it("files that a dead process may leave behind say nothing about an owner", async () => {
    const folder = freshFolder();
    const first = await begun(folder);
    await first.ask("open");
    await first.ask("commit");
    await first.kill();
    const file = path.join(folder, "store.sqlite");
    assert.ok(existsSync(`${file}-wal`), "the killed process left no -wal");
    for (const ending of ["-shm", ".lock", "-lock", ".pid"]) if (!existsSync(file + ending)) writeFileSync(file + ending, "1\ngateway\n");
    const second = await begun(folder);
    await until(async () => (await second.ask("open")) === 0, "the store", 10_000);
    assert.deepEqual(await second.ask("read"), [1, true]);
  });

  it("a copy of the folder, made while it is in use, has an owner of its own, and the first keeps what it has", async () => {
    const folder = freshFolder();
    const first = await begun(folder);
    await first.ask("open");
    for (let n = 1; n <= 10; n++) await first.ask("commit");
    const copied = `${folder}-copy`;
    cpSync(folder, copied, { recursive: true });
    const second = await begun(copied);
    assert.equal(await second.ask("open"), 0, "the copy is damaged, or the lock of the first holds for it");
    assert.deepEqual(await second.ask("read"), [10, true]);
    for (const [name, of] of [["first", folder], ["second", copied]] as const) assert.equal(await (await begun(of)).ask("open"), "STORE_004 later", `the ${name} lost its store`);
    assert.equal(await first.ask("commit"), 11);
    assert.deepEqual(await first.ask("read"), [true, true]);
    await second.kill();
    await first.kill();
    for (const [of, rows] of [[folder, 11], [copied, 10]] as const) {
      const next = await begun(of);
      await until(async () => (await next.ask("open")) === 0, "the store", 10_000);
      assert.deepEqual(await next.ask("read"), [rows, true]);
    }
  });
});
