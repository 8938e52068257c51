/** The judge finds what is planted: each case is a right log with one thing made wrong. */
import assert from "node:assert/strict";
import { judge, type Counts, type Finding, type Kill, unfinished } from "./judge.ts";
import { answerTo } from "./stubs/model.ts";
import type { Entry } from "./stubs/log.ts";

interface Logs { platform: Entry[]; model: Entry[]; kills: Kill[]; counts: Counts }
const TEXTS = ["m1", "m2 tool", "m3 long", "m4", "m5 tool long", "m6"];
const CHATS: Record<string, string> = { m1: "key/a", m2: "key/a", m3: "evidence/b", m4: "none/c", m5: "none/c", m6: "none/c" };

/** A day on which all went well; times are 10 ms apart. */
function rightLogs(): Logs {
  let t = 0;
  const entry = (what: string, fields: Record<string, unknown>): Entry => { t += 10; return { t, what, ...fields }; };
  const platform: Entry[] = [];
  const model: Entry[] = [];
  const history: Record<string, string[]> = {};
  for (const text of TEXTS) {
    const id = text.split(" ")[0] as string;
    const [bot, chat] = (CHATS[id] as string).split("/");
    platform.push(entry("said", { bot, chat, id, text }), entry("acked", { bot, chat, id }));
    const past = [...history[CHATS[id] as string] ?? [], id];
    history[CHATS[id] as string] = past;
    model.push(entry("asked", { id, round: 0, history: past }));
    if (text.includes("tool")) {
      platform.push(entry("effect", { id }));
      model.push(entry("asked", { id, round: 1, history: past, told: `{"noted":"${id}"}` }));
    }
    for (const [part, shown] of answerTo(text).split("\n\n").entries()) platform.push(entry("shown", { bot, chat, text: shown, key: `${id}.${part}`, ref: `r-${id}-${part}` }));
  }
  return { platform, model, kills: [], counts: { received: 6, pending: 0, done: 6, dead: 0, outbox: { planned: 0, sending: 0, sent: 10, dead: 0 } } };
}
const judged = ({ platform, model, kills, counts }: Logs) => judge(platform, model, kills, counts);
const found = (logs: Logs): Finding["what"][] => [...new Set(judged(logs).findings.map(({ what }) => what))].sort();
const at = (logs: Logs, what: string, id: string): number => {
  const place = logs.platform.findIndex((entry) => entry.what === what && (entry.id === id || String(entry.key ?? "").startsWith(`${id}.`)));
  assert.ok(place >= 0, `${what} ${id}`);
  return place;
};
const shownAgain = (logs: Logs, id: string): Entry => ({ ...(logs.platform[at(logs, "shown", id)] as Entry), t: 5_000 });
const kill = (t: number): Kill => ({ t, until: t + 5, point: "after-write" });

