/**
 * Notices when a flow has come to its end for one run or tool call. A token stands for a msg on its way to a node or in a node's hands;
 * none left for two turns of the event loop means settled. Best effort by nature (a node may never say it is done): an idle limit stands behind it.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import type { FlowMsg, HookEvent, Red, RedNode } from "./red.ts";

export interface Scope {
  readonly id: string;
  /** Text of the last fault inside the flow. */
  fault: string | undefined;
  /** Text of the last one that no Catch node took. */
  uncaught: string | undefined;
}
interface Tracked extends Scope {
  readonly open: Map<string, { readonly node: RedNode; readonly msgs: Set<FlowMsg> }>;
  count: number;
  checking: boolean;
  readonly msgids: string[];
  readonly settled: (scope: Scope) => void;
}

export interface Settle {
  /** Sends msg into a flow under a new scope. `settled` may be called more than once: output that comes late settles again. */
  track(id: string, settled: (scope: Scope) => void, msgs: FlowMsg[], emit: () => void): void;
  forget(id: string): void;
  /** The scope a msg belongs to, also when a function node has put a new object in its place. */
  scopeOf(msg: FlowMsg): string | undefined;
  /**
   * The flows are being stopped. Nodes that close may say "done" of what they drop (a delay does), and Node-RED drops without a word what is sent
   * to a node that is gone: until `lost` is asked, nothing ends a scope.
   */
  stopping(): void;
  /** Scopes that lost a msg because its node was stopped by a deploy. Asked once the flows run again. */
  lost(): string[];
}

const LABEL = "clawflow";
const ERROR_LEVEL = 20;
/** A node that logged an error and did not end within this time has thrown. */
const THROWER_MS = 1_000;

/** The debug node's own ear hears the log before ours, and leaves its encoding in the place of an Error. */
function textOf(fault: unknown): string {
  if (fault instanceof Error) return fault.message;
  const text = String(fault);
  if (!text.startsWith('{"__enc__":true')) return text;
  try {
    return String((JSON.parse(text) as { data?: { message?: unknown } }).data?.message ?? text);
  } catch {
    return text;
  }
}

