/** The visitor's messages on their way: kept in the browser until the server has confirmed them, sent in order, again and again with the same id. */
import type { FileCard } from "../engine/channels/webchat/protocol.ts";
import type { Local } from "./local.ts";
import { randomId } from "./local.ts";
import type { Outgoing } from "./model.ts";
import { type Server, ServerFault } from "./server.ts";
import type { Say } from "./strings.ts";

export interface Queue {
  add(text: string, files: readonly FileCard[], replyTo: string | undefined): void;
  retry(clientId: string): void;
  remove(clientId: string): void;
  /** The connection is back: everything that waits for it goes now. */
  wake(): void;
}

const KEY = "out/";
const WAITS_MS = [1_000, 2_000, 4_000, 8_000, 15_000];

export function createQueue(local: Local, server: Pick<Server, "send">, say: Say, name: () => string, show: (message: Outgoing | undefined, clientId: string) => void): Queue {
  const queue = new Map<string, Outgoing>();
  let busy = false;
  let failures = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  function put(message: Outgoing): void {
    queue.set(message.clientId, message);
    show(message, message.clientId);
  }
  function forget(clientId: string): void {
    queue.delete(clientId);
    local.set(KEY + clientId, undefined);
  }
  function later(message: Outgoing, note: string, ms: number): void {
    put({ ...message, state: "waiting", note });
    clearTimeout(timer);
    timer = setTimeout(wake, ms);
  }
  function wake(): void {
    clearTimeout(timer);
    for (const message of queue.values()) if (message.state === "waiting") { const { note: _, ...rest } = message; put({ ...rest, state: "sending" }); }
    void run();
  }

  async function run(): Promise<void> {
    if (busy) return;
    busy = true;
    try {
      for (;;) {
        // What waits holds back what was written after it: order is kept.
        const next = [...queue.values()].find(({ state }) => state === "sending" || state === "waiting");
        if (next === undefined || next.state === "waiting" || !(await attempt(next))) return;
      }
    } finally {
      busy = false;
    }
  }

  /** False: the queue has to wait. */
  async function attempt(message: Outgoing): Promise<boolean> {
    const { clientId, text, files, replyTo } = message;
    try {
      const answer = await server.send({ clientId, text, name: name(), ...(files.length === 0 ? {} : { files: files.map(({ id }) => id) }), ...(replyTo === undefined ? {} : { replyTo }) });
      failures = 0;
      if (!queue.has(clientId)) return true;
      if (answer.state === "saved") { forget(clientId); show({ ...message, state: "sent" }, clientId); } else put({ ...message, state: "refused" });
      return true;
    } catch (thrown) {
      if (!queue.has(clientId)) return true;
      const fault = thrown instanceof ServerFault ? thrown : new ServerFault(0, "", String(thrown));
      const wait = WAITS_MS[Math.min(failures++, WAITS_MS.length - 1)] as number;
      if (fault.status === 0) later(message, say("waitConnection"), wait);
      else if (fault.status === 404 || fault.status === 429 || fault.status >= 500) {
        const ms = fault.afterMs ?? wait;
        later(message, say(fault.status === 429 ? "waitSeconds" : "waitServer", { n: Math.ceil(ms / 1000) }), ms);
      } else {
        put({ ...message, state: "failed", note: say("notSent", { text: fault.message }) });
        return true;
      }
      return false;
    }
  }

  for (const [, kept] of local.list(KEY)) if (isKept(kept)) put({ ...kept, state: "sending" });
  return {
    add(text, files, replyTo) {
      const message: Outgoing = { clientId: randomId(), text, files, at: Date.now(), state: "sending", ...(replyTo === undefined ? {} : { replyTo }) };
      local.set(KEY + message.clientId, message);
      put(message);
      void run();
    },
    retry(clientId) {
      const message = queue.get(clientId);
      if (message === undefined) return;
      const { note: _, ...rest } = message;
      put({ ...rest, state: "sending" });
      clearTimeout(timer);
      wake();
    },
    remove(clientId) { forget(clientId); show(undefined, clientId); },
    wake,
  };
}

function isKept(value: unknown): value is Outgoing {
  return typeof value === "object" && value !== null && "clientId" in value && "text" in value && "files" in value;
}
