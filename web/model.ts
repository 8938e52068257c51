/** What the page shows, as plain data: the server's entries, what was written but not confirmed, what is being written. No DOM here. */
import type { Entry, FileCard, Hello, ServerEvent } from "../engine/channels/webchat/protocol.ts";

/** A message of the visitor on its way. `sent`: confirmed, but its entry has not come yet. */
export interface Outgoing {
  readonly clientId: string;
  readonly text: string;
  readonly files: readonly FileCard[];
  readonly replyTo?: string;
  /** Unix milliseconds, the browser's clock. */
  readonly at: number;
  readonly state: "sending" | "sent" | "waiting" | "failed" | "refused";
  /** Why it waits or failed. */
  readonly note?: string;
}
export interface Preview { readonly key: string; readonly text: string; readonly plain: boolean }

/** `id` stays the same from the first sight of a message to the last: its DOM node is kept. */
export type Item =
  | { readonly id: string; readonly type: "entry"; readonly at: number; readonly entry: Entry }
  | { readonly id: string; readonly type: "outgoing"; readonly at: number; readonly outgoing: Outgoing }
  | { readonly id: string; readonly type: "preview"; readonly at: number; readonly preview: Preview };

export interface Model {
  /** Takes any event any number of times, in any order. */
  apply(event: ServerEvent): void;
  /** Older entries from the history. */
  addOlder(entries: readonly Entry[]): void;
  put(outgoing: Outgoing): void;
  drop(clientId: string): void;
  /** In the order of the page. */
  items(): Item[];
  entry(ref: string): Entry | undefined;
  /** The connection broke: previews are void, their message may never come. */
  dropPreviews(): void;
  dropPreview(key: string): void;
  readonly hello: Hello | undefined;
  readonly more: boolean;
}

export function createModel(now: () => number): Model {
  const entries = new Map<string, Entry>();
  const outgoing = new Map<string, Outgoing>();
  const previews = new Map<string, Preview>();
  /** Items by their source object, so that an unchanged message is the same item. */
  const items = new WeakMap<object, Item>();
  const keys = new Set<string>();
  let hello: Hello | undefined;
  let more = false;

  function item<T extends object>(source: T, make: (source: T) => Item): Item {
    const made = items.get(source) ?? make(source);
    items.set(source, made);
    return made;
  }
  function add(entry: Entry): void {
    entries.set(String(entry.seq), entry);
    // What is not confirmed yet stays, unseen: a stranger's message is taken out of the transcript again.
    if (entry.clientId !== undefined && outgoing.get(entry.clientId)?.state === "sent") outgoing.delete(entry.clientId);
    if (entry.key !== undefined) { keys.add(entry.key); previews.delete(entry.key); }
  }

  function recorded(): ReadonlySet<string | undefined> { return new Set([...entries.values()].map(({ clientId }) => clientId)); }

  return {
    get hello() { return hello; },
    get more() { return more; },
    apply(event) {
      switch (event.type) {
        case "hello":
          hello = event.hello;
          previews.clear();
          if (hello.fresh) { entries.clear(); keys.clear(); more = hello.more; }
          break;
        case "entry": add(event.entry); break;
        case "change":
          if (event.entry === null) entries.delete(event.ref);
          // A change of what is older than all that is shown waits until the history is asked for.
          else if (entries.has(event.ref)) add(event.entry);
          break;
        case "trust": if (hello !== undefined) hello = { ...hello, trust: event.trust }; break;
        case "preview": if (!keys.has(event.key)) previews.set(event.key, { key: event.key, text: event.text, plain: event.plain }); break;
        default: break;
      }
    },
    addOlder(older) {
      more = false;
      for (const entry of older) if (!entries.has(String(entry.seq))) add(entry);
    },
    put(message) {
      if (message.state === "sent" && recorded().has(message.clientId)) outgoing.delete(message.clientId);
      else outgoing.set(message.clientId, message);
    },
    drop(clientId) { outgoing.delete(clientId); },
    items() {
      const known = recorded();
      return [
        ...[...entries.values()].sort((a, b) => a.seq - b.seq).map((entry) => item(entry, () => ({ id: idOf(entry), type: "entry", at: entry.at, entry }))),
        ...[...outgoing.values()].filter(({ clientId }) => !known.has(clientId)).sort((a, b) => a.at - b.at).map((message) => item(message, () => ({ id: `c:${message.clientId}`, type: "outgoing", at: message.at, outgoing: message }))),
        ...[...previews.values()].map((preview) => item(preview, () => ({ id: `k:${preview.key}`, type: "preview", at: now(), preview }))),
      ];
    },
    entry: (ref) => entries.get(ref),
    dropPreviews() { previews.clear(); },
    dropPreview(key) { previews.delete(key); },
  };
}

function idOf(entry: Entry): string {
  if (entry.clientId !== undefined) return `c:${entry.clientId}`;
  return entry.key === undefined ? `r:${entry.seq}` : `k:${entry.key}`;
}
