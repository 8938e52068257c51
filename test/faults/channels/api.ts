/**
 * The OpenAI-compatible API as its clients use it. Its platform is the client that asks: the official SDK, one request of a conversation after the other, each again under its key until
 * it is answered. What was read is the judge. The way between them can break before a request is whole, and when its answer has begun.
 */
import { createServer, connect, type AddressInfo, type Socket } from "node:net";
import OpenAI from "openai";
import { api } from "../../../engine/channels/api/api.ts";
import type { Door } from "./door.ts";
import type { Side } from "./sides.ts";

const TOKEN = "sk-faults-0123456789abcdef";
type Break = "request" | "answer";
interface Answer { readonly id: string; readonly text: string }

/** A way to the process that breaks when it is told to. */
async function startWay(port: () => number) {
  const open = new Set<Socket>();
  let next: Break | undefined;
  let broken = 0;
  const server = createServer((near) => {
    const breaks = next;
    next = undefined;
    const far = connect(port(), "127.0.0.1");
    for (const each of [near, far]) { open.add(each); each.on("error", () => { /* A close follows. */ }); each.on("close", () => { open.delete(each); near.destroy(); far.destroy(); }); }
    const cut = (): void => { broken++; near.destroy(); far.destroy(); };
    if (breaks === "request") near.once("data", (piece) => far.write(piece.subarray(0, piece.length - 10), cut)); else near.pipe(far);
    if (breaks === "answer") far.once("data", cut); else far.pipe(near);
  });
  await new Promise<void>((resolve) => { server.listen(0, "127.0.0.1", resolve); });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    break(what: Break) { next = what; },
    get broken() { return broken; },
    async close() { for (const each of open) each.destroy(); await new Promise((resolve) => { server.close(resolve); }); },
  };
}

export async function apiSide(stream: boolean, door: Door, port: () => number): Promise<Side> {
  const way = await startWay(port);
  // Each request has a connection of its own: one that was left open would not come by what breaks.
  const client = new OpenAI({ apiKey: TOKEN, baseURL: way.url, maxRetries: 0, defaultHeaders: { connection: "close" } });
  const asked: { readonly text: string; readonly key: string; answer?: Answer }[] = [];
  const problems: string[] = [];
  let [planted, ended] = [0, false];
  let line: Promise<void> = Promise.resolve();

  async function ask(text: string, key: string): Promise<Answer> {
    const request = { model: "faults", user: "ada", messages: [{ role: "user" as const, content: text }] };
    const options = { headers: { "Idempotency-Key": key } };
    if (!stream) {
      const { id, choices } = await client.chat.completions.create(request, options);
      return { id, text: choices[0]?.message.content ?? "" };
    }
    const read: OpenAI.ChatCompletionChunk[] = [];
    for await (const piece of await client.chat.completions.create({ ...request, stream }, options)) read.push(piece);
    if (read.at(-1)?.choices[0]?.finish_reason !== "stop") throw new Error("The stream broke off.");
    return { id: read[0]?.id ?? "", text: read.map(({ choices }) => choices[0]?.delta.content ?? "").join("") };
  }
  /** Undefined: ask again. */
  async function tried(text: string, key: string): Promise<Answer | undefined> {
    try {
      return await ask(text, key);
    } catch (error) {
      const { status } = error as { status?: number };
      if (status !== undefined && status !== 429 && status !== 503) problems.push(`${text}: ${(error as Error).message}`);
      return undefined;
    }
  }
  function same(text: string, one: Answer, other: Answer): void {
    if (one.id !== other.id || one.text !== other.text) problems.push(`${text}: two answers to one request, ${JSON.stringify([one, other])}`);
  }
  async function deliver(one: (typeof asked)[number], copies: number): Promise<void> {
    for (; !ended; await new Promise((resolve) => { setTimeout(resolve, 20); })) {
      const answers = (await Promise.all(Array.from({ length: copies }, () => tried(one.text, one.key)))).filter((each) => each !== undefined);
      const [first] = answers;
      if (first === undefined) continue;
      for (const other of answers) same(one.text, first, other);
      const { onYes } = door;
      door.onYes = undefined;
      if (onYes !== undefined && !(await onYes())) continue;
      one.answer = first;
      return;
    }
  }
  return {
    channel: api, account: { id: "api", channel: "api", name: "Faults", settings: { token: `faults=${TOKEN}`, models: ["faults"] } }, seed: [], brings: "until confirmed", hook: true,
    remarks: ["its platform is the client: again under its key until answered"],
    to: { channel: "api", account: "api", chat: "faults:ada", space: "faults", kind: "direct" },
    say(text, copies = 1) { const one = { text, key: `request-${asked.length}` }; asked.push(one); line = line.then(() => deliver(one, copies)); },
    async replay() {
      for (const { text, key, answer } of asked) {
        const again = answer === undefined ? undefined : await tried(text, key);
        if (again !== undefined && answer !== undefined) same(text, answer, again);
      }
    },
    shown: () => asked.flatMap(({ answer }) => answer?.text.split("\n\n") ?? []),
    // There is nobody who could answer 429 or 5xx to us.
    fail(fault) { if (fault !== "reset") return false; planted++; way.break("answer"); return true; },
    resetBefore() { planted++; way.break("request"); },
    problems: () => [...problems, ...(planted === way.broken ? [] : [`${planted} breaks were planted, ${way.broken} came`])],
    async close() { ended = true; await line; await way.close(); },
  };
}
