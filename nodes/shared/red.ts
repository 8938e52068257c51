/** The part of Node-RED's API that our nodes use, as it is in Node-RED 5. */
import type { EventEmitter } from "node:events";
import type { Answer } from "../../engine/asks.ts";
import type { Action, Draft, Message } from "../../engine/message.ts";
import type { DeliveryReceipt } from "../../engine/outbox.ts";

export interface FlowMsg {
  _msgid?: string;
  payload?: unknown;
  message?: Message;
  /** A handle to the durable record. It grants nothing: rights are looked up by it. */
  run?: { id: string; step: string; pass?: number };
  draft?: Draft;
  to?: unknown;
  call?: { id: string; tool: string };
  route?: { rule: string; why: string };
  receipt?: DeliveryReceipt;
  answer?: Answer;
  command?: Extract<Action, { type: "command" }>;
  [key: string]: unknown;
}
export type Send = (msgs: FlowMsg | null | (FlowMsg | null)[]) => void;
export interface Status { fill?: "red" | "green" | "yellow" | "blue" | "grey"; shape?: "dot" | "ring"; text?: string }

export interface RedNode extends EventEmitter {
  readonly id: string;
  readonly type: string;
  readonly name?: string;
  readonly z?: string;
  readonly wires: string[][];
  readonly credentials?: Record<string, string | undefined>;
  /** The code of a function node. */
  readonly func?: string;
  readonly _expectedDoneCount?: number;
  send: Send;
  status(status: Status): void;
  error(error: unknown, msg?: FlowMsg): void;
  warn(text: string): void;
  log(text: string): void;
  debug(text: string): void;
  receive(msg: FlowMsg): void;
}
/** What is saved of a node: `NodeDef` plus its own fields. */
export type Saved<T> = T & { readonly id: string; readonly type: string; readonly name: string; readonly version?: number };

interface HttpApp {
  use(...handlers: unknown[]): void;
  get(path: string, ...handlers: unknown[]): void;
  post(path: string, ...handlers: unknown[]): void;
  readonly parent?: HttpApp;
  readonly _router?: { stack: unknown[] };
  readonly router?: { stack: unknown[] };
}
export interface HookEvent { msg: FlowMsg; source?: { id: string; node: RedNode; port: number }; destination?: { id: string; node: RedNode }; node?: { id: string; node: RedNode }; error?: unknown }

export interface Red {
  readonly version?: string;
  readonly nodes: {
    createNode(node: unknown, config: unknown): void;
    registerType(type: string, make: unknown, options?: { credentials?: Record<string, { type: "text" | "password" }>; settings?: unknown }): void;
    getNode(id: string): RedNode | null | undefined;
    eachNode(visit: (config: Record<string, unknown>) => void): void;
    getCredentials(id: string): Record<string, string> | undefined;
  };
  readonly plugins?: { getByType(type: string): unknown[] };
  readonly hooks?: { add(name: `onSend.${string}`, handler: (events: readonly HookEvent[]) => void): void; add(name: string, handler: (event: HookEvent) => void): void; remove(name: string): void };
  readonly events: EventEmitter;
  readonly settings: { readonly userDir?: string; get?(key: string): unknown; readonly httpNodeRoot?: string | false; readonly httpAdminRoot?: string | false; readonly lang?: string };
  readonly httpNode?: HttpApp;
  readonly httpAdmin: HttpApp;
  readonly auth: { needsPermission(scope: string): unknown };
  readonly log: { info(text: string): void; warn(text: string): void; error(text: string): void; debug(text: string): void; addHandler?(handler: { emit(event: string, entry: { level: number; id?: string; msg?: unknown }): void }): void };
  readonly util: { generateId(): string; cloneMessage<T>(msg: T): T; evaluateNodeProperty(value: unknown, type: string, node: unknown, msg: unknown, done?: (error: unknown, result: unknown) => void): unknown };
  _(key: string, values?: Record<string, unknown>): string;
}
