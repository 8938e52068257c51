import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { buffer } from "node:stream/consumers";
import type { Received } from "../../engine/channels/channel.ts";
import { systemClock } from "../../engine/clock.ts";
import { ClawError } from "../../engine/errors.ts";
import { createSpool } from "../../engine/media.ts";
import { HMAC_FORMATS } from "../../engine/webhook/verify.ts";
import { createWebhook, type Inbound, type Webhook, type WebhookDeps, type WebhookSettings } from "../../engine/webhook/webhook.ts";
import { fakeClock } from "../schedule/fake-clock.ts";

const HOSTILE = path.join(process.env["CLAWFLOW_SPECS"] ?? "../shared/data/specs", "../badinputs/webhook-signatures.json");

describe("webhook", () => {
  const servers: Server[] = [];
  afterEach(() => { for (const server of servers.splice(0)) { server.closeAllConnections(); server.close(); } });

  /** The endpoint behind a real HTTP server, as the node will put it there. The inbox knows an id once it has seen it. */
  async function serve(settings: Partial<WebhookSettings>, deps: Partial<WebhookDeps> = {}) {
    const inbox: Inbound[] = [];
    const rejected: [number, string][] = [];
    const webhook: Webhook = createWebhook({ scheme: { kind: "none" }, answer: { mode: "now" }, ...settings }, {
      clock: systemClock,
      rejected: (status, code) => rejected.push([status, code]),
      receive: async (inbound): Promise<Received> => {
        if (inbox.some(({ id }) => id === inbound.id)) return "duplicate";
        inbox.push(inbound);
        return "saved";
      },
      ...deps,
    });
    const server = createServer((request, response) => void (async () => {
      const gone = new AbortController();
      response.on("close", () => gone.abort());
      const url = new URL(request.url ?? "/", "http://x");
      const answer = await webhook.handle({
        method: request.method ?? "", path: url.pathname, query: url.searchParams, body: await buffer(request), remote: "127.0.0.1", signal: gone.signal,
        headers: Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(", ") : value ?? ""])),
      });
      response.writeHead(answer.status, answer.headers).end(answer.body as string);
    })());
    servers.push(server);
    await new Promise<void>((resolve) => { server.listen(0, "127.0.0.1", resolve); });
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const post = (body: string | FormData | Buffer = "{}", headers: Record<string, string> = {}, where = "/") =>
      fetch(base + where, { method: "POST", body: body as BodyInit, headers: body instanceof FormData ? headers : { "content-type": "application/json", ...headers } });
    return { webhook, inbox, rejected, base, post };
  }
  const until = async (done: () => boolean): Promise<void> => { while (!done()) await new Promise((resolve) => setTimeout(resolve, 2)); };

  it("hands on plain data and answers at once", async () => {
    const { post, inbox } = await serve({});
    const answer = await post('{"text":"hi","n":1}', { "user-agent": "bell/1", "x-event": "ring" }, "/door/front?place=a&place=b&n=1");
    assert.equal(answer.status, 202);
    assert.match(answer.headers.get("content-type") ?? "", /application\/json/);
    const [got] = inbox;
    assert.deepEqual(await answer.json(), { status: "accepted", id: got?.id });
    assert.deepEqual([got?.method, got?.path, got?.kind, got?.body, got?.query], ["POST", "/door/front", "json", { text: "hi", n: 1 }, { place: ["a", "b"], n: "1" }]);
    assert.deepEqual([got?.headers["x-event"], got?.headers["user-agent"]], ["ring", "bell/1"]);
  });

  it("answers with the status that was chosen", async () => {
    for (const status of [200, 202, 204] as const) assert.equal((await (await serve({ answer: { mode: "now", status } })).post()).status, status);
  });

  it("takes a signed request once, however often it comes", async () => {
    const secret = "s3cret";
    const { post, inbox } = await serve({ scheme: { kind: "hmac", secret, format: HMAC_FORMATS.github } });
    const body = '{"a":1}';
    const signed = { "x-hub-signature-256": `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`, "x-github-delivery": "d-1" };
    const answers = await Promise.all(Array.from({ length: 10 }, () => post(body, signed).then(async (answer) => [answer.status, (await answer.json() as { status: string }).status])));
    assert.deepEqual(answers.toSorted(), [...Array.from({ length: 9 }, () => [200, "duplicate"]), [202, "accepted"]]);
    assert.deepEqual(inbox.map(({ id }) => id), ["d-1"]);
  });

  it("refuses what is not signed, without saying why, and without a secret refuses all", async () => {
    const { post, inbox, rejected } = await serve({ scheme: { kind: "standard", secret: "whsec_AAAA" } });
    const answer = await post();
    assert.deepEqual([answer.status, await answer.json()], [401, { error: "SEC_002", message: "Invalid signature" }]);
    const open = await serve({ scheme: { kind: "bearer", secret: "" } });
    assert.equal((await open.post("{}", { authorization: "Bearer " })).status, 401);
    assert.deepEqual([rejected, open.rejected, inbox, open.inbox], [[[401, "SEC_002"]], [[401, "CONN_004"]], [], []]);
    const basic = await (await serve({ scheme: { kind: "basic", user: "u", secret: "p" } })).post();
    assert.equal(basic.headers.get("www-authenticate"), 'Basic realm="webhook"');
  });

  it("hands on no secret", async () => {
    const canary = "CANARY-1";
    const { post, inbox } = await serve({ scheme: { kind: "header", header: "X-My-Key", secret: canary } });
    const answer = await post("{}", {
      "x-my-key": canary, authorization: `Bearer ${canary}`, cookie: `a=${canary}`, "x-api-key": canary, "x-gitlab-token": canary, "x-hub-signature-256": canary, "proxy-authorization": canary,
    }, `/?token=${canary}&access_token=${canary}&api_key=${canary}&signature=${canary}&hub.verify_token=${canary}&a=1`);
    assert.equal(answer.status, 202);
    assert.ok(!JSON.stringify(inbox).includes(canary), JSON.stringify(inbox));
    assert.deepEqual(inbox[0]?.query, { a: "1" });
  });

  it("tells bad bodies and methods what was expected", async () => {
    const { post, base, inbox, rejected } = await serve({ maxBytes: 1000, maxFileBytes: 1000 });
    const told = async (answer: Promise<Response>) => { const got = await answer; return [got.status, (await got.json() as { message: string }).message] as const; };
    assert.match((await told(post('{"a":'))).join(" "), /^400 Expected JSON/);
    assert.match((await told(post(`"${"a".repeat(1000)}"`))).join(" "), /^413 Expected a body of at most 1000 bytes/);
    assert.match((await told(post("x", { "content-type": "image/png" }))).join(" "), /^415/);
    assert.match((await told(post("{}", { "content-encoding": "gzip" }))).join(" "), /^415/);
    const get = await fetch(base);
    assert.deepEqual([get.status, get.headers.get("allow")], [405, "POST"]);
    assert.equal(inbox.length, 0);
    assert.equal(rejected.length, 5);
  });

  it("takes GET where it is allowed", async () => {
    const { base, inbox } = await serve({ methods: ["GET"] });
    assert.equal((await fetch(`${base}/?ring=1`)).status, 202);
    assert.deepEqual([inbox[0]?.kind, inbox[0]?.body, inbox[0]?.query], ["empty", {}, { ring: "1" }]);
  });

  it("takes the id from the chosen field, hashes strange ones", async () => {
    const { post, inbox } = await serve({ idField: "event.id" });
    await post('{"event":{"id":7}}');
    assert.equal((await post('{"event":{"id":7}}')).status, 200);
    await post('{"event":{"id":"a b\\nc"}}');
    await post('{"event":{"id":{}}}');
    await post("{}", { "idempotency-key": "k1" });
    assert.deepEqual([inbox[0]?.id, inbox[3]?.id], ["7", "k1"]);
    assert.match(inbox[1]?.id ?? "", /^[0-9a-f]{64}$/);
    assert.match(inbox[2]?.id ?? "", /^[0-9a-f-]{36}$/);
  });

  it("asks to come again when it cannot be kept", async () => {
    const full = await serve({}, { receive: async () => { throw new ClawError("STORE_005", { retry: "later", afterMs: 4200 }); } });
    const answer = await full.post();
    assert.deepEqual([answer.status, answer.headers.get("retry-after"), await answer.json()], [503, "5", { error: "STORE_005", message: "Inbox or store is full" }]);
    const broken = await (await serve({}, { receive: async () => { throw new Error("secret detail"); } })).post();
    assert.deepEqual([broken.status, (await broken.text()).includes("secret detail")], [500, false]);
    const stranger = await (await serve({}, { receive: async () => "refused" })).post();
    assert.equal(stranger.status, 403);
  });

  it("limits how many come in a minute", async () => {
    const time = fakeClock(0);
    const { post, inbox } = await serve({ perMinute: 3 }, { clock: time.clock });
    const statuses: number[] = [];
    for (let n = 0; n < 5; n++) statuses.push((await post()).status);
    assert.deepEqual(statuses, [202, 202, 202, 429, 429]);
    assert.equal((await post()).headers.get("retry-after"), "20");
    await time.pass(20_000);
    assert.deepEqual([(await post()).status, (await post()).status, inbox.length], [202, 429, 4]);
  });

  describe("Meta's handshake", () => {
    const vectors = existsSync(HOSTILE) ? (JSON.parse(readFileSync(HOSTILE, "utf8")) as { cases: { method?: string; name: string; expect: string; query: Record<string, string>; verifyToken?: string }[] }).cases.filter(({ method }) => method === "GET") : [];
    if (vectors.length === 0) it.skip(`${HOSTILE} is not here`);
    for (const { name, expect, query, verifyToken } of vectors) {
      it(`${name} → ${expect}`, async () => {
        const { base, inbox } = await serve({ scheme: { kind: "hmac", secret: "s", format: HMAC_FORMATS.meta }, verifyToken: verifyToken ?? "tok" });
        const answer = await fetch(`${base}/?${new URLSearchParams(query)}`);
        assert.equal(answer.status, expect === "accept" ? 200 : 403);
        if (expect === "accept") {
          assert.equal(await answer.text(), query["hub.challenge"]);
          assert.deepEqual([answer.headers.get("content-type"), answer.headers.get("x-content-type-options")], ["text/plain; charset=utf-8", "nosniff"]);
        }
        assert.equal(inbox.length, 0);
      });
    }
    it("is refused while no token is set, and unknown where it is not wanted", async () => {
      const query = "/?hub.mode=subscribe&hub.verify_token=&hub.challenge=1";
      assert.equal((await fetch((await serve({ verifyToken: "" })).base + query)).status, 403);
      assert.equal((await fetch((await serve({})).base + query)).status, 405);
    });
  });

  describe("files", () => {
    let folder = "";
    beforeEach(async () => { folder = await mkdtemp(path.join(tmpdir(), "clawflow-hook-")); });
    afterEach(() => rm(folder, { recursive: true, force: true }));
    it("are kept with what is taken, and only with that", async () => {
      const spool = createSpool(folder);
      const { post, inbox } = await serve({}, { keep: (content, file) => spool.save(content, file), discard: (id) => spool.remove(id) });
      const form = (): FormData => { const made = new FormData(); made.append("text", "ring"); made.append("photo", new File([Buffer.from([0xff, 0xd8, 0xff])], "door.jpg")); return made; };
      assert.equal((await post(form(), { "idempotency-key": "1" })).status, 202);
      assert.equal((await post(form(), { "idempotency-key": "1" })).status, 200);
      assert.deepEqual([inbox[0]?.body, inbox[0]?.files.map(({ field, name, mime }) => [field, name, mime])], [{ text: "ring" }, [["photo", "door.jpg", "image/jpeg"]]]);
      assert.equal((await readdir(folder)).length, 2);
    });
  });

  describe("held for the flow's reply", () => {
    const reply = { answer: { mode: "reply", timeoutMs: 5000 } } as const;

    it("answers text, JSON and a chosen status", async () => {
      const { post, webhook, inbox } = await serve(reply);
      const ask = async (given: Parameters<Webhook["reply"]>[1]) => {
        const before = inbox.length;
        const answer = post();
        await until(() => inbox.length > before);
        webhook.reply(inbox.at(-1)?.id ?? "", given);
        const got = await answer;
        return [got.status, got.headers.get("content-type"), await got.text()];
      };
      assert.deepEqual(await ask({ text: "hällo" }), [200, "text/plain; charset=utf-8", "hällo"]);
      assert.deepEqual(await ask({ json: { ok: true }, status: 201 }), [201, "application/json; charset=utf-8", '{"ok":true}']);
      assert.deepEqual(await ask({ text: "<Response/>", type: "text/xml" }), [200, "text/xml", "<Response/>"]);
      assert.deepEqual(await ask({ text: "x", type: "text/html\r\nset-cookie: a=b", status: 9999 }), [200, "text/plain; charset=utf-8", "x"]);
      assert.deepEqual(await ask({ json: undefined, status: 204 }), [204, null, ""]);
      assert.equal(webhook.waiting, 0);
    });

    it("answers even when the flow is faster than the disk", async () => {
      const served = await serve(reply, {
        receive: async ({ id }) => { served.webhook.reply(id, { text: "fast" }); await new Promise((resolve) => setTimeout(resolve, 20)); return "saved"; },
      });
      assert.equal(await (await served.post()).text(), "fast");
    });

    it("lets go after the timeout, and a late reply is a permanent error", async () => {
      const time = fakeClock(0);
      const { post, webhook, inbox } = await serve(reply, { clock: time.clock });
      const answer = post();
      await until(() => inbox.length === 1);
      await time.pass(5000);
      const got = await answer;
      const id = inbox[0]?.id ?? "";
      assert.deepEqual([got.status, await got.json()], [202, { status: "accepted", id }]);
      assert.throws(() => webhook.reply(id, { text: "late" }), { name: "ChannelError", code: "MSG_002", retry: "no", message: /waited 5000 ms/ });
      assert.throws(() => webhook.reply("from before a restart", { text: "x" }), { code: "MSG_002", retry: "no", message: /not waiting/ });
      assert.equal(time.timers(), 0);
    });

    it("a second reply is a permanent error", async () => {
      const { post, webhook, inbox } = await serve(reply);
      const answer = post();
      await until(() => inbox.length === 1);
      webhook.reply(inbox[0]?.id ?? "", { text: "one" });
      assert.throws(() => webhook.reply(inbox[0]?.id ?? "", { text: "two" }), { code: "MSG_002", message: /answered already/ });
      assert.equal(await (await answer).text(), "one");
    });

    it("forgets a sender that went away", async () => {
      const { post: _, base, webhook, inbox } = await serve(reply);
      const gone = new AbortController();
      const answer = fetch(base, { method: "POST", body: "{}", headers: { "content-type": "application/json" }, signal: gone.signal });
      await until(() => inbox.length === 1);
      gone.abort();
      await assert.rejects(answer);
      await until(() => webhook.waiting === 0);
      assert.throws(() => webhook.reply(inbox[0]?.id ?? "", { text: "x" }), { message: /given up by the sender/ });
    });

    it("answers a twin at once, after the first is kept and not before", async () => {
      const saving = Promise.withResolvers<Received>();
      let asked = 0;
      const { post, webhook } = await serve({ ...reply, idField: "id" }, { receive: () => { asked++; return saving.promise; } });
      const first = post('{"id":"a"}');
      await until(() => asked === 1);
      let twinAnswered = false;
      const twin = post('{"id":"a"}').then((answer) => { twinAnswered = true; return answer; });
      await new Promise((resolve) => setTimeout(resolve, 30));
      assert.equal(twinAnswered, false);
      saving.resolve("saved");
      assert.deepEqual([(await twin).status, asked], [200, 1]);
      webhook.reply("a", { text: "done" });
      assert.equal(await (await first).text(), "done");
    });

    it("tells a twin to come again when the first could not be kept", async () => {
      const saving = Promise.withResolvers<Received>();
      let asked = 0;
      const { post, webhook } = await serve({ ...reply, idField: "id" }, { receive: () => { asked++; return saving.promise; } });
      const both = [post('{"id":"a"}'), post('{"id":"a"}')];
      await until(() => asked === 1);
      await new Promise((resolve) => setTimeout(resolve, 30));
      saving.reject(new ClawError("STORE_001", { retry: "later" }));
      assert.deepEqual((await Promise.all(both)).map(({ status }) => status), [503, 503]);
      assert.equal(webhook.waiting, 0);
    });

    it("does not hold what the inbox knows already", async () => {
      const { post } = await serve({ ...reply, idField: "id" }, { receive: async () => "duplicate" });
      assert.equal((await post('{"id":"a"}')).status, 200);
    });

    it("lets everybody go when it closes: what is kept is accepted, and nobody is told to bring it again", async () => {
      const { post, webhook, inbox } = await serve(reply);
      const answer = post();
      await until(() => inbox.length === 1);
      webhook.close();
      const got = await answer;
      assert.deepEqual([got.status, ((await got.json()) as { status: string }).status, got.headers.get("retry-after"), webhook.waiting], [202, "accepted", null, 0]);
    });

    it("tells who comes again when it closes before the request is kept, and it cannot be", async () => {
      const saving = Promise.withResolvers<Received>();
      let asked = 0;
      const { post, webhook } = await serve(reply, { receive: () => { asked++; return saving.promise; } });
      const answer = post();
      await until(() => asked === 1);
      webhook.close();
      saving.reject(new ClawError("STORE_001", { retry: "later" }));
      assert.equal((await answer).status, 503);
    });
  });
});
