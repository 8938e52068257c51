import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { PRESETS } from "../../engine/mapping.ts";
import type { Message } from "../../engine/message.ts";
import { until } from "../kit/scripted.ts";
import { watchStatuses } from "../rigs/comms.ts";
import { account, gateway, on, startHome, tab, type Home, type Sink } from "../rigs/home.ts";
import type { FlowNode } from "../rigs/node-red.ts";

type Json = Record<string, unknown>;
const func = (id: string, code: string, ...wires: string[][]) => on(id, "function", { func: code, outputs: wires.length || 1, timeout: 0, noerr: 0, initialize: "", finalize: "", libs: [] }, ...wires);
const out = (id = "out", more: Json = {}, ...wires: string[][]) => on(id, "clawflow-channel-out", { gateway: "gw", action: "reply", ...more }, ...wires);
const house = (sink: Sink) => [tab, gateway, account(sink)];
const counts = async (home: Home) => (await home.red.admin<{ counts: { pending: number; dead: number } }>("GET", "/clawflow/gateway/gw")).counts;
/** What function nodes wrote down with node.warn, by their mark. */
const told = <T>(home: Home, mark: string): T[] => home.red.lines.flatMap((line) => (line.includes(`${mark} `) ? [JSON.parse(line.slice(line.indexOf(`${mark} `) + mark.length + 1)) as T] : []));

