/** Requests to the chat's account. Every path is relative to the page. */
import { type ChooseBody, type Entry, FILE_KIND_HEADER, FILE_NAME_HEADER, type FileCard, IDENTITY_HEADER, type PressBody, ROOM_HEADER, type SendAnswer, type SendBody, VISITOR_HEADER, type VoteBody } from "../engine/channels/webchat/protocol.ts";

/** The server said no, or nobody answered (`status` 0). */
export class ServerFault extends Error {
  readonly status: number;
  readonly code: string;
  /** Milliseconds after which to come again, where the server named them. */
  readonly afterMs: number | undefined;
  constructor(status: number, code: string, text: string, afterMs?: number) {
    super(text);
    this.status = status;
    this.code = code;
    this.afterMs = afterMs;
  }
}

export interface Server {
  events(last: string | undefined, signal: AbortSignal): Promise<ReadableStream<Uint8Array>>;
  send(body: SendBody): Promise<SendAnswer>;
  press(body: PressBody): Promise<SendAnswer>;
  choose(body: ChooseBody): Promise<SendAnswer>;
  vote(body: VoteBody): Promise<SendAnswer>;
  claim(code: string, name: string): Promise<boolean>;
  upload(file: Blob, about: { readonly name: string; readonly voice: boolean }, signal: AbortSignal): Promise<FileCard>;
  file(id: string): Promise<ArrayBuffer>;
  history(): Promise<Entry[]>;
}

/** Who asks: the secret of this browser, what the site around the chat says of its visitor, and the room that is meant. */
export interface Asker { readonly token: string; readonly identity: string | undefined; readonly room: string | undefined }

/** `base`: the page's address, ending in a slash. `noAnswer`: what a fault says when nobody answered. */
export function createServer(base: string, { token, identity, room }: Asker, noAnswer: string): Server {
  const asker = { [VISITOR_HEADER]: token, ...(identity === undefined ? {} : { [IDENTITY_HEADER]: identity }), ...(room === undefined ? {} : { [ROOM_HEADER]: room }) };
  async function ask(path: string, init: RequestInit = {}): Promise<Response> {
    let answer: Response;
    try {
      answer = await fetch(new URL(path, base), { ...init, cache: "no-store", credentials: "same-origin", redirect: "error", headers: { ...asker, ...init.headers } });
    } catch (error) {
      if (init.signal?.aborted) throw error;
      throw new ServerFault(0, "CONN_001", noAnswer);
    }
    if (answer.ok) return answer;
    throw await faultOf(answer);
  }
  /** An answer that broke off counts as none: the same request may be sent again, it is known by its clientId. */
  async function read<T>(path: string, init?: RequestInit): Promise<T> {
    const answer = await ask(path, init);
    try {
      return (await answer.json()) as T;
    } catch {
      throw new ServerFault(0, "CONN_001", noAnswer);
    }
  }
  const post = <T>(path: string, body: unknown): Promise<T> => read<T>(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  return {
    async events(last, signal) {
      const { body } = await ask("events", { signal, headers: { accept: "text/event-stream", ...(last === undefined ? {} : { "last-event-id": last }) } });
      if (body === null) throw new ServerFault(0, "CONN_001", noAnswer);
      return body;
    },
    send: (body) => post("send", body),
    press: (body) => post("press", body),
    choose: (body) => post("choose", body),
    vote: (body) => post("vote", body),
    async claim(code, name) { return (await post<{ claimed: boolean }>("claim", { code, name })).claimed; },
    upload: (file, { name, voice }, signal) => read("file", { method: "POST", signal, headers: { "content-type": file.type || "application/octet-stream", [FILE_NAME_HEADER]: encodeURIComponent(name.toWellFormed()), ...(voice ? { [FILE_KIND_HEADER]: "voice" } : {}) }, body: file }),
    async file(id) { return (await ask(`file/${id}`)).arrayBuffer(); },
    history: () => read("history"),
  };
}

async function faultOf(answer: Response): Promise<ServerFault> {
  const after = Number(answer.headers.get("retry-after"));
  const afterMs = answer.headers.has("retry-after") && after >= 0 ? after * 1_000 : undefined;
  try {
    const { error } = (await answer.json()) as { error: { code?: string; text?: string } };
    return new ServerFault(answer.status, answer.headers.get("x-clawflow-refused") ?? error.code ?? "", error.text ?? String(answer.status), afterMs);
  } catch {
    return new ServerFault(answer.status, "", `HTTP ${answer.status}`, afterMs);
  }
}
