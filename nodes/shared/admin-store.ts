/** What a gateway's form shows of its store, and does with it: a copy now, a backup put back, a report that was read. */
import { SettingError, StoreError } from "../../engine/errors.ts";
import type { Gateway } from "../../engine/gateway.ts";
import { backupsOf, forgetProblems, problemsOf } from "../../engine/store-care.ts";
import type { Handle, Host } from "./gateways.ts";
import type { RedNode } from "./red.ts";

export interface Request { readonly body?: Record<string, unknown>; readonly params: Record<string, string>; readonly headers: Record<string, string | undefined> }

export function handleOf(host: Host, id: string): Handle | undefined {
  return [...host.handles()].find((handle) => handle.node?.id === id);
}
/** The node that a form is of. One of another kind lends nothing: its secrets would go to an address of the asker's choice. */
export function deployed<T extends RedNode>(host: Host, id: unknown, type: string): T | undefined {
  const node = typeof id === "string" ? host.red.nodes.getNode(id) : undefined;
  return node?.type === type ? (node as T) : undefined;
}
export async function opened(host: Host, id: string): Promise<Gateway> {
  const handle = handleOf(host, id);
  if (handle?.gateway === undefined) throw new SettingError("CONF_002", {}, "Expected a deployed gateway whose store is open. Deploy first.");
  return handle.gateway;
}

/** `events`: what befell it and nobody has read yet, also of earlier starts. Paths are those of the machine Node-RED runs on. */
export function storeView(handle: Handle): object {
  return { folder: handle.folder, open: handle.gateway !== undefined, ...(handle.gateway === undefined ? {} : { room: { state: handle.gateway.room.state, used: handle.gateway.room.used, max: handle.gateway.room.max } }), events: problemsOf(handle.folder), backups: backupsOf(handle.folder) };
}

export function registerStoreAdmin(host: Host, post: (path: string, act: (request: Request) => unknown) => void): void {
  const handleBy = ({ params: { id = "" } }: Request): Handle => {
    const handle = handleOf(host, id);
    if (handle === undefined) throw new SettingError("CONF_002", {}, "Expected a deployed gateway, got none with this id. Deploy first.");
    return handle;
  };
  post("gateway/:id/backup", async (request) => {
    const { care } = handleBy(request);
    if (care === undefined) throw new StoreError("STORE_001", {}, "Expected an open store to copy, but it is not open now.");
    await care.backup();
  });
  post("gateway/:id/restore", async (request) => {
    const backup = request.body?.backup;
    if (typeof backup !== "string") throw new SettingError("CONF_001", {}, `Expected "backup" to be the name of a backup, got ${JSON.stringify(backup)}.`);
    await host.restoreStore(handleBy(request), backup);
  });
  post("gateway/:id/store-read", (request) => {
    const upTo = request.body?.upTo;
    if (typeof upTo !== "number") throw new SettingError("CONF_001", {}, `Expected "upTo" to be a time in milliseconds, got ${JSON.stringify(upTo)}.`);
    forgetProblems(handleBy(request).folder, upTo);
  });
}
