/** One message at a time in the window of a crash, where the platform offers nothing against a second copy; judged by what the platform has in its hands. */
import assert from "node:assert/strict";
import type { Connection } from "../engine/channels/channel.ts";
import { splitDraft } from "../engine/channels/split.ts";
import { createOutbox, type Delivery, type Outbox, outboxKey } from "../engine/outbox.ts";
import { createMemoryStore } from "../engine/store/memory.ts";
import type { Store } from "../engine/store/store.ts";
import { MOST_WAITING, SLOW_MS } from "../engine/turns.ts";
import { manualClock, scriptedChannel, settle } from "./kit/scripted.ts";

const at = (chat: string) => ({ channel: "scripted", account: "acc", chat, kind: "direct" }) as const;
const say = (chat: string, more: Partial<Delivery> = {}): Delivery => ({ run: `1.x.${chat}`, step: "s", op: "send", to: at(chat), draft: { text: chat }, ...more });

interface Rig { readonly outbox: Outbox; readonly store: Store; readonly clock: ReturnType<typeof manualClock>; /** Handed over and not answered yet, by text. */ readonly inHand: string[]; /** The platform answers the oldest, and all is carried out that follows. */ answer(error?: Error): Promise<void>; connected: boolean }

async function setup(options: Parameters<typeof scriptedChannel>[0] & { store?: Store } = {}): Promise<Rig> {
  const { store = createMemoryStore() } = options;
  const channel = scriptedChannel(options);
  const made = await channel.open({ id: "acc", channel: "scripted", name: "acc", settings: {} }, {} as never);
  const open: { readonly resolve: () => void; readonly reject: (error: Error) => void }[] = [];
  const clock = manualClock();
  const held = (text: string) => new Promise<void>((resolve, reject) => { rig.inHand.push(text); open.push({ resolve, reject }); });
  const connection: Connection = { ...made, send: async (...sent) => { await held(sent[1].text); return made.send(...sent); } };
  const outbox = createOutbox({
    store, clock, random: () => 0.5, line: () => ({ channel, connection: rig.connected ? connection : undefined }),
    split: (draft, own) => splitDraft(draft, own.limits), onDead: () => undefined, isOver: async () => false,
  });
  const rig: Rig = {
    outbox, store, clock, inHand: [], connected: true,
    async answer(error) {
      rig.inHand.shift();
      const first = open.shift();
      if (error === undefined) first?.resolve();
      else first?.reject(error);
      await settle();
    },
  };
  return rig;
}

