import assert from "node:assert/strict";
import fc from "fast-check";
import type { Entry, ServerEvent } from "../../engine/channels/webchat/protocol.ts";
import { createStreams } from "../../engine/channels/webchat/streams.ts";
import { createTranscript, type Page, type Transcript } from "../../engine/channels/webchat/transcript.ts";
import { createRate } from "../../engine/channels/webchat/visitor.ts";
import { type Clock, systemClock } from "../../engine/clock.ts";
import type { Message } from "../../engine/message.ts";
import { createModel } from "../../web/model.ts";
import { createStorage } from "../platforms/host.ts";

const CHAT = `web-${"0".repeat(32)}`;
const message = (entry: Entry): Message => ({ id: entry.clientId, text: entry.text }) as Message;
const clockAt = (now: { ms: number }): Clock => ({ ...systemClock, now: () => now.ms, monotonic: () => now.ms });

function rig(keep?: number, storage = createStorage()) {
  const now = { ms: 1_000 };
  const told: ServerEvent[] = [];
  const transcript = createTranscript({ storage, clock: clockAt(now), tell: (_, event) => told.push(event), ...(keep === undefined ? {} : { keep }) });
  return { storage, now, told, transcript, again: () => rig(keep, storage).transcript };
}
async function page(transcript: Transcript, after?: number, limit = 200): Promise<Page> {
  let got: Page | undefined;
  await transcript.resume(CHAT, after, limit, async (given) => { got = given; });
  return got as Page;
}
const texts = ({ events }: Page) => events.flatMap(({ event }) => (event.type === "entry" ? [event.entry.text] : []));

describe("the transcript of a web chat", () => {
  it("gives each entry a place after all others, also when the clock stands still, goes back, or the process is another", async () => {
    const { transcript, now, again } = rig();
    const first = await transcript.addBot(CHAT, { from: "bot", text: "1", key: "k1" });
    const second = await transcript.addBot(CHAT, { from: "bot", text: "2", key: "k2" });
    now.ms = 10;
    const third = await transcript.addBot(CHAT, { from: "bot", text: "3", key: "k3" });
    const fourth = await again().addBot(CHAT, { from: "bot", text: "4", key: "k4" });
    assert.deepEqual([first, second, third, fourth], ["1000", "1001", "1002", "1003"]);
  });

  it("never uses the place of a withdrawn message again", async () => {
    const { transcript, now, again } = rig();
    const { entry } = await transcript.addVisitor(CHAT, { from: "visitor", text: "x", clientId: "c1" }, message);
    await transcript.withdraw(CHAT, entry?.seq ?? 0);
    assert.equal(await transcript.addBot(CHAT, { from: "bot", text: "y", key: "k1" }), "1001");
    now.ms += 1;
    assert.ok(Number(await again().addBot(CHAT, { from: "bot", text: "z", key: "k2" })) > 1001);
  });

  it("keeps the newest entries, and forgets the keys, ids and files of older ones with them", async () => {
    const { transcript, storage } = rig(10);
    for (let n = 0; n < 50; n++) {
      const { entry } = await transcript.addVisitor(CHAT, { from: "visitor", text: `v${n}`, clientId: `c${n}`, files: [{ id: `f${n}`, name: "a", mime: "b", kind: "document" }] }, message);
      await transcript.settle(CHAT, entry?.seq ?? 0);
      await transcript.addBot(CHAT, { from: "bot", text: `b${n}`, key: `k${n}` }, { [`file/f${n}`]: {} });
    }
    const kept = (prefix: string) => [...storage.all.keys()].filter((key) => key.startsWith(prefix)).length;
    assert.ok(kept("chat/") >= 10 && kept("chat/") <= 20, String(kept("chat/")));
    assert.ok(kept("key/") <= 10 && kept("client/") <= 10 && kept("file/") <= 11 && kept("pending/") === 0);
    assert.deepEqual((await transcript.history(CHAT)).slice(-2).map(({ text }) => text), ["v49", "b49"]);
    assert.equal(await transcript.byKey("k49"), String((await transcript.history(CHAT)).at(-1)?.seq));
  });

  it("gives a new page the newest entries and says that there are more; a long one counts for many", async () => {
    const { transcript } = rig();
    for (let n = 0; n < 6; n++) await transcript.addBot(CHAT, { from: "bot", text: `b${n}`, key: `k${n}` });
    const short = await page(transcript, undefined, 4);
    assert.deepEqual([texts(short), short.more, short.fresh], [["b2", "b3", "b4", "b5"], true, true]);
    assert.deepEqual([texts(await page(transcript)).length, (await page(transcript)).more], [6, false]);
    for (let n = 0; n < 4; n++) await transcript.addVisitor(CHAT, { from: "visitor", text: "x".repeat(1_000_000), clientId: `c${n}` }, message);
    const long = await page(transcript);
    assert.deepEqual([long.events.length, long.more], [2, true]);
  });

  it("adds nothing while a page is being given what it missed", async () => {
    const { transcript, told } = rig();
    let done = false;
    const resumed = transcript.resume(CHAT, undefined, 10, async () => { await new Promise((resolve) => setTimeout(resolve, 20)); done = true; });
    const added = transcript.addBot(CHAT, { from: "bot", text: "x", key: "k" }).then(() => assert.ok(done));
    await Promise.all([resumed, added]);
    assert.equal(told.length, 1);
  });

  it("goes on after the storage failed once", async () => {
    const { transcript, storage } = rig();
    const { set } = storage;
    storage.set = async () => { throw new Error("disk full"); };
    await assert.rejects(transcript.addBot(CHAT, { from: "bot", text: "x", key: "k" }), /disk full/);
    storage.set = set;
    await transcript.addBot(CHAT, { from: "bot", text: "x", key: "k" });
    assert.deepEqual(texts(await page(transcript)), ["x"]);
  });

  it("makes every page the same, wherever its connection broke and however often", async () => {
    const act = fc.oneof(
      fc.record({ do: fc.constant("bot" as const), key: fc.nat(8) }), fc.record({ do: fc.constant("visitor" as const), id: fc.nat(8) }),
      fc.record({ do: fc.constant("edit" as const), at: fc.nat(10) }), fc.record({ do: fc.constant("remove" as const), at: fc.nat(10) }), fc.constant({ do: "break" as const }), fc.constant({ do: "restart" as const }),
    );
    await fc.assert(fc.asyncProperty(fc.array(act, { maxLength: 25 }), async (acts) => {
      const storage = createStorage();
      const now = { ms: 1_000 };
      const model = createModel(() => 0);
      let last: number | undefined;
      let connected = false;
      const open = () => createTranscript({ storage, clock: clockAt(now), tell: (_, event, id) => { if (!connected) return; model.apply(event); if (id !== undefined) last = id; } });
      let transcript = open();
      const connect = () => transcript.resume(CHAT, last, 200, async ({ fresh, more, head, events }) => {
        model.apply({ type: "hello", hello: { fresh, more } as never });
        for (const { event } of events) model.apply(event);
        last = head;
        connected = true;
      });
      await connect();
      const refs: string[] = [];
      for (const step of acts) {
        now.ms += 1;
        if (step.do === "bot") refs.push(await transcript.addBot(CHAT, { from: "bot", text: `bot ${step.key}`, key: `k${step.key}` }));
        else if (step.do === "visitor") refs.push(String((await transcript.addVisitor(CHAT, { from: "visitor", text: `visitor ${step.id}`, clientId: `c${step.id}` }, message)).entry?.seq));
        else if (step.do === "edit") await transcript.change(CHAT, refs[step.at] ?? "1", (entry) => ({ ...entry, text: `${entry.text}!`, edited: true }));
        else if (step.do === "remove") await transcript.change(CHAT, refs[step.at] ?? "1", () => undefined);
        else if (step.do === "restart") { transcript = open(); connected = false; } else if (connected) connected = false;
        else await connect();
      }
      await connect();
      assert.deepEqual(model.items().map((item) => item.type === "entry" && item.entry), await transcript.history(CHAT));
    }), { numRuns: 300 });
  });
});

