import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import type { Connection } from "../../engine/channels/channel.ts";
import { type Entry, FILE_NAME_HEADER, VISITOR_HEADER } from "../../engine/channels/webchat/protocol.ts";
import { visitorOf } from "../../engine/channels/webchat/visitor.ts";
import { createWebchat, webchat } from "../../engine/channels/webchat/webchat.ts";
import { ChannelError, StoreError } from "../../engine/errors.ts";
import type { Address, Message } from "../../engine/message.ts";
import { parseMessage } from "../../engine/message-schema.ts";
import { channelContract } from "../contracts/channel.ts";
import { until } from "../kit/scripted.ts";
import { createSpoolInMemory, createStorage, type Host, type HostOptions, openHost } from "../platforms/host.ts";
import { TOKEN, visitor } from "../platforms/webchat-client.ts";
import { projectRoot } from "../rigs/project.ts";

const channel = createWebchat(async (name) => new TextEncoder().encode(`the bytes of ${name}`));
const ME = visitorOf({ [VISITOR_HEADER]: TOKEN }) as string;
const to: Address = { channel: "webchat", account: "chat", chat: ME, kind: "direct" };
const PNG = Uint8Array.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 1, 2, 3]);
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const NOBODY = "pages ask us: there is no platform";
const UNSIGNED = "nobody signs: a visitor is known by the token of its own page";
channelContract("webchat", { channel, lacks: {
  read: "its samples are requests of the page, which the tests of its server send", signed: UNSIGNED, unsecured: UNSIGNED, drop: "pages come to us, and resume by themselves", host: NOBODY, wrong: NOBODY, away: NOBODY,
  "fault rate": NOBODY, "fault refused": NOBODY, "fault server": NOBODY, "fault reset": NOBODY, "fault markup": NOBODY, "refusal gone": NOBODY, "refusal kicked": NOBODY, "refusal long": NOBODY,
}, make: async () => {
  const storage = createStorage();
  let serving: Connection | undefined;
  let n = 0;
  let ended = false;
  let line: Promise<unknown> = Promise.resolve();
  const ask = (path: string, body: Uint8Array, headers: Record<string, string> = {}) => serving?.webhook?.({ method: "POST", path, query: new URLSearchParams(), headers: { host: "home", "content-type": "application/json", [VISITOR_HEADER]: TOKEN, ...headers }, body, remote: "", signal: new AbortController().signal });
  const encode = (body: object): Uint8Array => new TextEncoder().encode(JSON.stringify(body));
  /** The page's own way: again with the same id until it is confirmed, and only then the next. */
  async function deliver(body: Uint8Array): Promise<void> {
    for (;;) {
      const answer = await ask("/send", body);
      if (ended || answer?.status === 200) return;
      await pause(5);
    }
  }
  const rows = () => [...storage.all].filter(([key]) => key.startsWith("chat/")).sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row as Entry).filter(({ from }) => from === "bot");
  const bytesOf = async ({ id }: { readonly id: string }): Promise<Uint8Array> => {
    const { media = "" } = ((await storage.get(`file/${id}`)) ?? {}) as { media?: string };
    return kept.get(media) ?? new Uint8Array();
  };
  /** What the media folder holds, for who looks on. */
  const kept = new Map<string, Uint8Array>();
  const files = createSpoolInMemory();
  const spool: typeof files = { ...files, async save(...given) { const saved = await files.save(...given); kept.set(`spool:${saved.id}`, files.files.get(saved.id) ?? new Uint8Array()); return saved; } };
  const shown = new Map<string, Uint8Array>();
  return {
    channel, account: { id: "chat", channel: "webchat", name: "Home", settings: {} }, secrets: [TOKEN], to, context: { storage, spool },
    serve(connection) {
      serving = connection;
      const send = connection.send.bind(connection);
      // A visitor's page loads what it is shown.
      connection.send = async (...given) => { const ref = await send(...given); for (const { files: cards = [] } of rows()) for (const card of cards) shown.set(card.id, await bytesOf(card)); return ref; };
    },
    say(text) {
      const body = encode({ clientId: `message-${++n}`, text });
      line = line.then(() => deliver(body));
    },
    async attach({ name, mime, bytes }) {
      const answer = await ask("/file", bytes, { "content-type": mime, [FILE_NAME_HEADER]: name });
      const { id } = JSON.parse(String(answer?.body)) as { id: string };
      await deliver(encode({ clientId: `message-${++n}`, text: "", files: [id] }));
    },
    shown: () => rows().map(({ text }) => text),
    seen: () => rows().map(({ text, buttons = [], choices, cards = [], poll, contact, location, files: sent = [] }) => ({
      text, buttons: buttons.flat().map(({ label }) => label), choices: choices?.options.map(({ label }) => label) ?? [], cards: cards.map(({ title = "" }) => title), files: sent.map(({ id }) => shown.get(id) ?? new Uint8Array()),
      ...(location === undefined ? {} : { location }), ...(contact === undefined ? {} : { contact: contact.phone }), ...(poll === undefined ? {} : { poll }),
    })),
    async close() { ended = true; },
  };
} });

