/** Who is at the other end of a request, whether a browser page of ours sent it, and how fast it may talk. */
import { createHash } from "node:crypto";
import type { Clock } from "../../clock.ts";
import type { WebhookRequest } from "../channel.ts";
import { VISITOR_HEADER } from "./protocol.ts";

const ID = /^(?:web|user)-[0-9a-f]{32}$/;

/**
 * The visitor's immutable id: a hash of the secret its browser keeps. Nothing is stored for a visitor who never talked, two tabs agree
 * without asking, and from the id (which stands in lists and logs) nobody finds the secret. Undefined without a secret of 128 bits or more.
 */
export function visitorOf(headers: WebhookRequest["headers"]): string | undefined {
  const token = headers[VISITOR_HEADER] ?? "";
  if (!/^[A-Za-z0-9_-]{22,128}$/.test(token)) return undefined;
  return `web-${createHash("sha256").update(`clawflow visitor\n${token}`).digest("hex").slice(0, 32)}`;
}
/** Whether a chat is one person's own. */
export function isVisitorId(id: string): boolean { return ID.test(id); }

/**
 * Whether a browser's request comes from our own page. Browsers on trustworthy addresses say it in Sec-Fetch-Site; others in Origin, which then has
 * to name the host that was asked or one of `allowed`. Programs that are no browser send neither, and cannot be tricked by another site.
 */
export function fromOwnPage(headers: WebhookRequest["headers"], allowed: ReadonlySet<string>): boolean {
  const { origin, host } = headers;
  if (origin !== undefined && allowed.has(origin)) return true;
  const site = headers["sec-fetch-site"];
  if (site !== undefined) return site === "same-origin";
  if (origin === undefined) return true;
  const url = URL.parse(origin);
  return url !== null && host !== undefined && url.host === host.toLowerCase();
}

/** First language the browser asks for, BCP 47. */
export function languageOf(headers: WebhookRequest["headers"]): string | undefined {
  return /^\s*([A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3})\s*(?:[,;]|$)/.exec(headers["accept-language"] ?? "")?.[1];
}

/** One line of text from outside: no controls, no marks that turn the writing direction, at most `max` UTF-16 units. */
export function cleanLine(value: unknown, max: number): string {
  if (typeof value !== "string") return "";
  return value.replace(/[\p{Cc}\p{Zl}\p{Zp}\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069\uFEFF]/gu, " ").replace(/\s+/g, " ").trim().slice(0, max).toWellFormed();
}

export interface Rate {
  /** 0: go on. Else milliseconds until the next may come. */
  take(key: string): number;
  /** As `take`, without taking. */
  wait(key: string): number;
}
const MAX_KEYS = 10_000;
/** A bucket of `perMinute` that fills evenly, for each key. */
export function createRate(clock: Clock, perMinute: number): Rate {
  const buckets = new Map<string, { left: number; at: number }>();
  const refill = 60_000 / perMinute;
  function fill(key: string): { left: number; at: number } {
    const now = clock.monotonic();
    const old = buckets.get(key);
    const bucket = { left: Math.min(perMinute, (old?.left ?? perMinute) + (now - (old?.at ?? now)) / refill), at: now };
    buckets.delete(key);
    buckets.set(key, bucket);
    if (buckets.size > MAX_KEYS) buckets.delete(buckets.keys().next().value as string);
    return bucket;
  }
  const waitOf = (left: number) => (left >= 1 ? 0 : Math.ceil((1 - left) * refill));
  return {
    take(key) {
      const bucket = fill(key);
      const wait = waitOf(bucket.left);
      if (wait === 0) bucket.left--;
      return wait;
    },
    wait: (key) => waitOf(fill(key).left),
  };
}
