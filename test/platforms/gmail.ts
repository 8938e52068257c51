/** A stub of Gmail's REST API and of Google's OAuth server: a real HTTP server on loopback that logs, validates and answers requests and keeps a mailbox with its history. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import PostalMime, { type Email } from "postal-mime";
import { gmailProblems } from "../spec/gmail-schema.ts";

type Json = Record<string, unknown>;
export interface Stored { readonly id: string; readonly threadId: string; readonly labelIds: string[]; readonly internalDate: string; readonly source: Buffer; readonly email: Email }
export interface Seen { readonly method: string; readonly path: string; readonly query: URLSearchParams; readonly problems: readonly string[] }
export type Fault = { readonly status: number; readonly reason?: string; readonly says?: string; readonly headers?: Record<string, string> } | { readonly reset: "before" | "after" } | { readonly raw: string };

export interface GmailStub {
  readonly url: string;
  readonly address: string;
  readonly clientId: string;
  readonly secret: string;
  readonly token: string;
  readonly seen: readonly Seen[];
  readonly stored: readonly Stored[];
  /** Access tokens given. */
  readonly tokens: readonly string[];
  expiresIn: number;
  /** Gives sent mails a Message-ID of its own, as Gmail has done at times. */
  rewrites: boolean;
  problems(): string[];
  fault(path: RegExp, fault: Fault, times?: number): void;
  deliver(source: Buffer, more?: { readonly labelIds?: readonly string[]; readonly at?: number; readonly threadId?: string }): Promise<Stored>;
  sent(): readonly Stored[];
  /** Refuses the access tokens given until now. */
  revoke(): void;
  /** Forgets what happened until now. */
  forget(): void;
  cut(): void;
  close(): Promise<void>;
}

