/** Every way a send to Telegram can fail, through the real adapter: may it be tried again, when, and can the platform have seen it? */
import assert from "node:assert/strict";
import { createServer as createTcp, type AddressInfo, type Server, type Socket } from "node:net";
import { createServer as createTls } from "node:https";
import { inspect } from "node:util";
import { createBot } from "../../engine/channels/telegram/api.ts";
import type { Connection } from "../../engine/channels/channel.ts";
import { telegram } from "../../engine/channels/telegram/telegram.ts";
import { systemClock } from "../../engine/clock.ts";
import { ChannelError, type ErrorCode, type Retry } from "../../engine/errors.ts";
import { createFetch, type Fetch, neverSent } from "../../engine/http.ts";
import { recordingContext } from "../contracts/channel.ts";
import { until } from "../kit/scripted.ts";
import { selfSigned } from "../platforms/certificate.ts";
import type { Fault } from "../platforms/telegram.ts";
import { type TelegramRig, telegramRig } from "../platforms/telegram-rig.ts";

interface Verdict { readonly code: ErrorCode; readonly retry: Retry; readonly unsent?: true; readonly markup?: true; readonly answered?: true; readonly afterMs?: number }
/** The platform says that nothing was posted, and is believed. */
const refused = (verdict: Verdict): Verdict => ({ ...verdict, answered: true });
const later = (code: ErrorCode, afterMs?: number): Verdict => ({ code, retry: "later", ...(afterMs === undefined ? {} : { afterMs }) });
const never = (code: ErrorCode): Verdict => ({ code, retry: "no" });
const UNKNOWN = later("CONN_001");
const UNSENT: Verdict = { ...UNKNOWN, unsent: true };
const MARKUP: Verdict = { ...never("MSG_002"), markup: true };

/** What Telegram answers itself. Descriptions as its server writes them. */
const SAYS: readonly (readonly [code: number, description: string, wanted: Verdict, parameters?: Record<string, unknown>])[] = [
  [400, "Bad Request: can't parse entities: Unsupported start tag \"x\" at byte offset 3", MARKUP],
  [400, "Bad Request: can't parse entities: Can't find end tag corresponding to start tag \"b\"", MARKUP],
  [400, "Bad Request: can't parse message entities: Character '.' is reserved", MARKUP],
  [400, "Bad Request: ENTITY_BOUNDS_INVALID", MARKUP],
  [400, "Bad Request: ENTITIES_TOO_LONG", MARKUP],
  [400, "Bad Request: can't parse reply keyboard markup JSON object", never("MSG_002")],
  [400, "Bad Request: can't parse poll options JSON object", never("MSG_002")],
  [400, "Bad Request: chat not found", never("MSG_002")],
  [400, "Bad Request: message thread not found", never("MSG_002")],
  [400, "Bad Request: TOPIC_CLOSED", never("MSG_002")],
  [400, "Bad Request: not enough rights to send text messages to the chat", never("MSG_002")],
  [400, "Bad Request: message text is empty", never("MSG_002")],
  [400, "Bad Request: message is too long", never("MSG_003")],
  [400, "Bad Request: MEDIA_CAPTION_TOO_LONG", never("MSG_003")],
  [400, "Bad Request: BUTTON_DATA_INVALID", never("MSG_003")],
  [400, "Bad Request: something nobody has seen yet", never("MSG_002")],
  [401, "Unauthorized", never("CONN_002")],
  [403, "Forbidden: bot was kicked from the supergroup chat", never("MSG_002")],
  [403, "Forbidden: bot was blocked by the user", never("MSG_002")],
  [403, "Forbidden: user is deactivated", never("MSG_002")],
  [403, "Forbidden: bot can't initiate conversation with a user", never("MSG_002")],
  [404, "Not Found", never("CONN_002")],
  [404, "Not Found: chat not found", never("MSG_002")],
  [404, "Not Found: method not found", never("MSG_005")],
  [413, "Request Entity Too Large", never("MSG_003")],
  [409, "Conflict: terminated by other getUpdates request", later("CONN_005")],
  [429, "Too Many Requests: retry after 3", later("CONN_003", 3_000), { retry_after: 3 }],
  [429, "Too Many Requests: retry after 3600", later("CONN_003", 3_600_000), { retry_after: 3600 }],
  [429, "Too Many Requests", later("CONN_003", 1_500), { retry_after: 1.5 }],
  [429, "Too Many Requests", later("CONN_003", 0), { retry_after: 0 }],
  [429, "Too Many Requests", later("CONN_003", 86_400_000), { retry_after: 31_536_000 }],
  [429, "Too Many Requests", later("CONN_003"), { retry_after: -5 }],
  [429, "Too Many Requests", later("CONN_003"), { retry_after: "soon" }],
  [429, "Too Many Requests: retry after 14", later("CONN_003", 14_000)],
  [429, "Too Many Requests", later("CONN_003")],
  [500, "Internal Server Error", UNKNOWN],
  [500, "Internal Server Error: restart", later("CONN_001", 5_000), { retry_after: 5 }],
  [502, "Bad Gateway", UNKNOWN],
  [503, "Service Unavailable: the queue is too long", UNKNOWN],
  [504, "Gateway Timeout: it took too long to answer", UNKNOWN],
  [420, "FLOOD_WAIT_7", UNKNOWN],
];

