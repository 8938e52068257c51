/** Every way a send to WhatsApp can fail, through the real adapter: may it be tried again, when, and can Meta have taken it? */
import assert from "node:assert/strict";
import { createServer as createTcp, type AddressInfo } from "node:net";
import { inspect } from "node:util";
import type { Connection } from "../../engine/channels/channel.ts";
import { whatsapp } from "../../engine/channels/whatsapp/whatsapp.ts";
import { ChannelError, type ErrorCode, type Retry } from "../../engine/errors.ts";
import { createFetch, type Fetch } from "../../engine/http.ts";
import { recordingContext } from "../contracts/channel.ts";
import type { Fault } from "../platforms/whatsapp.ts";
import { type WhatsappRig, whatsappRig } from "../platforms/whatsapp-rig.ts";

interface Verdict { readonly code: ErrorCode; readonly retry: Retry; readonly unsent?: true; readonly answered?: true; readonly afterMs?: number }
const refused = (verdict: Verdict): Verdict => ({ ...verdict, answered: true });
const later = (code: ErrorCode, afterMs?: number): Verdict => ({ code, retry: "later", ...(afterMs === undefined ? {} : { afterMs }) });
const never = (code: ErrorCode): Verdict => ({ code, retry: "no" });
const UNKNOWN = later("CONN_001");

/** What the Graph API answers itself, by its code; titles as …/whatsapp/support/error-codes has them. `says`: what the text must hold for a person. */
const SAYS: readonly (readonly [code: number, message: string, wanted: Verdict, more?: Partial<Extract<Fault, { code: number }>> & { says?: RegExp }])[] = [
  [0, "AuthException", never("CONN_002"), { status: 401 }],
  [1, "API Unknown", later("CONN_001"), { status: 400 }],
  [2, "API Service", later("CONN_001"), { status: 503 }],
  [3, "API Method", never("CONN_002"), { status: 500 }],
  [4, "API Too Many Calls", later("CONN_003", 60_000), { status: 400 }],
  [4, "API Too Many Calls", later("CONN_003", 420_000), { headers: { "x-business-use-case-usage": '{"102290129340398":[{"type":"whatsapp","call_count":100,"estimated_time_to_regain_access":7}]}' } }],
  [10, "Permission Denied", never("CONN_002"), { status: 403, says: /whatsapp_business_messaging/ }],
  [33, "Parameter value is not valid", never("CONF_001")],
  [100, "Invalid parameter", never("MSG_002")],
  [100, "Unsupported post request. Object with ID '1' does not exist", never("CONF_001"), { subcode: 33, says: /phone number id/ }],
  [100, "(#100) Param text['body'] must be at most 4096 characters long.", never("MSG_003")],
  [190, "Error validating access token: Session has expired", never("CONN_002"), { status: 401, says: /system user/ }],
  [200, "API Permission", never("CONN_002"), { status: 403 }],
  [299, "API Permission", never("CONN_002"), { status: 403 }],
  [368, "Temporarily blocked for policies violations", never("MSG_002"), { status: 403 }],
  [80007, "Rate limit issues", later("CONN_003", 60_000)],
  [130429, "Rate limit hit", later("CONN_003", 2_000), { status: 429 }],
  [130429, "Rate limit hit", later("CONN_003", 7_000), { status: 429, headers: { "retry-after": "7" } }],
  [130472, "User's number is part of an experiment", never("MSG_002")],
  [130497, "Business account is restricted from messaging users in this country.", never("MSG_002"), { status: 403 }],
  [131000, "Something went wrong", later("CONN_001"), { status: 500 }],
  [131005, "Access denied", never("CONN_002"), { status: 403 }],
  [131008, "Required parameter is missing", never("MSG_002")],
  [131009, "Parameter value is not valid", never("MSG_002")],
  [131009, "Parameter value is not valid", never("MSG_003"), { details: "Button title length invalid. Min length: 1, Max length: 20" }],
  [131016, "Service unavailable", later("CONN_001"), { status: 500 }],
  [131021, "Recipient cannot be sender", never("MSG_002")],
  [131026, "Message undeliverable", never("MSG_002"), { says: /not on WhatsApp/ }],
  [131030, "Recipient phone number not in allowed list", never("MSG_002"), { says: /test number/ }],
  [131031, "Account has been locked", never("MSG_002"), { status: 403 }],
  [131037, "Display name approval needed", never("CONF_001")],
  [131042, "Business eligibility payment issue", never("MSG_002"), { says: /[Pp]ayment/ }],
  [131045, "Incorrect certificate", never("CONF_001"), { status: 500 }],
  [131047, "Re-engagement message", never("MSG_002"), { says: /within the last 24 hours, got none.*template: \{ name, language, values \}/ }],
  [131048, "Spam rate limit hit", later("CONN_003", 3_600_000)],
  [131049, "Meta chose not to deliver.", never("MSG_002")],
  [131050, "User has stopped marketing messages", never("MSG_002")],
  [131051, "Unsupported message type", never("MSG_005")],
  [131052, "Media download error", never("MSG_002")],
  [131053, "Media upload error", never("MSG_002")],
  [131056, "(Business Account, Consumer Account) pair rate limit hit", later("CONN_003", 6_000)],
  [131057, "Account in maintenance mode", later("CONN_001"), { status: 500 }],
  [131062, "Business-scoped User ID (BSUID) recipients are not supported for this message", never("MSG_005")],
  [131064, "Messaging limit reached", later("CONN_003", 3_600_000)],
  [132000, "Template Param Count Mismatch", never("MSG_002"), { says: /gaps of the template/ }],
  [132001, "Template does not exist", never("MSG_002"), { status: 404, says: /approved template/ }],
  [132005, "Template Hydrated Text Too Long", never("MSG_003")],
  [132007, "Template Format Character Policy Violated", never("MSG_002")],
  [132012, "Template Parameter Format Mismatch", never("MSG_002")],
  [132015, "Template is Paused", never("MSG_002")],
  [132016, "Template is Disabled", never("MSG_002")],
  [133010, "Phone number Not Registered", never("CONF_001")],
  [133016, "Account register deregister rate limit exceeded", later("CONN_003", 3_600_000)],
  [135000, "Generic user error", never("MSG_002")],
  [199999, "a code nobody has seen yet", never("MSG_002")],
  [199999, "a code nobody has seen yet", later("CONN_001"), { status: 500 }],
  [199999, "a code nobody has seen yet", later("CONN_003"), { status: 429 }],
  [199999, "a code nobody has seen yet", later("CONN_001"), { transient: true }],
];

