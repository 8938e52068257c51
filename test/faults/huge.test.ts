/**
 * F54: much larger than anybody means it: 1 MB of text, 10 MB of JSON, 100 files, an answer of 100,000 characters. Each is taken whole or refused with a code,
 * before it is confirmed; nothing is cut without a word, and the event loop does not stand still (the longest turn is printed; the bound is a generous one).
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Channel, ChannelContext, Connection, Limits } from "../../engine/channels/channel.ts";
import { splitDraft, splitText } from "../../engine/channels/split.ts";
import { systemClock } from "../../engine/clock.ts";
import { createGateway } from "../../engine/gateway.ts";
import { createSpool } from "../../engine/media.ts";
import { parseMessage } from "../../engine/message-schema.ts";
import type { Address, Draft, FileAttachment, Message } from "../../engine/message.ts";
import { openSqliteStore } from "../../engine/store/sqlite.ts";
import { message, until } from "../kit/scripted.ts";
import { account, gateway as gatewayNode, on, type Said, type Sink, startHome, tab } from "../rigs/home.ts";
import { watchStore } from "./conserve.ts";
import { MIB, mb } from "./load/figures.ts";
import { createGauge } from "./load/measure.ts";

/** Where it stood still for longer, something is wrong on any machine. */
const FROZEN_MS = 2_000;

/** Numbered, so that one that is missing, doubled or out of place shows. */
const words = (characters: number): string => Array.from({ length: Math.ceil(characters / 8) }, (_, n) => `w${String(n).padStart(6, "0")}`).join(" ").slice(0, characters);
const shape = (text: string): string => text.replace(/\s+/g, " ").trim();
/** What stands in a chat at last, in order. */
function standing(said: readonly Said[], chat: string): string[] {
  const texts = new Map<string, string>();
  for (const [at, one] of said.entries()) if (one.to.chat === chat) { if (one.op === "send") texts.set(one.ref ?? `m${at + 1}`, one.draft?.text ?? ""); else if (one.op === "edit" && one.ref !== undefined) texts.set(one.ref, one.draft?.text ?? ""); }
  return [...texts.values()];
}

/** A model that streams so many characters, twenty at a time. */
async function startTalker(text: string): Promise<{ readonly url: string; close(): void }> {
  const server = createServer((request, response) => {
    request.resume().on("end", () => void (async () => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      const piece = (delta: object, finish: string | null = null, more: object = {}) => `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", created: 1, model: "m", choices: [{ index: 0, delta, finish_reason: finish }], ...more })}\n\n`;
      for (let at = 0; at < text.length; at += 20) {
        response.write(piece({ content: text.slice(at, at + 20) }));
        if (at % 2_000 === 0) await new Promise((resolve) => { setTimeout(resolve, 1); });
      }
      response.end(`${piece({}, "stop")}data: [DONE]\n\n`);
    })());
  });
  await new Promise<void>((resolve) => { server.listen(0, "127.0.0.1", resolve); });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close() { server.closeAllConnections(); server.close(); } };
}

function flow(sink: Sink, model: string) {
  return [
    tab, gatewayNode, account(sink), account(sink, { id: "acc-asked", name: "Asked", slug: "asked" }),
    { id: "model", type: "clawflow-model", name: "Talker", gateway: "gw", provider: "openai", model: "m", baseUrl: `${model}/v1`, credentials: { key: "sk-stub-of-the-fault-tests" }, version: 1 },
    on("in", "clawflow-channel-in", { gateway: "gw", accounts: ["acc"], version: 1 }, ["out"], []),
    on("hook", "clawflow-webhook", { gateway: "gw", path: "big", verify: "none", answer: "now", version: 1 }, ["hooked"]),
    on("hooked", "clawflow-channel-out", { gateway: "gw", action: "send", account: "acc", chat: "hooked", chatType: "str", version: 1 }, []),
    on("ask", "clawflow-channel-in", { gateway: "gw", accounts: ["acc-asked"], version: 1 }, ["agent"], []),
    on("agent", "clawflow-agent", { gateway: "gw", model: "model", system: "Talk.", agentId: "agent", version: 1 }, ["out"], []),
    on("out", "clawflow-channel-out", { gateway: "gw", action: "reply", version: 1 }, []),
  ];
}

