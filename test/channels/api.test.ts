import assert from "node:assert/strict";
import OpenAI from "openai";
import { api } from "../../engine/channels/api/api.ts";
import { more } from "../../engine/channels/api/routes.ts";
import { readRequest } from "../../engine/channels/api/request.ts";
import { toMessage } from "../../engine/channels/api/to-message.ts";
import { tokenOf, tokenProblems, tokensOf } from "../../engine/channels/api/tokens.ts";
import type { Connection, WebhookRequest } from "../../engine/channels/channel.ts";
import { StoreError } from "../../engine/errors.ts";
import type { Address, FileAttachment, Message } from "../../engine/message.ts";
import { channelContract } from "../contracts/channel.ts";
import { until } from "../kit/scripted.ts";
import { createSpoolInMemory, createStorage, type Host, type HostOptions, openHost } from "../platforms/host.ts";

const TOKEN = "sk-kitchen-0123456789abcdef";
const to: Address = { channel: "api", account: "api", chat: "kitchen:ada", space: "home", kind: "direct" };
const settings = { token: `kitchen=${TOKEN} phone=sk-phone-0123456789abcdef`, models: ["home"] };
const USED = { usage: { input: 7, output: 3 } };

const NOBODY = "clients ask us: there is no platform";
channelContract("api", { channel: api, lacks: {
  drop: "clients come to us, and ask again", host: NOBODY, seen: "text alone is shown", wrong: NOBODY, away: NOBODY,
  "fault rate": NOBODY, "fault refused": NOBODY, "fault server": NOBODY, "fault reset": NOBODY, "fault markup": NOBODY, "refusal gone": NOBODY, "refusal kicked": NOBODY, "refusal long": NOBODY,
}, make: async () => {
  let serving: Connection | undefined;
  let n = 0;
  let ended = false;
  let line: Promise<unknown> = Promise.resolve();
  /** What the flow does with a request: says nothing, answers, or takes its time. */
  let flow: "nothing" | "answers" | "works" = "nothing";
  let stream: "closed" | "waits" | "open" = "closed";
  /** What a client reads: the pieces of the answer. */
  const pieces: string[] = [];
  const keys = new Set<string>();
  const request = (body: object, headers: Record<string, string> = {}): WebhookRequest => ({
    method: "POST", path: "/v1/chat/completions", query: new URLSearchParams(), remote: "", signal: new AbortController().signal,
    headers: { authorization: `Bearer ${TOKEN}`, "idempotency-key": `request-${++n}`, ...headers }, body: new TextEncoder().encode(JSON.stringify({ model: "home", user: "ada", ...body })),
  });
  const asking = (content: unknown) => ({ messages: [{ role: "user", content }] });
  async function deliver(one: WebhookRequest): Promise<void> {
    for (;;) {
      const answer = await serving?.webhook?.(one);
      if (ended || (answer !== undefined && ![429, 503].includes(answer.status))) return;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
  const say = (content: unknown): void => { const one = request(asking(content)); line = line.then(() => deliver(one)); };
  async function read(body: AsyncIterable<string>): Promise<void> {
    for await (const piece of body) for (const [, data = ""] of piece.matchAll(/^data: (\{.*)$/gm)) {
      const content = (JSON.parse(data) as { choices?: { delta: { content?: string } }[] }).choices?.[0]?.delta.content ?? "";
      if (content !== "") pieces.push(content.replace(/^\n\n/, ""));
    }
  }
  return {
    channel: api, account: { id: "api", channel: "api", name: "Home", settings }, secrets: [TOKEN, "sk-phone-0123456789abcdef"], to,
    context: {
      async quiet(at, signal) {
        if (flow === "answers") await serving?.send(at, { text: "done" }, "answer");
        if (flow === "works") { stream = "open"; await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true })); }
        return USED;
      },
    },
    serve(connection) {
      serving = connection;
      const send = connection.send.bind(connection);
      // Who is told something has asked for something.
      connection.send = async (...given) => {
        if (stream === "closed" && flow !== "answers") {
          flow = "works";
          stream = "waits";
          void connection.webhook?.(request({ stream: true, ...asking("tell me") })).then(({ body }) => read(body as AsyncIterable<string>));
        }
        if (flow === "works") await until(() => stream === "open", "a request that waits");
        const ref = await send(...given);
        keys.add(given[2]);
        if (flow === "works") await until(() => pieces.length >= keys.size, "the answer as the client reads it");
        return ref;
      };
    },
    say, shown: () => pieces,
    attach: ({ name, mime, bytes }) => say([{ type: "file", file: { filename: name, file_data: `data:${mime};base64,${Buffer.from(bytes).toString("base64")}` } }]),
    read: (sample) => toMessage(readRequest(new TextEncoder().encode(JSON.stringify((sample as { body: object }).body))), { account: "api", token: "kitchen", key: "k", now: 0 }, { alone: false }),
    signed(text, how) {
      flow = "answers";
      if (how === "right") return request(asking(text));
      return how === "wrong" ? request(asking(text), { authorization: `Bearer ${TOKEN}x` }) : how === "missing" ? request(asking(text), { authorization: "" }) : undefined;
    },
    unsecured: { id: "api", channel: "api", name: "Home", settings: { ...settings, token: "" } },
    async close() { ended = true; },
  };
} });

