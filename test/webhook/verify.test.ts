import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { checkScheme, HMAC_FORMATS, type HmacFormat, type Scheme, type SignedRequest, verify } from "../../engine/webhook/verify.ts";
import { sameSecret } from "../../engine/verify.ts";

const DATA = path.join(process.env["CLAWFLOW_SPECS"] ?? "../shared/data/specs", "..");
const HOSTILE = path.join(DATA, "badinputs/webhook-signatures.json");
const OFFICIAL = path.join(DATA, "payloads/signature-vectors.json");

interface Case {
  scheme: string; name: string; expect: string; now: number; headers: Record<string, string>; bodyB64?: string;
  secret?: string; publicKeyHex?: string; url?: string; method?: string;
}
/** The hostile cases by scheme; what is not here is not for this file (a GET handshake: webhook.test.ts; JWT: the channels that use it). */
const schemeOf: Record<string, (c: Case) => Scheme> = {
  "standard-webhooks": (c) => ({ kind: "standard", secret: c.secret ?? "" }),
  slack: (c) => ({ kind: "hmac", secret: c.secret ?? "", format: HMAC_FORMATS.slack }),
  meta: (c) => ({ kind: "hmac", secret: c.secret ?? "", format: HMAC_FORMATS.meta }),
  line: (c) => ({ kind: "hmac", secret: c.secret ?? "", format: HMAC_FORMATS.line }),
  telegram: (c) => ({ kind: "header", secret: c.secret ?? "", header: "X-Telegram-Bot-Api-Secret-Token" }),
  discord: (c) => ({ kind: "ed25519", publicKey: c.publicKeyHex ?? "", header: "x-signature-ed25519", timestamp: "x-signature-timestamp" }),
  twilio: (c) => ({ kind: "twilio", secret: c.secret ?? "", url: c.url ?? "" }),
};

const request = (headers: Record<string, string>, body: string | Uint8Array, now = 0, query = ""): SignedRequest => ({ headers, body: Buffer.from(body), now, query: new URLSearchParams(query) });
const hmac = (format: HmacFormat, secret = "s3cret") => ({ kind: "hmac", secret, format }) as const;

