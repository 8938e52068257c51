/** Twilio's REST API, as far as the channels need it: forms in, JSON out. */
import type { Account, ChannelContext } from "../channel.ts";
import { ChannelError } from "../../errors.ts";
import { text } from "../setting-text.ts";
import { fromAnswer, fromFault } from "./errors.ts";
import { DEFAULT_API_ROOT } from "./settings.ts";
import { parseObject } from "../json.ts";

export type Form = Readonly<Record<string, string | readonly string[] | undefined>>;
export interface Twilio {
  readonly root: string;
  /** Header that proves who asks. */
  readonly authorization: string;
  /** `path` below the account's own resource, "Messages.json"; or from the root when it begins with "/". Throws ChannelError. */
  get(path: string, query?: Form, signal?: AbortSignal): Promise<Json>;
  post(path: string, form: Form): Promise<Json>;
}
export type Json = Readonly<Record<string, unknown>>;

const LIMIT_MS = 30_000;
/** Hosts of Twilio that are not the API's own; a test server has them all on one. */
const MESSAGING_ROOT = "https://messaging.twilio.com";

export function createTwilio(account: Account, { fetch, clock, signal }: Pick<ChannelContext, "fetch" | "clock" | "signal">): Twilio {
  const root = (text(account, "apiRoot") || DEFAULT_API_ROOT).replace(/\/+$/, "");
  const sid = text(account, "accountSid");
  const authorization = `Basic ${Buffer.from(`${sid}:${text(account, "token")}`).toString("base64")}`;

  async function ask(method: "GET" | "POST", path: string, form: Form, own: AbortSignal | undefined): Promise<Json> {
    const fields = new URLSearchParams(Object.entries(form).flatMap(([key, value]) => (value === undefined ? [] : typeof value === "string" ? [[key, value]] : value.map((each) => [key, each]))) as [string, string][]);
    const base = path.startsWith("/") ? `${root === DEFAULT_API_ROOT ? MESSAGING_ROOT : root}${path}` : `${root}/2010-04-01/Accounts/${sid}${path === "" ? "" : "/"}${path}`;
    const address = path === "" ? `${base}.json` : base;
    const what = `${method} ${path === "" ? "Account" : path.split("?", 1)[0]}`;
    const limit = AbortSignal.any([signal, AbortSignal.timeout(LIMIT_MS), ...(own === undefined ? [] : [own])]);
    try {
      const answer = await fetch(method === "GET" ? `${address}${fields.size === 0 ? "" : `?${fields}`}` : address, {
        method, signal: limit, headers: { authorization, accept: "application/json", ...(method === "POST" ? { "content-type": "application/x-www-form-urlencoded" } : {}) },
        ...(method === "POST" ? { body: fields.toString() } : {}),
      });
      const written = await answer.text();
      const body = parseObject(written);
      if (!answer.ok) throw fromAnswer(answer.status, body, (name) => answer.headers.get(name), what, clock.now());
      if (body === undefined) throw new ChannelError("CONN_001", { retry: "later" }, `Expected an answer of Twilio to ${what}, got something that is no JSON. Check the address of the API and the proxy.`);
      return body;
    } catch (thrown) {
      throw fromFault(thrown, what);
    }
  }
  return { root, authorization, get: (path, query = {}, own) => ask("GET", path, query, own), post: (path, form) => ask("POST", path, form, undefined) };
}


/** Says whose account it is; proves SID and token. */
export async function identify(account: Account, context: ChannelContext): Promise<{ readonly id: string; readonly name: string }> {
  const { friendly_name: name } = await createTwilio(account, context).get("");
  const number = text(account, "number");
  return { id: number, name: typeof name === "string" && name !== "" ? `${number} (${name})` : number };
}
