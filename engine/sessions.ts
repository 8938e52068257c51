/** What an agent remembers of a talk: a summary of what is old, and the turns since, read from the store and kept at hand while the talk goes on. */
import { estimateTokens, turnTokens } from "./context/estimate.ts";
import type { Turn } from "./models/model.ts";
import { lowestTrust, TRUSTS } from "./policy.ts";
import type { Facts } from "./run.ts";
import type { Change, Store, StoredTurn } from "./store/store.ts";
import type { Trust } from "./tool.ts";
import type { Asked } from "./words.ts";

/** What stands for the turns up to number `upTo`; they stay in the store, outside the window. `turns`: how many, all in all. `at`: Unix milliseconds. */
export interface Summary { readonly upTo: number; readonly text: string; readonly tainted: boolean; readonly at: number; readonly turns: number }

/** `by`: the speaker, whose turn it must be. `alone`: nobody else ever spoke there, so that turns of which the store does not say who said them are theirs too. `text`: undefined where it was deleted. */
export interface Edit { readonly ref: string; readonly by: string | undefined; readonly alone?: boolean; readonly text: string | undefined }

export interface Sessions {
  /** The summary and the last turns since it, at most `limit` and, where `tokens` > 0, about that many tokens; begins with something the user said. */
  history(session: string, limit: number, tokens: number): Promise<readonly Turn[]>;
  /** The summary and the newest turns since it: `wanted` of them at least, where there are so many and no more than are ever kept at hand. */
  since(session: string, wanted?: number): Promise<{ readonly summary: Summary | undefined; readonly turns: readonly Turn[] }>;
  /** Number of the last turn that is not among the newest `keep`; 0 where there is none. */
  lastBut(session: string, keep: number): Promise<number>;
  /** The changes that put a summary in the place of turns; call `summarised` once they are committed. */
  summaryChanges(session: string, summary: Summary): Change[];
  summarised(session: string): void;
  /** There is more of this talk than a history of so many turns shows. */
  reachesBack(session: string, shown: number): Promise<boolean>;
  /** What was said in this talk, as far back as the store goes: the commits of turns that fit best, with what the user took back left out. */
  search(session: string, asked: readonly Asked[], limit: number): Promise<readonly StoredTurn[][]>;
  /** Removes summaries of talks nobody has led since, and what was said anew of turns that are gone. */
  prune(before: number): Promise<void>;
  /** The changes that add turns; call `added` once they are committed, or on their way: then with what settles when they are on disk. */
  changes(session: string, run: string, at: number, turns: readonly Turn[], tainted: boolean): Change[];
  added(session: string, turns: readonly Turn[], tainted: boolean, saved?: Promise<unknown>): void;
  /** Outside text is in this session. */
  tainted(session: string): Promise<boolean>;
  /** The lowest of all whose words are in this session, and of `trust`: in a group everybody steers the agent. */
  trust(session: string, trust: Trust): Promise<Trust>;
  /** The change that keeps that somebody of this level spoke in it; to be committed with their turns. */
  spoke(session: string, trust: Trust): Change[];
  forget(session: string): Promise<void>;
  /** Somebody edited a message of their own, or deleted it: then what was answered to it goes too. The new words count as far as `facts` of whoever wrote them. `at`: Unix milliseconds. */
  correct(session: string, edit: Edit, facts: Pick<Facts, "trust" | "tainted">, at: number): Promise<void>;
  /** One run at a time in a session. The root run owns the lock; its sub-runs pass. Resolves to the release. */
  lock(session: string, root: string, signal: AbortSignal): Promise<() => void>;
}

const KEPT_SESSIONS = 1_000;
/** Of one session. */
const KEPT_TURNS = 200;
/** Bytes of memory, about, that the turns of all sessions may take; those of talks that rest longest go first and are read again when they go on. */
const KEPT_BYTES = 16_000_000;
/** What a turn and a session take beside their texts. */
const TURN_BYTES = 200;
const SESSION_BYTES = 500;
const bytesOf = (turns: readonly Turn[], summary: Summary | undefined): number => turns.reduce((sum, turn) => sum + TURN_BYTES + 4 * turnTokens(turn), SESSION_BYTES + (summary?.text.length ?? 0));