describe("webhook verification", () => {
  describe("hostile vectors", () => {
    if (!existsSync(HOSTILE)) {
      it.skip(`${HOSTILE} is not here`);
      return;
    }
    const cases = (JSON.parse(readFileSync(HOSTILE, "utf8")) as { cases: Case[] }).cases.filter((c) => schemeOf[c.scheme] && c.method !== "GET");
    const count = new Map<string, number>();
    for (const c of cases) {
      count.set(c.scheme, (count.get(c.scheme) ?? 0) + 1);
      it(`${c.scheme}: ${c.name} → ${c.expect}`, () => {
        const verdict = verify(request(c.headers, Buffer.from(c.bodyB64 ?? "", "base64"), c.now * 1000), (schemeOf[c.scheme] as (c: Case) => Scheme)(c));
        if (c.expect !== "reject-or-accept") assert.equal(verdict.ok, c.expect === "accept");
        else assert.equal(verdict.ok, true, "hex is read in either case");
        if (!verdict.ok) assert.equal(verdict.code, c.secret === "" ? "CONN_004" : "SEC_002");
      });
    }
    it(`are ${cases.length}: ${[...count].map(([scheme, n]) => `${scheme} ${n}`).join(", ")}`, () => assert.ok(cases.length >= 51));
  });

  describe("official vectors", () => {
    if (!existsSync(OFFICIAL)) {
      it.skip(`${OFFICIAL} is not here`);
      return;
    }
    const v = JSON.parse(readFileSync(OFFICIAL, "utf8"));
    const form = new URLSearchParams(v.twilio_form?.params).toString();
    const rows: [string, SignedRequest, Scheme][] = [
      ["slack", request({ "x-slack-signature": v.slack.expected, "x-slack-request-timestamp": v.slack.timestamp }, v.slack.body, Number(v.slack.timestamp) * 1000 + 60_000), hmac(HMAC_FORMATS.slack, v.slack.signing_secret)],
      ["twilio form", request({ "x-twilio-signature": v.twilio_form.expected }, form), { kind: "twilio", secret: v.twilio_form.auth_token, url: v.twilio_form.url }],
      ["twilio form, query of the request", request({ "x-twilio-signature": v.twilio_form.expected }, form, 0, "foo=1&bar=2"), { kind: "twilio", secret: v.twilio_form.auth_token, url: "https://mycompany.com/myapp.php" }],
      ["twilio json", request({ "x-twilio-signature": v.twilio_json_body.expected }, v.twilio_json_body.body), { kind: "twilio", secret: v.twilio_json_body.auth_token, url: v.twilio_json_body.url }],
      ["standard webhooks", request({ "webhook-id": v.standard_webhooks.id, "webhook-timestamp": String(v.standard_webhooks.timestamp), "webhook-signature": v.standard_webhooks.expected }, v.standard_webhooks.payload, v.standard_webhooks.timestamp * 1000), { kind: "standard", secret: v.standard_webhooks.secret }],
      ["x-hub-256", request({ "x-hub-signature-256": v.x_hub_signature_256.expected }, v.x_hub_signature_256.payload), hmac(HMAC_FORMATS.github, v.x_hub_signature_256.secret)],
      ["ed25519", request({ "x-signature-ed25519": v.discord_ed25519.signature }, Buffer.from(v.discord_ed25519.message_hex, "hex")), { kind: "ed25519", publicKey: v.discord_ed25519.public_key, header: "x-signature-ed25519" }],
      ["line", request({ "x-line-signature": v.line.expected }, v.line.body), hmac(HMAC_FORMATS.line, v.line.channel_secret)],
      ["viber", request({ "x-viber-content-signature": v.viber.expected }, v.viber.body), hmac(HMAC_FORMATS.viber, v.viber.auth_token)],
    ];
    for (const [name, signed, scheme] of rows) {
      it(`${name} is accepted, and with one byte more of body refused`, () => {
        assert.equal(verify(signed, scheme).ok, true);
        const changed = verify({ ...signed, body: Buffer.concat([signed.body, Buffer.from("x")]) }, scheme);
        assert.deepEqual([changed.ok, !changed.ok && changed.code], [false, "SEC_002"]);
      });
    }
  });

  describe("each way", () => {
    const now = Date.UTC(2026, 5, 1);
    const seconds = String(now / 1000);
    const body = '{"a":1}';
    const sign = (algorithm: string, text: string, encoding: "hex" | "base64", secret = "s3cret") => createHmac(algorithm, secret).update(text).digest(encoding);

    it("hex and base64, sha1, sha256 and sha512, with and without prefix", () => {
      for (const algorithm of ["sha1", "sha256", "sha512"] as const) {
        for (const encoding of ["hex", "base64"] as const) {
          for (const prefix of [undefined, "sig="]) {
            const format = { header: "X-Mine", algorithm, encoding, ...(prefix === undefined ? {} : { prefix }) };
            const right = sign(algorithm, body, encoding);
            assert.deepEqual(verify(request({ "x-mine": (prefix ?? "") + right }, body), hmac(format)), { ok: true });
            for (const wrong of [right.slice(1), `${right}0`, right.slice(0, -2), `other=${right}`, sign(algorithm, body, encoding, "other"), ""]) {
              assert.equal(verify(request({ "x-mine": (prefix ?? "") + wrong }, body), hmac(format)).ok, false, `${algorithm} ${encoding} ${wrong}`);
            }
          }
        }
      }
    });
    it("stripe's list, with the old secret beside the new", () => {
      const scheme = hmac(HMAC_FORMATS.stripe);
      const good = sign("sha256", `${seconds}.${body}`, "hex");
      assert.equal(verify(request({ "stripe-signature": `t=${seconds},v1=${"0".repeat(64)},v1=${good},v0=x` }, body, now), scheme).ok, true);
      assert.equal(verify(request({ "stripe-signature": `t=${seconds},v0=${good}` }, body, now), scheme).ok, false);
      assert.equal(verify(request({ "stripe-signature": `t=${seconds},v1=${good}` }, body, now + 301_000), scheme).ok, false);
      assert.equal(verify(request({ "stripe-signature": `v1=${good}` }, body, now), scheme).ok, false);
    });
    it("twitch, shopify, nextcloud and x-hub with their ids", () => {
      const at = new Date(now).toISOString();
      const twitch = { "twitch-eventsub-message-id": "m1", "twitch-eventsub-message-timestamp": at, "twitch-eventsub-message-signature": `sha256=${sign("sha256", `m1${at}${body}`, "hex")}` };
      assert.deepEqual(verify(request(twitch, body, now), hmac(HMAC_FORMATS.twitch)), { ok: true, id: "m1" });
      assert.equal(verify(request(twitch, body, now + 400_000), hmac(HMAC_FORMATS.twitch)).ok, false);
      assert.deepEqual(verify(request({ "x-shopify-hmac-sha256": sign("sha256", body, "base64"), "x-shopify-webhook-id": "w1" }, body), hmac(HMAC_FORMATS.shopify)), { ok: true, id: "w1" });
      assert.equal(verify(request({ "x-nextcloud-talk-random": "r", "x-nextcloud-talk-signature": sign("sha256", `r${body}`, "hex") }, body), hmac(HMAC_FORMATS["nextcloud-talk"])).ok, true);
      assert.equal(verify(request({ "x-nextcloud-talk-signature": sign("sha256", body, "hex") }, body), hmac(HMAC_FORMATS["nextcloud-talk"])).ok, false);
      assert.equal(verify(request({ "x-hub-signature": `sha1=${sign("sha1", body, "hex")}` }, body), hmac(HMAC_FORMATS["x-hub"])).ok, true);
    });
    it("a dated signature is the id of its delivery", () => {
      const headers = { "x-slack-signature": `v0=${sign("sha256", `v0:${seconds}:${body}`, "hex")}`, "x-slack-request-timestamp": seconds };
      const first = verify(request(headers, body, now), hmac(HMAC_FORMATS.slack));
      assert.ok(first.ok && first.id);
      assert.deepEqual(verify(request({ ...headers, "x-slack-retry-num": "1" }, body, now + 1000), hmac(HMAC_FORMATS.slack)), first);
    });
    it("several standard secrets while one replaces the other; a full stop in the id is refused even when signed", () => {
      const [old, next] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
      const secret = `whsec_${old.toString("base64")} whsec_${next.toString("base64")}`;
      const signed = (id: string, key: Buffer) => request({ "webhook-id": id, "webhook-timestamp": seconds, "webhook-signature": `v1a,xx v1,${createHmac("sha256", key).update(`${id}.${seconds}.${body}`).digest("base64")}` }, body, now);
      for (const key of [old, next]) assert.deepEqual(verify(signed("m1", key), { kind: "standard", secret }), { ok: true, id: "m1" });
      assert.equal(verify(signed("m1", Buffer.alloc(32, 3)), { kind: "standard", secret }).ok, false);
      assert.equal(verify(signed("m1.5", old), { kind: "standard", secret }).ok, false);
      assert.deepEqual(verify(signed("m1", old), { kind: "standard", secret: "whsec_not base64!" }), { ok: false, code: "CONN_004", why: 'Expected the secret to be base64, with or without "whsec_" before it.' });
    });
    it("bearer and basic", () => {
      const bearer = { kind: "bearer", secret: "t0ken" } as const;
      assert.equal(verify(request({ authorization: "bearer t0ken" }, ""), bearer).ok, true);
      for (const wrong of ["Bearer t0ken2", "Bearer t0ke", "t0ken", "Basic t0ken", "Bearer t0ken x", ""]) assert.equal(verify(request({ authorization: wrong }, ""), bearer).ok, false, wrong);
      const basic = { kind: "basic", user: "jörg", secret: "p:w" } as const;
      const encode = (text: string) => `Basic ${Buffer.from(text).toString("base64")}`;
      assert.equal(verify(request({ authorization: encode("jörg:p:w") }, ""), basic).ok, true);
      for (const wrong of [encode("jörg:p"), encode("jorg:p:w"), encode(":"), "Basic !!!", "Basic", "Bearer p:w"]) assert.equal(verify(request({ authorization: wrong }, ""), basic).ok, false, wrong);
    });
    it("none lets everybody in; every other way refuses without a secret", () => {
      assert.deepEqual(verify(request({}, body), { kind: "none" }), { ok: true });
      for (const secret of ["", "  ", undefined as unknown as string]) {
        const schemes: Scheme[] = [{ kind: "bearer", secret }, { kind: "basic", user: "", secret }, { kind: "header", header: "x", secret }, { kind: "standard", secret },
          hmac(HMAC_FORMATS.meta, secret), { kind: "twilio", secret, url: "https://x" }, { kind: "ed25519", publicKey: secret, header: "x" }];
        if (secret === undefined) schemes[4] = { kind: "hmac", secret, format: HMAC_FORMATS.meta };
        const open = { authorization: "Bearer ", x: "", "x-hub-signature-256": `sha256=${secret === undefined ? "" : sign("sha256", body, "hex", secret)}` };
        for (const scheme of schemes) {
          const verdict = verify(request(open, body), scheme);
          assert.deepEqual([verdict.ok, !verdict.ok && verdict.code], [false, "CONN_004"], `${scheme.kind} with ${JSON.stringify(secret)}`);
        }
      }
    });
    it("names of Object.prototype are no headers", () => {
      assert.equal(verify(request({}, body), { kind: "header", header: "constructor", secret: "x" }).ok, false);
    });
  });

  it("checks schemes before they are used", () => {
    assert.deepEqual(checkScheme({ kind: "none" }), []);
    assert.deepEqual(checkScheme(hmac(HMAC_FORMATS.slack)), []);
    for (const [name, format] of Object.entries(HMAC_FORMATS)) assert.deepEqual(checkScheme(hmac(format)), [], name);
    assert.match(checkScheme({ kind: "bearer", secret: "" })[0] ?? "", /No secret/);
    assert.match(checkScheme({ kind: "ed25519", publicKey: "abc", header: "x" })[0] ?? "", /64 hexadecimal/);
    assert.match(checkScheme(hmac({ ...HMAC_FORMATS.meta, header: "a b" }))[0] ?? "", /name of a header/);
    assert.match(checkScheme(hmac({ ...HMAC_FORMATS.meta, signed: "x" }))[0] ?? "", /\{body\}/);
    assert.match(checkScheme(hmac({ ...HMAC_FORMATS.meta, timestamp: "x-t" }))[0] ?? "", /timestamp would pass/);
    assert.match(checkScheme({ kind: "twilio", secret: "x", url: "" })[0] ?? "", /public address/);
  });

  it("compares secrets of any length, and nothing equals an empty one", () => {
    assert.equal(sameSecret("abc", "abc"), true);
    assert.equal(sameSecret(Buffer.from("abc"), "abc"), true);
    for (const [given, expected] of [["abc", "abd"], ["ab", "abc"], ["", ""], [undefined, "x"], ["x", undefined], [undefined, undefined]] as const) assert.equal(sameSecret(given, expected), false);
  });
});
