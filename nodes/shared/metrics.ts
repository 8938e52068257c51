/** The counters of this process, and what is measured when Prometheus asks. */
import { STATES } from "../../engine/connections.ts";
import { createMetrics, type Gauge } from "../../engine/metrics.ts";
import { backupsOf } from "../../engine/store-care.ts";
import type { Handle } from "./handle.ts";

export const metrics = createMetrics();

export async function metricsText(handles: Iterable<Handle>): Promise<string> {
  return metrics.text((await Promise.all([...handles].map(gaugesOf))).flat());
}

async function gaugesOf({ slug, folder, documents, gateway: open }: Handle): Promise<Gauge[]> {
  const gateway = slug;
  const backup = backupsOf(folder).find(({ kind }) => kind === "copy")?.at ?? 0;
  const always: Gauge[] = [
    { name: "clawflow_store_open", labels: { gateway }, value: open === undefined ? 0 : 1 },
    { name: "clawflow_backup_timestamp_seconds", labels: { gateway }, value: backup / 1000 },
    ...[...documents.values()].flatMap(({ tool, read, unread }): Gauge[] => [{ name: "clawflow_documents", labels: { gateway, tool, state: "read" }, value: read }, { name: "clawflow_documents", labels: { gateway, tool, state: "unread" }, value: unread }]),
  ];
  // While a backup is put back it may close under us.
  const counts = await open?.store.counts().catch(() => undefined);
  if (open === undefined || counts === undefined) return always;
  const { planned, sending, unknown, dead } = counts.outbox;
  return [
    ...always,
    { name: "clawflow_messages_pending", labels: { gateway }, value: counts.pending },
    { name: "clawflow_dead_letters", labels: { gateway, what: "message" }, value: counts.dead },
    { name: "clawflow_dead_letters", labels: { gateway, what: "delivery" }, value: dead },
    { name: "clawflow_outbox_waiting", labels: { gateway }, value: planned + sending + unknown },
    { name: "clawflow_runs_active", labels: { gateway }, value: [...open.inbox.runs()].length },
    { name: "clawflow_store_bytes", labels: { gateway }, value: await open.store.size?.().catch(() => 0) ?? 0 },
    { name: "clawflow_store_limit_bytes", labels: { gateway }, value: open.room.max },
    ...open.connections.all().flatMap(({ channel, account, state: now }) => STATES.map((state): Gauge => ({ name: "clawflow_connection_state", labels: { gateway, channel, account, state }, value: state === now ? 1 : 0 }))),
  ];
}
