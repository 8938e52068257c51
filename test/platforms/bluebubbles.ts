/** A stub of a BlueBubbles server: a real HTTP server on loopback with a small chat.db in memory. Bodies are held against the rules of its own validators (bluebubbles-server, api/http/api/v1/validators). */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import busboy from "busboy";
import type { Told } from "../../engine/channels/imessage/to-message.ts";

type Json = Record<string, unknown>;
type Row = { -readonly [K in keyof Told]: Told[K] };
export interface Seen { readonly method: string; readonly path: string; readonly body: Json; readonly problems: readonly string[] }
export type Fault = { readonly status: number; readonly message: string; readonly error?: string; readonly headers?: Record<string, string> } | { readonly reset: "before" | "after" } | { readonly raw: string; readonly status: number };
export interface BlueBubblesStub {
  readonly url: string;
  readonly password: string;
  readonly seen: readonly Seen[];
  /** Rows of chat.db, oldest first. */
  readonly rows: readonly Row[];
  problems(): string[];
  fault(path: RegExp, fault: Fault, times?: number): void;
  /** Somebody writes: a row more. */
  write(row: Partial<Row>): Row;
  keep(guid: string, bytes: Uint8Array, mime: string): void;
  /** Bytes of what was sent, by message. */
  readonly uploads: ReadonlyMap<string, Uint8Array>;
  cut(): void;
  close(): Promise<void>;
}

type Rule = "string" | "required string" | "present string" | "number" | "required array" | "array" | readonly string[];
const REACTIONS = ["love", "like", "dislike", "laugh", "emphasize", "question", "-love", "-like", "-dislike", "-laugh", "-emphasize", "-question"];
const METHODS = ["apple-script", "private-api"];
/** By path: fields and their rules; what is not named is a mistake of ours. `priv`: only with the Private API. */
const ROUTES: readonly { readonly method: string; readonly path: RegExp; readonly priv?: true; readonly fields: Readonly<Record<string, Rule>> }[] = [
  { method: "GET", path: /^\/ping$/, fields: {} },
  { method: "GET", path: /^\/server\/info$/, fields: {} },
  { method: "POST", path: /^\/message\/query$/, fields: { with: "array", where: "array", sort: ["ASC", "DESC"], after: "number", before: "number", chatGuid: "string", offset: "number", limit: "number", convertAttachments: "string" } },
  { method: "POST", path: /^\/message\/text$/, fields: { chatGuid: "required string", tempGuid: "string", message: "present string", method: METHODS, effectId: "string", subject: "string", selectedMessageGuid: "string", partIndex: "number", ddScan: "string" } },
  { method: "POST", path: /^\/message\/attachment$/, fields: { chatGuid: "required string", tempGuid: "string", method: METHODS, name: "required string", isAudioMessage: "string", effectId: "string", subject: "string", selectedMessageGuid: "string", partIndex: "string" } },
  { method: "POST", path: /^\/message\/react$/, priv: true, fields: { chatGuid: "required string", selectedMessageGuid: "required string", reaction: REACTIONS, partIndex: "number" } },
  { method: "POST", path: /^\/message\/[^/]+\/edit$/, priv: true, fields: { editedMessage: "required string", backwardsCompatibilityMessage: "required string", partIndex: "number" } },
  { method: "POST", path: /^\/message\/[^/]+\/unsend$/, priv: true, fields: { partIndex: "number" } },
  { method: "POST", path: /^\/chat\/[^/]+\/(?:typing|read)$/, priv: true, fields: {} },
  { method: "GET", path: /^\/attachment\/[^/]+\/download$/, fields: {} },
];

