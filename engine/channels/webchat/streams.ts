/** Server-sent events to every open tab of a chat (https://html.spec.whatwg.org/multipage/server-sent-events.html). */
import type { Clock } from "../../clock.ts";
import { BEAT_MS, type ServerEvent } from "./protocol.ts";

export interface Stream {
  push(event: ServerEvent, id?: number): void;
  end(): void;
  readonly body: AsyncIterable<string>;
}
export interface Streams {
  /** A stream of this chat; what is told to the chat reaches it once `join` was called. */
  create(chat: string, signal: AbortSignal): { readonly stream: Stream; join(): void };
  tell(chat: string, event: ServerEvent, id?: number): void;
  count(chat?: string): number;
  /** Ends all; their pages come back by themselves. */
  close(): void;
}

/** A tab that reads nothing any more is cut off at this many characters; it resumes where it was. */
const MAX_WAITING = 8_000_000;

export function createStreams(clock: Clock): Streams {
  const chats = new Map<string, Set<Open>>();
  let total = 0;
  let cancelBeat: (() => void) | undefined;

  function beat(): void {
    for (const tabs of chats.values()) for (const tab of tabs) tab.comment("beat");
    cancelBeat = clock.after(BEAT_MS, beat);
  }
  function leave(chat: string, tab: Open): void {
    const tabs = chats.get(chat);
    if (tabs?.delete(tab) !== true) return;
    total--;
    if (tabs.size === 0) chats.delete(chat);
    if (total === 0) { cancelBeat?.(); cancelBeat = undefined; }
  }

  return {
    create(chat, signal) {
      const tab = openStream(() => leave(chat, tab));
      if (signal.aborted) tab.end();
      else signal.addEventListener("abort", tab.end, { once: true });
      return {
        stream: tab,
        join() {
          if (tab.ended()) return;
          tab.joined();
          const tabs = chats.get(chat) ?? new Set();
          chats.set(chat, tabs.add(tab));
          total++;
          cancelBeat ??= clock.after(BEAT_MS, beat);
        },
      };
    },
    tell(chat, event, id) { for (const tab of [...(chats.get(chat) ?? [])]) tab.push(event, id); },
    count: (chat) => (chat === undefined ? total : (chats.get(chat)?.size ?? 0)),
    close() { for (const tabs of [...chats.values()]) for (const tab of [...tabs]) tab.end(); },
  };
}

interface Open extends Stream { comment(text: string): void; ended(): boolean; joined(): void }

function openStream(onEnd: () => void): Open {
  /** A preview that was not read yet is replaced by its newer one. */
  let waiting: { text: string; slot?: string }[] = [];
  let size = 0;
  let wake: (() => void) | undefined;
  let ended = false;
  /** What it asked for on opening may be as large as it is. */
  let joined = false;

  function end(): void {
    if (ended) return;
    ended = true;
    wake?.();
    onEnd();
  }
  function put(text: string, slot?: string): void {
    if (ended) return;
    const old = slot === undefined ? undefined : waiting.find((each) => each.slot === slot);
    size += text.length - (old?.text.length ?? 0);
    if (old !== undefined) old.text = text;
    else waiting.push(slot === undefined ? { text } : { text, slot });
    if (size > MAX_WAITING && joined) end();
    else wake?.();
  }
  async function next(): Promise<IteratorResult<string, undefined>> {
    while (waiting.length === 0 && !ended) await new Promise<void>((resolve) => { wake = resolve; });
    if (waiting.length === 0) return { done: true, value: undefined };
    const value = waiting.map((each) => each.text).join("");
    waiting = [];
    size = 0;
    return { done: false, value };
  }
  return {
    push(event, id) {
      put(`${id === undefined ? "" : `id: ${id}\n`}data: ${JSON.stringify(event)}\n\n`, event.type === "preview" ? event.key : undefined);
    },
    comment(text) { put(`: ${text}\n\n`); },
    end,
    ended: () => ended,
    joined() { joined = true; size = 0; },
    body: {
      [Symbol.asyncIterator]: () => ({
        next,
        async return() { end(); waiting = []; return { done: true as const, value: undefined }; },
      }),
    },
  };
}
