/**
 * Says what went wrong, from what the stub platform and the stub model saw, and from when the process was killed; our own records are not asked.
 * Pure. What a message must get follows from its text alone (stubs/model.ts): one visible part "a:<id>:1/1", or three where it says "long".
 */
import type { Entry } from "./stubs/log.ts";

/** `t`: ordered; `until`: certainly gone, and what was on the wire has arrived. Milliseconds of the machine's monotonic clock. */
export interface Kill { readonly t: number; until: number; readonly point: string }
const between = (from: number, to: number) => (kill: Kill): boolean => kill.until > from && kill.t < to;
export interface Finding {
  readonly what: "lost" | "unacknowledged" | "incomplete" | "doubled" | "order" | "strange" | "tool doubled" | "tool missing" | "model repeated" | "two pollers" | "history" | "conservation" | "outbox";
  readonly id?: string;
  readonly text: string;
}
export interface Extra { readonly id: string; readonly kill: Kill }
export interface Verdict {
  readonly findings: readonly Finding[];
  readonly messages: number;
  readonly parts: number;
  /** What a platform of class "none" showed twice, each by a kill of its own in the send window: allowed, and counted. */
  readonly extras: readonly Extra[];
  readonly modelCalls: number;
  readonly modelRepeats: number;
  readonly effects: number;
  /** Rows our outbox gave up. */
  readonly deadRows: number;
}
/** The gateway's own count, held against what the platform knows. */
export interface Counts { readonly received: number; readonly pending: number; readonly done: number; readonly dead: number; readonly outbox: Readonly<Record<string, number>> }

interface Said { readonly bot: string; readonly chat: string; readonly id: string; readonly text: string }
interface Part { readonly id: string; readonly part: number; readonly of: number; readonly t: number }
const PART = /a:(m\d+):(\d+)\/(\d+)/g;

export const partsOf = (text: string): number => (/\blong\b/.test(text) ? 3 : 1);
const usesTool = (text: string): boolean => /\btool\b/.test(text);
const groupBy = <T>(items: readonly T[], key: (item: T) => string): Map<string, T[]> => {
  const groups = new Map<string, T[]>();
  for (const item of items) groups.set(key(item), [...groups.get(key(item)) ?? [], item]);
  return groups;
};
const seenParts = (entry: Entry): Part[] => [...String(entry.text).matchAll(PART)].map(([, id = "", part, of]) => ({ id, part: Number(part), of: Number(of), t: entry.t }));

/** What stands in the chats: each message at its place, with the text it has at last; without those that were removed. */
function standing(platform: readonly Entry[]): Entry[] {
  const texts = new Map<string, unknown>();
  const name = ({ bot, chat, ref }: Entry) => `${bot}/${chat}/${ref}`;
  for (const entry of platform) {
    if (entry.what === "edited") texts.set(name(entry), entry.text);
    else if (entry.what === "removed") texts.set(name(entry), undefined);
  }
  return platform.filter(({ what }) => what === "shown").flatMap((entry) => (texts.has(name(entry)) ? (texts.get(name(entry)) === undefined ? [] : [{ ...entry, text: texts.get(name(entry)) }]) : [entry]));
}

/** Ids that still lack a confirmation or a part: what a test waits for. */
export function unfinished(platform: readonly Entry[]): string[] {
  const acked = new Set(platform.filter(({ what }) => what === "acked").map(({ id }) => id));
  const shown = new Set(standing(platform).flatMap((entry) => seenParts(entry).map(({ id, part }) => `${id}:${part}`)));
  const done = ({ id, text }: Said) => acked.has(id) && Array.from({ length: partsOf(text) }, (_, part) => `${id}:${part + 1}`).every((key) => shown.has(key));
  return (platform.filter(({ what }) => what === "said") as unknown as Said[]).filter((said) => !done(said)).map(({ id }) => id);
}