describe("the streams of a web chat", () => {
  it("replace a preview that was not read yet, keep everything else, and end with their page", async () => {
    const streams = createStreams(systemClock);
    const gone = new AbortController();
    const { stream, join } = streams.create(CHAT, gone.signal);
    join();
    for (const text of ["a", "ab", "abc"]) streams.tell(CHAT, { type: "preview", key: "k", text, plain: false });
    streams.tell(CHAT, { type: "typing" }, 7);
    const reader = stream.body[Symbol.asyncIterator]();
    assert.equal((await reader.next()).value, 'data: {"type":"preview","key":"k","text":"abc","plain":false}\n\nid: 7\ndata: {"type":"typing"}\n\n');
    const next = reader.next();
    assert.equal(streams.count(), 1);
    gone.abort();
    assert.equal((await next).done, true);
    assert.equal(streams.count(), 0);
  });

  it("cut off who reads nothing, but not for what it asked for itself", async () => {
    const streams = createStreams(systemClock);
    const { stream, join } = streams.create(CHAT, new AbortController().signal);
    const large = "x".repeat(5_000_000);
    stream.push({ type: "preview", key: "1", text: large, plain: false });
    stream.push({ type: "preview", key: "2", text: large, plain: false });
    join();
    assert.equal(streams.count(CHAT), 1);
    streams.tell(CHAT, { type: "preview", key: "3", text: large, plain: false });
    assert.equal(streams.count(CHAT), 1);
    streams.tell(CHAT, { type: "preview", key: "4", text: large, plain: false });
    assert.equal(streams.count(CHAT), 0);
  });

  it("say something from time to time", async () => {
    let beat: (() => void) | undefined;
    const streams = createStreams({ ...systemClock, after: (_, act) => { beat = act; return () => undefined; } });
    const { stream, join } = streams.create(CHAT, new AbortController().signal);
    join();
    beat?.();
    assert.equal((await stream.body[Symbol.asyncIterator]().next()).value, ": beat\n\n");
  });

  it("end with the next beat where nothing may be heard any more, and beat no more for nobody", () => {
    let beat: (() => void) | undefined;
    const streams = createStreams({ ...systemClock, after: (_, act) => { beat = act; return () => { beat = undefined; }; } });
    let may = true;
    streams.create(CHAT, new AbortController().signal, [], () => may).join();
    beat?.();
    assert.equal(streams.count(CHAT), 1);
    may = false;
    beat?.();
    assert.deepEqual([streams.count(), beat], [0, undefined]);
  });
});

describe("the rate of a visitor", () => {
  it("fills evenly, up to a minute's worth, for each by itself", () => {
    const now = { ms: 0 };
    const rate = createRate(clockAt(now), 20);
    for (let n = 0; n < 20; n++) assert.equal(rate.take("a"), 0);
    assert.equal(rate.take("a"), 3_000);
    assert.equal(rate.wait("b"), 0);
    now.ms = 1_500;
    assert.equal(rate.take("a"), 1_500);
    now.ms = 3_000;
    assert.equal(rate.take("a"), 0);
    assert.equal(rate.take("a"), 3_000);
    now.ms = 1e9;
    for (let n = 0; n < 20; n++) assert.equal(rate.take("a"), 0);
    assert.ok(rate.take("a") > 0);
  });
});