/** The log of turns is only added to; what a user takes back or says anew stands beside it. */
const EDITS = "edits";
/** A platform's refs name a message within its chat, and some of them anybody may choose: the turn must be the editor's own. */
const isMeant = (turn: Turn, { ref, by, alone = false }: Edit): boolean => turn.role === "user" && turn.ref === ref && (turn.by === by || (alone && turn.by === undefined));
function corrected<T>(list: readonly T[], turnOf: (entry: T) => Turn, edit: Edit & { with(entry: T, turn: Turn): T }): T[] {
  const at = list.findIndex((entry) => isMeant(turnOf(entry), edit));
  const entry = list[at];
  if (entry === undefined) return [...list];
  if (edit.text !== undefined) return list.with(at, edit.with(entry, { ...turnOf(entry), text: edit.text }));
  let end = at + 1;
  while (end < list.length && turnOf(list[end] as T).role !== "user") end++;
  return list.toSpliced(at, end - at);
}

const SUMMARIES = "summary";
const PAGE = 200;
/** More than any session has. */
const ALL_TURNS = 1_000_000;
/** So many more commits are looked for than are shown: the user may have taken some of them back. */
const SPARE = 20;
function summaryOf(value: unknown): Summary | undefined {
  const { upTo, text } = (value ?? {}) as Partial<Summary>;
  return typeof upTo === "number" && typeof text === "string" ? (value as Summary) : undefined;
}
const summaryTurn = ({ text }: Summary): Turn => ({ role: "user", summary: true, text: `[What was said before, in short. It is a note for you, not a request; the originals are found with search_history.]\n${text}` });

/** `whole`: the store has no turn between the summary and the first of these. `depth`: the most turns that were asked for. */
interface Kept { readonly summary: Summary | undefined; readonly turns: readonly Turn[]; readonly whole: boolean; readonly depth: number; readonly bytes: number }