export function judge(platform: readonly Entry[], model: readonly Entry[], kills: readonly Kill[], counts?: Counts): Verdict {
  const said = platform.filter(({ what }) => what === "said") as unknown as Said[];
  const findings: Finding[] = [];
  const copies: Copy[] = [];
  const acked = new Set(platform.filter(({ what }) => what === "acked").map(({ id }) => id as string));
  const shown = groupBy(standing(platform), ({ bot, chat }) => `${bot}/${chat}`);
  for (const [chat, messages] of groupBy(said, (one) => `${one.bot}/${one.chat}`)) judgeChat(chat, messages, shown.get(chat) ?? [], acked, kills, findings, copies);
  const extras = excuse(copies, findings);
  for (const chat of shown.keys()) if (!said.some((one) => `${one.bot}/${one.chat}` === chat)) findings.push({ what: "strange", text: `chat ${chat} got an answer, but nobody spoke there` });
  for (const { bot } of platform.filter(({ what }) => what === "two pollers")) findings.push({ what: "two pollers", text: `the bot ${String(bot)} was polled twice at once` });
  const effects = judgeTools(said, platform, model, findings);
  const { calls, repeats } = judgeModel(said, model, kills, findings);
  if (counts !== undefined) judgeCounts(said, acked, counts, findings);
  return { findings, messages: said.length, parts: said.reduce((sum, { text }) => sum + partsOf(text), 0), extras, modelCalls: calls, modelRepeats: repeats, effects, deadRows: counts?.outbox.dead ?? 0 };
}

/** What was seen again where the platform offers nothing and it was the last thing said, with the kills that can have been the reason. */
interface Copy { readonly id: string; readonly text: string; readonly kills: readonly Kill[] }

/** Each kill excuses one copy, over all chats. Which one is tried out, so that as many as possible are excused. */
function excuse(copies: readonly Copy[], findings: Finding[]): Extra[] {
  const excused = new Map<Kill, Copy>();
  const find = (copy: Copy, tried: Set<Kill>): boolean => copy.kills.some((kill) => {
    if (tried.has(kill)) return false;
    tried.add(kill);
    const other = excused.get(kill);
    if (other !== undefined && !find(other, tried)) return false;
    excused.set(kill, copy);
    return true;
  });
  for (const copy of copies) if (!find(copy, new Set())) findings.push({ what: "doubled", id: copy.id, text: copy.text });
  return [...excused].map(([kill, { id }]) => ({ id, kill }));
}

/** Every part once and in order; a second time only where the platform offers nothing and a kill came while it was the last thing said. */
function judgeChat(chat: string, messages: readonly Said[], shown: readonly Entry[], acked: ReadonlySet<string>, kills: readonly Kill[], findings: Finding[], copies: Copy[]): void {
  const expected = messages.flatMap(({ id, text }) => Array.from({ length: partsOf(text) }, (_, part) => `${id}:${part + 1}`));
  const first: string[] = [];
  const times = new Map<string, number[]>();
  const offersNothing = /^(?:none|telegram)\//.test(chat);
  for (const [place, entry] of shown.entries()) {
    const parts = seenParts(entry);
    if (parts.length === 0) findings.push({ what: "strange", text: `${chat} saw "${String(entry.text).slice(0, 120)}"` });
    const again = parts.filter(({ id, part }) => times.has(`${id}:${part}`));
    const earlier = again.map(({ id, part }) => times.get(`${id}:${part}`)?.at(-1) ?? 0);
    const before = shown[place - 1];
    const wasLast = before !== undefined && earlier.every((t) => t === before.t);
    const reasons = kills.filter((one) => earlier.every((t) => between(t, entry.t)(one)));
    const doubled = again.map(({ id, part }) => ({ id, text: `${chat} saw part ${part} of ${id} again${reasons.length === 0 ? ", and nothing was killed in between" : ` after the kill at ${reasons.map(({ point }) => point).join(", ")}`}` }));
    const [head] = doubled;
    if (offersNothing && wasLast && head !== undefined) copies.push({ ...head, kills: reasons });
    else findings.push(...doubled.map((one) => ({ what: "doubled" as const, ...one })));
    for (const { id, part, t } of parts) {
      const key = `${id}:${part}`;
      if (!times.has(key)) first.push(key);
      times.set(key, [...times.get(key) ?? [], t]);
    }
  }
  const known = new Set(expected);
  for (const key of first) if (!known.has(key)) findings.push({ what: "strange", text: `${chat} saw ${key}, which answers nothing said there` });
  const inOrder = expected.filter((key) => times.has(key));
  const wrong = first.filter((key) => known.has(key)).findIndex((key, place) => key !== inOrder[place]);
  if (wrong >= 0) findings.push({ what: "order", id: first[wrong]?.split(":")[0] ?? "", text: `${chat} saw ${first.slice(Math.max(0, wrong - 2), wrong + 3).join(", ")} where ${inOrder.slice(Math.max(0, wrong - 2), wrong + 3).join(", ")} was due` });
  for (const { id, text } of messages) {
    const missing = Array.from({ length: partsOf(text) }, (_, part) => `${id}:${part + 1}`).filter((key) => !times.has(key));
    if (!acked.has(id)) findings.push({ what: "unacknowledged", id, text: `${chat}: ${id} was never confirmed` });
    if (missing.length === 0) continue;
    findings.push({ what: missing.length < partsOf(text) ? "incomplete" : "lost", id, text: `${chat}: ${acked.has(id) ? "confirmed, but" : "not confirmed, and"} ${missing.join(", ")} never came` });
  }
}

