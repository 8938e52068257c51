/** The parts of the chat page that need no browser. */
import assert from "node:assert/strict";
import type { Entry, ServerEvent } from "../../engine/channels/webchat/protocol.ts";
import { openLink, readEvents } from "../../web/link.ts";
import { createLocal } from "../../web/local.ts";
import { createModel, type Outgoing } from "../../web/model.ts";
import { createQueue } from "../../web/outgoing.ts";
import { ServerFault } from "../../web/server.ts";
import { pickLanguage, sayIn } from "../../web/strings.ts";
import { until } from "../kit/scripted.ts";

const say = sayIn("en");
const entry = (seq: number, more: Partial<Entry> = {}): Entry => ({ seq, from: "bot", at: seq, text: `entry ${seq}`, ...more });
const hello = (fresh: boolean): ServerEvent => ({ type: "hello", hello: { title: "Home", welcome: "", suggestions: [], notice: "", accent: "", visitor: "web-1", trust: "known", maxUploadBytes: 0, fresh, more: false } });
const outgoing = (clientId: string, more: Partial<Outgoing> = {}): Outgoing => ({ clientId, text: clientId, files: [], at: 1, state: "sending", ...more });
function fakeStorage(): Storage {
  const all = new Map<string, string>();
  return { get length() { return all.size; }, key: (at: number) => [...all.keys()][at] ?? null, getItem: (key: string) => all.get(key) ?? null, setItem: (key: string, value: string) => void all.set(key, value), removeItem: (key: string) => void all.delete(key), clear: () => all.clear() } as Storage;
}

describe("the page's model", () => {
  it("orders by place: entries, then what is on its way, then what is being written", () => {
    const model = createModel(() => 0);
    model.apply(hello(true));
    model.put(outgoing("c9"));
    model.apply({ type: "preview", key: "k", text: "He", plain: false });
    model.apply({ type: "entry", entry: entry(2) });
    model.apply({ type: "entry", entry: entry(1) });
    assert.deepEqual(model.items().map(({ id }) => id), ["r:1", "r:2", "c:c9", "k:k"]);
  });

  it("keeps a message's id from its preview, or its sending, to its entry", () => {
    const model = createModel(() => 0);
    model.apply(hello(true));
    model.put(outgoing("c1"));
    model.apply({ type: "preview", key: "k1", text: "He", plain: false });
    const before = model.items().map(({ id }) => id);
    model.apply({ type: "entry", entry: entry(1, { from: "visitor", clientId: "c1" }) });
    model.apply({ type: "entry", entry: entry(2, { key: "k1" }) });
    model.apply({ type: "preview", key: "k1", text: "late", plain: false });
    assert.deepEqual(model.items().map(({ id, type }) => [id, type]), before.map((id) => [id, "entry"]));
  });

  it("shows a message again when a stranger's entry is taken back", () => {
    const model = createModel(() => 0);
    model.apply(hello(true));
    model.put(outgoing("c1"));
    model.apply({ type: "entry", entry: entry(1, { from: "visitor", clientId: "c1" }) });
    model.put(outgoing("c1", { state: "refused" }));
    assert.equal(model.items().length, 1);
    model.apply({ type: "change", ref: "1", entry: null });
    assert.deepEqual(model.items().map(({ id, type }) => [id, type]), [["c:c1", "outgoing"]]);
  });

  it("drops previews with the connection, and everything with a fresh start", () => {
    const model = createModel(() => 0);
    model.apply(hello(true));
    model.apply({ type: "entry", entry: entry(1) });
    model.apply({ type: "preview", key: "k", text: "He", plain: false });
    model.apply(hello(false));
    assert.deepEqual(model.items().map(({ id }) => id), ["r:1"]);
    model.apply(hello(true));
    assert.deepEqual(model.items(), []);
  });

  it("gives the same item for an entry that did not change", () => {
    const model = createModel(() => 0);
    model.apply({ type: "entry", entry: entry(1) });
    const [before] = model.items();
    model.apply({ type: "entry", entry: entry(2) });
    assert.equal(model.items()[0], before);
    model.apply({ type: "change", ref: "1", entry: entry(1, { text: "other" }) });
    assert.notEqual(model.items()[0], before);
  });

  it("adds older entries once, without touching newer ones", () => {
    const model = createModel(() => 0);
    model.apply({ type: "entry", entry: entry(5, { text: "new" }) });
    model.addOlder([entry(4), entry(5, { text: "old" })]);
    assert.deepEqual(model.items().map((item) => item.type === "entry" && item.entry.text), ["entry 4", "new"]);
  });
});

describe("the page's link", () => {
  const bytes = (...pieces: (string | Uint8Array)[]) => new ReadableStream<Uint8Array>({ start(controller) { for (const piece of pieces) controller.enqueue(typeof piece === "string" ? new TextEncoder().encode(piece) : piece); controller.close(); } });
  it("reads frames wherever the stream is cut, also within a letter", async () => {
    const whole = new TextEncoder().encode('id: 5\ndata: {"a":"ü😀"}\n\n: beat\n\ndata: one\ndata: two\n\ndata: cut');
    for (let at = 1; at < whole.length; at++) {
      const got: unknown[] = [];
      let alive = 0;
      for await (const frame of readEvents(bytes(whole.slice(0, at), whole.slice(at)), () => { alive++; })) got.push(frame);
      assert.deepEqual(got, [{ id: "5", data: '{"a":"ü😀"}' }, { id: undefined, data: "one\ntwo" }], `cut at ${at}`);
      assert.equal(alive, 2);
    }
  });

  it("comes back after a break with the last place it saw, and tells its state", async () => {
    const asked: (string | undefined)[] = [];
    const states: string[] = [];
    const answers = [() => bytes('id: 7\ndata: {"type":"typing"}\n\n'), () => { throw new ServerFault(503, "CONN_001", "not deployed"); }, () => new ReadableStream<Uint8Array>()];
    const link = openLink({ events: async (last) => { asked.push(last); return (answers.shift() as () => ReadableStream<Uint8Array>)(); } }, () => undefined, (now) => states.push(now.state === "lost" ? `lost ${now.fault ?? ""}` : now.state));
    await until(() => asked.length === 3 && states.at(-1) === "open");
    assert.deepEqual(asked, [undefined, "7", "7"]);
    assert.deepEqual(states, ["connecting", "open", "lost ", "lost not deployed", "open"]);
    link.close();
  });
});

