/** The stream of events, kept up: read with fetch, because EventSource can send no header and a token belongs into no address. */
import { BEAT_MS, type ServerEvent } from "../engine/channels/webchat/protocol.ts";
import { type Server, ServerFault } from "./server.ts";

export type LinkState = { readonly state: "connecting" | "open" } | { readonly state: "lost"; readonly fault: string | undefined; readonly code?: string };
export interface Link {
  /** Tries at once, for example because the network is back. */
  wake(): void;
  close(): void;
}

const FIRST_WAIT_MS = 300;
const LONGEST_WAIT_MS = 10_000;

export function openLink(server: Pick<Server, "events">, onEvent: (event: ServerEvent) => void, onState: (state: LinkState) => void): Link {
  let last: string | undefined;
  let failures = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let current: AbortController | undefined;
  let closed = false;

  async function connect(): Promise<void> {
    timer = undefined;
    const abort = new AbortController();
    current = abort;
    let fault: string | undefined;
    let code = "";
    let dead: ReturnType<typeof setTimeout> | undefined;
    const alive = (): void => { clearTimeout(dead); dead = setTimeout(() => abort.abort(), BEAT_MS * 2.5); };
    try {
      alive();
      const body = await server.events(last, abort.signal);
      onState({ state: "open" });
      for await (const { id, data } of readEvents(body, alive)) {
        // Before it is handed on: the model takes an event twice without harm, but not never.
        onEvent(JSON.parse(data) as ServerEvent);
        if (id !== undefined) last = id;
        failures = 0;
      }
    } catch (error) {
      fault = error instanceof ServerFault && error.status > 0 ? error.message : undefined;
      if (error instanceof ServerFault) code = error.code;
    } finally {
      clearTimeout(dead);
      abort.abort();
      current = undefined;
    }
    if (closed) return;
    onState({ state: "lost", fault, code });
    const wait = Math.min(FIRST_WAIT_MS * 2 ** failures++, LONGEST_WAIT_MS);
    timer = setTimeout(() => void connect(), wait * (0.7 + Math.random() * 0.6));
  }
  onState({ state: "connecting" });
  void connect();
  return {
    wake() {
      if (closed || timer === undefined) return;
      clearTimeout(timer);
      failures = 0;
      void connect();
    },
    close() { closed = true; clearTimeout(timer); current?.abort(); },
  };
}

/** Frames of text/event-stream; comments only call `alive`. */
export async function* readEvents(body: ReadableStream<Uint8Array>, alive: () => void): AsyncGenerator<{ id: string | undefined; data: string }> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      alive();
      text += decoder.decode(value, { stream: true });
      const frames = text.split("\n\n");
      text = frames.pop() ?? "";
      for (const frame of frames) {
        const lines = frame.split("\n");
        const field = (name: string) => lines.filter((line) => line.startsWith(name)).map((line) => line.slice(name.length).replace(/^ /, ""));
        const data = field("data:");
        if (data.length > 0) yield { id: field("id:").at(-1), data: data.join("\n") };
      }
    }
  } finally {
    reader.cancel().catch(() => undefined);
  }
}