/** What BlueBubbles' validators say against a request, one line each. */
export function problemsOf(method: string, path: string, body: Json, privateApi: boolean): string[] {
  const route = ROUTES.find((each) => each.method === method && each.path.test(path));
  if (route === undefined) return [`no ${method} ${path}`];
  const problems = Object.keys(body).filter((key) => !Object.hasOwn(route.fields, key)).map((key) => `${key} is no field`);
  for (const [key, rule] of Object.entries(route.fields)) {
    const value = body[key];
    if (value === undefined) { if (typeof rule === "string" && /^(required|present)/.test(rule)) problems.push(`the ${key} field is required`); continue; }
    if (Array.isArray(rule) && !rule.includes(String(value))) problems.push(`the selected ${key} is invalid`);
    if (typeof rule === "string" && rule.endsWith("string") && typeof value !== "string") problems.push(`the ${key} must be a string`);
    if (rule === "required string" && value === "") problems.push(`the ${key} field is required`);
    if (rule === "number" && typeof value !== "number") problems.push(`the ${key} must be a number`);
    if (rule === "array" && !Array.isArray(value)) problems.push(`the ${key} must be an array`);
  }
  if (/^\/message\/(?:text|attachment)$/.test(path)) {
    const privately = body.method === "private-api" || ["effectId", "subject", "selectedMessageGuid"].some((key) => body[key] !== undefined);
    if (privately && !privateApi) problems.push("the Private API is not enabled");
    if (!privately && !body.tempGuid) problems.push("a 'tempGuid' is required when sending via AppleScript");
    if (path.endsWith("text") && !body.message && !(privately && body.subject)) problems.push("a 'message' is required");
  }
  if (route.priv === true && !privateApi) problems.push("iMessage Private API is not enabled!");
  if (typeof body.limit === "number" && (body.limit < 1 || body.limit > 1_000)) problems.push("the limit must be 1 to 1000");
  return problems;
}

