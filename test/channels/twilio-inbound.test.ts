/** What Twilio posts: samples in its own shape, signatures, mutated bodies. */
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import path from "node:path";
import type { Message } from "../../engine/message.ts";
import { parseMessage } from "../../engine/message-schema.ts";
import { toMessage, toStatus } from "../../engine/channels/twilio/to-message.ts";
import { toMessage as toCall } from "../../engine/channels/twilio-voice/to-message.ts";
import { createDoor, type Fields } from "../../engine/channels/twilio/webhook.ts";
import { recordingContext } from "../contracts/channel.ts";
import { projectRoot } from "../rigs/project.ts";
import { skip } from "../rigs/skip.ts";
import { dataFolder } from "../spec/telegram-schema.ts";

interface Sample { readonly about: string; readonly status?: true; readonly state?: "ringing" | "speech" | "keys" | "recording" | "ended"; readonly fields: Fields }
const samples = (channel: string, file: string) => JSON.parse(readFileSync(path.join(projectRoot, `engine/channels/${channel}/samples/${file}.json`), "utf8")) as Sample[];
const NUMBER = "+15551230000";
const NOW = 1_795_800_000_000;
const ADA = "+14155550100";

/** kind, text, files and places, action. */
const READINGS: Readonly<Record<string, Readonly<Record<string, readonly [kind: string, text: string, attachments: string, action: string]>>>> = {
  "twilio-sms": {
    "a text": ["message", "Turn on the kitchen light", "", ""],
    "a picture (MMS)": ["message", "look", "image", ""],
    "two files without words": ["message", "", "video document", ""],
    "a command": ["message", "/status now please", "", "command status now please"],
    "by a Messaging Service": ["message", "hello", "", ""],
    "emoji and an ampersand": ["message", "Käse & Brot 🧀", "", ""],
    delivered: ["event", "", "", "status delivered"],
    undelivered: ["event", "", "", "status failed Twilio error 30003"],
  },
  "twilio-whatsapp": {
    "a text": ["message", "Which lights are on?", "", ""],
    "a voice note": ["message", "", "voice", ""],
    "a picture with a caption": ["message", "the meter", "image", ""],
    "a place": ["message", "", "location", ""],
    "a quick reply": ["action", "Yes", "", "button approve:7K3Q Yes"],
    "chosen from a list": ["action", "Kitchen", "", "choice kitchen Kitchen"],
    "an answer to a message": ["message", "that one", "", ""],
    "passed on": ["message", "news from elsewhere", "", ""],
    read: ["event", "", "", "status read"],
  },
  "twilio-voice": {
    "somebody calls": ["call", "", "", "call ringing"],
    "somebody calls, with a name": ["call", "", "", "call ringing"],
    "what was said": ["message", "Turn on the kitchen light.", "", "call speech"],
    keys: ["message", "42", "", "call keys 42"],
    "what was said in a call we made": ["message", "yes", "", "call speech"],
    "the end": ["call", "", "", "call ended 37"],
    "a recording": ["call", "", "audio", "call recording 37"],
  },
};

function read(channel: string, { fields, status, state }: Sample): Message | undefined {
  if (state !== undefined) return toCall(state, fields, { account: "line", number: NUMBER, now: NOW }, 3);
  const place = { channel, account: "line", prefix: channel === "twilio-whatsapp" ? "whatsapp:" : "", number: NUMBER, now: NOW };
  return status === true ? toStatus(fields, place) : toMessage(fields, place);
}
function actionText({ action }: Message): string {
  if (action === undefined) return "";
  const { type, ...rest } = action as unknown as Record<string, unknown>;
  const { ref: _ref, ...more } = rest;
  return [type, ...Object.values(more).flat()].join(" ");
}

describe("what Twilio posts", () => {
  it("is read as it is meant", () => {
    const rows: string[] = [];
    for (const [channel, readings] of Object.entries(READINGS)) {
      const all = samples(channel, channel === "twilio-voice" ? "calls" : "messages");
      assert.deepEqual(all.map(({ about }) => about), Object.keys(readings));
      for (const sample of all) {
        const message = read(channel, sample);
        assert.ok(message !== undefined, sample.about);
        assert.deepEqual(parseMessage(message), message);
        assert.deepEqual([message.kind, message.text, message.attachments.map(({ kind }) => kind).join(" "), actionText(message)], readings[sample.about], `${channel}: ${sample.about}`);
        assert.deepEqual([message.at.chat, message.sender.id, message.sender.self], [ADA, ADA, false], sample.about);
        rows.push(`${channel.padEnd(16)} ${sample.about.padEnd(32)} ${message.kind.padEnd(8)} ${message.text.slice(0, 24).padEnd(25)} ${message.sender.name.padEnd(14)} ${message.at.chat}${message.at.thread === undefined ? "" : `/${message.at.thread.slice(0, 4)}…${message.at.thread.slice(-2)}`}`);
      }
    }
    console.log(`      ${rows.length} samples\n${rows.map((row) => `      ${row}`).join("\n")}`);
    assert.ok(rows.length >= 15);
  });

  it("tells what a place, an answer and a forward are about", () => {
    const [, , , place, , , answer, forward] = samples("twilio-whatsapp", "messages").map((sample) => read("twilio-whatsapp", sample));
    assert.deepEqual(place?.attachments[0], { kind: "location", latitude: 52.520008, longitude: 13.404954, title: "Home", address: "Berlin" });
    assert.match(answer?.replyTo ?? "", /^SM/);
    assert.deepEqual(forward?.forwarded, {});
    assert.equal(answer?.sender.name, "Ada");
  });

  it("is not taken when it is for another number, or none of it", () => {
    const [first] = samples("twilio-sms", "messages") as [Sample];
    assert.equal(read("twilio-sms", { ...first, fields: { ...first.fields, To: "+15550000000" } }), undefined);
    for (const missing of ["MessageSid", "From"]) assert.equal(read("twilio-sms", { ...first, fields: { ...first.fields, [missing]: "" } }), undefined);
    const [call] = samples("twilio-voice", "calls") as [Sample];
    assert.equal(read("twilio-voice", { ...call, fields: { ...call.fields, CallSid: "../../x" } }), undefined);
  });
});

