/** What a gateway's form shows of the usage of its models, and the table for a bill. */
import { localZone } from "../../engine/schedule/zone.ts";
import { asClawError } from "../../engine/errors.ts";
import { overview, usageCsv } from "../../engine/ledger/report.ts";
import { opened, type Request } from "./admin-store.ts";
import type { Host } from "./gateways.ts";
import { redact } from "./secrets.ts";

interface Response { status(code: number): Response; json(body: unknown): void; set(name: string, value: string): void; write(text: string): boolean; end(): void; once(event: string, act: () => void): void; destroy(): void; readonly headersSent: boolean; readonly destroyed: boolean }
const MOST_DAYS = 400;

export function registerUsageAdmin(host: Host, read: unknown, get: (path: string, act: (request: Request) => unknown) => void): void {
  get("gateway/:id/usage", async ({ params }) => {
    const gateway = await opened(host, params.id ?? "");
    const people = new Map(gateway.people.all().map(({ channel, account, id, name }) => [JSON.stringify([channel, account, id]), name]));
    const found = await overview(gateway.store, zoneOf(host, params.id ?? ""), gateway.clock.now());
    const person = found.by.person.map((sum) => ({ ...sum, name: people.get(JSON.stringify([sum.of.channel, sum.of.account, sum.of.person])) ?? "" }));
    return { ...found, by: { ...found.by, person } };
  });
  host.red.httpAdmin.get("/clawflow/gateway/:id/usage.csv", read, async (request: Request & { readonly query?: Record<string, string> }, response: Response) => {
    try {
      const gateway = await opened(host, request.params.id ?? "");
      const days = Math.min(MOST_DAYS, Math.max(1, Math.floor(Number(request.query?.days)) || 30));
      response.set("content-type", "text/csv; charset=utf-8");
      response.set("content-disposition", 'attachment; filename="clawflow-usage.csv"');
      response.set("x-content-type-options", "nosniff");
      for await (const piece of usageCsv(gateway.store, gateway.clock.now(), days)) {
        if (response.destroyed) return;
        if (!response.write(piece)) await new Promise<void>((resolve) => { response.once("drain", resolve); response.once("close", resolve); });
      }
      response.end();
    } catch (thrown) {
      // A table that broke off must not look whole, and has no status any more.
      if (response.headersSent) { response.destroy(); return; }
      const error = asClawError(thrown, "CONF_001");
      response.status(400).json({ error: { code: error.code, text: redact(error.message), remedy: error.remedy } });
    }
  });
}
const zoneOf = (host: Host, id: string): string => [...host.handles()].find(({ node }) => node?.id === id)?.settings.timeZone || localZone();