export async function startBlueBubbles({ privateApi = true }: { readonly privateApi?: boolean } = {}): Promise<BlueBubblesStub> {
  const password = "canary-bb-password-31";
  const seen: Seen[] = [];
  const rows: Row[] = [];
  const uploads = new Map<string, Uint8Array>();
  const files = new Map<string, { bytes: Uint8Array; mime: string }>();
  const faults: { path: RegExp; fault: Fault; times: number }[] = [];
  const sockets = new Set<Socket>();
  let next = 100;
  const guidOf = (row: number) => `${row.toString(16).toUpperCase().padStart(8, "0")}-AAAA-4BBB-8CCC-0123456789AB`;

  const server = createServer((request, response) => void serve(request, response).catch((error: unknown) => { if (!response.headersSent) reply(response, 500, { status: 500, message: String(error) }); }));
  server.on("connection", (socket) => { sockets.add(socket); socket.on("close", () => sockets.delete(socket)); });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? "/", url);
    const path = pathname.replace(/^\/api\/v1/, "");
    const { body, file } = await readBody(request);
    if (searchParams.get("password") !== password) return reply(response, 401, { status: 401, message: "You are not authorized to access this resource", error: { type: "Authentication Error", error: "Unauthorized" } });
    const problems = problemsOf(request.method ?? "", path, body, privateApi);
    const missing = problems[0]?.startsWith("no ") === true;
    seen.push({ method: request.method ?? "", path, body, problems: missing ? [] : problems });
    const found = faults.find((each) => each.times > 0 && each.path.test(path));
    const fault = found?.fault;
    if (found !== undefined) found.times -= 1;
    if (fault !== undefined && "reset" in fault && fault.reset === "before") return void request.socket.destroy();
    if (fault !== undefined && "raw" in fault) return void response.writeHead(fault.status, { "content-type": "text/html" }).end(fault.raw);
    if (fault !== undefined && "status" in fault) return reply(response, fault.status, { status: fault.status, message: fault.message, ...(fault.error === undefined ? {} : { error: { type: "x", error: fault.error } }) }, fault.headers);
    if (missing) return reply(response, 404, { status: 404, message: "Not Found" });
    if (problems.length > 0) return reply(response, 400, { status: 400, message: "You've made a bad request!", error: { type: "Validation Error", error: problems.join("; ") } });
    const kept = /^\/attachment\/([^/]+)\/download$/.exec(path)?.[1];
    if (kept !== undefined) {
      const known = files.get(decodeURIComponent(kept));
      return known === undefined ? reply(response, 404, { status: 404, message: "Attachment does not exist!" }) : void response.writeHead(200, { "content-type": known.mime }).end(known.bytes);
    }
    const data = act(path, body, file);
    if (fault !== undefined && "reset" in fault) return void request.socket.destroy();
    reply(response, data === undefined ? 404 : 200, data === undefined ? { status: 404, message: "Message does not exist!" } : { status: 200, message: "Success", data });
  }

  function act(path: string, body: Json, file: Uint8Array | undefined): unknown {
    if (path === "/ping") return "pong";
    if (path === "/server/info") return { os_version: "15.1", server_version: "1.9.9", private_api: privateApi, detected_imessage: "bot@example.org", computer_id: "mac" };
    if (path === "/message/query") return query(body);
    if (path === "/message/text" || path === "/message/attachment") {
      const row = write({ isFromMe: true, text: typeof body.message === "string" ? body.message : null, subject: typeof body.subject === "string" ? body.subject : null, handle: null, chats: [{ guid: String(body.chatGuid) }], attachments: file === undefined ? [] : [{ guid: `at-${next}`, mimeType: "x/y", totalBytes: file.length }] });
      if (file !== undefined) uploads.set(row.guid ?? "", file);
      return { ...row, tempGuid: body.tempGuid };
    }
    const [, guid = "", what] = /^\/message\/([^/]+)\/(edit|unsend)$/.exec(path) ?? [];
    if (what !== undefined) {
      const row = rows.find((each) => each.guid === decodeURIComponent(guid));
      if (row === undefined) return undefined;
      if (what === "edit") { row.text = String(body.editedMessage); row.dateEdited = Date.now(); } else row.dateRetracted = Date.now();
      return row;
    }
    return {};
  }
  /** As far as the adapter asks: rows behind a number, own rows, of a chat, since a time. */
  function query({ where = [], chatGuid, after, sort = "DESC", limit = 100, offset = 0 }: Json): readonly Row[] {
    const args = Object.assign({}, ...(where as { args: object }[]).map((each) => each.args)) as { row?: number; me?: number };
    const found = rows.filter((row) => (args.row === undefined || (row.originalROWID ?? 0) > args.row) && (args.me === undefined || row.isFromMe === true) && (chatGuid === undefined || row.chats?.[0]?.guid === chatGuid) && (typeof after !== "number" || (row.dateCreated ?? 0) >= after));
    found.sort((a, b) => ((a.dateCreated ?? 0) - (b.dateCreated ?? 0) || (a.originalROWID ?? 0) - (b.originalROWID ?? 0)) * (sort === "ASC" ? 1 : -1));
    return found.slice(Number(offset), Number(offset) + Number(limit));
  }
  function write(row: Partial<Row>): Row {
    const number = next++;
    const whole: Row = { originalROWID: number, guid: guidOf(number), text: null, subject: null, handle: { address: "+14155550100", service: "iMessage" }, attachments: [], dateCreated: Date.now(), dateEdited: null, dateRetracted: null, dateRead: null, dateDelivered: null, isFromMe: false, itemType: 0, groupActionType: 0, groupTitle: null, associatedMessageGuid: null, associatedMessageType: null, threadOriginatorGuid: null, balloonBundleId: null, error: 0, chats: [{ guid: "iMessage;-;+14155550100" }], ...row };
    rows.push(whole);
    return whole;
  }

  return {
    url, password, seen, rows, uploads, write,
    problems: () => seen.flatMap(({ method, path, problems }) => problems.map((problem) => `${method} ${path}: ${problem}`)),
    fault(path, fault, times = 1) { faults.push({ path, fault, times }); },
    keep(guid, bytes, mime) { files.set(guid, { bytes, mime }); },
    cut() { for (const socket of sockets) socket.destroy(); },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function readBody(request: IncomingMessage): Promise<{ body: Json; file: Uint8Array | undefined }> {
  if (request.headers["content-type"]?.startsWith("multipart/") === true) {
    const body: Json = {};
    let file: Uint8Array | undefined;
    await new Promise<void>((resolve, reject) => {
      const parser = busboy({ headers: { ...request.headers, "content-type": request.headers["content-type"] ?? "" } });
      parser.on("field", (name, value) => { body[name] = value; });
      parser.on("file", (_name, stream) => { const chunks: Buffer[] = []; stream.on("data", (chunk: Buffer) => chunks.push(chunk)); stream.on("end", () => { file = Buffer.concat(chunks); }); });
      parser.on("close", resolve).on("error", reject);
      request.pipe(parser);
    });
    return { body, file };
  }
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const written = Buffer.concat(chunks).toString();
  return { body: written === "" ? {} : (JSON.parse(written) as Json), file: undefined };
}
function reply(response: ServerResponse, status: number, body: object, headers: Record<string, string> = {}): void {
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
}