export function createSettle(red: Red): Settle {
  const scopes = new Map<string, Tracked>();
  const msgids = new Map<string, string>();
  const context = new AsyncLocalStorage<string>();
  /** While the flows are being stopped: what was sent and has not come to its node. */
  const onTheWay = new Set<HookEvent>();
  /** What left its node while the flows were being stopped. */
  let doubtful: { readonly scope: Tracked; readonly msg: FlowMsg; readonly id: string }[] | undefined;
  /** What ended with a fault a moment ago. */
  let failing: { readonly scope: Tracked; readonly id: string } | undefined;
  /** Nodes that can be found again by their id; parts of subflows cannot. */
  const findable = new WeakMap<RedNode, boolean>();

  function trackedOf(msg: FlowMsg): Tracked | undefined {
    if (scopes.size === 0) return undefined;
    const id = scopeOf(msg);
    return id === undefined ? undefined : scopes.get(id);
  }
  function scopeOf(msg: FlowMsg): string | undefined {
    const call = msg.call?.id;
    if (typeof call === "string" && scopes.has(call)) return call;
    const run = msg.run?.id;
    if (typeof run === "string" && scopes.has(run)) return run;
    const known = msg._msgid === undefined ? undefined : msgids.get(msg._msgid);
    return known ?? context.getStore();
  }

  function enter(scope: Tracked, msg: FlowMsg, node: RedNode): void {
    let held = scope.open.get(node.id);
    if (held === undefined || held.node !== node) {
      held = { node, msgs: new Set() };
      scope.open.set(node.id, held);
      if (!findable.has(node)) findable.set(node, red.nodes.getNode(node.id) === node);
    }
    if (held.msgs.has(msg)) return;
    held.msgs.add(msg);
    scope.count++;
  }
  function leave(scope: Tracked, msg: FlowMsg, id: string): void {
    if (doubtful !== undefined) { doubtful.push({ scope, msg, id }); return; }
    const held = scope.open.get(id);
    if (held === undefined || !held.msgs.delete(msg)) return;
    if (held.msgs.size === 0) scope.open.delete(id);
    scope.count--;
    check(scope);
  }
  function check(scope: Tracked): void {
    if (scope.count > 0 || scope.checking || doubtful !== undefined) return;
    scope.checking = true;
    setImmediate(() => setImmediate(() => {
      scope.checking = false;
      if (scope.count === 0 && doubtful === undefined && scopes.get(scope.id) === scope) scope.settled(scope);
    }));
  }

  function forget(id: string): void {
    for (const msgid of scopes.get(id)?.msgids ?? []) msgids.delete(msgid);
    scopes.delete(id);
  }

  red.hooks?.remove(`*.${LABEL}`);
  red.hooks?.add(`preDeliver.${LABEL}`, (event: HookEvent) => {
    onTheWay.delete(event);
    const scope = event.destination === undefined ? undefined : trackedOf(event.msg);
    if (scope !== undefined && event.destination !== undefined) enter(scope, event.msg, event.destination.node);
  });
  red.hooks?.add(`onReceive.${LABEL}`, (event: HookEvent) => {
    const scope = event.destination === undefined ? undefined : trackedOf(event.msg);
    if (scope !== undefined && event.destination?.node !== undefined) enter(scope, event.msg, event.destination.node);
  });
  red.hooks?.add(`postReceive.${LABEL}`, (event: HookEvent) => {
    const node = event.destination?.node;
    if (node?._expectedDoneCount !== 0) return;
    const scope = trackedOf(event.msg);
    if (scope !== undefined) leave(scope, event.msg, node.id);
  });
  red.hooks?.add(`onComplete.${LABEL}`, (event: HookEvent) => {
    const scope = event.node === undefined ? undefined : trackedOf(event.msg);
    if (scope === undefined || event.node === undefined) return;
    if (event.error !== undefined && event.error !== null) {
      scope.fault = textOf(event.error);
      failing = { scope, id: event.node.id };
      queueMicrotask(() => { failing = undefined; });
    }
    leave(scope, event.msg, event.node.id);
  });
  // A fault is logged only where no Catch node takes it: behind onComplete, in the same breath. A node that throws in its handler only logs: no hook tells. The log entry comes in the thrower's own context.
  red.log.addHandler?.({
    emit(event, entry) {
      if (event !== "log" || entry.level !== ERROR_LEVEL || entry.id === undefined) return;
      if (failing?.id === entry.id) { failing.scope.uncaught = textOf(entry.msg); return; }
      const id = context.getStore();
      const scope = id === undefined ? undefined : scopes.get(id);
      const held = scope?.open.get(entry.id);
      if (scope === undefined || held === undefined) return;
      scope.fault = textOf(entry.msg);
      scope.uncaught = scope.fault;
      // done(error) and node.error() log as well and leave by themselves; a thrower never does.
      const msgs = [...held.msgs];
      setTimeout(() => { for (const msg of msgs) leave(scope, msg, entry.id as string); }, THROWER_MS).unref();
    },
  });

  return {
    track(id, settled, msgs, emit) {
      const scope: Tracked = { id, fault: undefined, uncaught: undefined, open: new Map(), count: 0, checking: false, msgids: [], settled };
      scopes.set(id, scope);
      for (const msg of msgs) {
        msg._msgid ??= red.util.generateId();
        msgids.set(msg._msgid, id);
        scope.msgids.push(msg._msgid);
      }
      context.run(id, emit);
      check(scope);
    },
    forget,
    scopeOf,
    stopping() {
      if (doubtful !== undefined) return;
      doubtful = [];
      red.hooks?.add(`preRoute.${LABEL}`, (event: HookEvent) => { if (trackedOf(event.msg) !== undefined) onTheWay.add(event); });
    },
    lost() {
      const left = doubtful ?? [];
      doubtful = undefined;
      red.hooks?.remove(`preRoute.${LABEL}`);
      const isGone = (node: RedNode): boolean => findable.get(node) === true && red.nodes.getNode(node.id) !== node;
      const dropped = new Set<Tracked>([...onTheWay].flatMap(({ msg }) => trackedOf(msg) ?? []));
      onTheWay.clear();
      for (const { scope, msg, id } of left) {
        const node = scope.open.get(id)?.node;
        if (node === undefined) continue;
        // A part of a subflow cannot be found again: rather once more than lost.
        if (isGone(node) || findable.get(node) === false) dropped.add(scope);
        else leave(scope, msg, id);
      }
      const gone = (scope: Tracked) => dropped.has(scope) || [...scope.open.values()].some(({ node }) => isGone(node));
      const lost: string[] = [];
      for (const scope of scopes.values()) if (gone(scope)) lost.push(scope.id); else check(scope);
      // What the rest of it still says ends nothing: it begins again under a new scope.
      for (const id of lost) forget(id);
      return lost;
    },
  };
}
