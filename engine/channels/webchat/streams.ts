/** Server-sent events to every open tab of a chat (https://html.spec.whatwg.org/multipage/server-sent-events.html). */
import type { Clock } from "../../clock.ts";
import { BEAT_MS, type ServerEvent } from "./protocol.ts";

export interface Stream {
  push(event: ServerEvent, id?: number): void;
  end(): void;
  readonly body: AsyncIterable<string>;
}
export interface Streams {
  /** A stream of this chat, and of those in `also`; what is told to them reaches it once `join` was called. It ends, and hears nothing more, once `mayHear` says no. */
  create(chat: string, signal: AbortSignal, also?: readonly string[], mayHear?: () => boolean): { readonly stream: Stream; join(): void };
  tell(chat: string, event: ServerEvent, id?: number): void;
  count(chat?: string): number;
  /** Ends those of this chat; their pages come back by themselves. */
  end(chat: string): void;
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
    // First: whoever leaves last takes it back.
    cancelBeat = clock.after(BEAT_MS, beat);
    for (const tab of new Set([...chats.values()].flatMap((tabs) => [...tabs]))) heard(tab, () => tab.comment("beat"));
  }
  function leave(names: readonly string[], tab: Open): void {
    const was = names.filter((name) => {
      const tabs = chats.get(name);
      const here = tabs?.delete(tab) === true;
      if (tabs?.size === 0) chats.delete(name);
      return here;
    });
    if (was.length === 0) return;
    total--;
    if (total === 0) { cancelBeat?.(); cancelBeat = undefined; }
  }
  function heard(tab: Open, say: () => void): void {
    if (tab.mayHear()) say();
    else tab.end();
  }
  const end = (name: string): void => { for (const tab of [...(chats.get(name) ?? [])]) tab.end(); };

  return {
    create(chat, signal, also = [], mayHear = () => true) {
      const names = [chat, ...also];
      const tab = openStream(() => leave(names, tab), mayHear);
      if (signal.aborted) tab.end();
      else signal.addEventListener("abort", tab.end, { once: true });
      return {
        stream: tab,
        join() {
          if (tab.ended()) return;
          tab.joined();
          for (const name of names) chats.set(name, (chats.get(name) ?? new Set<Open>()).add(tab));
          total++;
          cancelBeat ??= clock.after(BEAT_MS, beat);
        },
      };
    },
    tell(chat, event, id) { for (const tab of [...(chats.get(chat) ?? [])]) heard(tab, () => tab.push(event, id)); },
    count: (chat) => (chat === undefined ? total : (chats.get(chat)?.size ?? 0)),
    end,
    close() { for (const name of [...chats.keys()]) end(name); },
  };
}

interface Open extends Stream { mayHear(): boolean; comment(text: string): void; ended(): boolean; joined(): void }

function openStream(onEnd: () => void, mayHear: () => boolean): Open {
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
    mayHear,
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
