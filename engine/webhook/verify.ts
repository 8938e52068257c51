/** Who sent this HTTP request? Pure functions over the raw body: nothing is parsed before its signature holds. */
import { createHash, createHmac, createPublicKey, type KeyObject, verify as verifySignature } from "node:crypto";
import { sameSecret } from "../verify.ts";

export interface SignedRequest {
  /** Names in lower case. A value that is not one string (a header sent twice, unjoined) counts as missing. */
  readonly headers: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** Raw: the very bytes that were signed. */
  readonly body: Uint8Array;
  /** Unix milliseconds. */
  readonly now: number;
}

/** How a sender signs with a shared secret. Rows of data: a new sender is a new row. */
export interface HmacFormat {
  /** Carries the signature. */
  readonly header: string;
  readonly algorithm: "sha1" | "sha256" | "sha512";
  readonly encoding: "hex" | "base64";
  /** Stands before the signature, "sha256=". */
  readonly prefix?: string;
  /** What is signed: `{body}` and `{header-name}` are replaced. "{body}" when absent. */
  readonly signed?: string;
  /** Carries Unix seconds or RFC 3339; must be part of `signed`. Requests older or newer than 5 minutes are refused. */
  readonly timestamp?: string;
  /** Carries the id of the delivery, the same when it is sent again. */
  readonly id?: string;
  /** The header is a list "t=…,v1=…": names of its timestamp and signature entries. `{t}` is then known to `signed`. */
  readonly pairs?: { readonly timestamp: string; readonly signature: string };
}

export type Scheme =
  /** Everybody may send. */
  | { readonly kind: "none" }
  | { readonly kind: "bearer"; readonly secret: string }
  | { readonly kind: "basic"; readonly user: string; readonly secret: string }
  /** The secret itself in a header, as Telegram does. */
  | { readonly kind: "header"; readonly header: string; readonly secret: string }
  /** standardwebhooks.com. Several secrets, separated by spaces, while one replaces the other. */
  | { readonly kind: "standard"; readonly secret: string }
  | { readonly kind: "hmac"; readonly secret: string; readonly format: HmacFormat }
  /** Form fields and the public address signed with SHA-1, as Twilio does. `url`: the address as the sender has it, with its query. */
  | { readonly kind: "twilio"; readonly secret: string; readonly url: string }
  /** The sender's public key, 32 bytes in hex; timestamp and body are signed, as Discord does. */
  | { readonly kind: "ed25519"; readonly publicKey: string; readonly header: string; readonly timestamp?: string };

export type Verdict =
  /** `id`: the delivery, the same when it is sent again. */
  | { readonly ok: true; readonly id?: string }
  | { readonly ok: false; readonly code: "SEC_002" | "CONN_004"; readonly why: string };

/** Seconds a signed request may be old, or from the future. */
const WINDOW_SECONDS = 300;
const SIGNATURES = 50;

const hub = { header: "x-hub-signature-256", algorithm: "sha256", encoding: "hex", prefix: "sha256=" } as const;
/** Checked against each sender's published example where there is one. */
export const HMAC_FORMATS = {
  github: { ...hub, id: "x-github-delivery" },
  meta: hub,
  "x-hub": { header: "x-hub-signature", algorithm: "sha1", encoding: "hex", prefix: "sha1=" },
  slack: { header: "x-slack-signature", algorithm: "sha256", encoding: "hex", prefix: "v0=", timestamp: "x-slack-request-timestamp", signed: "v0:{x-slack-request-timestamp}:{body}" },
  stripe: { header: "stripe-signature", algorithm: "sha256", encoding: "hex", pairs: { timestamp: "t", signature: "v1" }, signed: "{t}.{body}" },
  shopify: { header: "x-shopify-hmac-sha256", algorithm: "sha256", encoding: "base64", id: "x-shopify-webhook-id" },
  line: { header: "x-line-signature", algorithm: "sha256", encoding: "base64" },
  viber: { header: "x-viber-content-signature", algorithm: "sha256", encoding: "hex" },
  "nextcloud-talk": { header: "x-nextcloud-talk-signature", algorithm: "sha256", encoding: "hex", signed: "{x-nextcloud-talk-random}{body}" },
  twitch: {
    header: "twitch-eventsub-message-signature", algorithm: "sha256", encoding: "hex", prefix: "sha256=", id: "twitch-eventsub-message-id", timestamp: "twitch-eventsub-message-timestamp",
    signed: "{twitch-eventsub-message-id}{twitch-eventsub-message-timestamp}{body}",
  },
} as const satisfies Record<string, HmacFormat>;

