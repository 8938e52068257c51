/** The store of a gateway as its form sees it, over the admin API of a real Node-RED: damage is told, copies are made and put back, and nothing is answered twice. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { until } from "../kit/scripted.ts";
import { watchStatuses } from "../rigs/comms.ts";
import { account, gateway, on, startHome, tab, type Home, type Sink } from "../rigs/home.ts";
import type { FlowNode } from "../rigs/node-red.ts";

interface Backup { readonly name: string; readonly kind: string; readonly at: number; readonly bytes: number }
interface StoreEvent { readonly kind: string; readonly code: string; readonly at: number; readonly moved: string; readonly receipts?: number; readonly rows?: number; readonly saved?: { readonly messages: number } }
interface Overview { readonly store: { readonly folder: string; readonly open: boolean; readonly room?: { readonly state: string; readonly used: number }; readonly events: StoreEvent[]; readonly backups: Backup[] }; readonly counts: { readonly pending: number; readonly dead: number; readonly outbox: Record<string, number> }; readonly problems: unknown[] }

/** Answers with its own text, in the chat the message came from; a cron beside it, because it keeps something of the gateway for itself. */
const flow = (sink: Sink): FlowNode[] => [
  tab, gateway, account(sink),
  on("in", "clawflow-channel-in", { gateway: "gw", accounts: ["acc"] }, ["out"], []),
  on("out", "clawflow-channel-out", { gateway: "gw", action: "reply" }, []),
  on("cron", "clawflow-cron", { gateway: "gw", kind: "every", every: 1, everyUnit: "seconds", text: "tick" }, ["count"]),
  on("count", "function", { func: "const n = (context.get('n') ?? 0) + 1; context.set('n', n); node.warn('TICK ' + n); return null;", outputs: 1, timeout: 0, noerr: 0, initialize: "", finalize: "", libs: [] }, []),
];