describe("nodes that begin a flow by themselves", function () {
  this.timeout(60_000);

  describe("cron", () => {
    const cron = (id: string, more: Json, next: string) => on(id, "clawflow-cron", { gateway: "gw", kind: "every", every: 1, everyUnit: "seconds", account: "acc", chat: `chat-${id}`, text: id, missed: "all", overlap: "queue", ...more }, [next]);

    it("says its text where it was told to, every second, by interval and by expression", async () => {
      await using home = await startHome((sink) => [...house(sink), cron("tick", {}, "f"), cron("starry", { kind: "cron", cron: "* * * * * *", timeZone: "Europe/Berlin", thread: "7", chatKind: "group" }, "f"), func("f", "node.warn('SEEN ' + JSON.stringify(msg.message)); return msg;", ["out"]), out()]);
      using statuses = await watchStatuses(home.red);
      await until(() => ["tick", "starry"].every((id) => home.sink.said.filter((one) => one.to.chat === `chat-${id}`).length >= 2), "two of each", 10_000);
      const { to, draft } = home.sink.said.find((one) => one.to.chat === "chat-starry") ?? {};
      assert.deepEqual([to, draft?.text], [{ channel: "echo", account: "echo", chat: "chat-starry", kind: "group", thread: "7" }, "starry"]);
      const message = told<Message>(home, "SEEN").find((one) => one.at.account === "starry");
      assert.deepEqual([message?.kind, message?.text, message?.sender.bot, Number(message?.id) % 1000], ["tick", "starry", true, 0]);
      await statuses.wait("tick", /next: /);
    });

    it("neither repeats nor loses a tick when it is killed", async () => {
      await using home = await startHome((sink) => [...house(sink), cron("tick", {}, "f"), func("f", "msg.payload = msg.message.id; return msg;", ["d"]), on("d", "delay", { pauseType: "delay", timeout: "200", timeoutUnits: "milliseconds", rate: "1", nbRateUnits: "1", rateUnits: "second", outputs: 1 }, ["out"]), out()]);
      for (const wanted of [2, 5]) {
        await home.heard(wanted, 20_000);
        await home.red.kill();
        await home.red.start();
      }
      await home.heard(7, 20_000);
      // A kill between the platform's answer and its record sends again under the same key, which is for the platform to honour; a tick that fired twice would have two keys.
      const byKey = new Map(home.sink.said.map(({ key, draft }) => [key, Number(draft?.text)]));
      const ids = [...byKey.values()];
      assert.equal(new Set(ids).size, ids.length, `each once: ${ids}`);
      for (const [n, id] of ids.entries()) if (n > 0) assert.equal(id - (ids[n - 1] as number), 1000, `none left out: ${ids}`);
    });

    it("makes up for what it missed as it was told: not at all, the last one, or all", async () => {
      const nodes = (["skip", "once", "all"] as const).map((missed) => cron(missed, { every: 10, everyUnit: "minutes", missed }, "out"));
      await using home = await startHome((sink) => [...house(sink), ...nodes, out()]);
      using statuses = await watchStatuses(home.red);
      for (const { id } of nodes) await statuses.wait(id, /next: /);
      await home.red.stop();
      const store = new DatabaseSync(path.join(home.red.userDir, "clawflow", "home", "store.sqlite"));
      const marks = store.prepare("SELECT key, value FROM kv WHERE space = 'cron'").all() as { key: string; value: string }[];
      assert.equal(marks.length, 3);
      const hourAgo = Date.now() - 65 * 60_000;
      for (const { key, value } of marks) store.prepare("UPDATE kv SET value = ? WHERE space = 'cron' AND key = ?").run(JSON.stringify({ ...JSON.parse(value), fired: hourAgo }), key);
      store.close();
      await home.red.start();
      await home.heard(7);
      await home.red.restart();
      await until(async () => (await counts(home))?.pending === 0, "the end of it");
      await new Promise((resolve) => setTimeout(resolve, 500));
      const perChat = Map.groupBy(home.sink.said, (one) => one.to.chat);
      assert.deepEqual([...perChat].map(([chat, all]) => [chat, all.length]).sort(), [["chat-all", 6], ["chat-once", 1]]);
    });

    it("names what is wrong with a schedule, and where a reply can not go", async () => {
      await using home = await startHome((sink) => [...house(sink), cron("never", { kind: "cron", cron: "99 * * * *" }, "out"), cron("zone", { timeZone: "Mars/Olympus" }, "out"), cron("lost", { account: "nowhere" }, "out"), out()]);
      using statuses = await watchStatuses(home.red);
      for (const [id, text] of [["never", /CONF_001/], ["zone", /CONF_001.*IANA/], ["lost", /CONF_002/]] as const) await statuses.wait(id, text);
      assert.match(home.red.log(), /\[clawflow-cron:never\] \[CONF_001\] .*99/);
      assert.match(home.red.log(), /\[clawflow-cron:lost\] \[CONF_002\] .*account.*deploy/);
      await home.say("Node-RED is well");
    });
  });

  describe("webhook", () => {
    const BEARER = "bearer-token-123456";
    const HMAC = "hmac secret";
    const STANDARD = `whsec_${Buffer.from("a key for standard webhooks").toString("base64")}`;
    const hook = (id: string, more: Json = {}) => on(id, "clawflow-webhook", { gateway: "gw", path: id, verify: "bearer", answer: "now", credentials: { secret: BEARER }, ...more }, ["see"]);
    const signed = (body: string) => ({ "x-signature": `sha256=${createHmac("sha256", HMAC).update(body).digest("hex")}` });
    const standard = (id: string, body: string, seconds = Math.floor(Date.now() / 1000)) => ({
      "webhook-id": id, "webhook-timestamp": String(seconds),
      "webhook-signature": `v1,${createHmac("sha256", Buffer.from(STANDARD.slice(6), "base64")).update(`${id}.${seconds}.${body}`).digest("base64")}`,
    });
    const flow = (sink: Sink): FlowNode[] => [
      ...house(sink), hook("bearer"), hook("hmac", { verify: "hmac", header: "X-Signature", algorithm: "sha256", encoding: "hex", prefix: "sha256=", credentials: { secret: HMAC } }),
      hook("standard", { verify: "standard", credentials: { secret: STANDARD } }), hook("open", { verify: "none" }),
      hook("told", { account: "acc", chat: "alerts", mapping: { text: { type: "template", value: "{{ payload.alert }} in {{ payload.room }}" }, "sender.id": { type: "msg", value: "payload.room" } } }),
      hook("asks", { answer: "flow", timeoutSeconds: 5 }), hook("late", { answer: "flow", timeoutSeconds: 0.3 }),
      func("see", "node.warn('SEEN ' + JSON.stringify({ message: msg.message, webhook: msg.webhook })); return { asks: [msg], late: [null, msg], told: [null, null, msg] }[msg.message.at.account] ?? null;", ["reply"], ["slow"], ["out"]),
      func("reply", "msg.payload = msg.payload === 'json' ? { got: msg.webhook.body } : 'you said ' + msg.payload; return msg;", ["out"]),
      on("slow", "delay", { pauseType: "delay", timeout: "800", timeoutUnits: "milliseconds", rate: "1", nbRateUnits: "1", rateUnits: "second", outputs: 1 }, ["out"]),
      out("out", {}, ["receipt"]), func("receipt", "node.warn('RECEIPT ' + JSON.stringify({ from: msg.message.at.account, receipt: msg.receipt })); return null;"),
    ];
    let home: Home;
    before(async () => { home = await startHome(flow); });
    after(async () => { await home?.[Symbol.asyncDispose](); });
    const bearer = { authorization: `Bearer ${BEARER}` };
    const json = { "content-type": "application/json" };
    const post = (hookName: string, body: BodyInit, headers: Record<string, string>) => home.red.fetch(`/clawflow/hooks/${hookName}`, { method: "POST", headers, body });
    const events = (hookName: string) => told<{ message: Message; webhook: Json }>(home, "SEEN").filter(({ message }) => message.at.account === hookName);
    async function next(hookName: string, known: number): Promise<{ message: Message; webhook: Json }> {
      await until(() => events(hookName).length > known, `a message of ${hookName}`);
      return events(hookName).at(-1) as { message: Message; webhook: Json };
    }

    it("reads JSON, forms, XML and files, and hands on no secret", async () => {
      const form = new FormData();
      form.set("text", "with a file");
      form.set("photo", new Blob([Buffer.from([0xff, 0xd8, 0xff, 0xe0, 1, 2])], { type: "image/jpeg" }), "cat.jpg");
      const bodies: [BodyInit, Record<string, string>, string][] = [
        ['{"text":"from json","n":1}', json, "from json"],
        ["text=from+a+form&n=1", { "content-type": "application/x-www-form-urlencoded" }, "from a form"],
        ["<alert><text>from xml</text></alert>", { "content-type": "application/xml" }, '{"alert":{"text":"from xml"}}'],
        [form, {}, "with a file"],
      ];
      for (const [n, [body, headers, text]] of bodies.entries()) {
        const response = await post("bearer", body, { ...headers, ...bearer });
        assert.equal(response.status, 202, await response.clone().text());
        const { message, webhook } = await next("bearer", n);
        assert.deepEqual([message.text, message.kind, message.at.channel], [text, "event", "webhook"]);
        assert.doesNotMatch(JSON.stringify(webhook), new RegExp(BEARER));
      }
      const [file] = (events("bearer").at(-1)?.message.attachments ?? []) as unknown as Json[];
      assert.deepEqual([file?.state, file?.mime, file?.name, file?.bytes], ["ready", "image/jpeg", "cat.jpg", 6]);
      assert.match(String(file?.media), /^spool:/);
    });

    it("lets nobody in without the right token or signature, and does not say why", async () => {
      const before = told(home, "SEEN").length;
      using statuses = await watchStatuses(home.red);
      const body = '{"text":"forged"}';
      for (const [hookName, headers] of [
        ["bearer", {}], ["bearer", { authorization: "Bearer wrong" }], ["bearer", { authorization: `Basic ${BEARER}` }], ["hmac", {}], ["hmac", signed(`${body} `)], ["hmac", { "x-signature": "sha256=00" }],
        ["standard", {}], ["standard", standard("m1", `${body} `)], ["standard", standard("m1", body, 1_600_000_000)], ["standard", { ...standard("m1", body), "webhook-id": "m2" }],
      ] as [string, Record<string, string>][]) {
        const response = await post(hookName, body, { ...json, ...headers });
        assert.equal(response.status, 401, `${hookName} ${JSON.stringify(headers)}`);
        assert.deepEqual(await response.json(), { error: "SEC_002", message: "Invalid signature" });
      }
      await statuses.wait("bearer", /SEC_002/);
      assert.equal((await home.red.fetch("/clawflow/hooks/bearer/", { headers: bearer })).status, 405);
      assert.equal((await post("nowhere", body, bearer)).status, 404);
      assert.equal(told(home, "SEEN").length, before);
    });

    it("takes what is signed by HMAC over the raw bytes, and by Standard Webhooks", async () => {
      const odd = '{ "text" :  "spaces and \\u00fc stay",\n"n": 1.0 }';
      assert.equal((await post("hmac", odd, { ...json, ...signed(odd) })).status, 202);
      assert.equal((await next("hmac", 0)).message.text, "spaces and ü stay");
      assert.equal((await post("standard", odd, { ...json, ...standard("msg_1", odd) })).status, 202);
      assert.equal((await next("standard", 0)).message.id, "msg_1");
    });

    it("takes anything where there is no verification, and warns of it", async () => {
      assert.equal((await post("open", '{"text":"who am I"}', json)).status, 202);
      await next("open", 0);
      assert.match(home.red.log(), /\[warn\] \[clawflow-webhook:open\] Anybody may call .*\/clawflow\/hooks\/open/);
    });

    it("takes one delivery once", async () => {
      const body = '{"text":"once"}';
      assert.deepEqual(await (await post("standard", body, { ...json, ...standard("msg_2", body) })).json(), { status: "accepted", id: "msg_2" });
      const again = await post("standard", body, { ...json, ...standard("msg_2", body) });
      assert.deepEqual([again.status, await again.json()], [200, { status: "duplicate", id: "msg_2" }]);
      const key = { ...json, ...bearer, "idempotency-key": "k1" };
      assert.deepEqual([(await post("bearer", body, key)).status, (await post("bearer", body, key)).status], [202, 200]);
      await until(() => events("bearer").some(({ message }) => message.id === "k1"), "the delivery");
      assert.equal(events("standard").filter(({ message }) => message.id === "msg_2").length, 1);
      assert.equal(events("bearer").filter(({ message }) => message.id === "k1").length, 1);
    });

    it("maps a request to a message for a chat", async () => {
      assert.equal((await post("told", '{"alert":"smoke","room":"kitchen"}', { ...json, ...bearer })).status, 202);
      await home.heard(1);
      assert.deepEqual([home.sink.said[0]?.to.chat, home.sink.said[0]?.draft?.text], ["alerts", "smoke in kitchen"]);
      assert.equal(events("told")[0]?.message.sender.id, "kitchen");
      const empty = await post("told", "[1]", { ...json, ...bearer });
      assert.ok(empty.status === 202 || empty.status >= 400, String(empty.status));
    });

    it("answers with what the flow replies, as text or as JSON", async () => {
      const text = await post("asks", '{"text":"hello"}', { ...json, ...bearer });
      assert.deepEqual([text.status, text.headers.get("content-type"), await text.text()], [200, "text/plain; charset=utf-8", "you said hello"]);
      const data = await post("asks", '{"text":"json","n":1}', { ...json, ...bearer });
      assert.deepEqual([data.status, await data.json()], [200, { got: { text: "json", n: 1 } }]);
      await until(() => told<{ from: string; receipt: Json }>(home, "RECEIPT").filter(({ from, receipt }) => from === "asks" && receipt.state === "sent").length === 2, "both receipts");
    });

    it("says 202 when the flow is too slow, and the flow learns that its reply reached nobody", async () => {
      const response = await post("late", '{"text":"hello"}', { ...json, ...bearer });
      assert.equal(response.status, 202);
      await until(() => told<{ from: string }>(home, "RECEIPT").some(({ from }) => from === "late"), "the receipt");
      const { receipt } = told<{ from: string; receipt: Json }>(home, "RECEIPT").find(({ from }) => from === "late") as { receipt: Json };
      assert.deepEqual([receipt.state, receipt.code], ["failed", "MSG_002"]);
      assert.match(String(receipt.text), /waited 300 ms/);
    });

    it("lost nothing", async () => {
      await until(async () => (await counts(home)).pending === 0, "the end of all runs");
      assert.equal((await counts(home)).dead, 0);
    });

    for (const [admin, node] of [["/admin", "/"], ["/admin", "/api"], ["/", "/flows-here"]] as const) {
      it(`verifies the raw body with httpAdminRoot ${admin} and httpNodeRoot ${node}`, async () => {
        await using other = await startHome(flow, { settings: { httpAdminRoot: admin, httpNodeRoot: node } });
        const base = `${node.replace(/\/$/, "")}/clawflow/hooks`;
        for (const [body, type] of [['{ "text":  "raw" }', "application/json"], ["text=raw&x=%20", "application/x-www-form-urlencoded"], ["raw  text", "text/plain"]] as const) {
          const ok = await other.red.fetch(`${base}/hmac`, { method: "POST", headers: { "content-type": type, ...signed(body) }, body });
          assert.equal(ok.status, 202, `${type}: ${await ok.text()}`);
          assert.equal((await other.red.fetch(`${base}/hmac`, { method: "POST", headers: { "content-type": type, ...signed(`${body}x`) }, body })).status, 401, type);
        }
        const answer = await other.red.fetch(`${base}/asks`, { method: "POST", headers: { ...json, ...bearer }, body: '{"text":"hello"}' });
        assert.equal(await answer.text(), "you said hello");
      });
    }
  });

  describe("normalize", () => {
    const preset = (id: string) => PRESETS.find((one) => one.id === id)?.mapping;
    const map = (id: string, more: Json, next: string) => on(id, "clawflow-normalize", { mode: "map", gateway: "gw", ...more }, [next]);
    const inject = (id: string, topic: string, payload: string, next: string) => on(id, "inject", { props: [{ p: "payload" }, { p: "topic", vt: "str" }], topic, payload, payloadType: "str", repeat: "", crontab: "", once: false, onceDelay: 0.1 }, [next]);
    let home: Home;
    before(async () => {
      home = await startHome((sink) => [
        ...house(sink),
        inject("door", "home/door", "opened", "mqtt"), map("mqtt", { mapping: preset("mqtt"), account: "acc", chat: "alerts" }, "look"),
        inject("plain", "", "from an inject", "inj"), map("inj", { mapping: preset("inject"), account: "acc", chat: "notes", thread: "t1", chatKind: "group" }, "look"),
        inject("twice", "same", "only once", "ids"), map("ids", { mapping: { ...preset("inject"), id: { type: "msg", value: "topic" } }, account: "acc", chat: "ids" }, "look"),
        inject("empty", "", "", "bad"), map("bad", { mapping: { text: { type: "msg", value: "nothing.here" } } }, "look"),
        inject("rawmsg", "", "x", "clean0"), on("clean0", "clawflow-normalize", { mode: "clean", steps: [{ type: "trim" }] }, ["look"]),
        func("look", "node.warn('SEEN ' + JSON.stringify({ message: msg.message, topic: msg.topic })); return msg;", ["out"]), out(),
        on("ask", "http in", { url: "/ask", method: "post", upload: false }, ["web"]), map("web", { mapping: preset("http") }, "greet"),
        func("greet", "msg.payload = 'hello ' + msg.message.sender.id + ', you said ' + msg.message.text; return msg;", ["response"]), on("response", "http response", { statusCode: "", headers: {} }),
        on("in", "clawflow-channel-in", { gateway: "gw", accounts: [] }, ["burst"], []), on("burst", "clawflow-normalize", { mode: "clean", steps: [{ type: "trim" }, { type: "collapse", ms: 300 }] }, ["out"]),
        on("catch", "catch", { scope: ["bad", "clean0"] }, ["caught"]), func("caught", "node.warn('CAUGHT ' + JSON.stringify({ id: msg.error.source.id, text: msg.error.message })); return null;"),
      ]);
    });
    after(async () => { await home?.[Symbol.asyncDispose](); });
    const press = (id: string) => home.red.admin("POST", `/inject/${id}`);
    const inChat = (chat: string) => home.sink.said.filter((one) => one.to.chat === chat).map((one) => one.draft?.text);

    it("makes a message of what MQTT or an inject sends, and its reply goes where it was told to", async () => {
      await press("door");
      await press("plain");
      await until(() => inChat("alerts").length === 1 && inChat("notes").length === 1, "both");
      assert.deepEqual([inChat("alerts"), inChat("notes")], [["opened"], ["from an inject"]]);
      const [mqtt] = told<{ message: Message; topic: string }>(home, "SEEN");
      assert.deepEqual([mqtt?.topic, mqtt?.message.sender.id, mqtt?.message.at], ["home/door", "home/door", { channel: "flow", account: "mqtt", chat: "home/door", kind: "direct" }]);
      assert.deepEqual(home.sink.said.find((one) => one.to.chat === "notes")?.to, { channel: "echo", account: "echo", chat: "notes", kind: "group", thread: "t1" });
    });

    it("keeps the request of an http in, so that an http response behind it answers", async () => {
      const response = await home.red.fetch("/ask", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ text: "good day", sender: "ada", id: "q1" }) });
      assert.equal(await response.text(), "hello ada, you said good day");
    });

    it("takes the same id once", async () => {
      using statuses = await watchStatuses(home.red);
      await press("twice");
      await until(() => inChat("ids").length === 1, "the first");
      await press("twice");
      await statuses.wait("ids", /had it before/);
      assert.deepEqual(inChat("ids"), ["only once"]);
    });

    it("names the field that can not be mapped, and a msg that is no message", async () => {
      using statuses = await watchStatuses(home.red);
      await press("empty");
      await press("rawmsg");
      await until(() => told(home, "CAUGHT").length === 2, "both errors");
      const errors = told<{ id: string; text: string }>(home, "CAUGHT");
      assert.match(errors.find(({ id }) => id === "bad")?.text ?? "", /\[MSG_001\].*"?text"?.*got.*docs\/message\.md/);
      assert.match(errors.find(({ id }) => id === "clean0")?.text ?? "", /\[MSG_001\].*msg\.message.*mapping/);
      await statuses.wait("bad", /MSG_001/);
    });

    it("joins a burst into one message, and leaves a single one alone", async () => {
      for (const text of ["  one", "two", "three "]) assert.equal(await home.say(text, { chat: "burst" }), "saved");
      await home.say("other chat", { chat: "burst2" });
      await until(() => inChat("burst").length === 1 && inChat("burst2").length === 1, "both");
      await home.say("four", { chat: "burst" });
      await until(() => inChat("burst").length === 2, "the last");
      assert.deepEqual([inChat("burst"), inChat("burst2")], [["one\ntwo\nthree", "four"], ["other chat"]]);
      await until(async () => (await counts(home)).pending === 0, "the end");
      assert.equal((await counts(home)).dead, 0);
    });
  });
});