describe("the page's queue", () => {
  function rig(answers: (() => Promise<{ state: "saved"; ref: string } | { state: "refused" }>)[], storage = fakeStorage()) {
    const local = createLocal("/", storage);
    const sent: string[] = [];
    const shown: string[] = [];
    const queue = createQueue(local, {
      async send({ clientId, text }) { sent.push(`${clientId} ${text}`); return (answers.shift() ?? (async () => ({ state: "saved" as const, ref: "1" })))(); },
    }, say, () => "Ada", (message) => shown.push(message === undefined ? "gone" : `${message.text} ${message.state}${message.note === undefined ? "" : ` (${message.note})`}`));
    return { queue, sent, shown, local, storage };
  }
  const fails = (fault: ServerFault) => async () => { throw fault; };

  it("sends in order, each with one id, and forgets what was confirmed", async () => {
    const { queue, sent, shown, local } = rig([]);
    queue.add("one", [], undefined);
    queue.add("two", [], undefined);
    await until(() => shown.at(-1) === "two sent");
    assert.deepEqual(sent.map((each) => each.split(" ")[1]), ["one", "two"]);
    assert.deepEqual(local.list("out/"), []);
  });

  it("keeps the order while nobody answers, and sends the same id again", async () => {
    const { queue, sent, shown } = rig([fails(new ServerFault(0, "", "no connection"))]);
    queue.add("one", [], undefined);
    queue.add("two", [], undefined);
    await until(() => shown.includes("one waiting (Not sent yet. Waiting for the connection.)"));
    queue.add("three", [], undefined);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(sent.length, 1, "what waits holds back the rest");
    queue.wake();
    await until(() => shown.at(-1) === "three sent");
    assert.deepEqual(sent.map((each) => each.split(" ")[1]), ["one", "one", "two", "three"]);
    assert.equal(sent[0], sent[1]);
  });

  it("waits as long as the server asks", async () => {
    const { queue, sent, shown } = rig([fails(new ServerFault(429, "CONN_003", "slow down", 30))]);
    queue.add("one", [], undefined);
    await until(() => shown.at(-1) === "one sent");
    assert.ok(shown.includes("one waiting (Too fast. Sent again in 1 s.)"));
    assert.equal(sent.length, 2);
  });

  it("gives up what can never be sent, says why, and goes on with the next", async () => {
    const { queue, shown, local } = rig([fails(new ServerFault(413, "MSG_003", "too large"))]);
    queue.add("one", [], undefined);
    queue.add("two", [], undefined);
    await until(() => shown.at(-1) === "two sent");
    assert.ok(shown.includes("one failed (Not sent: too large)"));
    const [kept] = local.list("out/");
    queue.remove(String(kept?.[0]).slice("out/".length));
    assert.deepEqual([shown.at(-1), local.list("out/")], ["gone", []]);
  });

  it("keeps a refused message for another try, which a reload is", async () => {
    const { queue, shown, storage } = rig([async () => ({ state: "refused" })]);
    queue.add("one", [], undefined);
    await until(() => shown.at(-1) === "one refused");
    const after = rig([], storage);
    assert.deepEqual(after.shown, ["one sending"]);
    after.queue.wake();
    await until(() => after.shown.at(-1) === "one sent");
  });
});

describe("what the page keeps", () => {
  it("is one token for all tabs, apart for each chat of a server", () => {
    const storage = fakeStorage();
    const first = createLocal("/a/", storage);
    assert.match(first.token, /^[0-9a-f]{32}$/);
    assert.equal(createLocal("/a/", storage).token, first.token);
    assert.notEqual(createLocal("/b/", storage).token, first.token);
  });
  it("lives as long as the page where the browser keeps nothing, or is full", () => {
    for (const storage of [undefined, { ...fakeStorage(), getItem: () => null, key: () => null, setItem: () => { throw new Error("full"); } } as Storage]) {
      const local = createLocal("/", storage);
      assert.match(local.token, /^[0-9a-f]{32}$/);
      local.set("out/1", { a: 1 });
      assert.deepEqual([local.get("out/1"), local.list("out/")], [{ a: 1 }, [["out/1", { a: 1 }]]]);
      local.set("out/1", undefined);
      assert.equal(local.get("out/1"), undefined);
    }
  });
});

describe("what the page says", () => {
  it("is in the browser's language where there is a table, else in English", () => {
    assert.deepEqual([["de-AT", "en"], ["fr", "de"], ["ja"], [], ["constructor"]].map(pickLanguage), ["de", "de", "en", "en", "en"]);
    assert.equal(sayIn("de")("send"), "Senden");
  });
  it("puts values in once, as they are", () => {
    assert.equal(say("notSent", { text: "{text} {n} $& <b>" }), "Not sent: {text} {n} $& <b>");
    assert.equal(say("notSent"), "Not sent: {text}");
  });
});