describe("the store of a gateway", function () {
  this.timeout(90_000);
  const folders: string[] = [];
  after(() => { for (const folder of folders) rmSync(folder, { recursive: true, force: true }); });
  const fresh = (): string => { const made = mkdtempSync(path.join(tmpdir(), "clawflow-restore-")); folders.push(made); return made; };
  const view = (home: Home): Promise<Overview> => home.red.admin<Overview>("GET", "/clawflow/gateway/gw");
  const act = (home: Home, what: string, body: object = {}): Promise<Overview> => home.red.admin<Overview>("POST", `/clawflow/gateway/gw/${what}`, body);
  const twice = (texts: readonly string[]): string[] => texts.filter((text, place) => texts.indexOf(text) !== place);

  it("goes back to a backup and forth again: what was answered since is not answered again, and what comes then is", async () => {
    await using home = await startHome(flow);
    await home.say("one");
    await home.heard(1);
    // The platform takes no answer now: this one waits while the copy is made, and is sent after it.
    home.sink.fault = () => ({ code: "CONN_001", retry: "later", afterMs: 4_000, text: "down" });
    await home.say("waits", { chat: "slow" });
    await until(async () => { const { counts: { pending, outbox } } = await view(home); return pending === 0 && (outbox.planned ?? 0) + (outbox.sending ?? 0) === 1; }, "the answer that waits");
    const copied = await act(home, "backup");
    assert.equal(copied.store.backups.length, 1);
    const [backup] = copied.store.backups as [Backup];
    assert.deepEqual([backup.kind, backup.bytes > 4096, Math.abs(backup.at - Date.now()) < 60_000], ["copy", true, true]);
    home.sink.fault = undefined;
    await home.heard(2, 20_000);
    await home.say("since");
    await home.heard(3);

    const back = await act(home, "restore", { backup: backup.name });
    assert.equal(back.store.open, true);
    const [event] = back.store.events as [StoreEvent];
    assert.deepEqual([event.kind, event.code, event.rows, event.receipts], ["restored", "STORE_006", 1, 0]);
    const replaced = back.store.backups.find(({ kind }) => kind === "replaced");
    assert.ok(replaced !== undefined && existsSync(path.join(back.store.folder, replaced.name)), "the old store is put aside, not deleted");
    const ticks = home.red.lines.length;
    await home.red.waitForLog(/TICK /, 10_000, ticks);
    // The account is connected again, and the flow gets what comes.
    assert.equal(await home.say("after"), "saved");
    await until(() => home.texts().includes("after"), "the answer after the restore");
    await until(async () => (await view(home)).counts.outbox.dead === 1, "what waited then as a dead letter");
    assert.match(await home.red.waitForLog(/Dead letter: a delivery .*may have been sent since/), /slow/);

    // A message it knew is known; its answer is not sent again, also not after a restart.
    await home.red.restart();
    assert.equal(await home.say("again"), "saved");
    await until(() => home.texts().includes("again"), "the answer after a restart");
    assert.deepEqual(twice(home.texts()), []);

    const forth = await act(home, "restore", { backup: replaced?.name });
    assert.deepEqual(forth.store.events.map(({ kind }) => kind), ["restored", "restored"]);
    assert.equal(await home.say("last"), "saved");
    await until(() => home.texts().includes("last"), "the answer after the way back");
    assert.deepEqual(twice(home.texts()), []);
    const read = await act(home, "store-read", { upTo: forth.store.events[0]?.at });
    assert.deepEqual(read.store.events, []);
  });

  it("keeps what befell it until a person has read it, also over restarts; a damaged store is opened anew and can be put back", async () => {
    const userDir = fresh();
    let flows: FlowNode[] = [];
    let backup = "";
    {
      await using home = await startHome((sink) => { flows = flow(sink); return flows; }, { userDir });
      await home.say("kept");
      await home.heard(1);
      backup = (await act(home, "backup")).store.backups[0]?.name ?? "";
      await home.red.stop();
    }
    const folder = path.join(userDir, "clawflow", "home");
    const file = path.join(folder, "store.sqlite");
    rmSync(`${file}-wal`, { force: true });
    writeFileSync(file, "no database ".repeat(1000));
    await using home = await startHome(flow, { userDir });
    await until(async () => (await view(home)).store.open, "the new store");
    const first = await view(home);
    const [event] = first.store.events as [StoreEvent];
    assert.deepEqual([event.kind, event.code, event.saved, first.store.open], ["anew", "STORE_002", undefined, true]);
    assert.ok(existsSync(event.moved) && event.moved.includes("store.sqlite.damaged-"));
    await home.red.restart();
    await until(async () => (await view(home)).store.open, "the store after a restart");
    const second = await view(home);
    assert.deepEqual(second.store.events, first.store.events);
    assert.equal(second.store.backups[0]?.name, backup);
    const restored = await act(home, "restore", { backup });
    assert.deepEqual(restored.store.events.map(({ kind }) => kind), ["restored", "anew"]);
    assert.ok(existsSync(event.moved), "the damaged file stays where it is");
    assert.equal(await home.say("goes on"), "saved");
    await until(() => home.texts().includes("goes on"), "the answer");
  });

  it("refuses a bad backup with the code and the way out, changes nothing, and goes on", async () => {
    await using home = await startHome(flow);
    await home.say("one");
    await home.heard(1);
    const { store: { folder } } = await act(home, "backup");
    const bad = "store-2020-01-01T00-00-00-000Z.sqlite";
    writeFileSync(path.join(folder, "backups", bad), "text ".repeat(3000));
    const refusal = async (body: object, headers: Record<string, string> = {}) => {
      const response = await home.red.fetch("/clawflow/gateway/gw/restore", { method: "POST", headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(body) });
      const { error } = (await response.json()) as { error: { code: string; text: string; remedy: string } };
      assert.ok(/Expected .+, got .+|Expected .+, but/.test(error.text) && error.remedy !== "", JSON.stringify(error));
      return [response.status, error.code];
    };
    assert.deepEqual(await refusal({ backup: bad }), [400, "STORE_002"]);
    assert.deepEqual(await refusal({ backup: "none" }), [400, "CONF_001"]);
    assert.deepEqual(await refusal({ backup: `../../../../../..${path.join(folder, "backups", bad)}` }), [400, "CONF_001"]);
    assert.deepEqual(await refusal({}), [400, "CONF_001"]);
    assert.deepEqual(await refusal({ backup: bad }, { "sec-fetch-site": "cross-site" }), [403, "SEC_001"]);
    assert.deepEqual(await refusal({ backup: bad }, { origin: "https://evil.example" }), [403, "SEC_001"]);
    assert.deepEqual(readdirSync(folder).filter((name) => /next|replaced/.test(name)), []);
    assert.deepEqual((await view(home)).store.events, []);
    assert.equal(await home.say("two"), "saved");
    assert.deepEqual(await home.heard(2), ["one", "two"]);
  });

  it("of a newer version can be exchanged for an older backup; a restore while it is not open leaves it open", async () => {
    const userDir = fresh();
    {
      await using home = await startHome(flow, { userDir });
      await home.say("old");
      await home.heard(1);
      await act(home, "backup");
      await home.red.stop();
    }
    const folder = path.join(userDir, "clawflow", "home");
    const { DatabaseSync } = await import("node:sqlite");
    const db = new DatabaseSync(path.join(folder, "store.sqlite"));
    db.exec("PRAGMA user_version = 999");
    db.close();
    await using home = await startHome(flow, { userDir });
    await until(async () => (await view(home)).problems.length > 0, "the refusal");
    const before = await view(home);
    assert.deepEqual([before.store.open, before.store.backups.length], [false, 1]);
    const after = await act(home, "restore", { backup: before.store.backups[0]?.name });
    assert.equal(after.store.open, true);
    assert.equal(await home.say("new"), "saved");
    await until(() => home.texts().includes("new"), "the answer");
  });

  it("needs the right to write: who may only read looks on, and sees where it is", async () => {
    const users = { type: "credentials", users: [{ username: "looker", password: "$2b$08$n8nZVfKVY3Zo2AN3mJ1iPuDJ9G4F4xCJ8e3pGsBHp1Jd0yVwzTgHe", permissions: ["clawflow.read"] }] };
    await using home = await startHome(flow, { settings: { adminAuth: { ...users, tokens: undefined } }, settingsCode: "settings.adminAuth.tokens = (token) => Promise.resolve(token === 'reads' ? { username: 'looker', permissions: ['clawflow.read'] } : token === 'writes' ? { username: 'doer', permissions: ['clawflow.read', 'clawflow.write'] } : null);" });
    const status = async (method: string, what: string, token?: string): Promise<number> => (await home.red.fetch(`/clawflow/gateway/gw${what}`, { method, headers: { "content-type": "application/json", ...token === undefined ? {} : { authorization: `Bearer ${token}` } }, ...method === "POST" ? { body: "{}" } : {} })).status;
    await until(async () => (await status("GET", "", "reads")) === 200, "the gateway");
    assert.deepEqual([await status("GET", ""), await status("GET", "", "writes")], [401, 200]);
    for (const what of ["/backup", "/restore", "/store-read"]) assert.deepEqual([await status("POST", what), await status("POST", what, "reads")], [401, 401], what);
    assert.equal(await status("POST", "/backup", "writes"), 200);
    assert.equal(statSync(path.join(home.red.userDir, "clawflow", "home", "backups")).mode & 0o077, 0);
  });

  it("at its limit refuses new messages with 503 and Retry-After, says so on the nodes, loses none, and takes again by itself", async () => {
    // Nobody takes the messages at first: they wait.
    const without = (sink: Sink): FlowNode[] => [tab, { ...gateway, storeMb: 16 }, account(sink), on("in", "clawflow-channel-in", { gateway: "gw", accounts: ["acc"] }, ["short"], [])].map((node) => (node.id === "in" ? { ...node, d: true } : node));
    let sinkOf: Sink | undefined;
    await using home = await startHome((sink) => { sinkOf = sink; return [...without(sink), account(sink, { id: "acc-two", slug: "two" }), on("watch", "clawflow-channel-in", { gateway: "gw", accounts: ["acc-two"] }, [], [])]; });
    const statuses = await watchStatuses(home.red);
    const post = (id: string) => home.red.fetch("/clawflow/home/echo", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ id, chat: id, text: `${id} ${"x".repeat(900_000)}` }) });
    await until(async () => (await view(home)).store.open, "the store");
    const taken: string[] = [];
    let refused: Response | undefined;
    for (let n = 0; n < 60 && refused === undefined; n++) {
      const response = await post(`m${n}`);
      if (response.status === 503 && /STORE_005/.test(await response.clone().text())) refused = response;
      else if (response.status === 200) taken.push(`m${n}`);
      // The room is looked at every two seconds.
      else assert.equal(response.status, 503);
      if (n % 6 === 5) await until(async () => (await view(home)).store.room?.used !== 0, "a look", 5_000);
    }
    assert.ok(taken.length >= 12, `${taken.length} were taken`);
    await until(async () => (await post("late")).status === 503, "the refusal", 10_000);
    const response = await post("late");
    assert.deepEqual([response.status, response.headers.get("retry-after"), await response.json()], [503, "5", { error: { code: "STORE_005" } }]);
    // Where messages come faster than the room is looked at, it is the wall behind the limit that refuses first.
    await until(async () => (await view(home)).store.room?.state === "full", "the room to be seen full", 10_000);
    await statuses.wait("watch", /^STORE_005: /);
    statuses[Symbol.dispose]();
    assert.equal(home.red.lines.filter((line) => line.includes("[STORE_005]")).length, 1);
    // Now a flow takes them: it answers with the first word, and the texts of what is done are given up.
    await home.red.deploy([...without(sinkOf as Sink).map(({ d: _, ...node }) => node as FlowNode),
      on("short", "function", { func: "msg.payload = msg.payload.split(' ')[0]; return msg;", outputs: 1, timeout: 0, noerr: 0, initialize: "", finalize: "", libs: [] }, ["out"]), on("out", "clawflow-channel-out", { gateway: "gw", action: "reply" }, [])]);
    await until(async () => (await post("late")).status === 200, "room again", 20_000);
    await home.heard(taken.length + 1, 20_000);
    assert.deepEqual(home.texts().toSorted(), [...taken, "late"].toSorted());
  });
});