export async function startGmail(): Promise<GmailStub> {
  const [clientId, secret, token] = ["123-abc.apps.googleusercontent.com", "canary-client-secret", "1//canary-refresh-token"];
  const seen: Seen[] = [];
  const stored: Stored[] = [];
  const history: { readonly id: number; readonly message: Stored }[] = [];
  const tokens: string[] = [];
  const good = new Set<string>();
  const faults: { path: RegExp; fault: Fault; times: number }[] = [];
  const sockets = new Set<Socket>();
  let count = 1_000;
  let oldest = 0;

  const server = createServer((request, response) => void serve(request, response).catch((error: unknown) => { if (!response.headersSent) refuse(response, 500, "backendError", String(error)); }));
  server.on("connection", (socket) => { sockets.add(socket); socket.on("close", () => sockets.delete(socket)); });
  await new Promise<void>((resolve) => { server.listen(0, "127.0.0.1", resolve); });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname: path, searchParams: query } = new URL(request.url ?? "/", url);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const written = Buffer.concat(chunks);
    const method = request.method ?? "GET";
    const found = faults.find((each) => each.times > 0 && each.path.test(path));
    if (found !== undefined) found.times -= 1;
    const fault = found?.fault;
    if (fault !== undefined && "reset" in fault && fault.reset === "before") return void request.socket.destroy();
    if (fault !== undefined && "raw" in fault) return void response.writeHead(200, { "content-type": "text/html" }).end(fault.raw);
    if (fault !== undefined && "status" in fault) return refuse(response, fault.status, fault.reason ?? "backendError", fault.says ?? "no", fault.headers);
    if (path === "/token") return grant(new URLSearchParams(written.toString()), response);
    if (!good.has((request.headers.authorization ?? "").replace(/^Bearer /, ""))) return refuse(response, 401, "authError", "Invalid Credentials");
    const upload = path.startsWith("/upload/");
    const body = written.length === 0 || upload ? undefined : (JSON.parse(written.toString()) as Json);
    const problems = gmailProblems(method, path, query, body);
    seen.push({ method, path, query, problems: problems[0] === "no such method" ? [] : problems });
    if (problems[0] === "no such method") return refuse(response, 404, "notFound", "Not Found");
    if (problems.length > 0) return refuse(response, 400, "invalidArgument", problems.join("; "));
    await answer(path.replace(/^(?:\/upload)?\/gmail\/v1\/users\/me\//, ""), query, upload ? multipart(written, request.headers["content-type"] ?? "") : body, response, fault !== undefined ? () => request.socket.destroy() : undefined);
  }

  function grant(form: URLSearchParams, response: ServerResponse): void {
    if (form.get("client_id") !== clientId || form.get("client_secret") !== secret) json(response, 401, { error: "invalid_client", error_description: "Unauthorized" });
    else if (form.get("grant_type") !== "refresh_token" || form.get("refresh_token") !== token) json(response, 400, { error: "invalid_grant", error_description: "Token has been expired or revoked." });
    else {
      const made = `ya29.canary-access-${tokens.length + 1}`;
      tokens.push(made);
      good.add(made);
      json(response, 200, { access_token: made, expires_in: stub.expiresIn, scope: "https://www.googleapis.com/auth/gmail.modify", token_type: "Bearer" });
    }
  }

  async function answer(path: string, query: URLSearchParams, body: Json | undefined, response: ServerResponse, lose?: () => void): Promise<void> {
    const one = /^messages\/([\w-]+)(\/modify)?$/.exec(path);
    const message = stored.find(({ id }) => id === one?.[1]);
    const short = ({ id, threadId, labelIds }: Stored) => ({ id, threadId, labelIds });
    if (path === "profile") return json(response, 200, { emailAddress: stub.address, messagesTotal: stored.length, threadsTotal: 1, historyId: String(count) });
    if (path === "labels") return json(response, 200, { labels: [{ id: "INBOX", name: "INBOX", type: "system" }] });
    if (path === "history") {
      const start = Number(query.get("startHistoryId"));
      if (start < oldest) return refuse(response, 404, "notFound", "Requested entity was not found.");
      const label = query.get("labelId");
      const all = history.filter(({ id, message: { labelIds } }) => id > start && (label === null || labelIds.includes(label)));
      const from = Number(query.get("pageToken") ?? 0);
      const size = Math.min(3, Number(query.get("maxResults") ?? 100));
      const page = all.slice(from, from + size).map(({ id, message: each }) => ({ id: String(id), messages: [{ id: each.id, threadId: each.threadId }], messagesAdded: [{ message: short(each) }] }));
      return json(response, 200, { ...(page.length === 0 ? {} : { history: page }), historyId: String(count), ...(from + size < all.length ? { nextPageToken: String(from + size) } : {}) });
    }
    if (path === "messages") {
      const all = stored.filter((each) => matches(each, query.get("q") ?? "") && query.getAll("labelIds").every((label) => each.labelIds.includes(label))).reverse();
      const from = Number(query.get("pageToken") ?? 0);
      const size = Math.min(4, Number(query.get("maxResults") ?? 100));
      return json(response, 200, { ...(all.length === 0 ? {} : { messages: all.slice(from, from + size).map(({ id, threadId }) => ({ id, threadId })) }), resultSizeEstimate: all.length, ...(from + size < all.length ? { nextPageToken: String(from + size) } : {}) });
    }
    if (path === "messages/send") {
      const source = Buffer.from(String(body?.raw), "base64url");
      const email = await PostalMime.parse(source);
      const own = stub.rewrites ? Buffer.from(source.toString("latin1").replace(/^Message-ID: .*$/im, `Message-ID: <CA${count}@mail.gmail.com>`), "latin1") : source;
      const made = keep(own, stub.rewrites ? await PostalMime.parse(own) : email, ["SENT"], Date.now(), typeof body?.threadId === "string" ? body.threadId : undefined);
      if (lose !== undefined) return lose();
      return json(response, 200, short(made));
    }
    if (message === undefined) return refuse(response, 404, "notFound", "Requested entity was not found.");
    if (one?.[2] !== undefined) {
      for (const label of (body?.removeLabelIds ?? []) as string[]) if (message.labelIds.includes(label)) message.labelIds.splice(message.labelIds.indexOf(label), 1);
      return json(response, 200, short(message));
    }
    const wanted = query.getAll("metadataHeaders").map((each) => each.toLowerCase());
    json(response, 200, {
      ...short(message), internalDate: message.internalDate, snippet: "", historyId: "1", sizeEstimate: message.source.length,
      ...(query.get("format") === "raw" ? { raw: message.source.toString("base64url") } : { payload: { headers: message.email.headers.filter(({ key }) => wanted.length === 0 || wanted.includes(key)).map(({ originalKey, value }) => ({ name: originalKey, value })) } }),
    });
  }

  function keep(source: Buffer, email: Email, labelIds: readonly string[], at: number, threadId?: string): Stored {
    count += 7;
    const id = count.toString(16).padStart(16, "0");
    const made: Stored = { id, threadId: threadId ?? id, labelIds: [...labelIds], internalDate: String(at), source, email };
    stored.push(made);
    history.push({ id: count, message: made });
    return made;
  }

  const stub: GmailStub = {
    url, address: "claw@gmail.com", clientId, secret, token, seen, stored, tokens, expiresIn: 3_599, rewrites: false,
    problems: () => seen.flatMap(({ method, path, problems }) => problems.map((problem) => `${method} ${path}: ${problem}`)),
    fault(path, fault, times = 1) { faults.push({ path, fault, times }); },
    async deliver(source, { labelIds = ["INBOX", "UNREAD"], at = Date.now(), threadId } = {}) { return keep(source, await PostalMime.parse(source), labelIds, at, threadId); },
    sent: () => stored.filter(({ labelIds }) => labelIds.includes("SENT")),
    revoke() { good.clear(); },
    forget() { oldest = count + 1; count += 10; },
    cut() { for (const socket of sockets) socket.destroy(); },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => { server.close(resolve); });
    },
  };
  return stub;
}

/** The parts of Gmail's search that are used. */
function matches({ email, labelIds, internalDate }: Stored, q: string): boolean {
  return q.split(" ").filter((word) => word !== "").every((word) => {
    if (word.startsWith("rfc822msgid:")) return email.messageId === `<${word.slice(12)}>`;
    if (word === "in:sent") return labelIds.includes("SENT");
    if (word.startsWith("after:")) return Number(internalDate) / 1_000 > Number(word.slice(6));
    return false;
  });
}

/** multipart/related of an upload: JSON, then the mail. */
function multipart(written: Buffer, type: string): Json {
  const boundary = /boundary=([^;\s]+)/.exec(type)?.[1] ?? "none";
  const parts = written.toString("latin1").split(`--${boundary}`).slice(1, 3).map((part) => { const at = part.indexOf("\r\n\r\n"); return { head: part.slice(0, at), text: part.slice(at + 4).replace(/\r\n$/, "") }; });
  const [about, mail] = parts;
  if (about === undefined || mail === undefined || !/application\/json/.test(about.head) || !/message\/rfc822/.test(mail.head)) throw new Error("no upload of two parts");
  return { ...(JSON.parse(about.text) as Json), raw: Buffer.from(mail.text, "latin1").toString("base64url") };
}

function refuse(response: ServerResponse, status: number, reason: string, message: string, headers: Record<string, string> = {}): void {
  json(response, status, { error: { code: status, message, errors: [{ message, domain: "global", reason }] } }, headers);
}
function json(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { "content-type": "application/json; charset=UTF-8", ...headers }).end(JSON.stringify(body));
}