describe("turns", () => {
  it("hand over one message at a time where the platform could not tell a copy, over all chats, in their order", async () => {
    const { outbox, inHand, answer } = await setup();
    const all = ["a", "b", "c"].map((chat) => outbox.deliver(say(chat)));
    await settle();
    const seen = [[...inHand]];
    for (let n = 0; n < 3; n++) { await answer(); seen.push([...inHand]); }
    assert.deepEqual(seen, [["a"], ["b"], ["c"], []]);
    assert.deepEqual((await Promise.all(all)).map(({ state }) => state), ["sent", "sent", "sent"]);
  });

  it("mark nothing on disk as handed over that still waits for its turn", async () => {
    const { outbox, store, answer } = await setup();
    for (const chat of ["a", "b"]) void outbox.deliver(say(chat));
    await settle();
    const states = async () => Promise.all(["a", "b"].map(async (chat) => (await store.outboxRow(outboxKey({ run: `1.x.${chat}`, step: "s" }, 0)))?.state));
    assert.deepEqual(await states(), ["sending", "planned"]);
    await answer();
    assert.deepEqual(await states(), ["sent", "sending"]);
  });

  it("begin the next only when the record of the last is on disk", async () => {
    const store = createMemoryStore();
    let release: (() => void) | undefined;
    const slow: Store = { ...store, commit: async (changes) => {
      if (changes.some((change) => change.do === "outbox-update" && change.set.state === "sent")) await new Promise<void>((resolve) => { release = resolve; });
      return store.commit(changes);
    } };
    const { outbox, inHand, answer } = await setup({ store: slow });
    for (const chat of ["a", "b"]) void outbox.deliver(say(chat));
    await settle();
    await answer();
    assert.deepEqual(inHand, []);
    release?.();
    await settle();
    assert.deepEqual(inHand, ["b"]);
  });

  it("let the next go beside one whose platform is slow, one after the other", async () => {
    const { outbox, clock, inHand } = await setup();
    for (const chat of ["a", "b", "c"]) void outbox.deliver(say(chat));
    await settle();
    await clock.advance(SLOW_MS - 1);
    assert.deepEqual(inHand, ["a"]);
    await clock.advance(1);
    assert.deepEqual(inHand, ["a", "b"]);
    await clock.advance(SLOW_MS - 1);
    assert.deepEqual(inHand, ["a", "b"]);
    await clock.advance(1);
    assert.deepEqual(inHand, ["a", "b", "c"]);
  });

  it("let a burst go out side by side, until none has begun for a second", async () => {
    const { outbox, clock, inHand, answer } = await setup();
    const chats = Array.from({ length: MOST_WAITING + 4 }, (_, n) => `c${n}`);
    for (const chat of chats.slice(0, MOST_WAITING + 1)) void outbox.deliver(say(chat));
    await settle();
    assert.deepEqual(inHand, ["c0"]);
    for (const chat of chats.slice(MOST_WAITING + 1)) { void outbox.deliver(say(chat)); await settle(); }
    assert.deepEqual([...inHand].sort(), [...chats].sort());
    for (let n = 0; n < chats.length; n++) await answer();
    assert.deepEqual(inHand, []);
    for (const chat of ["d", "e"]) void outbox.deliver(say(chat));
    await settle();
    assert.deepEqual(inHand, ["d", "e"]);
    for (let n = 0; n < 2; n++) await answer();
    await clock.advance(SLOW_MS);
    for (const chat of ["f", "g"]) void outbox.deliver(say(chat));
    await settle();
    assert.deepEqual(inHand, ["f"], "one at a time again");
  });

  it("hold up nothing where the platform knows a key, or can be asked", async () => {
    for (const offer of [{ keyMs: 60_000 }, { find: true }]) {
      const { outbox, inHand } = await setup(offer);
      for (const chat of ["a", "b"]) void outbox.deliver(say(chat));
      await settle();
      assert.deepEqual(inHand, ["a", "b"], JSON.stringify(offer));
    }
  });

  it("let a placeholder wait too", async () => {
    const { outbox, clock, inHand, answer } = await setup({ edit: true });
    void outbox.deliver(say("a"));
    await settle();
    const live = outbox.live({ run: "1.x.b", step: "s", to: at("b") });
    live.show("half of it");
    await clock.advance(200);
    await settle();
    assert.deepEqual(inHand, ["a"]);
    await answer();
    assert.deepEqual(inHand, ["half of it"]);
    await answer();
    void outbox.deliver(say("c"));
    await settle();
    assert.deepEqual(inHand, ["c"]);
  });

  it("leave out the placeholder of an answer that is whole by its turn", async () => {
    const { outbox, clock, inHand, answer } = await setup({ edit: true });
    void outbox.deliver(say("a"));
    await settle();
    const live = outbox.live({ run: "1.x.b", step: "s", to: at("b") });
    live.show("half of it");
    await clock.advance(200);
    const whole = live.stop().then(() => outbox.deliver(say("b")));
    await answer();
    assert.deepEqual(inHand, ["b"]);
    await answer();
    assert.equal((await whole).state, "sent");
  });

  it("go on when the one inside is refused, cannot be saved, or has lost its connection", async () => {
    const store = createMemoryStore();
    let refuse = false;
    const moody: Store = { ...store, commit: async (changes) => { if (refuse) { refuse = false; throw new Error("the disk is gone"); } return store.commit(changes); } };
    const rig = await setup({ store: moody });
    refuse = true;
    await assert.rejects(rig.outbox.deliver(say("unsaved")));
    for (const chat of ["a", "b", "c"]) void rig.outbox.deliver(say(chat));
    await settle();
    assert.deepEqual(rig.inHand, ["a"]);
    await rig.answer(new Error("refused"));
    assert.deepEqual(rig.inHand, ["b"]);
    rig.connected = false;
    await rig.answer();
    assert.deepEqual(rig.inHand, []);
    rig.connected = true;
    void rig.outbox.deliver(say("d"));
    await settle();
    assert.deepEqual(rig.inHand, ["d"]);
  });
});
