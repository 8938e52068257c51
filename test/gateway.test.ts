import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { type Envelope as SignalEnvelope, toMessages as readSignal } from "../engine/channels/signal/to-message.ts";
import type { WebMessage } from "../engine/channels/whatsapp-web/library.ts";
import { toMessage as readWeb } from "../engine/channels/whatsapp-web/to-message.ts";
import { ChannelError, StoreError } from "../engine/errors.ts";
import { chargeModel } from "../engine/models/charge.ts";
import { createGateway, type Gateway, type GatewayAccount, type GatewayLimits } from "../engine/gateway.ts";
import type { Run } from "../engine/inbox.ts";
import { createSpool, type Spool } from "../engine/media.ts";
import { type Message, sessionKey, speakerOf } from "../engine/message.ts";
import { createMemoryStore } from "../engine/store/memory.ts";
import type { Store } from "../engine/store/store.ts";
import { manualClock, message, scriptedChannel, settle, until } from "./kit/scripted.ts";

const account: GatewayAccount = { id: "acc", channel: "scripted", name: "Bot", settings: {}, policy: { policy: "owner", allow: [] } };

async function setup(options: { limits?: Partial<GatewayLimits>; store?: Store; channel?: ReturnType<typeof scriptedChannel>; policy?: GatewayAccount["policy"]; spool?: Spool } = {}) {
  const { store = createMemoryStore(), channel = scriptedChannel({ preview: true }) } = options;
  const clock = manualClock();
  const logs: string[] = [];
  const gateway = await createGateway({
    store, clock, ...(options.limits ? { limits: () => options.limits ?? {} } : {}), random: () => 0.5, spool: options.spool ?? { save: async () => ({ id: "f1", mime: "image/png", bytes: 3, path: "", name: "x" }), open: async () => undefined, sweep: async () => 0 } as never,
    fetchFor: async () => fetch, texts: { claimed: "You are the owner now.", notice: ({ what, to, code }) => `${what} lost, told to ${to}: ${code}`, budget: ({ limit, unit, agent }) => `near ${limit} ${unit} of ${agent}` }, log: (_level, text) => { logs.push(text); },
  });
  await gateway.setAccounts([{ account: { ...account, ...(options.policy ? { policy: options.policy } : {}) }, channel }]);
  await settle();
  const runs: Run[] = [];
  gateway.inbox.add({ id: "in", gatherMs: 0, covers: () => true, matches: () => true, emit: (run) => { runs.push(run); } });
  gateway.start();
  const receive = (received: Message) => { assert.ok(channel.context); return channel.context.receive(received); };
  return { gateway, channel, clock, runs, receive, logs, store };
}
async function claimed(gateway: Gateway, receive: (received: Message) => Promise<string>) {
  assert.equal(await receive(message({ text: gateway.people.ownerCode() ?? "", from: "me" })), "saved");
  await settle();
}

