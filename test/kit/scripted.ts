/** A channel, a model and a clock that do what a test says, and keep what they saw. */
import type { Account, Channel, ChannelContext, Connection, Limits, SentBefore } from "../../engine/channels/channel.ts";
import type { Clock } from "../../engine/clock.ts";
import type { Draft, Message, Address } from "../../engine/message.ts";
import type { Model, ModelEvent, ModelRequest } from "../../engine/models/model.ts";

export interface Sent { readonly op: string; readonly to: Address; readonly text: string; readonly key?: string; readonly ref: string; readonly draft?: Draft }
export interface ScriptedChannel extends Channel { readonly sent: Sent[]; context: ChannelContext | undefined; opened: number; closed: number; fail: ((op: string, draft: Draft, key?: string) => Error | undefined) | undefined; /** Posted, and the answer is lost. */ lose: ((op: string, draft: Draft) => Error | undefined) | undefined; look: ((sent: SentBefore) => Promise<string | undefined>) | undefined }

export function scriptedChannel(options: { limits?: Partial<Limits>; edit?: boolean; preview?: boolean; find?: boolean; keyMs?: number; failOpen?: () => Error | undefined } = {}): ScriptedChannel {
  const channel: ScriptedChannel = {
    id: "scripted", label: "Scripted", settings: [], limits: { text: 100, unit: "utf16", editEveryMs: 5, ...options.limits }, delivery: options.keyMs === undefined ? {} : { keyMs: options.keyMs },
    sent: [], context: undefined, opened: 0, closed: 0, fail: undefined, lose: undefined, look: undefined,
    check: () => [],
    async open(_account: Account, context: ChannelContext): Promise<Connection> {
      const error = options.failOpen?.();
      if (error !== undefined) throw error;
      channel.opened++;
      channel.context = context;
      const record = (op: string, to: Address, draft: Draft, ref: string, key?: string): string => {
        const fault = channel.fail?.(op, draft, key);
        if (fault !== undefined) throw fault;
        const before = options.keyMs === undefined || op !== "send" ? undefined : channel.sent.find((one) => one.op === op && one.key === key);
        if (before === undefined) channel.sent.push({ op, to, text: draft.text, ref, draft, ...(key === undefined ? {} : { key }) });
        const lost = channel.lose?.(op, draft);
        if (lost !== undefined) throw lost;
        return before?.ref ?? ref;
      };
      return {
        self: { id: "bot", name: "Bot" },
        async send(to, draft, key) { return record("send", to, draft, `m${channel.sent.length + 1}`, key); },
        ...(options.edit ? { async edit(to: Address, ref: string, draft: Draft) { record("edit", to, draft, ref); } } : {}),
        ...(options.preview ? { async preview(to: Address, draft: Draft, key: string) { record("preview", to, draft, "", key); } } : {}),
        ...(options.find ? { async find(_to: Address, sent: SentBefore) { return channel.look !== undefined ? channel.look(sent) : channel.sent.find((one) => one.key === sent.key)?.ref; } } : {}),
        async remove(to, ref) { record("remove", to, { text: "" }, ref); },
        async close() { channel.closed++; },
      };
    },
  };
  return channel;
}

let counter = 0;
export function message(fields: Partial<Message> & { text?: string; chat?: string; from?: string } = {}): Message {
  const { chat = "c1", from = "u1", ...rest } = fields;
  counter++;
  return {
    version: 1, id: `e${counter}`, ref: `r${counter}`, kind: "message", at: { channel: "scripted", account: "acc", chat, kind: "direct" },
    sender: { id: from, name: from, bot: false, self: false }, sentAt: 1_000, text: `hello ${counter}`, attachments: [], addressed: true, ...rest,
  };
}

/** Each call takes the next reply: text, calls, or an error. */
export type Reply = string | { text?: string; calls: { id: string; name: string; input: unknown; malformed?: string }[] } | Error | ((request: ModelRequest, signal: AbortSignal) => Promise<string>);
export function scriptedModel(replies: Reply[]): Model & { requests: ModelRequest[] } {
  const requests: ModelRequest[] = [];
  return {
    id: "scripted", provider: "scripted", contextTokens: 10_000, requests,
    async *stream(request, signal): AsyncIterable<ModelEvent> {
      requests.push(structuredClone({ ...request, tools: request.tools.map(({ name, description, parameters }) => ({ name, description, parameters })) }));
      let reply = replies.shift() ?? "done";
      if (reply instanceof Error) throw reply;
      if (typeof reply === "function") reply = await reply(request, signal);
      const usage = { input: 10, output: 5 };
      if (typeof reply === "string") {
        for (const word of reply.match(/\S+\s*/g) ?? []) yield { type: "text", delta: word };
        yield { type: "end", reason: "stop", usage };
        return;
      }
      if (reply.text) yield { type: "text", delta: reply.text };
      for (const call of reply.calls) yield { type: "call", call };
      yield { type: "end", reason: "calls", usage };
    },
  };
}

/** Time that moves only when a test says so. */
export function manualClock(start = 1_000_000): Clock & { advance(ms: number): Promise<void> } {
  let now = start;
  const timers = new Set<{ at: number; act: () => void }>();
  return {
    now: () => now,
    monotonic: () => now,
    after(ms, act) { const timer = { at: now + ms, act }; timers.add(timer); return () => { timers.delete(timer); }; },
    async advance(ms) {
      const end = now + ms;
      for (;;) {
        const next = [...timers].filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)[0];
        if (next === undefined) break;
        timers.delete(next);
        now = Math.max(now, next.at);
        next.act();
        await settle();
      }
      now = end;
      await settle();
    },
  };
}

/** Lets everything that is due in the event loop happen. */
export async function settle(turns = 20): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
}
export async function until(test: () => boolean | Promise<boolean>, what = "the condition", ms = 5_000, everyMs = 5): Promise<void> {
  const end = performance.now() + ms;
  while (!(await test())) {
    if (performance.now() > end) throw new Error(`waited ${ms} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}
