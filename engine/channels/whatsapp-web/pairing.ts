/** How a phone lets the account in: by a code to enter there, or by a picture to scan, on a page whose address only the log knows. */
import { randomBytes } from "node:crypto";
import type { ChannelContext, WebhookAnswer, WebhookRequest } from "../channel.ts";
import { ChannelError } from "../../errors.ts";
import { sameSecret } from "../../verify.ts";
import type { Socket } from "./library.ts";

/** Seconds after which the page looks for a newer picture; WhatsApp changes it each 20 to 60. */
const REFRESH_SECONDS = 8;

export interface Pairing {
  /** WhatsApp gave a new code. Never rejects. */
  show(qr: string, socket: Pick<Socket, "requestPairingCode">): Promise<void>;
  /** Says again what to do; nothing while no code is there. */
  tell(): void;
  /** A phone is linked. */
  done(): void;
  page(request: WebhookRequest): Promise<WebhookAnswer>;
}

/** `phone`: digits; "" to scan instead. `name`: of the account, for the page. */
export function createPairing({ context, phone, name }: { readonly context: Pick<ChannelContext, "status" | "log" | "webhookUrl">; readonly phone: string; readonly name: string }): Pairing {
  /** Whoever scans the picture makes this account a device of their own phone: the address of the page cannot be guessed, and is new with each start. */
  const token = randomBytes(24).toString("base64url");
  const address = context.webhookUrl === undefined ? undefined : `${context.webhookUrl.replace(/\/+$/, "")}/link/${token}`;
  let qr: string | undefined;
  let words: string | undefined;
  let asked = false;

  function tell(): void {
    if (words !== undefined) context.status("connecting", new ChannelError("CONN_006", { retry: "later" }, words));
  }
  async function byPhone(socket: Pick<Socket, "requestPairingCode">): Promise<void> {
    // One code for each connection; the pictures that follow are for another way.
    if (asked) return;
    asked = true;
    const code = await socket.requestPairingCode(phone);
    words = `Enter ${code.replace(/^(.{4})(.{4})$/, "$1-$2")} on the phone: WhatsApp, Linked devices, Link a device, Link with phone number instead.`;
    context.log("info", words);
  }
  async function byPicture(code: string): Promise<void> {
    const first = qr === undefined;
    qr = code;
    words = "Scan the code on the phone: WhatsApp, Linked devices, Link a device. Where to find it is in Node-RED's log.";
    if (address !== undefined) { if (first) context.log("info", `Link the phone on ${address}`); return; }
    const { renderUnicodeCompact } = await import("uqr");
    context.log("info", `Link the phone with this code:\n${renderUnicodeCompact(code)}`);
  }

  return {
    tell,
    async show(code, socket) {
      try {
        await (phone === "" ? byPicture(code) : byPhone(socket));
        tell();
      } catch (error) {
        context.log("warn", `CONN_006: WhatsApp gave no code for this phone number: ${(error as Error).message}`);
      }
    },
    done() { qr = undefined; words = undefined; },
    async page(request) {
      const given = /^\/link\/([\w-]{1,100})$/.exec(request.path)?.[1];
      if (request.method !== "GET" || !sameSecret(given, token)) return { status: 404 };
      const { renderSVG } = await import("uqr");
      const picture = qr === undefined ? "<p>✓</p>" : renderSVG(qr, { border: 4 });
      return {
        status: 200,
        headers: {
          "content-type": "text/html; charset=utf-8", "cache-control": "no-store", "referrer-policy": "no-referrer", "x-content-type-options": "nosniff", "x-frame-options": "DENY", "x-robots-tag": "noindex",
          "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'", ...(qr === undefined ? {} : { refresh: String(REFRESH_SECONDS) }),
        },
        body: `<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>WhatsApp</title><body style="font:16px system-ui;text-align:center;margin:2rem"><h1 style="font-size:1.1rem">WhatsApp: ${escaped(name)}</h1><div style="max-width:22rem;margin:auto;background:#fff">${picture}</div>`,
      };
    },
  };
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (mark) => `&#${mark.charCodeAt(0)};`);
}