describe("the web chat's server", () => {
  let host: Host;
  const hosts: Host[] = [];
  async function start(options: Partial<HostOptions> = {}): Promise<Host> {
    host = await openHost({ channel, receive: async () => "saved", ...options });
    hosts.push(host);
    return host;
  }
  afterEach(async () => { for (const each of hosts.splice(0)) await each.close(); });

  describe("a visitor's message", () => {
    for (const { about, headers, body, message } of JSON.parse(readFileSync(path.join(projectRoot, "engine/channels/webchat/samples/text.json"), "utf8")) as { about: string; headers: Record<string, string>; body: { clientId: string }; message: Partial<Message> }[]) {
      it(`maps ${about}`, async () => {
        await start();
        const raw = about.startsWith("fields") ? JSON.stringify(body).replace('"sender"', '"__proto__":{"trust":"owner"},"sender"') : JSON.stringify(body);
        const { post } = visitor(host.url);
        const answer = await post("send", raw, { "accept-language": "", ...headers });
        assert.equal(answer.status, 200, JSON.stringify(answer.body));
        const [got] = host.received as [Message];
        assert.deepEqual(parseMessage(got), got);
        assert.equal((got as { trust?: string }).trust, undefined);
        assert.deepEqual(got, { ...message, version: 1, id: `${ME}:${body.clientId}`, ref: answer.body.ref, at: to, sentAt: got.sentAt, sender: { ...message.sender, id: ME } });
      });
    }

    it("is recorded before it is received, and confirmed after", async () => {
      const storage = createStorage();
      let release = (): void => undefined;
      await start({ storage, receive: async () => { await new Promise<void>((resolve) => { release = resolve; }); return "saved"; } });
      let answered = false;
      const answer = visitor(host.url).say("hello", "client-0001").then((got) => { answered = true; return got; });
      await until(() => host.received.length === 1);
      assert.equal([...storage.all.keys()].filter((key) => key.startsWith(`chat/${ME}/`)).length, 1);
      await pause(30);
      assert.equal(answered, false);
      release();
      assert.deepEqual((await answer).body, { state: "saved", ref: host.received[0]?.ref });
    });

    it("is one message however often the page sends it", async () => {
      await start({ receive: async (message) => (host?.received.filter(({ id }) => id === message.id).length > 1 ? "duplicate" : "saved") });
      const me = visitor(host.url);
      const answers = await Promise.all([1, 2, 3, 4, 5].map(() => me.say("once", "client-0001")));
      answers.push(await me.say("once", "client-0001"));
      assert.equal(new Set(answers.map(({ body }) => body.ref)).size, 1);
      assert.equal(new Set(host.received.map(({ id }) => id)).size, 1);
      assert.deepEqual((await me.feed()).entries().map(({ text }) => text), ["once"]);
    });

    it("is tried again after 503 while the store takes nothing, and is in the transcript once", async () => {
      let full = 2;
      await start({ receive: async () => { if (full-- > 0) throw new StoreError("STORE_005", { retry: "later", afterMs: 3_000 }); return "saved"; } });
      const me = visitor(host.url);
      const first = await me.say("hello", "client-0001");
      assert.equal(first.status, 503);
      assert.equal(first.headers.get("retry-after"), "3");
      assert.equal(first.body.error?.code, "STORE_005");
      assert.equal((await me.say("hello", "client-0001")).status, 503);
      assert.equal((await me.say("hello", "client-0001")).status, 200);
      // Confirmed: the engine is not asked again, not even after its own memory of the message has faded.
      assert.equal((await me.say("hello", "client-0001")).status, 200);
      assert.equal(host.received.length, 3);
      assert.equal((await me.feed()).entries().length, 1);
    });

    it("that was recorded but not received is received at the next start", async () => {
      const storage = createStorage();
      await start({ storage, receive: async () => { throw new StoreError("STORE_001", { retry: "later" }); } });
      await visitor(host.url).say("hello", "client-0001");
      const [before] = host.received;
      await start({ storage });
      assert.deepEqual(host.received, [before]);
      await start({ storage });
      assert.deepEqual(host.received, []);
    });

    it("of a stranger leaves nothing behind", async () => {
      const storage = createStorage();
      await start({ storage, receive: async () => "refused" });
      const me = visitor(host.url);
      const feed = await me.feed();
      const answer = await me.say("let me in", "client-0001");
      assert.deepEqual([answer.status, answer.body], [200, { state: "refused" }]);
      assert.equal(storage.all.size, 0);
      await feed.until((events) => events.some((event) => event.type === "trust" && event.trust === "refused"));
      assert.equal((await me.feed()).hello().trust, "refused");
      assert.deepEqual((await me.feed()).entries(), []);
    });

    it("of a stranger is taken under the same id once the owner let them in", async () => {
      let open = false;
      await start({ receive: async () => (open ? "saved" : "refused") });
      const me = visitor(host.url);
      await me.say("let me in", "client-0001");
      open = true;
      assert.equal((await me.say("let me in", "client-0001")).body.state, "saved");
      assert.deepEqual((await me.feed()).entries().map(({ text }) => text), ["let me in"]);
    });

    it("carries a reply to a message of this chat, and to no other", async () => {
      await start();
      const me = visitor(host.url);
      const ref = await host.connection.send(to, { text: "a question" }, "k1");
      await me.say("an answer", "client-0001", { replyTo: ref });
      await me.say("another", "client-0002", { replyTo: "12345" });
      assert.deepEqual(host.received.map(({ replyTo }) => replyTo), [ref, undefined]);
    });

    it("carries the request's known fields where the account keeps them, and not when they are too many", async () => {
      await start({ settings: { raw: true } });
      const me = visitor(host.url);
      await me.post("send", '{"clientId":"client-0001","text":"hi","name":"A","__proto__":{"x":1},"other":{"y":2},"files":[]}');
      await me.say("x".repeat(300_000), "client-0002");
      assert.deepEqual(host.received.map(({ raw }) => raw), [{ clientId: "client-0001", text: "hi", name: "A", files: [] }, undefined]);
      for (const message of host.received) assert.deepEqual(parseMessage(message), message);
    });

    const bad: [string, unknown, number, string][] = [
      ["no JSON", "{", 400, "MSG_001"], ["an array", "[]", 400, "MSG_001"], ["null", "null", 400, "MSG_001"], ["nothing to say", { clientId: "client-0001", text: "  " }, 400, "MSG_001"],
      ["no clientId", { text: "x" }, 400, "MSG_001"], ["a clientId with slashes", { clientId: "../../../etc", text: "x" }, 400, "MSG_001"], ["a file of nobody", { clientId: "client-0001", text: "x", files: ["0".repeat(32)] }, 400, "MSG_001"],
      ["a megabyte and more", { clientId: "client-0001", text: "x".repeat(1024 * 1024) }, 413, "MSG_003"], ["depth without end", "[".repeat(500_000), 400, "MSG_001"], ["bytes that are no text", Uint8Array.from([0x7b, 0xff, 0xfe]), 400, "MSG_001"],
    ];
    for (const [about, body, status, code] of bad) {
      it(`is refused with ${status} ${code}: ${about}`, async () => {
        await start();
        const answer = await visitor(host.url).post("send", body);
        assert.equal(answer.status, status);
        assert.equal(answer.body.error?.code, code);
        assert.match(answer.body.error?.text ?? "", /Expected/);
        assert.ok((answer.body.error?.remedy ?? "").length > 10);
        assert.deepEqual(host.received, []);
      });
    }

    it("of almost a megabyte is taken whole", async () => {
      await start();
      const text = "y".repeat(1_000_000);
      assert.equal((await visitor(host.url).say(text, "client-0001")).status, 200);
      assert.equal(host.received[0]?.text, text);
      assert.equal((await visitor(host.url).feed()).entries()[0]?.text.length, 1_000_000);
    });

    it("is held back after 20 in a minute, and says for how long", async () => {
      await start();
      const me = visitor(host.url);
      for (let n = 10; n < 30; n++) assert.equal((await me.say("x", `client-00${n}`)).status, 200);
      const answer = await me.say("x", "client-0030");
      assert.equal(answer.status, 429);
      assert.equal(answer.body.error?.code, "CONN_003");
      assert.ok(Number(answer.headers.get("retry-after")) >= 1);
      assert.equal((await visitor(host.url, "f".repeat(32)).say("x", "client-0001")).status, 200);
    });

    it("of the 31st stranger in a minute is not even looked at, while who is known may talk", async () => {
      await start({ receive: async ({ sender }) => (sender.id === ME ? "saved" : "refused") });
      await visitor(host.url).say("the owner", "client-0001");
      for (let n = 10; n < 40; n++) assert.equal((await visitor(host.url, `stranger${n}`.padEnd(32, "x")).say("x", "client-0001")).body.state, "refused");
      assert.equal((await visitor(host.url, "stranger".padEnd(32, "y")).say("x", "client-0001")).status, 429);
      assert.equal((await visitor(host.url).say("the owner again", "client-0002")).status, 200);
    });
  });

  describe("the bot", () => {
    it("says a thing once for each key, also when asked at the same time and after a restart", async () => {
      const storage = createStorage();
      await start({ storage });
      const refs = await Promise.all([1, 2, 3].map(() => host.connection.send(to, { text: "once" }, "key-1")));
      await start({ storage });
      refs.push(await host.connection.send(to, { text: "once" }, "key-1"));
      assert.equal(new Set(refs).size, 1);
      assert.equal(await host.connection.find?.(to, { key: "key-1", draft: { text: "once" }, startedAt: 0 }), refs[0]);
      assert.equal(await host.connection.find?.(to, { key: "key-2", draft: { text: "once" }, startedAt: 0 }), undefined);
      assert.deepEqual((await visitor(host.url).feed()).entries().map(({ text }) => text), ["once"]);
    });

    it("shows to every open tab: a preview, the message with its key, an edit, a reaction, a removal, typing", async () => {
      await start();
      const me = visitor(host.url);
      const tabs = [await me.feed(), await me.feed()];
      const stranger = await visitor(host.url, "f".repeat(32)).feed();
      await host.connection.typing?.(to);
      await host.connection.preview?.(to, { text: "He" }, "key-1");
      const ref = await host.connection.send(to, { text: "Hello", buttons: [[{ label: "Yes" }]] }, "key-1");
      await host.connection.edit?.(to, ref, { text: "Hello there" });
      await host.connection.react?.(to, ref, "👍");
      await host.connection.remove?.(to, ref);
      for (const tab of tabs) {
        await tab.until((events) => events.some((event) => event.type === "change" && event.entry === null));
        const seen = tab.events.slice(2);
        assert.deepEqual(seen.map(({ type }) => type), ["typing", "preview", "entry", "change", "change", "change"]);
        const changes = seen.flatMap((event) => (event.type === "change" ? [event.entry] : []));
        assert.deepEqual([changes[0]?.text, changes[0]?.edited, changes[0]?.buttons], ["Hello there", true, undefined]);
        assert.equal(changes[1]?.reaction, "👍");
      }
      assert.deepEqual(stranger.events.map(({ type }) => type), ["hello", "ready"]);
    });

    it("is understood by a page that was away: what was missed comes, in order, also edits and removals", async () => {
      await start();
      const me = visitor(host.url);
      const first = await host.connection.send(to, { text: "one" }, "k1");
      const second = await host.connection.send(to, { text: "two" }, "k2");
      const feed = await me.feed();
      const last = feed.ids.at(-1);
      feed.close();
      await host.connection.edit?.(to, first, { text: "one, better" });
      await host.connection.send(to, { text: "three" }, "k3");
      await host.connection.remove?.(to, second);
      const again = await me.feed(last);
      assert.equal(again.hello().fresh, false);
      const seen = again.events.slice(1, -1).map((event) => (event.type === "entry" ? event.entry.text : event.type === "change" ? [event.ref, event.entry?.text] : event.type));
      assert.deepEqual(seen, [[first, "one, better"], "three", [second, undefined]]);
      assert.deepEqual((await me.feed(again.ids.at(-1))).events.map(({ type }) => type), ["hello", "ready"]);
    });

    it("begins anew with a page that knows a place the transcript does not have", async () => {
      await start();
      await host.connection.send(to, { text: "one" }, "k1");
      const feed = await visitor(host.url).feed("9999999999999999");
      assert.equal(feed.hello().fresh, true);
      assert.deepEqual(feed.entries().map(({ text }) => text), ["one"]);
    });

    it("keeps polls and places, and refuses what it cannot say", async () => {
      await start();
      await host.connection.send(to, { text: "Lunch", poll: { question: "What?", options: ["Soup", "Pie"] } }, "k1");
      await host.connection.send(to, { text: "", location: { latitude: 52.5, longitude: 13.4 } }, "k2");
      const entries = (await visitor(host.url).feed()).entries();
      assert.deepEqual([entries[0]?.text, entries[0]?.poll], ["Lunch", { question: "What?", options: ["Soup", "Pie"], counts: [0, 0] }]);
      assert.deepEqual(entries[1]?.location, { latitude: 52.5, longitude: 13.4 });
      for (const [address, draft, code] of [[{ ...to, chat: "somebody" }, { text: "x" }, "MSG_002"], [to, { text: "" }, "MSG_001"]] as const) {
        await assert.rejects(host.connection.send(address, draft, "k3"), (error: unknown) => error instanceof ChannelError && error.code === code && error.retry === "no");
      }
      await assert.rejects(host.connection.edit?.(to, "1", { text: "x" }) ?? Promise.resolve(), (error: unknown) => error instanceof ChannelError && error.code === "MSG_002");
    });

    it("hears a button once, and only one that is there", async () => {
      await start();
      const me = visitor(host.url);
      const ref = await host.connection.send(to, { text: "Shall I?", buttons: [[{ label: "Yes", value: "y" }, { label: "No" }, { label: "Docs", url: "https://example.org" }]] }, "k1");
      assert.equal((await me.post("press", { clientId: "client-0001", ref, value: "y" })).status, 200);
      assert.equal((await me.post("press", { clientId: "client-0002", ref, value: "No" })).status, 200);
      for (const [given, value] of [[ref, "Yes"], [ref, "Docs"], ["1", "y"], [undefined, "y"]]) assert.equal((await me.post("press", { clientId: "client-0003", ref: given, value })).status, 404);
      assert.equal((await visitor(host.url, "f".repeat(32)).post("press", { clientId: "client-0001", ref, value: "y" })).status, 404);
      assert.deepEqual(host.received.map(({ kind, ref: about, action, id }) => [kind, about, action, id]), [
        ["action", ref, { type: "button", value: "y", label: "Yes" }, `${ME}:client-0001`], ["action", ref, { type: "button", value: "No", label: "No" }, `${ME}:client-0002`],
      ]);
      for (const message of host.received) assert.deepEqual(parseMessage(message), message);
      assert.equal((await me.feed()).entries()[0]?.pressed, "No");
    });
  });

  describe("files", () => {
    const upload = (me: ReturnType<typeof visitor>, bytes: Uint8Array, name: string, type = "application/octet-stream") => me.post("file", bytes, { "content-type": type, "x-clawflow-file-name": encodeURIComponent(name) });

    it("go up after the first message, ride with the next, and come back to their owner alone", async () => {
      const spool = createSpoolInMemory();
      await start({ spool });
      const me = visitor(host.url);
      assert.equal((await upload(me, PNG, "cat.png")).status, 403);
      await me.say("hello", "client-0001");
      const card = (await upload(me, PNG, "../\u202Ecat.png", "text/html")).body;
      assert.deepEqual([card.name, card.mime, card.kind, card.bytes], ["cat.png", "image/png", "image", 11]);
      await me.say("", "client-0002", { files: [card.id] });
      const message = host.received[1] as Message;
      assert.deepEqual(parseMessage(message), message);
      assert.deepEqual(message.attachments, [{ kind: "image", media: `spool:${[...spool.files.keys()][0]}`, state: "ready", mime: "image/png", name: "cat.png", bytes: 11 }]);
      const answer = await me.get(`file/${card.id}`);
      assert.deepEqual(new Uint8Array(await answer.arrayBuffer()), PNG);
      assert.equal(answer.headers.get("content-type"), "image/png");
      assert.equal(answer.headers.get("content-disposition"), "attachment; filename*=UTF-8''cat.png");
      assert.equal(answer.headers.get("content-security-policy"), "sandbox; default-src 'none'");
      assert.equal(answer.headers.get("x-content-type-options"), "nosniff");
      assert.equal((await visitor(host.url, "f".repeat(32)).get(`file/${card.id}`)).status, 404);
      assert.equal((await me.get("file/..%2f..%2fetc%2fpasswd")).status, 404);
    });

    it("are voice notes where they were recorded for it, and sounds", async () => {
      await start();
      const me = visitor(host.url);
      await me.say("hello", "client-0001");
      const webm = Uint8Array.of(0x1a, 0x45, 0xdf, 0xa3, 0, 0);
      const kindOf = async (bytes: Uint8Array, type: string, kind?: string) => (await me.post("file", bytes, { "content-type": type, ...(kind === undefined ? {} : { "x-clawflow-file-kind": kind }) })).body["kind"];
      assert.deepEqual([await kindOf(webm, "audio/webm;codecs=opus", "voice"), await kindOf(webm, "audio/webm"), await kindOf(PNG, "audio/webm", "voice"), await kindOf(webm, "audio/webm", "sticker")], ["voice", "audio", "image", "audio"]);
    });

    it("that a browser could run are served as bytes", async () => {
      await start();
      const me = visitor(host.url);
      await me.say("hello", "client-0001");
      for (const [name, type, text] of [["a.svg", "image/svg+xml", "<svg onload='alert(1)'/>"], ["b.html", "text/html", "<script>alert(1)</script>"], ["c.js", "text/javascript", "alert(1)"]] as const) {
        const card = (await upload(me, new TextEncoder().encode(text), name, type)).body;
        assert.equal(((await me.get(`file/${card.id}`)).headers.get("content-type")), "application/octet-stream", name);
      }
    });

    it("over the limit are refused with 413, empty ones with 400, and none are taken where the limit is 0", async () => {
      await start({ settings: { maxUploadMb: 1 } });
      const me = visitor(host.url);
      await me.say("hello", "client-0001");
      const large = await upload(me, new Uint8Array(1024 * 1024 + 1), "large");
      assert.deepEqual([large.status, large.body.error?.code], [413, "MSG_003"]);
      assert.equal((await upload(me, new Uint8Array(0), "empty")).status, 400);
      await start({ settings: { maxUploadMb: 0 } });
      await visitor(host.url).say("hello", "client-0001");
      assert.deepEqual([(await upload(visitor(host.url), PNG, "cat.png")).status, (await visitor(host.url).feed()).hello().maxUploadBytes], [403, 0]);
    });

    it("of the bot come from the media folder or from an address, which is fetched at once", async () => {
      const spool = createSpoolInMemory();
      const { id } = await spool.save(new Blob([PNG]).stream(), {});
      const asked: string[] = [];
      await start({ spool, context: { async download(url) {
        asked.push(url);
        if (!url.startsWith("https://example.org/b")) throw new ChannelError("MSG_002", { unsent: true }, "The file could not be fetched.");
        return new Blob([PNG]).stream() as ReadableStream<Uint8Array>;
      } } });
      await host.connection.send(to, { text: "look", attachments: [{ kind: "image", media: `spool:${id}`, mime: "image/png", name: "a.png", alt: "a cat" }, { kind: "image", media: "https://example.org/b" }] }, "k1");
      await host.connection.send(to, { text: "look", attachments: [{ kind: "image", media: "https://example.org/b" }] }, "k1");
      assert.deepEqual(asked, ["https://example.org/b"]);
      const me = visitor(host.url);
      const [entry] = (await me.feed()).entries();
      assert.deepEqual(entry?.files?.map(({ name, mime, kind, alt }) => [name, mime, kind, alt]), [["a.png", "image/png", "image", "a cat"], ["image.png", "image/png", "image", undefined]]);
      for (const file of entry?.files ?? []) assert.deepEqual(new Uint8Array(await (await me.get(`file/${file.id}`)).arrayBuffer()), PNG);
      await assert.rejects(host.connection.send(to, { text: "", attachments: [{ kind: "image", media: "https://example.org/gone" }] }, "k2"), (error: unknown) => error instanceof ChannelError && error.code === "MSG_002" && error.retry === "no");
      await assert.rejects(host.connection.send(to, { text: "", attachments: [{ kind: "image", media: "file:///etc/passwd" }] }, "k3"), ChannelError);
    });
  });

  describe("the door", () => {
    it("gives the page with a strict policy, and says when it was not built", async () => {
      await start({ settings: { origins: ["https://example.org"] } });
      for (const [at, type] of [["", "text/html"], ["chat.js", "text/javascript"], ["chat.css", "text/css"]] as const) {
        const answer = await fetch(new URL(at, host.url));
        assert.equal(answer.status, 200);
        assert.match(answer.headers.get("content-type") ?? "", new RegExp(`^${type}`));
        assert.equal(await answer.text(), `the bytes of ${at === "" ? "chat.html" : at}`);
        const policy = answer.headers.get("content-security-policy") ?? "";
        for (const rule of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'self' https://example.org", "require-trusted-types-for 'script'"]) assert.ok(policy.split("; ").includes(rule), rule);
        assert.doesNotMatch(policy, /unsafe|\*/);
        assert.equal((await fetch(new URL(at, host.url), { headers: { "if-none-match": answer.headers.get("etag") ?? "" } })).status, 304);
      }
      await start({ channel: createWebchat(async () => undefined) });
      const missing = await fetch(host.url);
      assert.equal(missing.status, 503);
      assert.match(await missing.text(), /not built/);
    });

    for (const [about, headers, status] of [
      ["this page, as browsers on safe addresses say it", { "sec-fetch-site": "same-origin", origin: "https://behind-a-proxy.example" }, 200],
      ["this page, as others say it", { origin: "OWN" }, 200], ["a program", {}, 200], ["a site on the list", { origin: "https://example.org", "sec-fetch-site": "cross-site" }, 200],
      ["another site", { "sec-fetch-site": "cross-site", origin: "https://evil.example" }, 403], ["another site, old browser", { origin: "https://evil.example" }, 403],
      ["a neighbour", { "sec-fetch-site": "same-site", origin: "http://127.0.0.1:1" }, 403], ["a page without origin", { origin: "null" }, 403],
    ] as const) {
      it(`answers ${status} to ${about}`, async () => {
        await start({ settings: { origins: ["https://example.org"] } });
        const own = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, value === "OWN" ? new URL(host.url).origin : value]));
        // Node's own fetch sends sec-fetch-mode and would overwrite nothing else.
        const { request } = await import("node:http");
        const got = await new Promise<number>((resolve, reject) => {
          const req = request(new URL("send", host.url), { method: "POST", headers: { [VISITOR_HEADER]: TOKEN, "content-type": "application/json", ...own } }, (res) => { res.resume(); resolve(res.statusCode ?? 0); });
          req.on("error", reject).end(JSON.stringify({ clientId: "client-0001", text: "x" }));
        });
        assert.equal(got, status);
        assert.equal(host.received.length, status === 200 ? 1 : 0);
      });
    }

    it("wants a token, a known path, and JSON", async () => {
      await start();
      for (const token of ["", "short", "x".repeat(200), "with spaces and more than 22"]) assert.equal((await fetch(new URL("events", host.url), { headers: { [VISITOR_HEADER]: token } })).status, 401);
      const me = visitor(host.url);
      assert.equal((await me.get("nothing")).status, 404);
      assert.equal((await me.post("events", {})).status, 404);
      assert.equal((await me.post("send", "{}", { "content-type": "text/plain" })).status, 415);
    });

    it("hands the owner's code over, once for each visitor, and no more than ten tries a minute", async () => {
      const claims: unknown[] = [];
      await start({ context: { claim: async (code, sender, at) => { claims.push([code, sender.id, at]); return code === "GOOD" && claims.length === 2; } } });
      const me = visitor(host.url);
      assert.deepEqual((await me.post("claim", { code: "BAD" })).body, { claimed: false });
      assert.deepEqual((await me.post("claim", { code: "GOOD" })).body, { claimed: true });
      // The answer was lost, the page asks again, the code is used up.
      assert.deepEqual((await me.post("claim", { code: "GOOD" })).body, { claimed: true });
      assert.deepEqual((await visitor(host.url, "f".repeat(32)).post("claim", { code: "GOOD" })).body, { claimed: false });
      assert.deepEqual(claims[1], ["GOOD", ME, to]);
      assert.equal((await me.feed()).hello().trust, "known");
      for (let n = 0; n < 6; n++) await me.post("claim", { code: "BAD" });
      assert.equal((await me.post("claim", { code: "BAD" })).status, 429);
    });

    it("ends all streams when the account closes, and lets a new one go on where they were", async () => {
      const storage = createStorage();
      await start({ storage });
      const me = visitor(host.url);
      const ref = await host.connection.send(to, { text: "one" }, "k1");
      const feed = await me.feed();
      assert.equal(feed.ids.at(-1), ref);
      await host.connection.close();
      assert.equal((await me.say("too late", "client-0001")).status, 503);
      await start({ storage });
      await host.connection.send(to, { text: "two" }, "k2");
      assert.deepEqual((await visitor(host.url).feed(ref)).entries().map(({ text }) => text), ["two"]);
    });

    it("keeps no more than twelve tabs of one visitor", async () => {
      await start();
      const me = visitor(host.url);
      const tabs = await Promise.all(Array.from({ length: 12 }, () => me.feed()));
      await assert.rejects(me.feed(), /429/);
      tabs[0]?.close();
      await until(async () => me.feed().then(() => true, () => false));
    });
  });

  describe("settings", () => {
    const check = (settings: Record<string, unknown>) => webchat.check({ id: "chat", channel: "webchat", name: "Home", settings });
    for (const settings of [{}, { maxUploadMb: 0 }, { maxUploadMb: "25" }, { accent: "#0F766e" }, { origins: ["https://example.org", "http://localhost:3000"] }, { origins: "https://example.org\nhttps://example.net" }]) {
      it(`finds ${JSON.stringify(settings)} right`, () => assert.deepEqual(check(settings), []));
    }
    for (const settings of [{ maxUploadMb: -1 }, { maxUploadMb: 26 }, { maxUploadMb: "many" }, { accent: "red" }, { accent: "#fff;}" }, { origins: ["https://example.org/"] }, { origins: ["*"] }, { origins: ["javascript:alert(1)"] }, { origins: ["https://a.example; script-src *"] }]) {
      it(`names what is wrong with ${JSON.stringify(settings)}`, () => { const problems = check(settings); assert.equal(problems.length, 1); assert.match(problems[0] ?? "", /^Expected .* got ".*"\.$/); });
    }
    it("reach the page", async () => {
      await start({ settings: { title: "House", welcome: "Hi", suggestions: "One\n\nTwo ", notice: "Note", accent: "#112233", maxUploadMb: 2 } });
      const { title, welcome, suggestions, notice, accent, maxUploadBytes, visitor: id } = (await visitor(host.url).feed()).hello();
      assert.deepEqual({ title, welcome, suggestions, notice, accent, maxUploadBytes, id }, { title: "House", welcome: "Hi", suggestions: ["One", "Two"], notice: "Note", accent: "#112233", maxUploadBytes: 2_097_152, id: ME });
    });
  });
});