/** What is made wrong, and what the judge must say to it and to nothing else. */
const PLANTED: readonly { readonly name: string; readonly plant: (logs: Logs) => void; readonly finds: readonly Finding["what"][] }[] = [
  { name: "a confirmed message that was never answered", plant: (logs) => { logs.platform.splice(at(logs, "shown", "m1"), 1); }, finds: ["lost"] },
  { name: "a message that was never confirmed", plant: (logs) => { logs.platform.splice(at(logs, "acked", "m4"), 1); }, finds: ["unacknowledged"] },
  { name: "a part that is missing", plant: (logs) => { logs.platform.splice(at(logs, "shown", "m3") + 1, 1); }, finds: ["incomplete"] },
  { name: "a doubled answer where the platform honours a key, kill or not", plant: (logs) => { logs.platform.push(shownAgain(logs, "m2")); logs.kills.push(kill(4_000)); }, finds: ["doubled"] },
  { name: "a doubled part where the platform lets one look", plant: (logs) => { logs.platform.push(shownAgain(logs, "m3")); logs.kills.push(kill(4_000)); }, finds: ["doubled"] },
  { name: "a doubled answer where the platform offers nothing and nothing was killed", plant: (logs) => { logs.platform.push(shownAgain(logs, "m6")); }, finds: ["doubled"] },
  { name: "a doubled answer outside the send window: more was said after it", plant: (logs) => { logs.platform.push(shownAgain(logs, "m4")); logs.kills.push(kill(4_000)); }, finds: ["doubled"] },
  { name: "an answer shown three times for one kill", plant: (logs) => { const again = shownAgain(logs, "m6"); logs.platform.push(again, { ...again, t: 5_010 }); logs.kills.push(kill(4_000)); }, finds: ["doubled"] },
  { name: "an answer again in each of two chats for one kill", plant: (logs) => { inTwoChats(logs); logs.kills.push(kill(6_020)); }, finds: ["doubled"] },
  { name: "two answers in the wrong order", plant: (logs) => { const one = at(logs, "shown", "m1"); const two = at(logs, "shown", "m2"); const [first] = logs.platform.splice(one, 1, logs.platform[two] as Entry); logs.platform[two] = first as Entry; }, finds: ["order"] },
  { name: "two parts in the wrong order", plant: (logs) => { const one = at(logs, "shown", "m3"); logs.platform.splice(one + 1, 0, ...logs.platform.splice(one, 1)); }, finds: ["order"] },
  { name: "an answer in another person's chat", plant: (logs) => { const place = at(logs, "shown", "m1"); logs.platform[place] = { ...(logs.platform[place] as Entry), bot: "none", chat: "c" }; }, finds: ["lost", "strange"] },
  { name: "a text that answers nothing", plant: (logs) => { logs.platform.push({ t: 5_000, what: "shown", bot: "key", chat: "a", text: "Something went wrong." }); }, finds: ["strange"] },
  { name: "a tool that worked twice", plant: (logs) => { logs.platform.push({ t: 5_000, what: "effect", id: "m5" }); }, finds: ["tool doubled"] },
  { name: "a tool that did nothing and was said to have worked", plant: (logs) => { logs.platform.splice(at(logs, "effect", "m5"), 1); }, finds: ["tool missing"] },
  { name: "a model asked twice without need", plant: (logs) => { logs.model.push({ ...(logs.model[0] as Entry), t: 5_000 }); }, finds: ["model repeated"] },
  { name: "a model asked three times for one kill", plant: (logs) => { const one = logs.model[0] as Entry; logs.model.push({ ...one, t: 5_000 }, { ...one, t: 5_010 }); logs.kills.push(kill(4_000)); }, finds: ["model repeated"] },
  { name: "two pollers of one bot", plant: (logs) => { logs.platform.push({ t: 5_000, what: "two pollers", bot: "evidence" }); }, finds: ["two pollers"] },
  { name: "a message twice in the model's past", plant: (logs) => { logs.model[1] = { ...(logs.model[1] as Entry), history: ["m1", "m1", "m2"] }; }, finds: ["history"] },
  { name: "another person's message in the model's past", plant: (logs) => { logs.model[1] = { ...(logs.model[1] as Entry), history: ["m4", "m2"] }; }, finds: ["history"] },
  { name: "a message that our own count does not know", plant: (logs) => { logs.counts = { ...logs.counts, received: 5, done: 5 }; }, finds: ["conservation"] },
  { name: "a message that is nowhere in our own count", plant: (logs) => { logs.counts = { ...logs.counts, done: 5 }; }, finds: ["conservation"] },
  { name: "a dead letter", plant: (logs) => { logs.counts = { ...logs.counts, done: 5, dead: 1 }; }, finds: ["conservation"] },
  { name: "a placeholder that was never filled", plant: (logs) => { live(logs, { t: 6_020, what: "shown", ref: "q", text: "a:m7:1/1" }); }, finds: ["strange"] },
  { name: "a live answer that ends without its text", plant: (logs) => { live(logs, { t: 6_020, what: "edited", ref: "p", text: "a:m" }); }, finds: ["lost", "strange"] },
  { name: "a row left in the outbox", plant: (logs) => { logs.counts = { ...logs.counts, outbox: { sent: 10, sending: 1 } }; }, finds: ["outbox"] },
];

/** A placeholder of a live answer, and what became of it: "m7" in a chat of Telegram. */
function live(logs: Logs, ...more: Entry[]): void {
  const where = { bot: "telegram", chat: "7001" };
  logs.platform.push({ t: 6_000, what: "said", ...where, id: "m7", text: "m7" }, { t: 6_001, what: "acked", ...where, id: "m7" }, { t: 6_010, what: "shown", ...where, ref: "p", text: "…" }, ...more.map((entry) => ({ ...where, ...entry })));
  logs.counts = { ...logs.counts, received: 7, done: 7 };
}