export function createSessions(store: Store, keptBytes = KEPT_BYTES): Sessions {
  /** Those that were used last stand last. */
  const kept = new Map<string, Kept>();
  let bytes = 0;
  /** Turns that are still on their way to the disk: what settles when the last of them are there. */
  const unsaved = new Map<string, Promise<unknown>>();
  const taints = new Map<string, boolean>();
  /** Levels of those who spoke. Each is kept by itself, so that no order of writes can raise a session again. */
  const trusts = new Map<string, Set<Trust>>();
  /** Talks that are being forgotten: what is written of them meanwhile is written after that, and stands by itself. */
  const forgetting = new Map<string, number>();
  const locks = new Map<string, { root: string; depth: number; waiting: (() => void)[] }>();

  async function editsOf(session: string): Promise<(Edit & { readonly key: string })[]> {
    return (await store.list(EDITS, `${session}\n`)).map(([key, value]) => ({ key, ref: key.slice(session.length + 1), by: undefined, text: undefined, ...(value as Partial<Edit>) }));
  }
  const edited = (rows: StoredTurn[], edit: Edit): StoredTurn[] => corrected(rows, (row) => row.turn, { ...edit, with: (row, turn) => ({ ...row, turn }) });
  /** As the store has it: the newest numbered turns since the summary, with what the user took back or said anew. */
  async function load(session: string, limit = KEPT_TURNS): Promise<{ summary: Summary | undefined; rows: StoredTurn[]; whole: boolean }> {
    await unsaved.get(session);
    const summary = summaryOf(await store.get(SUMMARIES, session));
    const all = await store.turns(session, limit);
    const rows = all.filter(({ n }) => n > (summary?.upTo ?? 0));
    return { summary, rows: (await editsOf(session)).reduce(edited, rows), whole: all.length < limit || rows.length < all.length };
  }
  function unkeep(session: string): void {
    bytes -= kept.get(session)?.bytes ?? 0;
    kept.delete(session);
  }
  function keep(session: string, entry: Kept): Kept {
    unkeep(session);
    bytes += entry.bytes;
    kept.set(session, entry);
    for (const [oldest] of kept) {
      if (bytes <= keptBytes || oldest === session) break;
      unkeep(oldest);
    }
    return entry;
  }
  async function keptOf(session: string, wanted = KEPT_TURNS): Promise<Kept> {
    const depth = Math.min(wanted, KEPT_TURNS);
    const found = kept.get(session);
    if (found !== undefined && (found.whole || found.depth >= depth)) return keep(session, found);
    const saving = unsaved.get(session);
    const { summary, rows, whole } = await load(session, depth);
    // Meanwhile somebody else may have read it, or added to it.
    if (kept.get(session) !== found || (unsaved.get(session) ?? saving) !== saving) return keptOf(session, wanted);
    const turns = rows.map((row) => row.turn);
    return keep(session, { summary, turns, whole, depth, bytes: bytesOf(turns, summary) });
  }

  /** Removes the old of a space, a page at a time. Their keys. */
  async function sweep(space: string, isOld: (value: unknown) => boolean): Promise<string[]> {
    const gone: string[] = [];
    for (let after: string | undefined; ;) {
      const page = await store.list(space, "", { limit: PAGE, ...(after === undefined ? {} : { after }) });
      const old = page.filter(([, value]) => isOld(value)).map(([key]) => key);
      if (old.length > 0) await store.commit(old.map((key) => ({ do: "set", space, key, value: undefined })));
      gone.push(...old);
      if (page.length < PAGE) return gone;
      after = page.at(-1)?.[0];
    }
  }
  function drop(session: string): void {
    unkeep(session);
    trusts.delete(session);
    taints.delete(session);
  }

  async function tainted(session: string): Promise<boolean> {
    let known = taints.get(session);
    if (known === undefined) {
      known = (await store.get("tainted", session)) === true;
      if (taints.size >= KEPT_SESSIONS) taints.delete(taints.keys().next().value as string);
      taints.set(session, known);
    }
    return known;
  }
  function tainting(session: string): Change[] {
    return taints.get(session) !== true || forgetting.has(session) ? [{ do: "set", space: "tainted", key: session, value: true }] : [];
  }
  async function trustIn(session: string, trust: Trust): Promise<Trust> {
    let known = trusts.get(session);
    if (known === undefined) {
      known = new Set((await store.list("trust", `${session}\n`)).map(([key]) => key.slice(session.length + 1) as Trust));
      if (trusts.size >= KEPT_SESSIONS) trusts.delete(trusts.keys().next().value as string);
      trusts.set(session, known);
    }
    return lowestTrust([...known, trust]);
  }
  function spoke(session: string, trust: Trust): Change[] {
    const known = trusts.get(session);
    if (known?.has(trust) && !forgetting.has(session)) return [];
    // At once: should the commit fail, the session counts for less than it must, never for more.
    known?.add(trust);
    return [{ do: "set", space: "trust", key: `${session}\n${trust}`, value: true }];
  }
  /** A turn that an edit may mean lies further back than what is at hand. */
  async function mayLieFurtherBack(session: string, edit: Edit, facts: Pick<Facts, "trust" | "tainted">): Promise<boolean> {
    const counts = edit.text !== undefined && ((facts.tainted && !(await tainted(session))) || (await trustIn(session, facts.trust)) !== (await trustIn(session, "owner")));
    // Whoever edits what was never said to the agent must not make it trust the talk less: only then is it worth to read all of it.
    return !counts || (await store.turns(session, ALL_TURNS)).some(({ turn }) => isMeant(turn, edit));
  }

  return {
    async history(session, limit, tokens) {
      const { summary, turns } = await keptOf(session, limit + 1);
      const before = summary === undefined || limit === 0 ? [] : [summaryTurn(summary)];
      let from = Math.max(0, turns.length - limit);
      if (tokens > 0) {
        let used = summary === undefined ? 0 : estimateTokens(summary.text);
        let first = turns.length;
        while (first > from) {
          used += turnTokens(turns[first - 1] as Turn);
          if (used > tokens) break;
          first--;
        }
        from = first;
      }
      // A call and its result are never parted, and a talk begins with the user.
      while (from < turns.length && turns[from]?.role !== "user") from++;
      return [...before, ...turns.slice(from)];
    },
    since: keptOf,
    async lastBut(session, keep) {
      const { rows } = await load(session);
      return rows[rows.length - keep - 1]?.n ?? 0;
    },
    summaryChanges: (session, summary) => [{ do: "set", space: SUMMARIES, key: session, value: summary }],
    summarised: unkeep,
    async reachesBack(session, shown) {
      const { summary, turns, whole } = await keptOf(session, shown);
      return summary !== undefined || turns.length > shown || !whole;
    },
    async search(session, asked, limit) {
      const edits = await editsOf(session);
      const found = await store.findTurns(session, asked, limit + SPARE);
      return found.map((commit) => edits.reduce(edited, commit)).filter((commit) => commit.length > 0).slice(0, limit);
    },
    async prune(before) {
      for (const key of await sweep(SUMMARIES, (value) => (summaryOf(value)?.at ?? 0) < before)) unkeep(key);
      await sweep(EDITS, (value) => ((value as { at?: number }).at ?? before) < before);
    },
    changes(session, run, at, turns, tainted) {
      return [{ do: "turns", session, run, at, turns }, ...(tainted ? tainting(session) : [])];
    },
    added(session, turns, tainted, saved) {
      const entry = kept.get(session);
      if (entry !== undefined) {
        const all = [...entry.turns, ...turns];
        const isOver = all.length > entry.depth * 2;
        const now = isOver ? all.slice(-entry.depth) : all;
        keep(session, { ...entry, turns: now, whole: entry.whole && !isOver, bytes: bytesOf(now, entry.summary) });
      }
      if (tainted) taints.set(session, true);
      if (saved === undefined) return;
      const saving = saved.catch(() => undefined).then(() => { if (unsaved.get(session) === saving) unsaved.delete(session); });
      unsaved.set(session, saving);
    },
    tainted, trust: trustIn, spoke,
    async forget(session) {
      const gone = [[EDITS, (await editsOf(session)).map(({ key }) => key)], ["tainted", [session]], ["trust", TRUSTS.map((trust) => `${session}\n${trust}`)], [SUMMARIES, [session]]] as const;
      forgetting.set(session, (forgetting.get(session) ?? 0) + 1);
      try {
        await store.commit([{ do: "forget-turns", session }, ...gone.flatMap(([space, keys]) => keys.map((key): Change => ({ do: "set", space, key, value: undefined })))]);
      } finally {
        const others = (forgetting.get(session) ?? 1) - 1;
        if (others > 0) forgetting.set(session, others);
        else forgetting.delete(session);
        drop(session);
      }
    },
    async correct(session, edit, facts, at) {
      const { summary, turns, whole } = kept.get(session) ?? await keptOf(session);
      // What lies further back than is at hand may be found by a search all the same.
      const isThere = turns.some((turn) => isMeant(turn, edit)) || ((summary !== undefined || !whole) && (await mayLieFurtherBack(session, edit, facts)));
      if (!isThere) return;
      const isTainted = edit.text !== undefined && facts.tainted;
      const counts = [...(edit.text === undefined ? [] : spoke(session, facts.trust)), ...(isTainted ? tainting(session) : [])];
      if (isTainted) taints.set(session, true);
      await store.commit([{ do: "set", space: EDITS, key: [session, ...(edit.by === undefined ? [] : [edit.by]), edit.ref].join("\n"), value: { ...edit, at } }, ...counts]);
      const now = kept.get(session);
      if (now === undefined) return;
      const left = corrected(now.turns, (turn) => turn, { ...edit, with: (_, turn) => turn });
      keep(session, { ...now, turns: left, bytes: bytesOf(left, now.summary) });
    },
    async lock(session, root, signal) {
      for (;;) {
        signal.throwIfAborted();
        const held = locks.get(session);
        if (held === undefined || held.root === root) {
          const own = held ?? { root, depth: 0, waiting: [] };
          own.depth++;
          locks.set(session, own);
          return () => {
            if (--own.depth > 0) return;
            locks.delete(session);
            for (const wake of own.waiting) wake();
          };
        }
        await new Promise<void>((resolve) => {
          held.waiting.push(resolve);
          signal.addEventListener("abort", () => resolve(), { once: true });
        });
      }
    },
  };
}
