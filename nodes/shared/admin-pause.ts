/** The kill switch over the editor's door. */
import { SettingError } from "../../engine/errors.ts";
import { readScope } from "../../engine/pauses.ts";
import { opened, type Request } from "./admin-store.ts";
import type { Host } from "./gateways.ts";

/** `gateway/:id/pause` and `…/resume`; the body's `scope` is "" for all agents, or a chat as the overview names it. */
export function registerPauseAdmin(host: Host, post: (path: string, act: (request: Request) => Promise<void>) => void): void {
  const scopeOf = ({ body = {} }: Request) => {
    const scope = readScope(body.scope);
    if (scope === undefined) throw new SettingError("CONF_001", {}, `Expected "scope" to be empty or channel/account/chat, got ${JSON.stringify(body.scope)}.`);
    return scope;
  };
  post("gateway/:id/pause", async (request) => (await opened(host, request.params.id ?? "")).pauses.pause(scopeOf(request), { by: "Node-RED", why: "person" }));
  post("gateway/:id/resume", async (request) => { await (await opened(host, request.params.id ?? "")).pauses.resume(scopeOf(request)); });
}