describe("Twilio's signature", () => {
  const SECRET = "12345";
  async function knock(url: string, headers: Record<string, string>, body: Uint8Array, secret: string): Promise<{ status: number; took: Fields[] }> {
    const took: Fields[] = [];
    const { origin, pathname, searchParams } = new URL(url);
    const webhookUrl = `${origin}${pathname}`;
    const door = createDoor({ token: secret, context: recordingContext({ webhookUrl }), take: async (_path, fields) => { took.push(fields); return { status: 200 }; } });
    const { status } = await door({ method: "POST", path: "/", query: searchParams, headers, body, remote: "192.0.2.1", signal: new AbortController().signal });
    return { status, took };
  }

  it("gets the right answer for every vector", async function () {
    const payloads = dataFolder("payloads", "");
    if (payloads === undefined) return skip(this, "the vectors are not on this machine");
    const { cases } = JSON.parse(readFileSync(path.join(payloads, "../badinputs/webhook-signatures.json"), "utf8")) as { cases: { scheme: string; name: string; expect: "accept" | "reject"; headers: Record<string, string>; bodyB64: string; secret: string; url: string }[] };
    const own = cases.filter(({ scheme }) => scheme === "twilio");
    for (const { name, expect, headers, bodyB64, secret, url } of own) {
      const { status, took } = await knock(url, headers, Buffer.from(bodyB64, "base64"), secret);
      assert.equal(status, expect === "accept" ? 200 : 403, name);
      assert.equal(took.length, expect === "accept" ? 1 : 0, name);
      // Without a secret nothing is right, whatever the signature.
      assert.equal((await knock(url, headers, Buffer.from(bodyB64, "base64"), "")).status, 403, name);
    }
    const { twilio_form: form, twilio_json_body: json } = JSON.parse(readFileSync(path.join(payloads, "signature-vectors.json"), "utf8")) as { twilio_form: { auth_token: string; url: string; params: Fields; expected: string }; twilio_json_body: { auth_token: string; url: string; body: string; expected: string } };
    const body = Buffer.from(new URLSearchParams(form.params).toString());
    assert.equal((await knock(form.url, { "x-twilio-signature": form.expected }, body, form.auth_token)).status, 200);
    assert.equal((await knock(form.url, { "x-twilio-signature": json.expected }, body, form.auth_token)).status, 403);
    assert.equal((await knock(json.url, { "x-twilio-signature": json.expected }, Buffer.from(json.body), json.auth_token)).status, 200);
    assert.equal((await knock(json.url, { "x-twilio-signature": json.expected }, Buffer.from(`${json.body} `), json.auth_token)).status, 403);
    console.log(`      ${own.length + 2} vectors`);
    assert.ok(own.length >= 6);
  });

  it("crashes on no body, changes no prototype and keeps nothing", async function () {
    this.timeout(3_600_000);
    const rounds = Number(process.env.CLAWFLOW_FUZZ ?? 1_000);
    const originals = [...samples("twilio-sms", "messages"), ...samples("twilio-whatsapp", "messages"), ...samples("twilio-voice", "calls")];
    let state = 7;
    const random = (below: number): number => { state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0; return state % below; };
    const url = "https://gw.example/twilio";
    const before = process.memoryUsage().heapUsed;
    let taken = 0;
    for (let round = 0; round < rounds; round++) {
      const sample = originals[random(originals.length)] as Sample;
      const bytes = Buffer.from(new URLSearchParams({ ...sample.fields, ["__proto__"]: "x", constructor: "y" }).toString());
      for (let changes = 1 + random(8); changes > 0; changes--) {
        const at = random(bytes.length);
        bytes[at] = random(3) === 0 ? (["&", "=", "%", "\0"][random(4)] as string).charCodeAt(0) : random(256);
      }
      const form = new URLSearchParams(bytes.toString("utf8"));
      const signed = createHmac("sha1", SECRET).update(url);
      for (const name of [...new Set(form.keys())].sort()) for (const text of [...new Set(form.getAll(name))].sort()) signed.update(name + text);
      const { status, took } = await knock(url, { "x-twilio-signature": signed.digest("base64") }, bytes, SECRET);
      assert.equal(status, 200);
      taken += took.length;
      for (const fields of took) {
        assert.equal(Object.getPrototypeOf(fields), Object.prototype);
        assert.ok(!Object.hasOwn(fields, "__proto__"));
        const message = read(sample.fields.WaId === undefined ? "twilio-sms" : "twilio-whatsapp", { ...sample, fields });
        if (message !== undefined) assert.doesNotThrow(() => { try { parseMessage(message); } catch (error) { if (!/MSG_00[13]/.test(String((error as { code?: unknown }).code))) throw error; } });
      }
    }
    assert.equal(taken, rounds);
    assert.equal(({} as Record<string, unknown>).x, undefined);
    const grown = (process.memoryUsage().heapUsed - before) / 2 ** 20;
    assert.ok(grown < 100, `the heap grew by ${grown.toFixed(0)} MB`);
  });
});
