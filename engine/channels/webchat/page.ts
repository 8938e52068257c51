/** The page's own files and what a browser lets them do. */
import { createHash } from "node:crypto";
import type { WebhookAnswer, WebhookRequest } from "../channel.ts";
import type { AssetName, Assets } from "./assets.ts";

const FILES: Readonly<Record<string, { readonly name: AssetName; readonly type: string; /** Other sites load it. */ readonly foreign?: true }>> = {
  "/": { name: "chat.html", type: "text/html; charset=utf-8" },
  "/chat.js": { name: "chat.js", type: "text/javascript; charset=utf-8" },
  "/embed.js": { name: "embed.js", type: "text/javascript; charset=utf-8", foreign: true },
  "/chat.css": { name: "chat.css", type: "text/css; charset=utf-8" },
};

/** Undefined: not one of the page's files. `framers`: sites that may show the page in a frame. */
export function createPage(assets: Assets, framers: readonly string[]): (request: WebhookRequest) => Promise<WebhookAnswer | undefined> {
  const policy = [
    "default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "img-src 'self' blob: data:", "media-src blob:", "base-uri 'none'", "form-action 'none'",
    `frame-ancestors ${["'self'", ...framers].join(" ")}`, "require-trusted-types-for 'script'", "trusted-types 'none'",
  ].join("; ");
  const headers = { "content-security-policy": policy, "x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "cross-origin-opener-policy": "same-origin", "permissions-policy": "camera=(), microphone=(self), geolocation=()" };
  return async (request) => {
    const file = FILES[request.path];
    if (file === undefined || (request.method !== "GET" && request.method !== "HEAD")) return undefined;
    const bytes = await assets(file.name);
    if (bytes === undefined) return { status: 503, headers: { ...headers, "content-type": "text/plain; charset=utf-8", "cache-control": "no-store" }, body: "The chat page was not built. Run npm run build, or install the package again." };
    const etag = `"${createHash("sha256").update(bytes).digest("base64url").slice(0, 22)}"`;
    const all = { ...headers, "content-type": file.type, "cache-control": "no-cache", etag, ...(file.foreign === true ? { "cross-origin-resource-policy": "cross-origin" } : {}) };
    return request.headers["if-none-match"] === etag ? { status: 304, headers: all } : { status: 200, headers: all, body: bytes };
  };
}