/** "m6" again, and "m7", which was said later in a chat of Telegram. */
function inTwoChats(logs: Logs): void {
  live(logs, { t: 6_015, what: "edited", ref: "p", text: "a:m7:1/1" });
  logs.platform.push({ ...shownAgain(logs, "m6"), t: 6_030 }, { t: 6_040, what: "shown", bot: "telegram", chat: "7001", ref: "q", text: "a:m7:1/1" });
}

/** What a kill excuses, and what is no fault at all. */
const ALLOWED: readonly { readonly name: string; readonly plant: (logs: Logs) => void }[] = [
  { name: "the last answer of a chat again after a kill, where the platform offers nothing", plant: (logs) => { logs.platform.push(shownAgain(logs, "m6")); logs.kills.push(kill(4_000)); } },
  { name: "the same, when the request was still on the wire as the process died", plant: (logs) => { const place = at(logs, "shown", "m6"); logs.platform[place] = { ...(logs.platform[place] as Entry), t: 4_003 }; logs.platform.push(shownAgain(logs, "m6")); logs.kills.push(kill(4_000)); } },
  { name: "an answer again in each of two chats for two kills, whichever is looked at first", plant: (logs) => { inTwoChats(logs); logs.kills.push(kill(6_020), kill(4_000)); } },
  { name: "a live answer whose text comes by edits", plant: (logs) => { live(logs, { t: 6_020, what: "edited", ref: "p", text: "a:m" }, { t: 6_030, what: "edited", ref: "p", text: "a:m7:1/1" }); } },
  { name: "a placeholder that was taken away", plant: (logs) => { live(logs, { t: 6_020, what: "removed", ref: "p" }, { t: 6_030, what: "shown", ref: "q", text: "a:m7:1/1" }); } },
  { name: "an answer of three parts in one message again after a kill", plant: (logs) => { live(logs, { t: 6_020, what: "edited", ref: "p", text: "a:m7:1/1" }); for (const t of [6_030, 6_060]) logs.platform.push({ t, what: "shown", bot: "telegram", chat: "7001", ref: `r${t}`, text: answerTo("m8 long") }); logs.platform.push({ t: 6_025, what: "said", bot: "telegram", chat: "7001", id: "m8", text: "m8 long" }, { t: 6_026, what: "acked", bot: "telegram", chat: "7001", id: "m8" }); logs.counts = { ...logs.counts, received: 8, done: 8 }; logs.kills.push(kill(6_050)); } },
  { name: "the model asked again after a kill", plant: (logs) => { logs.model.push({ ...(logs.model[0] as Entry), t: 5_000 }); logs.kills.push(kill(4_000)); } },
  { name: "the model asked again after an answer that failed", plant: (logs) => { logs.model.unshift({ ...(logs.model[0] as Entry), t: 1, fault: 500 }); } },
  { name: "no effect of a tool, when the model was told that nobody knows", plant: (logs) => { logs.platform.splice(at(logs, "effect", "m5"), 1); const place = logs.model.findIndex(({ id, told }) => id === "m5" && told !== undefined); logs.model[place] = { ...(logs.model[place] as Entry), told: "[TOOL_005] The outcome of this call is unknown" }; } },
];

describe("the judge", () => {
  it("finds nothing where all went well", () => {
    const verdict = judged(rightLogs());
    assert.deepEqual(verdict, { findings: [], messages: 6, parts: 10, extras: [], modelCalls: 8, modelRepeats: 0, effects: 2, deadRows: 0 });
    assert.deepEqual(unfinished(rightLogs().platform), []);
  });
  for (const { name, plant, finds } of PLANTED) {
    it(`finds ${name}`, () => {
      const logs = rightLogs();
      plant(logs);
      assert.deepEqual(found(logs), finds);
    });
  }
  for (const { name, plant } of ALLOWED) {
    it(`allows ${name}`, () => {
      const logs = rightLogs();
      plant(logs);
      assert.deepEqual(judged(logs).findings, []);
    });
  }
  it("counts what a kill doubled", () => {
    const logs = rightLogs();
    ALLOWED[0]?.plant(logs);
    assert.deepEqual(judged(logs).extras.map(({ id }) => id), ["m6"]);
  });
  it("says what is still open", () => {
    const logs = rightLogs();
    logs.platform.splice(at(logs, "acked", "m4"), 1);
    logs.platform.splice(at(logs, "shown", "m5"), 1);
    assert.deepEqual(unfinished(logs.platform), ["m4", "m5"]);
  });
});
