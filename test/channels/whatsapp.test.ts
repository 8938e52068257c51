import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import fc from "fast-check";
import type { Connection } from "../../engine/channels/channel.ts";
import { whatsapp } from "../../engine/channels/whatsapp/whatsapp.ts";
import { createWebhook } from "../../engine/channels/whatsapp/webhook.ts";
import { ChannelError } from "../../engine/errors.ts";
import { parseMessage } from "../../engine/message-schema.ts";
import { channelContract, memoryStorage, recordingContext, type RecordingContext } from "../contracts/channel.ts";
import { manualClock, until } from "../kit/scripted.ts";
import { changeBody, type Json, messageBody, statusBody } from "../platforms/whatsapp.ts";
import { ADA, whatsappRig, type WhatsappRig } from "../platforms/whatsapp-rig.ts";
import { dataFolder } from "../spec/telegram-schema.ts";
import { skip } from "../rigs/skip.ts";

const SIGNATURE = "x-hub-signature-256";
const DAY_MS = 86_400_000;
const text = (id: string, body: string, at = 1_790_000_000): Json => ({ from: ADA, id, timestamp: String(at), type: "text", text: { body } });

describe("WhatsApp", () => {
  let rig: WhatsappRig | undefined;
  // Whatever a test made the channel send, the stub held it against the specification.
  afterEach(() => {
    const problems = rig?.stub.problems() ?? [];
    rig = undefined;
    assert.deepEqual(problems, []);
  });

  channelContract("WhatsApp", { channel: whatsapp, lacks: { drop: "WhatsApp holds no link: Meta posts, and is asked", "fault markup": "signs that are no markup are shown as they are" }, make: async () => {
    const made = await whatsappRig();
    made.stub.statuses = true;
    rig = made;
    return made;
  } });

  describe("its webhook", () => {
    let made: WhatsappRig;
    let context: RecordingContext;
    let connection: Connection;
    async function connect(settings: Record<string, unknown> = {}, more: Partial<RecordingContext> = {}): Promise<void> {
      made = await whatsappRig(settings);
      rig = made;
      context = recordingContext({ ...made.context, ...more });
      connection = await made.channel.open(made.account, context);
      made.serve?.(connection);
    }
    afterEach(async () => {
      await connection.close();
      await made.close();
    });
    const ask = (query: Record<string, string>) => fetch(`${made.webhookUrl}?${new URLSearchParams(query)}`);
    const signed = (body: Json) => made.stub.post(JSON.stringify(body));

    it("answers the handshake with the challenge as plain text, to the right token alone", async () => {
      await connect();
      const right = { "hub.mode": "subscribe", "hub.verify_token": made.stub.key, "hub.challenge": "<script>1</script>" };
      const answer = await ask(right);
      assert.equal(answer.status, 200);
      assert.match(answer.headers.get("content-type") ?? "", /^text\/plain/);
      assert.equal(await answer.text(), "<script>1</script>");
      for (const wrong of [{ "hub.verify_token": "no" }, { "hub.verify_token": "" }, { "hub.mode": "unsubscribe" }, { "hub.verify_token": `${made.stub.key}x` }, { "hub.challenge": "x".repeat(1_001) }]) {
        const refused = await ask({ ...right, ...wrong });
        assert.equal(refused.status, 403);
        assert.equal(await refused.text(), "");
      }
      assert.equal((await fetch(made.webhookUrl, { method: "PUT" })).status, 405);
    });

    it("refuses every POST whose signature does not fit its very bytes, before it reads one", async () => {
      await connect();
      const body = JSON.stringify(messageBody(made.stub.phone, text("wamid.forged", "forged")));
      const right = made.stub.sign(body);
      const pretty = JSON.stringify(JSON.parse(body), null, 1);
      for (const [sent, headers] of [
        [body, {}], [body, { [SIGNATURE]: "" }], [body, { [SIGNATURE]: right.slice(0, -1) }], [body, { [SIGNATURE]: right.replace("sha256=", "") }], [body, { [SIGNATURE]: right.replace("sha256", "sha1") }],
        [body, { [SIGNATURE]: made.stub.sign(body, "other") }], [pretty, { [SIGNATURE]: right }], [`${body}\n`, { [SIGNATURE]: right }], ["not json", {}],
      ] as [string, Record<string, string>][]) assert.equal((await made.stub.post(sent, headers)).status, 401);
      assert.equal(context.received.length, 0);
      assert.equal(context.logs.filter((line) => line.includes("SEC_002")).length, 1, "a flood of them fills no log");
      assert.equal((await made.stub.post("not json")).status, 400);
      assert.equal((await made.stub.post(body)).status, 200);
      assert.equal(context.received.length, 1);
    });

    it("gives every vector of Meta's scheme the right answer", async function () {
      await connect();
      const payloads = dataFolder("payloads", "");
      if (payloads === undefined) return skip(this, "no vectors here (CLAWFLOW_SPECS)");
      const hostile = path.join(payloads, "../badinputs/webhook-signatures.json");
      assert.ok(existsSync(hostile));
      interface Vector { scheme: string; name: string; expect: string; headers: Record<string, string>; bodyB64: string; secret: string; method?: string; verifyToken?: string; query?: Record<string, string> }
      const { cases } = JSON.parse(readFileSync(hostile, "utf8")) as { cases: Vector[] };
      const official = (JSON.parse(readFileSync(path.join(payloads, "signature-vectors.json"), "utf8")) as Record<string, { secret: string; payload: string; expected: string }>)["x_hub_signature_256"];
      assert.ok(official !== undefined);
      const all: Vector[] = [
        ...cases.filter(({ scheme }) => scheme === "meta"),
        { scheme: "meta", name: "published", expect: "accept", headers: { [SIGNATURE]: official.expected }, bodyB64: Buffer.from(official.payload).toString("base64"), secret: official.secret },
      ];
      for (const vector of all) {
        // "Hello, World!" is no JSON: that it was read at all is told by the 400.
        const webhook = createWebhook({ secret: vector.secret, key: vector.verifyToken ?? "tok", context, signal: new AbortController().signal, take: async () => undefined });
        const answer = await webhook({ method: vector.method ?? "POST", path: "/", query: new URLSearchParams(vector.query), headers: vector.headers, body: Buffer.from(vector.bodyB64, "base64"), remote: "127.0.0.1", signal: new AbortController().signal });
        const accepted = answer.status === 200 || answer.status === 400;
        assert.equal(accepted, vector.expect === "accept", vector.name);
        if (vector.method === "GET" && accepted) assert.match(answer.headers?.["content-type"] ?? "", /^text\/plain/);
      }
      assert.ok(all.length >= 7);
      console.log(`        ${all.length} signature and handshake vectors`);
    });

    it("takes everything in one POST, in order, and only then says 200", async () => {
      await connect({ statuses: true });
      const first = messageBody(made.stub.phone, text("wamid.a", "one"));
      const second = changeBody(made.stub.phone, "messages", { contacts: [], messages: [text("wamid.b", "two"), text("wamid.c", "three")], statuses: [{ id: "wamid.out", status: "read", timestamp: "1790000000", recipient_id: ADA }] });
      const both = { ...first, entry: [...(first["entry"] as Json[]), ...(second["entry"] as Json[])] };
      assert.equal((await signed(both)).status, 200);
      assert.deepEqual(context.received.map(({ id }) => id), ["wamid.a", "wamid.b", "wamid.c", "status:read:wamid.out"]);
      assert.equal((await signed(both)).status, 200, "the same again is no fault");
      assert.equal(context.received.length, 4);
    });

    it("answers 503 with Retry-After when one of them cannot be saved, and takes all when they come again", async () => {
      await connect();
      let turn = 0;
      await connection.close();
      await made.close();
      await connect({}, { receive: async (message) => { turn++; if (turn === 2) throw Object.assign(new Error("disk full"), { afterMs: 1_500 }); context.received.push(message); return "saved"; } });
      const body = changeBody(made.stub.phone, "messages", { messages: [text("wamid.a", "one"), text("wamid.b", "two"), text("wamid.c", "three")] });
      const refused = await signed(body);
      assert.equal(refused.status, 503);
      assert.ok(Number(refused.headers.get("retry-after")) >= 1);
      assert.deepEqual(context.received.map(({ id }) => id), ["wamid.a"]);
      assert.equal((await signed(body)).status, 200);
      assert.deepEqual(context.received.map(({ id }) => id), ["wamid.a", "wamid.a", "wamid.b", "wamid.c"]);
    });

    it("answers 503 too when what a status tells cannot be saved", async () => {
      const storage = memoryStorage();
      let broken = true;
      await connect({}, { storage: { ...storage, async set(changes) { if (broken) throw new Error("disk full"); await storage.set(changes); } } });
      const body = statusBody(made.stub.phone, { id: "wamid.out", status: "sent", timestamp: "1790000000", recipient_id: ADA, biz_opaque_callback_data: "key-1" });
      assert.equal((await signed(body)).status, 503);
      broken = false;
      assert.equal((await signed(body)).status, 200);
      assert.equal(((await storage.get("sent:key-1")) as { ref: string }).ref, "wamid.out");
    });

    it("leaves what is for another number, says so, and confirms it", async () => {
      await connect();
      assert.equal((await signed(messageBody("999999999999999", text("wamid.a", "not for us")))).status, 200);
      assert.equal(context.received.length, 0);
      assert.equal(context.logs.filter((line) => line.includes("another phone number id")).length, 1);
    });

    it("leaves out what cannot be read, says so, and goes on with the rest", async () => {
      await connect();
      const body = changeBody(made.stub.phone, "messages", { messages: [{ type: "text", text: { body: "from nobody" } }, text("wamid.b", "after it")] });
      assert.equal((await signed(body)).status, 200);
      assert.deepEqual(context.received.map(({ text: words }) => words), ["after it"]);
      assert.equal(context.logs.filter((line) => line.includes("MSG_001")).length, 1);
    });

    it("says in the log when WhatsApp failed after it had taken a message, and tells flows when they want it", async () => {
      const failed = (phone: string) => statusBody(phone, { id: "wamid.out", status: "failed", timestamp: "1790000000", recipient_id: ADA, errors: [{ code: 131026, title: "Message undeliverable", message: "Message undeliverable" }] });
      await connect();
      await signed(failed(made.stub.phone));
      assert.equal(context.received.length, 0);
      assert.equal(context.logs.filter((line) => /MSG_002.*wamid\.out.*131026/.test(line)).length, 1);
      await connection.close();
      await made.close();
      await connect({ statuses: true });
      await signed(failed(made.stub.phone));
      assert.deepEqual(context.received[0]?.action, { type: "status", ref: "wamid.out", state: "failed", text: "Message undeliverable (131026)" });
    });

    it("keeps WhatsApp's message as raw only when asked, capped, and free of __proto__", async () => {
      await connect({ raw: true });
      const body = JSON.stringify(messageBody(made.stub.phone, text("wamid.a", "x"))).replace('"type":"text"', '"type":"text","__proto__":{"isOwner":true}');
      assert.equal((await made.stub.post(body)).status, 200);
      await signed(messageBody(made.stub.phone, text("wamid.b", "y".repeat(70_000))));
      const raw = context.received[0]?.raw as Record<string, unknown>;
      assert.equal(raw["id"], "wamid.a");
      assert.equal(Object.hasOwn(raw, "__proto__"), false);
      assert.equal("raw" in (context.received[1] ?? {}), false);
    });

    it("survives whatever a signed body holds: nothing thrown, no prototype changed, only sound messages, nothing kept that grows", async function () {
      this.timeout(600_000);
      await connect({ statuses: true });
      const runs = Number(process.env["CLAWFLOW_FUZZ"] ?? 1_000);
      const samples = ["text", "media", "actions", "statuses"].flatMap((file) => JSON.parse(readFileSync(new URL(`../../engine/channels/whatsapp/samples/${file}.json`, import.meta.url), "utf8")) as { body: Json }[]).map(({ body }) => JSON.stringify(body));
      const junk = fc.oneof(fc.jsonValue({ maxDepth: 3 }), fc.constantFrom(null, "", 0, -1, [], {}, "x".repeat(3_000), "\u0000", 1e308, { __proto__: 1 }, { toString: 0 }, [{ toString: 0, valueOf: 0 }]));
      let heap = 0;
      let run = 0;
      await fc.assert(fc.asyncProperty(fc.constantFrom(...samples), fc.array(fc.tuple(fc.nat(400), junk), { minLength: 1, maxLength: 4 }), async (sample, changes) => {
        let body: unknown = JSON.parse(sample);
        for (const [at, value] of changes) body = replaced(body, at, value);
        const bytes = Buffer.from(JSON.stringify(body).replaceAll('"profile"', run % 7 === 0 ? '"__proto__"' : '"profile"'));
        const answer = await connection.webhook?.({ method: "POST", path: "/", query: new URLSearchParams(), headers: { [SIGNATURE]: made.stub.sign(bytes.toString()) }, body: bytes, remote: "127.0.0.1", signal: new AbortController().signal });
        assert.ok(answer?.status === 200 || answer?.status === 400, String(answer?.status));
        for (const message of context.received.splice(0)) assert.deepEqual(parseMessage(message), message);
        assert.equal(({} as Json)["isOwner"], undefined);
        context.logs.length = 0;
        run += 1;
        if (run === Math.floor(runs / 2)) heap = process.memoryUsage().heapUsed;
      }), { numRuns: runs });
      assert.ok(process.memoryUsage().heapUsed < heap + 150_000_000);
      console.log(`        ${run} mutated bodies`);
    });

    it("is set by itself where the business account is named, once it can be asked", async () => {
      const clock = manualClock();
      await connect({ business: "102290129340398" }, { clock });
      await clock.advance(2_000);
      await until(() => made.stub.seen.some(({ path: at }) => at.endsWith("/subscribed_apps")), "the subscription");
      assert.deepEqual(made.stub.seen.at(-1)?.body, { override_callback_uri: made.webhookUrl, verify_token: made.stub.key });
      await connection.close();
      made.stub.fault("/subscribed_apps", { code: 200, message: "(#200) Permissions error", status: 403 });
      connection = await made.channel.open({ ...made.account, settings: { ...made.account.settings, business: made.stub.business } }, context);
      await clock.advance(2_000);
      await until(() => context.logs.some((line) => /warn CONN_002.*by itself/.test(line)), "the warning");
    });

    it("is not set by an account that was closed before", async () => {
      const clock = manualClock();
      await connect({ business: "102290129340398" }, { clock });
      await connection.close();
      await clock.advance(10_000);
      assert.equal(made.stub.seen.some(({ path: at }) => at.endsWith("/subscribed_apps")), false);
    });
  });

  describe("a crash in the moment of sending", () => {
    const clock = manualClock(1_790_000_000_000);
    let made: WhatsappRig;
    const storage = memoryStorage();
    const open: Connection[] = [];
    async function start(): Promise<{ connection: Connection; context: RecordingContext }> {
      const context = recordingContext({ ...made.context, storage, clock });
      const connection = await made.channel.open(made.account, context);
      open.push(connection);
      made.serve?.(connection);
      return { connection, context };
    }
    beforeEach(async () => {
      made = await whatsappRig();
      rig = made;
      made.stub.statuses = true;
    });
    afterEach(async () => {
      for (const each of open.splice(0)) await each.close();
      await made.close();
    });
    const sent = (key: string) => ({ key, draft: { text: "x" }, startedAt: clock.now() });

    it("is settled by the status, which brings the key back: the same ref, and nothing is sent twice", async () => {
      const { connection } = await start();
      made.stub.fault("/messages", { reset: "after" });
      const startedAt = clock.now();
      await assert.rejects(connection.send(made.to, { text: "did it arrive?" }, "doubt-1"), { code: "CONN_001", unsent: false, answered: false });
      await until(() => made.stub.pending() === 0 && made.stub.delivered.length === 2, "both statuses");
      // The process is another one now.
      await connection.close();
      const { connection: later } = await start();
      assert.equal(await later.find?.(made.to, { ...sent("doubt-1"), startedAt }), made.stub.shown[0]?.id);
      assert.equal(made.stub.shown.length, 1);
    });

    it("waits for a status that may still come, and no longer", async () => {
      const { connection } = await start();
      const asked = sent("doubt-2");
      const waiting = await connection.find?.(made.to, asked).then(() => assert.fail("expected a wait"), (error: unknown) => error);
      assert.ok(waiting instanceof ChannelError);
      assert.deepEqual([waiting.code, waiting.retry, waiting.afterMs], ["CONN_001", "later", 30_000]);
      await clock.advance(29_000);
      await assert.rejects(async () => connection.find?.(made.to, asked), { afterMs: 1_000 });
      await clock.advance(1_000);
      assert.equal(await connection.find?.(made.to, asked), undefined);
      // After a long time away the statuses have yet to come: it counts from the start of this process.
      await connection.close();
      await clock.advance(3_600_000);
      const { connection: later } = await start();
      await assert.rejects(async () => later.find?.(made.to, asked), { afterMs: 30_000 });
    });

    it("waits as long after a send whose answer took its time", async () => {
      const { connection } = await start();
      const asked = sent("doubt-4");
      await clock.advance(60_000);
      assert.equal(await connection.find?.(made.to, asked), undefined);
      await assert.rejects(async () => connection.find?.(made.to, { ...asked, silentAt: clock.now() - 10_000 }), { code: "CONN_001", afterMs: 20_000 });
    });

    it("tells the fault of a message that was taken and failed afterwards", async () => {
      const { connection } = await start();
      await made.stub.post(JSON.stringify(statusBody(made.stub.phone, { id: "wamid.x", status: "failed", timestamp: "1790000000", recipient_id: ADA, biz_opaque_callback_data: "doubt-3", errors: [{ code: 131047, message: "Re-engagement message" }] })));
      await assert.rejects(async () => connection.find?.(made.to, sent("doubt-3")), { code: "MSG_002", retry: "no", message: /template/ });
    });

    it("remembers the newest 5,000 keys and no more", async function () {
      this.timeout(60_000);
      const { connection } = await start();
      const before = (await storage.list("sent:", { limit: 100_000 })).length;
      for (let page = 0; page < 11; page++) {
        const statuses = Array.from({ length: 500 }, (_, index) => ({ id: `wamid.${page}-${index}`, status: "sent", timestamp: "1790000000", recipient_id: ADA, biz_opaque_callback_data: `many-${page}-${index}` }));
        assert.equal((await made.stub.post(JSON.stringify(changeBody(made.stub.phone, "messages", { statuses })))).status, 200);
        await clock.advance(10);
      }
      const kept = await storage.list("sent:", { limit: 100_000 });
      assert.ok(kept.length <= 5_000 && kept.length >= 4_500, String(kept.length - before));
      assert.equal(await connection.find?.(made.to, sent("many-10-499")), "wamid.10-499");
      // What another process kept counts from the start.
      await connection.close();
      const { connection: later } = await start();
      assert.equal(await later.find?.(made.to, sent("many-10-499")), "wamid.10-499");
    });
  });

  describe("the 24 hours after a person's message", () => {
    let made: WhatsappRig;
    let context: RecordingContext;
    let connection: Connection;
    const clock = manualClock(1_790_000_000_000);
    beforeEach(async () => {
      made = await whatsappRig();
      rig = made;
      context = recordingContext({ ...made.context, clock });
      connection = await made.channel.open(made.account, context);
      made.serve?.(connection);
    });
    afterEach(async () => {
      await connection.close();
      await made.close();
    });
    const hears = async (id: string) => { await made.stub.post(JSON.stringify(messageBody(made.stub.phone, text(id, "hi", Math.floor(clock.now() / 1000))))); };
    const refusal = { name: "ChannelError", code: "MSG_002", retry: "no", message: /within the last 24 hours.*template: \{ name, language, values \}/ };

    it("are known: free text goes, after them it is refused before it is sent, with the way out; a template goes, and an answer opens it again", async () => {
      await connection.send(made.to, { text: "whether it is open nobody knows: Meta decides" }, "k0");
      await hears("wamid.1");
      await connection.send(made.to, { text: "in time" }, "k1");
      await clock.advance(DAY_MS + 3_600_000);
      const before = made.stub.sends().length;
      await assert.rejects(connection.send(made.to, { text: "too late" }, "k2"), refusal);
      await assert.rejects(connection.send({ ...made.to, chat: "+1 555 000-2222" }, { text: "the same number, otherwise written" }, "k3"), refusal);
      assert.equal(made.stub.sends().length, before);
      await connection.send(made.to, { text: "", template: { name: "come_back", language: "en_US", values: ["Ada"] } }, "k4");
      assert.deepEqual(made.stub.sends().at(-1)?.body["template"], { name: "come_back", language: { policy: "deterministic", code: "en_US" }, components: [{ type: "body", parameters: [{ type: "text", text: "Ada" }] }] });
      await hears("wamid.2");
      await connection.send(made.to, { text: "welcome back" }, "k5");
    });

    it("may be told by Meta: at once, or by a status; then that is known too", async () => {
      made.stub.fault("/messages", { code: 131047, message: "(#131047) Re-engagement message", details: "Message failed to send because more than 24 hours have passed since the customer last replied to this number." });
      await assert.rejects(connection.send(made.to, { text: "too late" }, "k1"), refusal);
      await connection.send(made.to, { text: "taken, and refused a second later" }, "k2");
      await made.stub.post(JSON.stringify(statusBody(made.stub.phone, { id: "wamid.x", status: "failed", timestamp: "1790000000", recipient_id: ADA, errors: [{ code: 131047, message: "Re-engagement message" }] })));
      const before = made.stub.sends().length;
      await assert.rejects(connection.send(made.to, { text: "too late" }, "k3"), refusal);
      assert.equal(made.stub.sends().length, before);
    });

    it("are opened by a call as well", async () => {
      await hears("wamid.1");
      await clock.advance(2 * DAY_MS);
      await made.stub.post(JSON.stringify(changeBody(made.stub.phone, "calls", { calls: [{ id: "wacid.1", from: ADA, to: "15550783881", event: "connect", direction: "USER_INITIATED", timestamp: String(Math.floor(clock.now() / 1000)) }] })));
      await connection.send(made.to, { text: "you called" }, "k1");
    });
  });
});

/** One value in a tree, counted from the top, replaced. */
function replaced(tree: unknown, at: number, value: unknown): unknown {
  let left = at;
  const walk = (node: unknown): unknown => {
    if (left-- === 0) return value;
    if (Array.isArray(node)) return node.map(walk);
    if (typeof node !== "object" || node === null) return node;
    return Object.fromEntries(Object.entries(node).map(([key, inner]) => [key, walk(inner)]));
  };
  return walk(tree);
}
