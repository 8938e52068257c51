/**
 * A small explicit-state model checker. Breadth first, the first violation found has a shortest trace; depth first needs memory for one history only. Both see
 * every state. Deterministic.
 */

/** A step the world can make; `next` is a state of its own. */
export interface Move<State> { readonly label: string; readonly next: State; /** Something that need not happen: a state with nothing but these is at rest. */ readonly fault?: boolean }
export interface Machine<State> {
  readonly initial: State;
  /** All that can happen next, always in the same order. */
  moves(state: State): Move<State>[];
  /** Canonical: the same text for states that behave alike. */
  key(state: State): string;
  /** What is wrong with this state, as "invariant: words"; `atRest`: nothing but faults can happen any more. */
  check(state: State, atRest: boolean): string | undefined;
}
export interface Found {
  readonly states: number;
  readonly transitions: number;
  readonly depth: number;
  /** States where nothing but faults can happen any more. */
  readonly rests: number;
  readonly ms: number;
  /** False when it ended at `maxStates` or at a violation. */
  readonly complete: boolean;
  readonly violation?: { readonly text: string; readonly trace: readonly string[] };
}

export function explore<State>({ initial, moves, key, check }: Machine<State>, maxStates = Number.POSITIVE_INFINITY): Found {
  const started = performance.now();
  const seen = createSeen();
  /** By state number: whose successor it is, and its place among the moves there. */
  const parents = createColumn();
  const places = createColumn();
  let transitions = 0;
  let depth = 0;
  let rests = 0;
  const found = (complete: boolean, violation?: Found["violation"]): Found => ({ states: seen.size, transitions, depth, rests, ms: Math.round(performance.now() - started), complete, ...(violation === undefined ? {} : { violation }) });

  function traceOf(number: number): string[] {
    const way: number[] = [];
    for (let at = number; at > 0; at = parents.get(at)) way.unshift(places.get(at));
    let state = initial;
    return way.map((place) => { const move = moves(state)[place] as Move<State>; state = move.next; return move.label; });
  }

  seen.add(key(initial));
  parents.push(0); places.push(0);
  let level: { readonly state: State; readonly number: number }[] = [{ state: initial, number: 0 }];
  for (; level.length > 0; depth++) {
    const next: typeof level = [];
    for (const { state, number } of level) {
      const all = moves(state);
      const atRest = all.every((move) => move.fault === true);
      if (atRest) rests++;
      const text = check(state, atRest);
      if (text !== undefined) return found(false, { text, trace: traceOf(number) });
      for (const [place, move] of all.entries()) {
        transitions++;
        if (!seen.add(key(move.next))) continue;
        parents.push(number); places.push(place);
        next.push({ state: move.next, number: seen.size - 1 });
      }
      if (seen.size >= maxStates) return found(false);
    }
    level = next;
  }
  return found(true);
}

/** The same states as `explore` sees, in another order: tens of millions in a few hundred megabytes. It also finds ways that lead back to where they began: there nothing ever ends. */
export function exploreDeep<State>({ initial, moves, key, check }: Machine<State>, maxStates = Number.POSITIVE_INFINITY): Found {
  const started = performance.now();
  const seen = createSeen();
  const way: { readonly key: string; readonly moves: readonly Move<State>[]; at: number }[] = [];
  const onWay = new Set<string>();
  let transitions = 0;
  let depth = 0;
  let rests = 0;
  const found = (complete: boolean, violation?: Found["violation"]): Found => ({ states: seen.size, transitions, depth, rests, ms: Math.round(performance.now() - started), complete, ...(violation === undefined ? {} : { violation }) });

  /** What is wrong with a state that was not there before; else its moves are next. */
  function enter(state: State, key: string): string | undefined {
    const all = moves(state);
    const atRest = all.every((move) => move.fault === true);
    if (atRest) rests++;
    const text = check(state, atRest);
    way.push({ key, moves: all, at: 0 });
    onWay.add(key);
    depth = Math.max(depth, way.length - 1);
    return text;
  }
  const trace = (): string[] => way.flatMap(({ moves, at }) => (at === 0 ? [] : [(moves[at - 1] as Move<State>).label]));
  seen.add(key(initial));
  let text = enter(initial, key(initial));
  while (text === undefined && way.length > 0) {
    const place = way[way.length - 1] as (typeof way)[number];
    const move = place.moves[place.at++];
    if (move === undefined) { onWay.delete(place.key); way.pop(); continue; }
    transitions++;
    const next = key(move.next);
    if (seen.add(next)) {
      if (seen.size > maxStates) return found(false);
      text = enter(move.next, next);
    } else if (onWay.has(next)) text = "progress: this goes round for ever";
  }
  return text === undefined ? found(true) : found(false, { text, trace: trace() });
}

/** Numbers in one growing array: an array of objects would take ten times the memory. */
function createColumn() {
  let numbers = new Uint32Array(1 << 16);
  let size = 0;
  return {
    get: (at: number): number => numbers[at] as number,
    push(number: number): void {
      if (size === numbers.length) { const larger = new Uint32Array(size * 2); larger.set(numbers); numbers = larger; }
      numbers[size++] = number;
    },
  };
}

/** Which keys were there, by 63 bits of hash each: among ten million, two fall together with a chance of 1 in 180,000. */
function createSeen() {
  let places = 1 << 16;
  let table = new Uint32Array(places * 2);
  let size = 0;

  /** False when it was there. */
  function put(low: number, high: number): boolean {
    for (let place = low & (places - 1); ; place = (place + 1) & (places - 1)) {
      const [one, two] = [table[place * 2] as number, table[place * 2 + 1] as number];
      if (one === low && two === high) return false;
      if (one === 0 && two === 0) { table[place * 2] = low; table[place * 2 + 1] = high; return true; }
    }
  }
  return {
    get size() { return size; },
    add(key: string): boolean {
      let low = 0xdeadbeef;
      let high = 0x41c6ce57;
      for (let at = 0; at < key.length; at++) {
        const code = key.charCodeAt(at);
        low = Math.imul(low ^ code, 2654435761);
        high = Math.imul(high ^ code, 1597334677);
      }
      low = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909);
      high = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909);
      if (!put(low >>> 0, (high | 1) >>> 0)) return false;
      if (++size * 2 > places) {
        const old = table;
        places *= 2;
        table = new Uint32Array(places * 2);
        for (let at = 0; at < old.length; at += 2) if (old[at + 1] !== 0) put(old[at] as number, old[at + 1] as number);
      }
      return true;
    },
  };
}