describe("gateway", () => {
  it("refuses everybody until the owner has claimed it with the code, which works once and only in a direct chat", async () => {
    const { gateway, channel, receive, runs } = await setup();
    const code = gateway.people.ownerCode() ?? "";
    assert.match(code, /^[2-9A-Z]{8}$/);
    const refused: string[] = [];
    gateway.events.on("refused", (one) => refused.push(one.sender.id));
    assert.equal(await receive(message({ from: "eve" })), "refused");
    assert.equal(await receive(message({ from: "eve", text: code, at: { channel: "scripted", account: "acc", chat: "g", kind: "group" } })), "refused");
    assert.deepEqual(refused, ["eve", "eve"]);
    assert.deepEqual(gateway.people.refused().map((one) => [one.id, one.count]), [["eve", 2]]);
    assert.equal(await receive(message({ from: "me", text: `/start ${code.toLowerCase()}` })), "saved");
    await settle();
    assert.equal(channel.sent[0]?.text, "You are the owner now.");
    assert.equal(gateway.people.ownerCode(), undefined);
    assert.equal(await receive(message({ from: "eve", text: code })), "refused");
    assert.equal(await receive(message({ from: "me" })), "saved");
    await settle();
    assert.equal(runs[0]?.receipt.trust, "owner");
  });

  it("stands when the owner's welcome cannot be kept", async () => {
    const store = createMemoryStore();
    const { gateway, channel, receive, logs } = await setup({ store: { ...store, commit: (changes) => (changes.some((change) => change.do === "outbox") ? Promise.reject(new StoreError("STORE_001", {}, "the disk is full")) : store.commit(changes)) } });
    await claimed(gateway, receive);
    assert.deepEqual(channel.sent, []);
    assert.match(logs.join(), /disk is full/);
  });

  it("keeps nothing for ever for an account that is gone, whatever it is", async () => {
    const { gateway, clock, store } = await setup();
    await gateway.setAccounts([]);
    const to = { channel: "scripted", account: "acc", chat: "c1", kind: "direct" } as const;
    for (const [step, op] of Object.entries({ a: "react", b: "edit", c: "remove", d: "send" } as const)) void gateway.deliver({ run: "1.x.n", step, op, to, draft: { text: "x" }, target: "m1" });
    await settle();
    assert.equal((await store.counts()).outbox.planned, 4);
    await clock.advance(32 * 60_000);
    assert.deepEqual((await store.counts()).outbox, { planned: 0, sending: 0, unknown: 0, sent: 0, dead: 4 });
    await gateway.close();
  });

  it("types where the owner is, and nowhere while there is none", async () => {
    const channel = scriptedChannel();
    const typed: string[] = [];
    const { open } = channel;
    Object.assign(channel, { open: async (...given: Parameters<typeof open>) => ({ ...(await open(...given)), typing: async (to: { chat: string }) => { typed.push(to.chat); } }) });
    const { gateway, receive } = await setup({ channel });
    const owner = { channel: "scripted", account: "acc", chat: "owner", kind: "direct" } as const;
    gateway.typing(owner);
    assert.deepEqual(typed, []);
    await claimed(gateway, receive);
    gateway.typing(owner);
    gateway.typing({ ...owner, chat: "c7" });
    assert.deepEqual(typed, ["c1", "c7"]);
  });

  it("changes the code after ten wrong tries", async () => {
    const { gateway, receive } = await setup();
    const code = gateway.people.ownerCode();
    for (let n = 0; n < 10; n++) await receive(message({ from: "eve", text: `AAAAAAA${n}` }));
    assert.notEqual(gateway.people.ownerCode(), code);
  });

  it("lets in who is on the list, who the owner lets in at run time, or everybody where the account is open", async () => {
    const listed = await setup({ policy: { policy: "list", allow: ["bob"] } });
    assert.equal(await listed.receive(message({ from: "bob" })), "saved");
    assert.equal(await listed.receive(message({ from: "eve" })), "refused");
    await listed.gateway.people.set({ channel: "scripted", account: "acc", id: "eve", name: "Eve", trust: "paired" });
    assert.equal(await listed.receive(message({ from: "eve" })), "saved");
    await listed.gateway.people.set({ channel: "scripted", account: "acc", id: "eve", name: "Eve", trust: "stranger" });
    assert.equal(await listed.receive(message({ from: "eve" })), "refused");
    const open = await setup({ policy: { policy: "open", allow: [] } });
    assert.equal(await open.receive(message({ from: "anyone" })), "saved");
    await settle();
    assert.equal(open.runs[0]?.receipt.trust, "allowed");
  });

  it("tells a channel who is let in now, by people and by the account's list", async () => {
    const { gateway, channel } = await setup({ policy: { policy: "list", allow: ["bob"] } });
    const at = { channel: "scripted", account: "acc", chat: "g", kind: "group" } as const;
    const letIn = (): (boolean | undefined)[] => ["bob", "eve"].map((id) => channel.context?.mayTalk?.(at, { id }));
    assert.deepEqual(letIn(), [true, false]);
    const eve = { channel: "scripted", account: "acc", id: "eve", name: "Eve" };
    await gateway.people.set({ ...eve, trust: "paired" });
    assert.deepEqual(letIn(), [true, true]);
    await gateway.people.set({ ...eve, trust: "stranger" });
    gateway.people.policy("acc", { policy: "owner", allow: [] });
    assert.deepEqual(letIn(), [false, false]);
  });

  it("drops its own echo and refuses a message of another account", async () => {
    const { receive, runs } = await setup({ policy: { policy: "open", allow: [] } });
    assert.equal(await receive(message({ sender: { id: "bot", name: "Bot", bot: true, self: true } })), "refused");
    await assert.rejects(receive(message({ at: { channel: "scripted", account: "other", chat: "c", kind: "direct" } })), { code: "MSG_001" });
    assert.equal(runs.length, 0);
  });

  it("keeps people over a restart and reaches the owner by the chat name owner", async () => {
    const store = createMemoryStore();
    const first = await setup({ store });
    await assert.rejects(first.gateway.deliver({ run: "", step: "s", op: "send", to: { channel: "scripted", account: "acc", chat: "owner", kind: "direct" }, draft: { text: "x" } }), { code: "MSG_002" });
    await claimed(first.gateway, first.receive);
    const second = await setup({ store });
    assert.equal(second.gateway.people.all()[0]?.trust, "owner");
    await second.gateway.deliver({ run: "", step: "bell", op: "send", to: { channel: "scripted", account: "acc", chat: "owner", kind: "direct" }, draft: { text: "Ding" } });
    assert.deepEqual(second.channel.sent.map((one) => [one.to.chat, one.text]), [["c1", "Ding"]]);
  });

  it("does a step once: a second pass joins the first or reads what it left", async () => {
    const { gateway, receive, runs } = await setup({ policy: { policy: "open", allow: [] } });
    await receive(message());
    await settle();
    const run = (runs[0] as Run).id;
    let times = 0;
    const act = async () => { times++; await settle(); return { data: `result ${times}` }; };
    const both = await Promise.all([gateway.once(run, "s", act), gateway.once(run, "s", act)]);
    assert.deepEqual(both, ["result 1", "result 1"]);
    assert.equal(await gateway.once(run, "s", act), "result 1");
    await assert.rejects(gateway.once(run, "fails", async () => { throw new Error("no"); }), /no/);
    assert.equal(await gateway.once(run, "fails", async () => ({ data: "done at the second try" })), "done at the second try");
    await assert.rejects(gateway.once(run, "write", async (begin) => { await begin(); throw new Error("no"); }, () => "unknown"), /no/);
    assert.equal(await gateway.once(run, "write", async () => ({ data: "done twice" }), () => "unknown"), "unknown", "what began is never begun again");
  });

  it("begins nothing while a source of tools is still being read, for ten seconds at most, and no sooner for a start that a deploy took back", async () => {
    const { gateway, clock, receive, runs } = await setup({ policy: { policy: "open", allow: [] } });
    const begun = (text: string) => runs.filter(({ receipt }) => receipt.message.text === text).length;
    const reading = () => { const work = Promise.withResolvers<void>(); gateway.tools.reading(work.promise); return work; };
    gateway.stop();
    const first = reading();
    gateway.start();
    await receive(message({ text: "one", chat: "c1" }));
    await settle();
    assert.equal(begun("one"), 0);
    gateway.stop();
    const second = reading();
    gateway.start();
    first.reject(new Error("its folder is gone"));
    await settle();
    assert.equal(begun("one"), 0, "another source is being read since");
    second.resolve();
    await settle();
    assert.equal(begun("one"), 1);
    gateway.stop();
    reading();
    gateway.start();
    await receive(message({ text: "two", chat: "c2" }));
    await clock.advance(9_900);
    assert.equal(begun("two"), 0);
    await clock.advance(200);
    assert.equal(begun("two"), 1);
  });

  it("names steps by node, parent and occurrence", async () => {
    const { gateway, receive, runs } = await setup({ policy: { policy: "open", allow: [] } });
    await receive(message());
    await settle();
    const run = (runs[0] as Run).id;
    assert.deepEqual([gateway.step(run, "a", ""), gateway.step(run, "a", ""), gateway.step(run, "b", "/a"), gateway.step(run, "b", "/a#1")], ["/a", "/a#1", "/a/b", "/a#1/b"]);
  });

  it("names the steps of two branches alike in two passes, whichever comes first", async () => {
    const { gateway, receive, runs } = await setup({ policy: { policy: "open", allow: [] } });
    await receive(message());
    await settle();
    const run = (runs[0] as Run).id;
    const [x, y] = ["~x", "~y"].map((branch) => gateway.step(run, "out", branch, 0));
    const [later, sooner] = ["~y", "~x"].map((branch) => gateway.step(run, "out", branch, 1));
    assert.deepEqual([x, y], ["~x/out", "~y/out"]);
    assert.deepEqual([sooner, later], [x, y]);
  });

  it("keeps an unchanged account open, reopens a changed one, closes one that is gone", async () => {
    const { gateway, channel } = await setup();
    await gateway.setAccounts([{ account, channel }]);
    await settle();
    assert.deepEqual([channel.opened, channel.closed], [1, 0]);
    await gateway.setAccounts([{ account: { ...account, settings: { token: "new" } }, channel }]);
    await settle();
    assert.deepEqual([channel.opened, channel.closed], [2, 1]);
    await gateway.setAccounts([]);
    await settle();
    assert.deepEqual([channel.opened, channel.closed], [2, 2]);
  });

  it("tries a connection again with patience, and a refused token only when it is changed", async () => {
    let fault: Error | undefined = new Error("no network");
    const channel = scriptedChannel({ failOpen: () => fault });
    const { gateway, clock } = await setup({ channel });
    assert.equal(gateway.connections.status("acc")?.state, "error");
    fault = undefined;
    await clock.advance(2_000);
    assert.equal(gateway.connections.status("acc")?.state, "connected");
    const { ChannelError } = await import("../engine/errors.ts");
    let tries = 0;
    const refusing = scriptedChannel({ failOpen: () => { tries++; return new ChannelError("CONN_002", { retry: "no" }, "wrong token"); } });
    const other = await setup({ channel: refusing });
    await other.clock.advance(600_000);
    assert.equal(other.gateway.connections.status("acc")?.state, "failed");
    assert.equal(tries, 1);
    await other.gateway.setAccounts([{ account: { ...account, settings: { token: "b" } }, channel: refusing }]);
    await settle();
    assert.equal(tries, 2);
  });

  it("fetches files before the flow sees them, and goes on without one that cannot be had", async () => {
    const channel = scriptedChannel();
    const { gateway, receive, runs } = await setup({ channel, policy: { policy: "open", allow: [] } });
    const connection = gateway.connections.get("acc")?.connection as { media?: unknown };
    connection.media = async (reference: string) => { if (reference === "bad") throw new Error("gone"); return new Blob(["abc"]).stream(); };
    await receive(message({ attachments: [{ kind: "image", media: "good", state: "remote" }, { kind: "image", media: "bad", state: "remote" }, { kind: "location", latitude: 1, longitude: 2 }] }));
    await until(() => runs.length === 1);
    assert.deepEqual(runs[0]?.messages[0]?.attachments.map((file) => "state" in file && [file.state, file.media, file.error]), [["ready", "spool:f1", undefined], ["failed", "bad", "gone"], false]);
  });

  it("fetches no file that is larger than the platform's limit, whatever the platform says of its size", async () => {
    const folder = await mkdtemp(path.join(tmpdir(), "clawflow-gateway-"));
    const channel = scriptedChannel({ limits: { download: 1000 } });
    const { gateway, receive, runs } = await setup({ channel, policy: { policy: "open", allow: [] }, spool: createSpool(folder) });
    const connection = gateway.connections.get("acc")?.connection as { media?: unknown };
    const asked: string[] = [];
    let ended = false;
    connection.media = async (reference: string) => {
      asked.push(reference);
      if (reference === "small") return new Blob([Buffer.alloc(1000)]).stream();
      return new ReadableStream({ pull(out) { out.enqueue(Buffer.alloc(600)); }, cancel() { ended = true; } });
    };
    await receive(message({ attachments: [{ kind: "image", media: "said", state: "remote", bytes: 1001 }, { kind: "document", media: "endless", state: "remote", bytes: 10 }, { kind: "document", media: "small", state: "remote" }] }));
    await until(() => runs.length === 1);
    const files = runs[0]?.messages[0]?.attachments ?? [];
    assert.deepEqual(files.map((file) => "state" in file && [file.state, file.bytes]), [["failed", 1001], ["failed", 10], ["ready", 1000]]);
    for (const file of files.slice(0, 2)) assert.match(("error" in file ? file.error : undefined) ?? "", /larger than the 1000 bytes/);
    assert.deepEqual(asked.sort(), ["endless", "small"]);
    await until(() => ended, "the end of the endless file");
    assert.equal((await readdir(folder)).length, 2);
    await gateway.close();
    await rm(folder, { recursive: true, force: true });
  });

  it("clears old files with everything else that is old", async () => {
    const folder = await mkdtemp(path.join(tmpdir(), "clawflow-gateway-"));
    const time = manualClock(Date.now());
    const spool = createSpool(folder, { clock: time, keepMs: 3_600_000 });
    const { gateway, clock } = await setup({ spool });
    const { id } = await spool.save(Buffer.from("x"));
    await clock.advance(60_000);
    assert.ok(await spool.open(id));
    await time.advance(3_700_000);
    await clock.advance(3_600_000);
    await until(async () => (await readdir(folder)).length === 0, "the file to go");
    assert.equal(await spool.open(id), undefined);
    await gateway.close();
    await rm(folder, { recursive: true, force: true });
  });

  it("corrects what its agents remember when the sender edits a message that was answered", async () => {
    const { gateway, receive, runs, store } = await setup({ policy: { policy: "open", allow: [] } });
    gateway.agents.set("n1", { name: "home", scope: "account-channel-peer" });
    await receive(message({ ref: "m7", text: "turn of" }));
    await settle();
    const session = "agent:home:scripted:acc:direct:u1";
    await store.commit(gateway.sessions.changes(session, (runs[0] as Run).id, 1, [{ role: "user", text: "turn of", ref: "m7" }], false));
    gateway.settle((runs[0] as Run).id);
    await receive(message({ ref: "m7", kind: "edit", text: "turn off" }));
    assert.deepEqual((await gateway.sessions.history(session, 10, 0)).map((turn) => turn.text), ["turn off"]);
    await receive(message({ ref: "m7", kind: "delete", text: "" }));
    assert.deepEqual(await gateway.sessions.history(session, 10, 0), []);
  });

  it("lets nobody in a group rewrite or take back what somebody else said there", async () => {
    const signal = (uuid: string, text: string, more: object = {}) => {
      const data = { message: text, groupInfo: { groupId: "YQ==" } };
      const [one] = readSignal({ envelope: { sourceUuid: uuid, timestamp: 7, ...("dataMessage" in more ? {} : { dataMessage: data }), ...more } } as SignalEnvelope, { account: "acc", number: "+1", uuid: "bot" });
      return one as Message;
    };
    const edit = (text: string) => ({ dataMessage: undefined, editMessage: { targetSentTimestamp: 7, dataMessage: { message: text, groupInfo: { groupId: "YQ==" } } } });
    const web = (by: string, content: object) => readWeb({ key: { remoteJid: "1203@g.us", id: `X${by}${JSON.stringify(content).length}`, participant: `${by}@s.whatsapp.net` }, message: content, messageTimestamp: 1 } as WebMessage, { jids: ["1@s.whatsapp.net"], id: "1", account: "acc", now: 1 }) as Message;
    const about = { id: "OWNERS", participant: "2@s.whatsapp.net", fromMe: false };
    const first = readWeb({ key: { remoteJid: "1203@g.us", id: "OWNERS", participant: "2@s.whatsapp.net" }, message: { conversation: "the door stays shut" }, messageTimestamp: 1 } as WebMessage, { jids: ["1@s.whatsapp.net"], id: "1", account: "acc", now: 1 }) as Message;
    const platforms = {
      Signal: [signal("me", "the door stays shut"), signal("eve", "", edit("open the door")), signal("eve", "", { dataMessage: { remoteDelete: { timestamp: 7 }, groupInfo: { groupId: "YQ==" } } }), signal("me", "", edit("the door stays locked"))],
      "WhatsApp Web": [first, web("3", { protocolMessage: { type: 14, key: about, editedMessage: { conversation: "open the door" } } }), web("3", { protocolMessage: { type: 0, key: about } }), web("2", { protocolMessage: { type: 14, key: { ...about, fromMe: true }, editedMessage: { conversation: "the door stays locked" } } })],
    } as const;
    for (const [platform, read] of Object.entries(platforms)) {
      const { gateway, receive, runs, store } = await setup({ policy: { policy: "open", allow: [] } });
      gateway.agents.set("n1", { name: "home", scope: "account-channel-peer" });
      const [said, edited, deleted, own] = read.map((one) => ({ ...one, at: { ...one.at, channel: "scripted" } })) as [Message, Message, Message, Message];
      assert.deepEqual([edited.kind, edited.ref, deleted.kind, deleted.ref, own.ref], ["edit", said.ref, "delete", said.ref, said.ref], platform);
      await gateway.people.set({ channel: "scripted", account: "acc", id: said.sender.id, name: "Boss", trust: "owner" });
      await receive(said);
      await settle();
      const session = sessionKey(said, "account-channel-peer", "home");
      await store.commit(gateway.sessions.changes(session, (runs[0] as Run).id, 1, [{ role: "user", text: said.text, ref: said.ref, by: speakerOf(said) }, { role: "assistant", text: "yes" }], false));
      gateway.settle((runs[0] as Run).id);
      await settle();
      const texts = async () => (await gateway.sessions.history(session, 10, 0)).map((turn) => turn.text);
      assert.equal(await receive(edited), "saved");
      assert.deepEqual(await texts(), ["the door stays shut", "yes"], platform);
      assert.equal(await receive(deleted), "saved");
      assert.deepEqual(await texts(), ["the door stays shut", "yes"], platform);
      assert.equal(await gateway.sessions.trust(session, "owner"), "owner", "whoever only tried has said nothing to the agent");
      await receive(own);
      assert.deepEqual(await texts(), ["the door stays locked", "yes"], platform);
      await gateway.close();
    }
  });

  it("counts an edit by somebody who is trusted less by now as that person's words", async () => {
    const { gateway, receive, store } = await setup({ policy: { policy: "open", allow: [] } });
    gateway.agents.set("n1", { name: "home", scope: "account-channel-peer" });
    const said = message({ ref: "m7", text: "turn off" });
    const session = sessionKey(said, "account-channel-peer", "home");
    await store.commit(gateway.sessions.changes(session, "1.s.n", 1, [{ role: "user", text: said.text, ref: "m7", by: speakerOf(said) }], false));
    assert.equal(await gateway.sessions.trust(session, "owner"), "owner");
    await receive(message({ ref: "m7", kind: "edit", text: "turn on", forwarded: {} }));
    assert.deepEqual([await gateway.sessions.trust(session, "owner"), await gateway.sessions.tainted(session)], ["allowed", true]);
    await gateway.close();
  });

  it("settles a run even when the store is away for a moment", async () => {
    const { gateway, receive, runs, store, clock } = await setup({ policy: { policy: "open", allow: [] } });
    await receive(message());
    await settle();
    const { StoreError } = await import("../engine/errors.ts");
    const commit = store.commit;
    let broken = true;
    store.commit = async (changes) => { if (broken) throw new StoreError("STORE_001", { retry: "later" }); return commit.call(store, changes); };
    gateway.settle((runs[0] as Run).id);
    await settle();
    broken = false;
    await clock.advance(2_000);
    assert.equal((await store.counts()).done, 1);
  });

  it("tells the owner of what was lost, by policy in the chat itself or nobody, and of a lost notice nothing", async () => {
    for (const [notice, said] of [["owner", ["c1: delivery lost, told to owner: MSG_002"]], ["chat", ["c9: delivery lost, told to chat: MSG_002"]], ["none", []]] as const) {
      const { gateway, channel, receive } = await setup({ limits: { notice } });
      await claimed(gateway, receive);
      channel.sent.length = 0;
      const lost: string[] = [];
      gateway.events.on("dead", (one) => lost.push(one.what));
      channel.fail = (_op, draft) => (draft.text === "hi" ? new ChannelError("MSG_002", { retry: "no" }, "kicked: token 123") : undefined);
      await gateway.deliver({ run: "1.x.n", step: "s", op: "send", to: { channel: "scripted", account: "acc", chat: "c9", kind: "direct" }, draft: { text: "hi" } });
      await settle();
      assert.deepEqual(channel.sent.map((one) => `${one.to.chat}: ${one.text}`), said);
      channel.fail = () => new ChannelError("MSG_002", { retry: "no" });
      await gateway.deliver({ run: "1.x.n", step: "s2", op: "send", to: { channel: "scripted", account: "acc", chat: "c9", kind: "direct" }, draft: { text: "hi" } });
      await settle();
      assert.deepEqual(lost, notice === "none" ? ["delivery", "delivery"] : ["delivery", "delivery", "delivery"], "a notice that is lost makes no other");
    }
  });

  it("tells the owner once that a budget came near, unless nobody is to hear of it, and says in a chat what was used", async () => {
    const usual = { id: "m", provider: "p", contextTokens: 1000, price: { input: 10_000, output: 0 }, async *stream() { yield { type: "end" as const, reason: "stop" as const, usage: { input: 85, output: 0 } }; } };
    for (const notice of ["owner", "none"] as const) {
      const { gateway, channel, receive } = await setup({ limits: { notice, budgets: { personDay: { tokens: 100, micros: 5_000_000 } }, timeZone: "UTC" } });
      await claimed(gateway, receive);
      channel.sent.length = 0;
      for (const run of ["1.s.in", "2.s.in"]) {
        const payer = gateway.ledger.payer({ subject: { run, message: "m", session: "s", channel: "scripted", account: "acc", person: "me", agent: "helper" }, since: 0, budgets: {} });
        for await (const _ of chargeModel(usual).stream({ system: "", turns: [], tools: [], live: false, maxTokens: 5, payer }, new AbortController().signal));
        payer.close();
      }
      await settle();
      assert.deepEqual(channel.sent.map((one) => `${one.to.chat}: ${one.text}`), notice === "none" ? [] : ["c1: near personDay tokens of helper"]);
      channel.sent.length = 0;
      await receive(message({ text: "/usage", from: "me" }));
      await settle();
      assert.equal(channel.sent.map(({ text }) => text).join("\n"), ["You: today 170 tokens, US$ 1.70; this month 170 tokens, US$ 1.70.", "This talk: 0 tokens, US$ 0.00.", "Of your tokens for today 170 of 100 are used.", "Of your money for today US$ 1.70 of 5.00 are used."].join("\n"));
    }
  });

  it("closes everything", async () => {
    const { gateway, channel } = await setup();
    await gateway.close();
    assert.equal(channel.closed, 1);
  });
});