describe("the OpenAI-compatible API", () => {
  const hosts: Host[] = [];
  /** How a flow deals with each message, and when its place is quiet. */
  interface Flow { readonly quiet: PromiseWithResolvers<void>; done(): void }
  async function start(flow: (message: Message, connection: Connection, run: Flow) => void | Promise<void>, options: Partial<HostOptions> = {}): Promise<Host & { client: OpenAI }> {
    const places = new Map<string, Flow>();
    const placeOf = ({ chat, thread = "" }: Address): string => `${chat}/${thread}`;
    const host = await openHost({
      channel: api, settings, spool: createSpoolInMemory(),
      async receive(message, connection) {
        const quiet = Promise.withResolvers<void>();
        const run: Flow = { quiet, done: () => quiet.resolve() };
        places.set(placeOf(message.at), run);
        void Promise.resolve().then(() => flow(message, connection(), run));
        return "saved";
      },
      ...options,
      context: { quiet: (at, signal) => new Promise((resolve, reject) => { signal.addEventListener("abort", () => reject(signal.reason), { once: true }); void (places.get(placeOf(at))?.quiet.promise ?? Promise.resolve()).then(() => resolve(USED)); }), ...options.context },
    });
    hosts.push(host);
    return { ...host, client: new OpenAI({ apiKey: TOKEN, baseURL: `${host.url}v1`, maxRetries: 0 }) };
  }
  afterEach(async () => { for (const host of hosts.splice(0)) await host.close(); });
  const echo = async (message: Message, connection: Connection, run: Flow): Promise<void> => {
    await connection.send(message.at, { text: `you said ${message.text}` }, `key ${message.id}`);
    run.done();
  };
  const ask = (content: string, more: object = {}) => ({ model: "home", messages: [{ role: "user" as const, content }], user: "ada", ...more });
  const faultOf = (work: Promise<unknown>) => work.then(() => assert.fail("expected a fault"), (error: unknown) => error as InstanceType<typeof OpenAI.APIError>);

  it("answers the official SDK, and tells the tokens", async () => {
    const { client, received } = await start(echo);
    const got = await client.chat.completions.create(ask("hello"));
    assert.deepEqual([got.choices[0]?.message.content, got.choices[0]?.finish_reason, got.model, got.usage], ["you said hello", "stop", "home", { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 }]);
    assert.deepEqual(received[0]?.at, { ...to, account: "chat" });
    assert.deepEqual((await client.models.list()).data.map(({ id }) => id), ["home"]);
    assert.equal((await client.models.retrieve("home")).owned_by, "clawflow");
  });

  it("streams what grows, says each word once, and puts what begins anew below", async () => {
    const { client } = await start(async ({ at }, connection, run) => {
      for (const text of ["Let", "Let me look."]) { await connection.preview?.(at, { text }, "a"); await new Promise((resolve) => setTimeout(resolve, 20)); }
      for (const text of ["It is", "It is 21"]) { await connection.preview?.(at, { text }, "a"); await new Promise((resolve) => setTimeout(resolve, 20)); }
      await connection.send(at, { text: "It is 21 degrees." }, "a");
      await connection.send(at, { text: "Shall I heat?" }, "b");
      run.done();
    });
    const pieces: string[] = [];
    let usage: unknown;
    for await (const part of await client.chat.completions.create({ ...ask("how warm?"), stream: true, stream_options: { include_usage: true } })) {
      pieces.push(part.choices[0]?.delta.content ?? "");
      usage = part.usage ?? usage;
    }
    assert.equal(pieces.join(""), "Let me look.\n\nIt is 21 degrees.\n\nShall I heat?");
    assert.ok(pieces.filter((piece) => piece !== "").length >= 4, pieces.join("|"));
    assert.deepEqual(usage, { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 });
    assert.deepEqual([more(undefined, "a", false), more(undefined, "a", true), more("a", "ab", true), more("ab ", "ab", true), more("xy", "ab", true)], ["a", "\n\na", "b", "", "\n\nab"]);
  });

  it("refuses in OpenAI's shape: no token, no such model, what a flow cannot keep, what cannot be read", async () => {
    const { client, url, received } = await start(echo);
    const status = async (work: Promise<unknown>) => { const { status, code, param } = await faultOf(work); return [status, code, param]; };
    assert.deepEqual(await status(new OpenAI({ apiKey: "sk-wrong", baseURL: `${url}v1`, maxRetries: 0 }).models.list()), [401, "invalid_api_key", null]);
    assert.deepEqual(await status(client.chat.completions.create(ask("x", { model: "gpt-9" }))), [404, "model_not_found", "model"]);
    for (const [param, wish] of Object.entries({ n: { n: 2 }, tool_choice: { tool_choice: "required" }, response_format: { response_format: { type: "json_object" } }, logprobs: { logprobs: true }, modalities: { modalities: ["text", "audio"] } })) {
      assert.deepEqual(await status(client.chat.completions.create(ask("x", wish) as never)), [400, "unsupported_parameter", param]);
    }
    for (const messages of [[], [{ role: "assistant", content: "hi" }], [{ role: "pirate", content: "hi" }], [{ role: "user", content: "" }], "x"]) assert.equal((await faultOf(client.chat.completions.create({ model: "home", messages } as never))).status, 400);
    assert.equal((await fetch(`${url}v1/chat/completions`, { method: "POST", headers: { authorization: `Bearer ${TOKEN}` }, body: "{" })).status, 400);
    assert.deepEqual(await status(client.embeddings.create({ model: "home", input: "x" })), [404, "unknown_url", null]);
    assert.equal(received.length, 0);
    // Wishes that change nothing are passed over.
    assert.equal((await client.chat.completions.create(ask("x", { temperature: 0, tools: [{ type: "function", function: { name: "f", parameters: {} } }], response_format: { type: "text" } }) as never) as { choices: unknown[] }).choices.length, 1);
  });

  it("says 429 where the inbox is full, 503 where the store is away or no flow listens, 403 where the sender is refused, 500 where there was no answer", async () => {
    const status = async (options: Partial<HostOptions>, flow: Parameters<typeof start>[0] = echo) => {
      const { client } = await start(flow, options);
      const error = await faultOf(client.chat.completions.create(ask("x")));
      return [error.status, error.code, error.headers?.get("retry-after") ?? error.headers?.get("x-should-retry")];
    };
    assert.deepEqual(await status({ receive: async () => { throw new StoreError("STORE_005", { retry: "later", afterMs: 5_000 }); } }), [429, "inbox_full", "5"]);
    assert.deepEqual(await status({ receive: async () => { throw new StoreError("STORE_001", { retry: "later", afterMs: 1_000 }); } }), [503, "STORE_001", "1"]);
    const { client: asking } = await start(echo, { receive: async () => { throw new Error("ENOENT: /srv/secret/place"); } });
    const inside = await faultOf(asking.chat.completions.create(ask("x")));
    assert.equal(inside.status, 500);
    assert.doesNotMatch(JSON.stringify(inside.error), /secret/);
    assert.deepEqual(await status({ receive: async () => "refused" }), [403, "not_allowed", null]);
    assert.deepEqual(await status({ context: { listens: () => false } }), [503, "no_flow", "false"]);
    assert.deepEqual(await status({}, (_message, _connection, run) => run.done()), [500, "no_answer", "false"]);
    assert.deepEqual(await status({ settings: { ...settings, waitSeconds: 0.05 } }, () => undefined), [504, "timeout", "false"]);
  });

  it("gives a request that comes again under its key the answer of the first, also after a restart, and does nothing twice", async () => {
    const storage = createStorage();
    const first = await start(echo, { storage });
    const options = { headers: { "Idempotency-Key": "abc" } };
    const one = await first.client.chat.completions.create(ask("hello"), options);
    assert.deepEqual((await first.client.chat.completions.create(ask("hello"), options)).id, one.id);
    assert.equal((await faultOf(first.client.chat.completions.create(ask("other"), options))).status, 422);
    await first.close();
    const second = await start(echo, { storage });
    assert.equal((await second.client.chat.completions.create(ask("hello"), options)).id, one.id);
    assert.deepEqual([first.received.length, second.received.length], [1, 0]);
  });

  /** A store that takes its time, as a disk does, and may not take a message; answers that are quiet when they were said. */
  async function startSlowly(storage: ReturnType<typeof createStorage>): Promise<{ client: OpenAI; received: readonly Message[]; store: { full: boolean; known: Set<string> }; close(): Promise<void> }> {
    const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));
    const store = { full: false, known: new Set<string>() };
    let said: Promise<unknown> = Promise.resolve();
    const host = await openHost({
      channel: api, settings, spool: createSpoolInMemory(), storage: { ...storage, async set(changes) { await pause(); await storage.set(changes); } },
      async receive(message, connection) {
        await pause();
        if (store.full) throw new StoreError("STORE_005", { retry: "later", afterMs: 1_000 });
        if (store.known.has(message.id)) return "duplicate";
        store.known.add(message.id);
        said = connection().send(message.at, { text: `you said ${message.text}` }, `key ${message.id}`);
        return "saved";
      },
      context: { quiet: async () => { await said; return USED; } },
    });
    hosts.push(host);
    return { client: new OpenAI({ apiKey: TOKEN, baseURL: `${host.url}v1`, maxRetries: 0 }), received: host.received, store, close: host.close };
  }

  it("gives all copies of one request the same answer, and what the store says where it does not take the message", async () => {
    const { client, received, store } = await startSlowly(createStorage());
    const copies = (key: string) => Promise.all([1, 2, 3].map(() => client.chat.completions.create(ask("hello"), { headers: { "Idempotency-Key": key } }).then(({ id }) => id, (error: { status: number }) => error.status)));
    const answers = await copies("abc");
    assert.deepEqual([new Set(answers).size, typeof answers[0], received.length], [1, "string", 1]);
    store.full = true;
    assert.deepEqual(await copies("def"), [429, 429, 429]);
    store.full = false;
    assert.equal(typeof (await copies("def"))[0], "string");
    // Without a key they are requests of their own.
    assert.equal(new Set(await Promise.all([1, 2].map(() => client.chat.completions.create(ask("twice")).then(({ id }) => id)))).size, 2);
  });

  for (const keyed of [true, false]) it(`takes up a request whose message was never saved before the process broke off, ${keyed ? "under its key" : "said again"}`, async () => {
    const storage = createStorage();
    const options = keyed ? { headers: { "Idempotency-Key": "abc" } } : {};
    const before = await startSlowly(storage);
    before.store.full = true;
    const kept = new Promise<Map<string, unknown>>((resolve) => { const { set } = storage; storage.set = async (changes) => { await set(changes); storage.set = set; resolve(new Map(storage.all)); }; });
    const broken = faultOf(before.client.chat.completions.create(ask("hello"), options));
    const onDisk = await kept;
    await broken;
    await before.close();
    assert.equal(onDisk.size, 1);
    const after = createStorage();
    await after.set(Object.fromEntries(onDisk));
    const { client, received, store } = await startSlowly(after);
    assert.equal((await client.chat.completions.create(ask("hello"), options)).choices[0]?.message.content, "you said hello");
    assert.equal(received.length, 1);
    assert.deepEqual([...store.known], [before.received[0]?.id]);
  });

  it("goes on without a client that went away, and gives its answer to the very same request", async () => {
    const go = Promise.withResolvers<void>();
    const { client, received } = await start(async (message, connection, run) => { await go.promise; await echo(message, connection, run); });
    const gone = new AbortController();
    const broken = faultOf(client.chat.completions.create(ask("slow"), { signal: gone.signal }));
    await until(() => received.length === 1, "the message");
    gone.abort();
    await broken;
    const again = client.chat.completions.create(ask("slow"));
    await new Promise((resolve) => setTimeout(resolve, 30));
    go.resolve();
    assert.equal((await again).choices[0]?.message.content, "you said slow");
    assert.equal(received.length, 1);
    // Read once: the same words are a new request now.
    await client.chat.completions.create(ask("slow"));
    assert.equal(received.length, 2);
  });

  it("keeps conversations apart: by user within a token, by the client's own name of it, each by itself where the client keeps it", async () => {
    const { client, url, received } = await start(echo);
    await client.chat.completions.create({ ...ask("a"), user: "ada" });
    await client.chat.completions.create({ model: "home", messages: [{ role: "user", content: "b" }] });
    await client.chat.completions.create(ask("c"), { headers: { "X-Conversation-Id": "t1" } });
    await new OpenAI({ apiKey: "sk-phone-0123456789abcdef", baseURL: `${url}v1` }).chat.completions.create(ask("d"));
    assert.deepEqual(received.map(({ at }) => [at.chat, at.thread]), [["kitchen:ada", undefined], ["kitchen", undefined], ["kitchen:ada", "t1"], ["phone:ada", undefined]]);
    const alone = await start(echo, { settings: { ...settings, history: "client" } });
    await Promise.all([1, 2].map((n) => alone.client.chat.completions.create({ model: "home", messages: [{ role: "system", content: "Be kind." }, { role: "user", content: "my name is Ada" }, { role: "assistant", content: "Hello Ada" }, { role: "user", content: `who am I? ${n}` }] })));
    assert.equal(new Set(alone.received.map(({ at }) => at.thread)).size, 2);
    assert.match(alone.received[0]?.text ?? "", /^<conversation so far[\s\S]*system: Be kind\.[\s\S]*user: my name is Ada[\s\S]*assistant: Hello Ada[\s\S]*who am I\? \d$/);
    assert.equal(received[0]?.text, "a");
  });

  it("marks as passed on what brings results of the client's tools, by the older name too", () => {
    const read = (role: string) => toMessage(readRequest(new TextEncoder().encode(JSON.stringify({ model: "home", messages: [{ role: "user", content: "what does the page say?" }, { role, name: "fetch", content: "Open the door." }, { role: "user", content: "do it" }] }))), { account: "api", token: "kitchen", key: "k", now: 0 }, { alone: true });
    for (const role of ["tool", "function"]) {
      assert.match(read(role).text, new RegExp(`${role}: Open the door\\.`));
      assert.deepEqual(read(role).forwarded, { name: "tool" }, role);
    }
    assert.equal(read("assistant").forwarded, undefined);
  });

  it("does one request of a conversation after the other, and refuses what would wait too long in line", async () => {
    const order: string[] = [];
    const gate = Promise.withResolvers<void>();
    const { client, received } = await start(async (message, connection, run) => { order.push(message.text); await gate.promise; await echo(message, connection, run); });
    const all = Array.from({ length: 9 }, (_, n) => client.chat.completions.create(ask(String(n))).then((got) => got.choices[0]?.message.content, (error: { status: number }) => error.status));
    await until(() => received.length === 1, "the first");
    const refused = await Promise.race(all);
    assert.equal(refused, 429);
    assert.deepEqual(order.length, 1);
    gate.resolve();
    const got = await Promise.all(all);
    assert.deepEqual(got.filter((one) => one !== 429).sort(), order.map((text) => `you said ${text}`).sort());
    assert.equal(order.length, 8);
  });

  it("takes pictures, sound and documents, and fetches addresses only through the guard", async () => {
    const { client, received } = await start(echo);
    await client.chat.completions.create({ model: "home", messages: [{ role: "user", content: [
      { type: "text", text: "look" }, { type: "image_url", image_url: { url: `data:image/png;base64,${Buffer.from("\x89PNG\r\n\x1a\nxx", "latin1").toString("base64")}` } },
      { type: "image_url", image_url: { url: "http://192.168.0.1/cat.png" } }, { type: "input_audio", input_audio: { data: Buffer.from("RIFF....WAVEfmt ").toString("base64"), format: "wav" } },
    ] }] });
    assert.deepEqual(received[0]?.attachments.map((file) => { const { kind, state, media } = file as FileAttachment; return [kind, state, media.startsWith("spool:")]; }), [["image", "ready", true], ["image", "remote", false], ["voice", "ready", true]]);
    for (const part of [{ type: "video" }, { type: "image_url", image_url: { url: "ftp://x" } }, { type: "input_audio", input_audio: { data: "*" } }]) assert.equal((await faultOf(client.chat.completions.create({ model: "home", messages: [{ role: "user", content: [part] }] } as never))).status, 400);
  });

  it("lets pages of other sites in only where they are named", async () => {
    const { url } = await start(echo, { settings: { ...settings, origins: ["https://app.example"] } });
    const preflight = (origin: string) => fetch(`${url}v1/chat/completions`, { method: "OPTIONS", headers: { origin, "access-control-request-method": "POST", "access-control-request-headers": "authorization" } });
    assert.equal((await preflight("https://app.example")).headers.get("access-control-allow-origin"), "https://app.example");
    assert.equal((await preflight("https://evil.example")).headers.get("access-control-allow-origin"), null);
  });

  it("knows tokens by name or by their hash, and says what is wrong with them without one of them", () => {
    const tokens = tokensOf("kitchen=sk-0123456789012345678, 01234567890123456789");
    assert.deepEqual(tokens.map(({ name }) => name), ["kitchen", tokens[1]?.name]);
    assert.match(tokens[1]?.name ?? "", /^[0-9a-f]{8}$/);
    assert.equal(tokenOf("Bearer sk-0123456789012345678", tokens)?.name, "kitchen");
    for (const header of [undefined, "", "Bearer", "Bearer ", "Basic sk-0123456789012345678", "Bearer kitchen=sk-0123456789012345678"]) assert.equal(tokenOf(header, tokens), undefined);
    for (const [setting, word] of [["", "none"], ["short", "shorter"], ["a=sk-0123456789012345678 a=sk-9123456789012345678", "twice"]] as const) assert.match(tokenProblems(setting).join(" "), new RegExp(word));
  });
});
