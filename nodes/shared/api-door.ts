/** `/clawflow/v1` and `/clawflow/<gateway>/v1`: the accounts of the OpenAI-compatible API under one address, told apart by token and model. */
import { ApiFault, faultAnswer, json } from "../../engine/channels/api/answers.ts";
import { parseObject } from "../../engine/channels/json.ts";
import type { Connection, WebhookAnswer } from "../../engine/channels/channel.ts";
import type { Handle } from "./handle.ts";
import type { Handler } from "./http.ts";

type Webhook = NonNullable<Connection["webhook"]>;

/** Those that take any name come last. */
function accountsOf(handles: Iterable<Handle>): (Webhook | undefined)[] {
  const all = [...handles].flatMap((handle) => [...handle.accounts.values()].filter(({ channel }) => channel.id === "api").map(({ account }) => ({ account, webhook: handle.gateway?.connections.get(account.id)?.connection?.webhook })));
  const any = ({ account }: (typeof all)[number]): number => (String(account.settings["models"] ?? "").includes("*") ? 1 : 0);
  return all.sort((a, b) => any(a) - any(b)).map(({ webhook }) => webhook);
}

export function apiDoor(handles: () => Iterable<Handle>): Handler {
  return async (request) => {
    const accounts = accountsOf(handles());
    if (accounts.includes(undefined)) return faultAnswer(new ApiFault("CONN_001", { status: 503, headers: { "retry-after": "2" } }, "An account of the API is being started."));
    const refused: WebhookAnswer[] = [];
    const listed: unknown[] = [];
    const list = request.method === "GET" && request.path.replace(/\/+$/, "") === "/models";
    for (const webhook of accounts as Webhook[]) {
      const answer = await webhook(request);
      const mine = answer.status !== 401 && answer.status !== 404;
      if (mine && !list) return answer;
      if (mine && typeof answer.body === "string") listed.push(...((parseObject(answer.body)?.["data"] ?? []) as unknown[]));
      else refused.push(answer);
    }
    if (list && refused.length < accounts.length) return json({ object: "list", data: listed });
    return refused.find(({ status }) => status === 404) ?? refused[0] ?? faultAnswer(new ApiFault("MSG_001", { status: 404, word: "unknown_url" }, "There is no account of the OpenAI-compatible API here. Add one to a gateway, and deploy."));
  };
}