/** The wait in a header alone. */
const HEADERS: readonly (readonly [headers: Record<string, string>, afterMs: number | undefined])[] = [
  [{ "retry-after": "7" }, 7_000], [{ "retry-after": "0.25" }, 250], [{ "retry-after-ms": "40" }, 40], [{ "retry-after": "3600" }, 3_600_000],
  [{ date: "Sat, 03 Oct 2026 12:00:00 GMT", "retry-after": "Sat, 03 Oct 2026 12:00:30 GMT" }, 30_000], [{ "retry-after": "Wed, 21 Oct 2015 07:28:00 GMT" }, 0],
  [{ "retry-after": "never" }, undefined], [{ "retry-after": "-1" }, undefined],
];

/** What something else answers in Telegram's place, by status: the body does not matter. */
const FOREIGN: Readonly<Record<number, Verdict>> = {
  400: UNKNOWN, 401: UNKNOWN, 403: UNKNOWN, 404: UNKNOWN, 405: UNKNOWN, 408: UNKNOWN, 413: refused(never("MSG_003")), 418: UNKNOWN, 425: UNKNOWN,
  429: refused(later("CONN_003")), 500: UNKNOWN, 501: UNKNOWN, 502: UNKNOWN, 503: UNKNOWN, 504: UNKNOWN, 520: UNKNOWN, 529: UNKNOWN,
};
const BODIES: readonly string[] = ["", "<!doctype html><title>Bad gateway</title>", "{", "[]", "null", '{"error":"too long"}', '{"ok":false}'];

/** The request arrives; what comes back is no whole answer. `shown`: the message is there all the same. */
const BROKEN: readonly (readonly [about: string, fault: Fault, shown: number])[] = [
  ["a reset before the answer", { reset: "before" }, 0],
  ["a reset after it was done", { reset: "after" }, 1],
  ["silence and an end after it was done", { silent: true }, 1],
  ["half an answer, then a cut", { half: "cut" }, 1],
  ["half an answer, then nothing", { half: "stall" }, 1],
  ["a web page with 200", { status: 200, body: "<!doctype html><title>Log in to the hotel's network</title>" }, 0],
  ["nothing with 200", { status: 200, body: "" }, 0],
  ["other JSON with 200", { status: 200, body: '{"hello":"world"}' }, 0],
];