const forged = (why: string): Verdict => ({ ok: false, code: "SEC_002", why });
const unset = (why: string): Verdict => ({ ok: false, code: "CONN_004", why });
const accepted = (id: string | undefined): Verdict => id === undefined ? { ok: true } : { ok: true, id };

function headerOf(request: SignedRequest, name: string): string | undefined {
  const key = name.toLowerCase();
  const value: unknown = Object.hasOwn(request.headers, key) ? request.headers[key] : undefined;
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** Refuses whatever it is not sure of: no secret, no header, wrong length, wrong alphabet, an old timestamp. Never throws. */
export function verify(request: SignedRequest, scheme: Scheme): Verdict {
  if (scheme.kind === "none") return { ok: true };
  const secret = scheme.kind === "ed25519" ? scheme.publicKey : scheme.secret;
  if (typeof secret !== "string" || secret.trim() === "") return unset("No secret is configured.");
  switch (scheme.kind) {
    case "bearer": {
      const given = /^Bearer +(\S+)$/i.exec(headerOf(request, "authorization") ?? "")?.[1];
      return sameSecret(given, scheme.secret) ? { ok: true } : forged("Expected the header Authorization: Bearer with the configured token.");
    }
    case "basic": {
      const given = /^Basic +([A-Za-z0-9+/]+={0,2})$/i.exec(headerOf(request, "authorization") ?? "")?.[1];
      const right = sameSecret(given === undefined ? undefined : Buffer.from(given, "base64"), `${scheme.user}:${scheme.secret}`);
      return right ? { ok: true } : forged("Expected the configured user and password.");
    }
    case "header":
      return sameSecret(headerOf(request, scheme.header), scheme.secret) ? { ok: true } : forged(`Expected the configured secret in the header ${scheme.header}.`);
    case "standard": return verifyStandard(request, scheme.secret);
    case "hmac": return verifyHmac(request, scheme.secret, scheme.format);
    case "twilio": return verifyTwilio(request, scheme.secret, scheme.url);
    case "ed25519": return verifyEd25519(request, scheme);
  }
}

/** The signature's bytes, or undefined where the text is not exactly such a signature. */
function decode(text: string, encoding: "hex" | "base64", bytes: number): Buffer | undefined {
  const wellFormed = encoding === "hex" ? /^[0-9a-f]*$/i : /^[A-Za-z0-9+/]*={0,2}$/;
  const length = encoding === "hex" ? bytes * 2 : Math.ceil(bytes / 3) * 4;
  if (text.length !== length || !wellFormed.test(text)) return undefined;
  const decoded = Buffer.from(text, encoding);
  return decoded.length === bytes ? decoded : undefined;
}

/** Why a timestamp does not hold; undefined when it does. "1.0", "+1" and " 1" are no timestamps: senders write plain seconds, or RFC 3339 in UTC. */
function stale(timestamp: string | undefined, now: number): string | undefined {
  if (timestamp === undefined) return "The timestamp is missing.";
  const seconds = /^\d{1,12}$/.test(timestamp) ? Number(timestamp) : /^\d{4}-\d\d-\d\dT[\d:.]{5,20}Z$/.test(timestamp) ? Date.parse(timestamp) / 1000 : Number.NaN;
  if (Number.isNaN(seconds)) return "The timestamp is neither Unix seconds nor a date and time.";
  return Math.abs(now / 1000 - seconds) > WINDOW_SECONDS ? "The timestamp is more than 5 minutes off; check both clocks." : undefined;
}

/** https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md */
function verifyStandard(request: SignedRequest, secrets: string): Verdict {
  const keys = secrets.trim().split(/\s+/).map((secret) => secret.replace(/^whsec_/, ""));
  if (!keys.every((key) => /^[A-Za-z0-9+/]+={0,2}$/.test(key))) return unset('Expected the secret to be base64, with or without "whsec_" before it.');
  const id = headerOf(request, "webhook-id");
  const timestamp = headerOf(request, "webhook-timestamp");
  const signatures = headerOf(request, "webhook-signature")?.split(" ") ?? [];
  // The id is joined to the rest by full stops: one inside it would let it swallow its neighbour.
  if (id === undefined || id.includes(".")) return forged("The header webhook-id is missing or holds a full stop.");
  const old = stale(timestamp, request.now);
  if (old !== undefined) return forged(old);
  if (signatures.length > SIGNATURES) return forged(`More than ${SIGNATURES} signatures.`);
  const given = signatures.flatMap((signature) => signature.startsWith("v1,") ? decode(signature.slice(3), "base64", 32) ?? [] : []);
  for (const key of keys) {
    const expected = createHmac("sha256", Buffer.from(key, "base64")).update(`${id}.${timestamp}.`).update(request.body).digest();
    if (given.some((signature) => sameSecret(signature, expected))) return accepted(id);
  }
  return forged("No signature in webhook-signature fits the configured secret.");
}

const SIZE = { sha1: 20, sha256: 32, sha512: 64 } as const;

function verifyHmac(request: SignedRequest, secret: string, format: HmacFormat): Verdict {
  const value = headerOf(request, format.header);
  if (value === undefined) return forged(`The header ${format.header} is missing.`);
  const { timestamp, signatures, fields } = format.pairs ? readPairs(value, format.pairs) : {
    timestamp: format.timestamp === undefined ? undefined : headerOf(request, format.timestamp), signatures: [value], fields: {},
  };
  const dated = format.timestamp !== undefined || format.pairs !== undefined;
  const old = dated ? stale(timestamp, request.now) : undefined;
  if (old !== undefined) return forged(old);

  const expected = createHmac(format.algorithm, secret);
  for (const part of (format.signed ?? "{body}").split(/(\{[^{}]*\})/)) {
    const name = /^\{(.*)\}$/.exec(part)?.[1];
    const text = name === undefined ? part : name === "body" ? request.body : fields[name] ?? headerOf(request, name);
    if (text === undefined) return forged(`The header ${name}, which is part of what is signed, is missing.`);
    expected.update(text);
  }
  const right = expected.digest();
  const prefix = format.prefix ?? "";
  const given = signatures.flatMap((signature) => signature.startsWith(prefix) ? decode(signature.slice(prefix.length), format.encoding, SIZE[format.algorithm]) ?? [] : []);
  if (!given.some((signature) => sameSecret(signature, right))) return forged(`The signature in ${format.header} does not fit the configured secret.`);
  // A dated signature is made for one delivery: seen again, it is a replay.
  return accepted((format.id === undefined ? undefined : headerOf(request, format.id)) ?? (dated ? right.toString("hex").slice(0, 32) : undefined));
}

function readPairs(value: string, names: NonNullable<HmacFormat["pairs"]>): { timestamp: string | undefined; signatures: string[]; fields: Record<string, string> } {
  const entries = value.split(",").slice(0, SIGNATURES).map((pair): [string, string] => {
    const [name = "", ...rest] = pair.trim().split("=");
    return [name, rest.join("=")];
  });
  const timestamp = entries.find(([name]) => name === names.timestamp)?.[1];
  return {
    timestamp,
    signatures: entries.filter(([name]) => name === names.signature).map(([, text]) => text),
    fields: timestamp === undefined ? {} : { [names.timestamp]: timestamp },
  };
}

/** https://www.twilio.com/docs/usage/security: address and sorted form fields; of a JSON body only its hash, in the query. */
function verifyTwilio(request: SignedRequest, secret: string, address: string): Verdict {
  const url = address.includes("?") || request.query.size === 0 ? address : `${address}?${request.query}`;
  const given = decode(headerOf(request, "x-twilio-signature") ?? "", "base64", 20);
  if (!given) return forged("The header x-twilio-signature is missing or no signature.");
  const bodyHash = /[?&]bodySHA256=([0-9a-f]{64})(?:&|$)/i.exec(url)?.[1];
  const signed = createHmac("sha1", secret).update(url);
  if (bodyHash !== undefined) {
    const hash = createHash("sha256").update(request.body).digest("hex");
    if (!sameSecret(bodyHash.toLowerCase(), hash)) return forged("The body is not the one whose hash was signed.");
  } else {
    const form = new URLSearchParams(Buffer.from(request.body).toString("utf8"));
    for (const name of [...new Set(form.keys())].sort()) for (const text of [...new Set(form.getAll(name))].sort()) signed.update(name + text);
  }
  if (!sameSecret(given, signed.digest())) return forged("The signature in x-twilio-signature does not fit token and address; the address must be the public one, with https.");
  return accepted(headerOf(request, "i-twilio-idempotency-token"));
}

/** An Ed25519 public key in SubjectPublicKeyInfo begins with these bytes (RFC 8410). */
const ED25519_SPKI = Buffer.from("302a300506032b6570032100", "hex");

/** To read a key costs as much as to verify by it; a scheme that is used again has it at hand. */
const publicKeys = new WeakMap<object, KeyObject>();

function verifyEd25519(request: SignedRequest, scheme: Extract<Scheme, { kind: "ed25519" }>): Verdict {
  const key = decode(scheme.publicKey, "hex", 32);
  if (!key) return unset("Expected the public key to be 64 hexadecimal digits.");
  const signature = decode(headerOf(request, scheme.header) ?? "", "hex", 64);
  if (!signature) return forged(`The header ${scheme.header} is missing or no signature.`);
  const timestamp = scheme.timestamp === undefined ? "" : headerOf(request, scheme.timestamp);
  const old = scheme.timestamp === undefined ? undefined : stale(timestamp, request.now);
  if (timestamp === undefined || old !== undefined) return forged(old ?? "The timestamp is missing.");
  try {
    const publicKey = publicKeys.get(scheme) ?? createPublicKey({ key: Buffer.concat([ED25519_SPKI, key]), format: "der", type: "spki" });
    publicKeys.set(scheme, publicKey);
    if (!verifySignature(null, Buffer.concat([Buffer.from(timestamp), request.body]), publicKey, signature)) return forged(`The signature in ${scheme.header} does not fit the public key.`);
  } catch {
    return unset("The public key is not a point on the curve.");
  }
  return accepted(scheme.timestamp === undefined ? undefined : signature.toString("hex").slice(0, 32));
}

/** Problems in a scheme, each a sentence with a remedy. */
export function checkScheme(scheme: Scheme): string[] {
  if (scheme.kind === "none") return [];
  const problems: string[] = [];
  const verdict = verify({ headers: {}, query: new URLSearchParams(), body: new Uint8Array(), now: 0 }, scheme);
  if (!verdict.ok && verdict.code === "CONN_004") problems.push(`${verdict.why} Every request is refused.`);
  const header = scheme.kind === "hmac" ? scheme.format.header : "header" in scheme ? scheme.header : "authorization";
  if (!/^[a-z0-9!#$%&'*+.^_`|~-]+$/i.test(header)) problems.push(`Expected the name of a header, got "${header}".`);
  if (scheme.kind === "hmac" && !(scheme.format.signed ?? "{body}").includes("{body}")) problems.push('Expected what is signed to hold "{body}"; without it any body would pass.');
  if (scheme.kind === "hmac" && scheme.format.timestamp && !scheme.format.signed?.includes(`{${scheme.format.timestamp}}`)) problems.push(`Expected what is signed to hold "{${scheme.format.timestamp}}"; without it any timestamp would pass.`);
  if (scheme.kind === "twilio" && !/^https?:\/\//.test(scheme.url)) problems.push(`Expected the public address of this webhook, got "${scheme.url}".`);
  return problems;
}