/** What something else answers in Meta's place, by status: the body does not matter. */
const FOREIGN: Readonly<Record<number, Verdict>> = { 400: UNKNOWN, 401: UNKNOWN, 403: UNKNOWN, 404: UNKNOWN, 407: UNKNOWN, 408: UNKNOWN, 413: never("MSG_003"), 429: later("CONN_003"), 500: UNKNOWN, 502: UNKNOWN, 503: UNKNOWN, 504: UNKNOWN, 520: UNKNOWN };
const BODIES: readonly string[] = ["", "<!doctype html><title>Bad gateway</title>", "{", "[]", "null", '{"error":"too long"}', '{"error":{"message":"no code"}}'];

/** The request arrives; what comes back is no whole answer. `shown`: the message is there all the same. */
const BROKEN: readonly (readonly [about: string, fault: Fault, shown: number])[] = [
  ["a reset before the answer", { reset: "before" }, 0],
  ["a reset after it was done", { reset: "after" }, 1],
  ["half an answer, then a cut", { half: true }, 1],
  ["a web page with 200", { status: 200, body: "<!doctype html><title>Log in to the hotel's network</title>" }, 0],
  ["nothing with 200", { status: 200, body: "" }, 0],
  ["other JSON with 200", { status: 200, body: '{"hello":"world"}' }, 0],
  ["a message without an id", { status: 200, body: '{"messages":[{}]}' }, 0],
];