describe("what is far too large", function () {
  this.timeout(180_000);

  it("is taken whole or refused with a code, by a real Node-RED that goes on meanwhile", async () => {
    using gauge = createGauge();
    const answer = words(100_000);
    const talker = await startTalker(answer);
    try {
      await using home = await startHome((sink) => flow(sink, talker.url), { env: gauge.env, settings: { disableEditor: true } });
      const { red, sink } = home;
      await using _held = watchStore(path.join(red.userDir, "clawflow/home"));
      const post = async (to: string, body: string) => {
        const response = await red.fetch(`/clawflow/home/${to}`, { method: "POST", headers: { "content-type": "application/json" }, body });
        const text = await response.text();
        return { status: response.status, code: (/[A-Z]{3,5}_\d{3}/.exec(text) ?? [""])[0] };
      };
      const hook = async (body: string) => {
        const response = await red.fetch("/clawflow/hooks/big", { method: "POST", headers: { "content-type": "application/json" }, body });
        return { status: response.status, code: (/[A-Z]{3,5}_\d{3}/.exec(await response.text()) ?? [""])[0] };
      };
      const whole = (chat: string, text: string) => until(() => shape(standing(sink.said, chat).join(" ")).length >= shape(text).length, `all of ${text.length} characters in ${chat}, there are ${shape(standing(sink.said, chat).join(" ")).length}\n${red.lines.slice(-10).join("\n")}`, 60_000);
      const figures: string[] = [];
      let base = 0;
      async function told(what: string): Promise<void> {
        const { worstTurnMs, heap } = await gauge.measure(red.pid);
        base ||= heap;
        figures.push(`${what.padEnd(46)} longest turn ${worstTurnMs.toFixed(0).padStart(4)} ms, heap ${mb(heap - base)} MB above base`);
        assert.ok(worstTurnMs < FROZEN_MS, `${what}: the event loop stood still for ${worstTurnMs} ms`);
      }
      await home.say("hello");
      await home.heard(1);
      await told("(start)");

      const million = words(1_000_000);
      assert.equal((await post("echo", JSON.stringify({ id: "big", chat: "text", text: million }))).status, 200);
      await whole("text", million);
      assert.equal(shape(standing(sink.said, "text").join(" ")), million.trim());
      assert.ok(standing(sink.said, "text").every((part) => part.length <= 4_000));
      await told("1 MB of text, in 250 parts");

      assert.deepEqual(await hook(JSON.stringify({ text: million })), { status: 202, code: "" });
      await whole("hooked", million);
      assert.equal(shape(standing(sink.said, "hooked").join(" ")), million.trim());
      await told("1 MB of text by webhook");

      const tenMb = JSON.stringify({ id: "ten", chat: "ten", text: "small", more: Array.from({ length: 100_000 }, (_, n) => ({ n, x: "y".repeat(80) })) });
      assert.ok(tenMb.length > 9 * MIB);
      assert.deepEqual(await hook(tenMb), { status: 413, code: "MSG_003" });
      await told("10 MB of JSON by webhook: refused");
      assert.equal((await post("echo", tenMb)).status, 200);
      await until(() => standing(sink.said, "ten").length === 1, "the small text in the large body");
      await told("10 MB of JSON to a channel");
      assert.deepEqual(await post("echo", JSON.stringify({ id: "forty", chat: "forty", text: "x".repeat(40 * MIB) })), { status: 413, code: "MSG_003" });
      await told("40 MB to a channel: refused");
      assert.deepEqual(await hook(`{"a":${"[".repeat(400_000)}${"]".repeat(400_000)}}`), { status: 400, code: "MSG_001" });
      await told("JSON nested 400,000 deep: refused");

      assert.equal((await post("asked", JSON.stringify({ id: "talk", chat: "talk", text: "talk" }))).status, 200);
      await whole("talk", answer);
      assert.equal(shape(standing(sink.said, "talk").join(" ")), answer.trim());
      await told("an answer of 100,000 characters, shown live");

      assert.equal((await post("echo", JSON.stringify({ id: "after", chat: "after", text: "still there" }))).status, 200);
      await until(() => standing(sink.said, "after").length === 1, "an answer afterwards");
      const { counts } = await red.admin<{ counts: { pending: number; dead: number; received: number; outbox: { dead: number } } }>("GET", "/clawflow/gateway/gw");
      console.log(figures.map((line) => `      ${line}`).join("\n"));
      assert.deepEqual([counts.dead, counts.outbox.dead, counts.received], [0, 0, 6]);
    } finally {
      talker.close();
    }
  });

  it("as 100 files: all are fetched or marked, and go out in order; 101 are refused", async () => {
    const folder = mkdtempSync(path.join(tmpdir(), "clawflow-huge-"));
    const sent: Draft[] = [];
    let underWay = 0;
    let most = 0;
    const files: Channel = {
      id: "scripted", label: "Files", settings: [], limits: { text: 4_000, unit: "utf16", files: 10 }, delivery: {}, check: () => [],
      async open(_account, _context: ChannelContext): Promise<Connection> {
        return {
          self: { id: "bot", name: "Bot" },
          async send(_to: Address, draft: Draft) { sent.push(draft); return `s${sent.length}`; },
          async media(reference) {
            underWay++;
            most = Math.max(most, underWay);
            await new Promise((resolve) => { setTimeout(resolve, 5); });
            underWay--;
            if (reference === "r13") throw new Error("it is gone");
            return new Blob([Buffer.alloc(100_000, reference)]).stream();
          },
          async close() {},
        };
      },
    };
    const store = await openSqliteStore(folder);
    const gateway = await createGateway({ store, clock: systemClock, spool: createSpool(path.join(folder, "media")), fetchFor: async () => fetch, texts: { claimed: "", notice: () => "" }, log: () => undefined });
    try {
      await gateway.setAccounts([{ account: { id: "acc", channel: "scripted", name: "Files", settings: {}, policy: { policy: "open", allow: [] } }, channel: files }]);
      await until(() => gateway.connections.get("acc")?.connection !== undefined);
      const attachments = (count: number) => Array.from({ length: count }, (_, n): FileAttachment => ({ kind: "document", media: `r${n}`, state: "remote", name: `file ${n}.txt` }));
      let got: Message | undefined;
      let state: string | undefined;
      gateway.inbox.add({
        id: "in", covers: () => true, matches: () => true, gatherMs: 0,
        emit(run) {
          got = run.messages[0];
          const ready = (got?.attachments ?? []).filter((file): file is FileAttachment => "state" in file && file.state === "ready");
          void gateway.deliver({ run: run.id, step: "out", op: "send", to: run.receipt.message.at, draft: { text: "", attachments: ready } }).then((receipt) => { state = receipt.state; gateway.settle(run.id); });
        },
      });
      gateway.start();
      const hundred = message({ attachments: attachments(100) });
      parseMessage(hundred);
      assert.throws(() => parseMessage({ ...hundred, attachments: attachments(101) }), { code: "MSG_001" });
      assert.equal(await gateway.inbox.receive(hundred, { trust: "allowed", tainted: false }), "saved");
      await until(() => state !== undefined, "the answer", 30_000);
      const states = (got?.attachments ?? []).map((file) => ("state" in file ? file.state : ""));
      assert.deepEqual([states.length, states.filter((one) => one === "ready").length, states.indexOf("failed")], [100, 99, 13]);
      assert.match(JSON.stringify(got?.attachments[13]), /it is gone/);
      assert.equal(state, "sent");
      assert.deepEqual(sent.map(({ attachments: some }) => some?.length), [10, 10, 10, 10, 10, 10, 10, 10, 10, 9]);
      assert.deepEqual(sent.flatMap(({ attachments: some = [] }) => some.map(({ name }) => name)), attachments(100).filter((_, n) => n !== 13).map(({ name }) => name));
      console.log(`      ${most} of 100 files under way at once`);
    } finally {
      await gateway.close();
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it("as an answer of 100,000 characters of any kind: every part fits, nothing is missing", () => {
    const kinds: Record<string, string> = {
      words: words(100_000), "one word": "x".repeat(100_000), emoji: "👩‍👩‍👧‍👦".repeat(9_000), marks: `a${"\u0301".repeat(99_999)}`, lines: "a\n".repeat(50_000), "empty lines": "\n".repeat(100_000),
      code: `\`\`\`js\n${"const a = 1;\n".repeat(7_700)}\`\`\``, "one line of code": `\`\`\`\n${"y".repeat(100_000)}\n\`\`\``, fences: "```\n".repeat(25_000), backticks: "`".repeat(100_000), chinese: "好的。".repeat(33_333), blanks: `${" ".repeat(99_999)}.`,
    };
    const limits: Record<string, Pick<Limits, "text" | "unit">> = { Telegram: { text: 4_096, unit: "utf16" }, small: { text: 200, unit: "utf16" }, bytes: { text: 400, unit: "bytes" }, points: { text: 2_000, unit: "points" } };
    const figures: string[] = [];
    for (const [kind, text] of Object.entries(kinds)) for (const [name, limit] of Object.entries(limits)) {
      const from = performance.now();
      const parts = splitText(text, limit);
      const ms = performance.now() - from;
      figures.push(`${kind}/${name} ${ms.toFixed(0)}`);
      const length = { utf16: (one: string) => one.length, bytes: (one: string) => Buffer.byteLength(one), points: (one: string) => [...one].length }[limit.unit];
      const bare = (one: string) => one.replace(/\s+/g, "").replace(/```(?:js)?/g, "");
      assert.ok(ms < FROZEN_MS, `${kind} for ${name} took ${ms} ms`);
      assert.deepEqual(parts.filter((part) => length(part) > limit.text).map((part) => length(part)), [], `${kind} for ${name}: parts that do not fit`);
      assert.equal(bare(parts.join("")), bare(text), `${kind} for ${name}: something is missing`);
      assert.equal(splitDraft({ text, attachments: [] }, limit).length, parts.length);
    }
    console.log(`      ms: ${figures.join(", ")}`);
  });
});