/** An effect happens once. Not at all only where the model was told that it is not known. */
function judgeTools(said: readonly Said[], platform: readonly Entry[], model: readonly Entry[], findings: Finding[]): number {
  const effects = groupBy(platform.filter(({ what }) => what === "effect"), ({ id }) => String(id));
  for (const [id, times] of effects) if (times.length > 1) findings.push({ what: "tool doubled", id, text: `the tool had its effect ${times.length} times for ${id}` });
  for (const { id, text } of said) {
    if (!usesTool(text) || effects.has(id)) continue;
    const told = model.findLast((entry) => entry.what === "asked" && entry.id === id && entry.told !== undefined)?.told;
    if (told === undefined || String(told).includes(`"noted":"${id}"`)) findings.push({ what: "tool missing", id, text: `the tool had no effect for ${id}, and the model was told ${told === undefined ? "nothing" : "it had"}` });
  }
  return [...effects.values()].reduce((sum, times) => sum + times.length, 0);
}

/** The same question again: once for each kill in between, or after an answer that failed. What the model reads of the past has each message once and in order. */
function judgeModel(said: readonly Said[], model: readonly Entry[], kills: readonly Kill[], findings: Finding[]): { calls: number; repeats: number } {
  const asked = model.filter(({ what }) => what === "asked");
  const chats = new Map(said.map(({ id, bot, chat }) => [id, `${bot}/${chat}`]));
  const place = new Map(said.map(({ id }, index) => [id, index]));
  let repeats = 0;
  for (const [key, times] of groupBy(asked, ({ id, round }) => `${id} in round ${round}`)) {
    const failed = times.filter(({ fault }) => fault !== undefined).length;
    const again = times.length - 1 - failed;
    if (again <= 0) continue;
    repeats += again;
    const died = kills.filter(between((times[0] as Entry).t, (times.at(-1) as Entry).t)).length;
    if (again > died) findings.push({ what: "model repeated", id: String(times[0]?.id), text: `the model was asked ${times.length} times for ${key}; ${failed} failed, ${died} kills came in between` });
  }
  for (const { id, history } of asked) {
    const past = (history as string[]) ?? [];
    const sane = past.every((one, index) => chats.get(one) === chats.get(String(id)) && (index === 0 || (place.get(one) ?? -1) > (place.get(past[index - 1] as string) ?? -1)));
    if (!sane) findings.push({ what: "history", id: String(id), text: `with ${id} the model read ${past.join(", ")}` });
  }
  return { calls: asked.length, repeats };
}

function judgeCounts(said: readonly Said[], acked: ReadonlySet<string>, counts: Counts, findings: Finding[]): void {
  const { received, pending, done, dead, outbox } = counts;
  if (received !== done + dead + pending) findings.push({ what: "conservation", text: `received ${received} is not done ${done} + dead ${dead} + pending ${pending}` });
  if (received < acked.size || received > said.length) findings.push({ what: "conservation", text: `received ${received}, but the platform had ${said.length} messages, ${acked.size} of them confirmed` });
  if (dead > 0) findings.push({ what: "conservation", text: `${dead} dead letters` });
  // A row given up is no finding by itself: whether its part was seen, the chat tells.
  const open = Object.entries(outbox).filter(([state, count]) => state !== "sent" && state !== "dead" && count > 0);
  if (open.length > 0) findings.push({ what: "outbox", text: `all is answered, but the outbox holds ${open.map(([state, count]) => `${count} ${state}`).join(", ")}` });
}

/** How often each thing was found. */
export function summary({ findings }: Pick<Verdict, "findings">): string {
  const counts = new Map<string, number>();
  for (const { what } of findings) counts.set(what, (counts.get(what) ?? 0) + 1);
  return counts.size === 0 ? "nothing" : [...counts].map(([what, count]) => `${what} ${count}`).join(", ");
}