describe("Telegram's faults", () => {
  const open: (Server | Socket)[] = [];
  let rig: TelegramRig;
  let impatient: Fetch;
  let connection: Connection;
  /** Where sendMessage goes instead of the stub. */
  let elsewhere: string | undefined;

  before(async () => {
    rig = await telegramRig("polling");
    impatient = createFetch({ connectTimeoutMs: 250, silenceMs: 250 });
    const fetch = ((input: string, init: RequestInit) => (input.endsWith("/sendMessage") ? impatient(elsewhere === undefined ? input : input.replace(rig.stub.url, elsewhere), init) : rig.fetch(input, init))) as typeof globalThis.fetch;
    connection = await telegram.open(rig.account, recordingContext({ ...rig.context, fetch }));
  });
  afterEach(() => {
    elsewhere = undefined;
    rig.stub.clearFaults();
    for (const each of open.splice(0)) if ("close" in each) each.close(); else each.destroy();
  });
  after(async () => {
    await connection.close();
    await impatient.destroy();
    await rig.close();
  });

  /** One send that fails, and its verdict; tells how many requests the stub saw of it. */
  async function fails(wanted: Verdict, about: string): Promise<{ seen: number; shown: number }> {
    const before = { seen: rig.stub.calls("sendMessage").length, shown: rig.shown().length };
    const error = await connection.send(rig.to, { text: "**x**" }, about).then(() => assert.fail(`${about}: expected an error`), (thrown: unknown) => thrown);
    assert.ok(error instanceof ChannelError, inspect(error));
    const got: Verdict = { code: error.code, retry: error.retry, ...(error.unsent ? { unsent: true } : {}), ...(error.markup ? { markup: true } : {}), ...(error.answered ? { answered: true } : {}), ...(error.afterMs === undefined ? {} : { afterMs: error.afterMs }) };
    assert.deepEqual(got, wanted, `${about}: ${error.message}`);
    assert.ok(error.message.length > 20 && !rig.secrets.some((secret) => inspect(error, { depth: 9 }).includes(secret)), error.message);
    return { seen: rig.stub.calls("sendMessage").length - before.seen, shown: rig.shown().length - before.shown };
  }

  /** A server that is not the stub; resolves to its address. */
  async function listen(server: Server, scheme: "http" | "https"): Promise<string> {
    server.on("connection", (socket: Socket) => { socket.on("error", () => undefined); open.push(socket); });
    open.push(server);
    await new Promise<void>((resolve) => { server.listen(0, "127.0.0.1", resolve); });
    return `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  describe("what Telegram says", () => {
    for (const [code, description, wanted, parameters] of SAYS) {
      it(`${code} ${description.slice(0, 70)}${parameters === undefined ? "" : ` ${JSON.stringify(parameters)}`} → ${wanted.code}, ${wanted.markup ? "once more, plain" : wanted.retry}`, async () => {
        rig.stub.fault("sendMessage", { code, description, ...(parameters === undefined ? {} : { parameters }) });
        assert.deepEqual(await fails(refused(wanted), description), { seen: 1, shown: 0 }, "asked once");
      });
    }

    for (const [headers, afterMs] of HEADERS) {
      it(`429 with ${JSON.stringify(headers)} → ${afterMs ?? "no"} ms, in its own words and in others'`, async () => {
        rig.stub.fault("sendMessage", { code: 429, description: "Too Many Requests", headers });
        await fails(refused(later("CONN_003", afterMs)), "its own");
        rig.stub.fault("sendMessage", { status: 429, body: "slow down", headers });
        await fails(refused(later("CONN_003", afterMs)), "others'");
        rig.stub.fault("sendMessage", { status: 503, body: "come again", headers });
        await fails(refused(later("CONN_001", afterMs)), "busy");
      });
    }

    it("its own seconds go before the header's", async () => {
      rig.stub.fault("sendMessage", { code: 429, description: "Too Many Requests: retry after 9", parameters: { retry_after: 3 }, headers: { "retry-after": "7" } });
      await fails(refused(later("CONN_003", 3_000)), "both");
    });

    it("a message whose markup was refused goes through plain", async () => {
      rig.stub.fault("sendMessage", { code: 400, description: "Bad Request: can't parse entities: x" });
      await fails(refused(MARKUP), "marked up");
      await connection.send(rig.to, { text: "**x**", plain: true }, "plain");
      assert.equal(rig.shown().at(-1), "**x**");
    });
  });

  describe("what others say in its place", () => {
    for (const [status, wanted] of Object.entries(FOREIGN)) {
      it(`${status} → ${wanted.code}, ${wanted.retry}, whatever stands in it`, async () => {
        for (const body of BODIES) {
          rig.stub.fault("sendMessage", { status: Number(status), body });
          assert.deepEqual(await fails(refused(wanted), `${status} ${body}`), { seen: 1, shown: 0 });
        }
      });
    }
  });

  describe("what does not arrive whole", () => {
    for (const [about, fault, shown] of BROKEN) {
      it(`${about}: nobody knows, so it does not count as unsent`, async () => {
        rig.stub.fault("sendMessage", fault);
        assert.deepEqual(await fails(UNKNOWN, about), { seen: 1, shown });
      });
    }

    it("no answer in time: nobody knows, and it is done all the same", async () => {
      const before = rig.shown().length;
      rig.stub.fault("sendMessage", { delayMs: 1_800 });
      assert.deepEqual(await fails(UNKNOWN, "late"), { seen: 1, shown: 0 });
      await until(() => rig.shown().length > before, "the late message");
    });

    it("one byte at a time, as long as bytes come: it is sent", async () => {
      rig.stub.fault("sendMessage", { byteMs: 3 });
      assert.match(await connection.send(rig.to, { text: "slowly" }, "slow"), /^\d+$/);
      assert.equal(rig.shown().at(-1), "slowly");
    });

    it("one byte at a time, beyond the limit of the call: nobody knows", async () => {
      rig.stub.fault("sendMessage", { byteMs: 40 });
      const bot = await createBot({ token: rig.stub.token, apiRoot: rig.stub.url, fetch: rig.fetch, clock: systemClock, signal: new AbortController().signal });
      await assert.rejects(bot.call("sendMessage", { chat_id: 7001, text: "very slowly" }, { seconds: 1 }), { name: "ChannelError", code: "CONN_001", retry: "later", unsent: false });
      assert.equal(rig.shown().at(-1), "very slowly", "it was done all the same");
    });
  });

  describe("what never leaves", () => {
    it("a port where nobody listens", async () => {
      const gone = createTcp();
      elsewhere = await listen(gone, "http");
      await new Promise((resolve) => { gone.close(resolve); });
      assert.deepEqual(await fails(UNSENT, "refused"), { seen: 0, shown: 0 });
    });

    it("a name that does not exist", async () => {
      elsewhere = "http://no-such-host.invalid";
      assert.deepEqual(await fails(UNSENT, "unknown name"), { seen: 0, shown: 0 });
    });

    it("a connection that is not made in time", async () => {
      // TLS belongs to the making of it: this server takes the call and never says a word.
      let heard = "";
      elsewhere = await listen(createTcp((socket) => { socket.on("data", (bytes) => { heard += bytes.toString("latin1"); }); }), "https");
      assert.deepEqual(await fails(UNSENT, "connect timeout"), { seen: 0, shown: 0 });
      assert.ok(!heard.includes("sendMessage"));
    });

    it("a certificate nobody trusts: it is refused before the request is written", async () => {
      let asked = 0;
      elsewhere = await listen(createTls(selfSigned("127.0.0.1"), (_, response) => { asked++; response.end("{}"); }), "https");
      assert.deepEqual(await fails(UNSENT, "certificate"), { seen: 0, shown: 0 });
      assert.equal(asked, 0);
    });
  });

  describe("what may have left", () => {
    it("a TLS handshake that breaks: in doubt it counts as sent", async () => {
      elsewhere = await listen(createTcp((socket) => { socket.once("data", () => socket.destroy()); }), "https");
      await fails(UNKNOWN, "handshake cut");
      elsewhere = await listen(createTcp((socket) => { socket.once("data", () => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")); }), "https");
      await fails(UNKNOWN, "no TLS there");
    });

    it("a connection that ends as soon as it stands", async () => {
      elsewhere = await listen(createTcp((socket) => { socket.destroy(); }), "http");
      await fails(UNKNOWN, "cut at once");
    });

    it("a way that is lost while a connection stands, by the same code as one that was never found", () => {
      const lost = (code: string, syscall: string) => Object.assign(new Error(`${syscall} ${code}`), { code, syscall });
      for (const code of ["EHOSTUNREACH", "ENETUNREACH", "EHOSTDOWN", "ETIMEDOUT", "ECONNRESET"]) {
        assert.equal(neverSent(lost(code, "connect")), true, `connect ${code}`);
        assert.equal(neverSent(lost(code, "read")), false, `read ${code}`);
        assert.equal(neverSent({ error: new TypeError("fetch failed", { cause: lost(code, "write") }) }), false, `write ${code}`);
      }
    });
  });
});