describe("WhatsApp's faults", () => {
  let rig: WhatsappRig;
  let impatient: Fetch;
  let connection: Connection;
  /** Where messages go instead of the stub. */
  let elsewhere: string | undefined;

  before(async () => {
    rig = await whatsappRig();
    impatient = createFetch({ connectTimeoutMs: 250, silenceMs: 400 });
    const fetch = ((input: string, init: RequestInit) => (input.endsWith("/messages") ? impatient(elsewhere === undefined ? input : input.replace(rig.stub.url, elsewhere), init) : rig.fetch(input, init))) as typeof globalThis.fetch;
    connection = await whatsapp.open(rig.account, recordingContext({ ...rig.context, fetch }));
  });
  afterEach(() => {
    elsewhere = undefined;
    rig.stub.clearFaults();
  });
  after(async () => {
    await connection.close();
    await impatient.destroy();
    assert.deepEqual(rig.stub.problems(), []);
    await rig.close();
  });

  async function fails(wanted: Verdict, about: string): Promise<{ seen: number; shown: number; text: string }> {
    const before = { seen: rig.stub.sends().length, shown: rig.stub.shown.length };
    const error = await connection.send(rig.to, { text: "**x**" }, "key").then(() => assert.fail(`${about}: expected an error`), (thrown: unknown) => thrown);
    assert.ok(error instanceof ChannelError, inspect(error));
    const got: Verdict = { code: error.code, retry: error.retry, ...(error.unsent ? { unsent: true } : {}), ...(error.answered ? { answered: true } : {}), ...(error.afterMs === undefined ? {} : { afterMs: error.afterMs }) };
    assert.deepEqual(got, wanted, `${about}: ${error.message}`);
    assert.ok(error.message.length > 20 && !rig.secrets.some((secret) => inspect(error, { depth: 9 }).includes(secret)), error.message);
    return { seen: rig.stub.sends().length - before.seen, shown: rig.stub.shown.length - before.shown, text: error.message };
  }

  describe("what the Graph API says", () => {
    for (const [code, message, wanted, { says, ...more } = {}] of SAYS) {
      it(`${more.status ?? 400} ${code} ${message.slice(0, 60)} → ${wanted.code}, ${wanted.retry}${wanted.afterMs === undefined ? "" : ` after ${wanted.afterMs} ms`}`, async () => {
        rig.stub.fault("/messages", { code, message, ...more });
        const { seen, shown, text } = await fails(refused(wanted), message);
        assert.deepEqual([seen, shown], [1, 0], "asked once");
        if (says !== undefined) assert.match(text, says);
        assert.ok(text.includes(String(code)));
      });
    }

    it("never shows the token, though Meta repeats it", async () => {
      rig.stub.fault("/messages", { code: 190, message: `Malformed access token ${rig.stub.token}`, status: 401 });
      const { text } = await fails(refused(never("CONN_002")), "token");
      assert.match(text, /<token>/);
      rig.stub.fault("/messages", { code: 190, message: "Malformed access token EAAGsomebodyElsesTokenThatStandsThere", status: 401 });
      assert.doesNotMatch((await fails(refused(never("CONN_002")), "another's")).text, /EAAG/);
    });
  });

  describe("what others say in its place", () => {
    for (const [status, wanted] of Object.entries(FOREIGN)) {
      it(`${status} → ${wanted.code}, ${wanted.retry}, whatever stands in it`, async () => {
        for (const body of BODIES) {
          rig.stub.fault("/messages", { status: Number(status), body });
          assert.deepEqual((await fails(refused(wanted), `${status} ${body}`)).shown, 0);
        }
      });
    }
    it("a wait in a header is kept", async () => {
      rig.stub.fault("/messages", { status: 503, body: "busy", headers: { "retry-after": "9" } });
      await fails(refused(later("CONN_001", 9_000)), "busy");
    });
    it("a redirect is not followed: the token goes nowhere else", async () => {
      rig.stub.fault("/messages", { status: 307, body: "", headers: { location: "http://127.0.0.1:9/" } });
      await fails(UNKNOWN, "redirect");
    });
  });

  describe("what does not arrive whole", () => {
    for (const [about, fault, shown] of BROKEN) {
      it(`${about}: nobody knows, so it does not count as unsent`, async () => {
        rig.stub.fault("/messages", fault);
        assert.deepEqual((({ seen, shown: there }) => ({ seen, shown: there }))(await fails(UNKNOWN, about)), { seen: 1, shown });
      });
    }
    it("no answer in time: nobody knows", async () => {
      rig.stub.fault("/messages", { delayMs: 2_500 });
      assert.equal((await fails(UNKNOWN, "late")).seen, 1);
    });
  });

  describe("what never leaves", () => {
    it("a port where nobody listens", async () => {
      const gone = createTcp();
      await new Promise<void>((resolve) => { gone.listen(0, "127.0.0.1", resolve); });
      elsewhere = `http://127.0.0.1:${(gone.address() as AddressInfo).port}/v26.0`;
      await new Promise((resolve) => { gone.close(resolve); });
      assert.equal((await fails({ ...UNKNOWN, unsent: true }, "refused")).seen, 0);
    });
    it("a name that does not exist", async () => {
      elsewhere = "http://no-such-host.invalid/v26.0";
      assert.equal((await fails({ ...UNKNOWN, unsent: true }, "unknown name")).seen, 0);
    });
  });
});
