/** BlueBubbles' REST API (httpRoutes.ts of bluebubbles-server): JSON in and out, the password in the query. */
import type { Account, ChannelContext, Connection } from "../channel.ts";
import { ChannelError } from "../../errors.ts";
import { text } from "../setting-text.ts";
import { fromAnswer, fromFault } from "./errors.ts";
import { parseObject } from "../json.ts";

const LIMIT_MS = 60_000;
export interface AskOptions { readonly query?: Readonly<Record<string, string>>; readonly body?: Readonly<Record<string, unknown>> | FormData; readonly ms?: number; readonly signal?: AbortSignal }
export interface Api {
  readonly root: string;
  /** Resolves to `data` of the answer. Throws ChannelError. */
  ask(method: "GET" | "POST" | "PUT" | "DELETE", path: string, options?: AskOptions): Promise<unknown>;
  /** Address of a resource, with the password: to be shown to nobody. */
  address(path: string, query?: Readonly<Record<string, string>>): string;
}

export function createApi(account: Account, { fetch, clock, signal }: Pick<ChannelContext, "fetch" | "clock" | "signal">): Api {
  const root = text(account, "apiRoot").replace(/\/+$/, "");
  const password = text(account, "password");
  const address = (path: string, query: Readonly<Record<string, string>> = {}) => `${root}/api/v1${path}?${new URLSearchParams({ ...query, password })}`;
  return {
    root, address,
    async ask(method, path, { query = {}, body, ms = LIMIT_MS, signal: own } = {}) {
      const what = `${method} ${path.split("/").slice(0, 3).join("/").replace(/\/[^/]*[;%-][^/]*/g, "/…")}`;
      try {
        const answer = await fetch(address(path, query), {
          method, signal: AbortSignal.any([signal, AbortSignal.timeout(ms), ...(own === undefined ? [] : [own])]),
          ...(body === undefined ? {} : body instanceof FormData ? { body } : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
        });
        const given = parseObject(await answer.text());
        if (!answer.ok) throw fromAnswer(answer.status, given, (name) => answer.headers.get(name), what, clock.now());
        if (given === undefined) throw new ChannelError("CONN_001", { retry: "later" }, `Expected an answer of BlueBubbles to ${what}, got something that is no JSON. Check the server's address.`);
        return given.data;
      } catch (thrown) {
        throw fromFault(thrown, what);
      }
    },
  };
}


/** Says which Mac it is; proves address and password. */
export async function identify(account: Account, context: ChannelContext): Promise<Connection["self"]> {
  const { detected_imessage: user, computer_id: computer } = ((await createApi(account, context).ask("GET", "/server/info")) ?? {}) as { detected_imessage?: unknown; computer_id?: unknown };
  const name = typeof user === "string" && user !== "" ? user : typeof computer === "string" && computer !== "" ? computer : "iMessage";
  return { id: name, name };
}
