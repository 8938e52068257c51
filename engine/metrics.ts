/**
 * What is counted, as a table, and the counters themselves: plain numbers, so that counting costs a look into a map. The exposition is made when somebody
 * asks for it, by prom-client, which is not loaded before. Labels are names that a person gave (gateway, account) or that stand in a table (channel, code,
 * provider), never a chat or a person: their number stays small.
 */
import type { Address } from "./message.ts";

export interface MetricRow { readonly kind: "counter" | "gauge"; readonly help: string; readonly labels: readonly string[] }
const AT = ["gateway", "channel", "account"] as const;

export const METRICS = {
  clawflow_messages_received_total: { kind: "counter", help: "Messages on disk for the flows; only these are confirmed to a platform.", labels: AT },
  clawflow_messages_duplicate_total: { kind: "counter", help: "Messages that were there already: a platform brought them again.", labels: AT },
  clawflow_messages_refused_total: { kind: "counter", help: "Messages of people who are not let in.", labels: AT },
  clawflow_messages_done_total: { kind: "counter", help: "Messages whose runs have ended.", labels: AT },
  clawflow_messages_dead_total: { kind: "counter", help: "Messages that became dead letters.", labels: AT },
  clawflow_sends_sent_total: { kind: "counter", help: "Parts of answers, edits, reactions and removals that the platform took.", labels: AT },
  clawflow_sends_retried_total: { kind: "counter", help: "Tries to send that failed and are tried again.", labels: AT },
  clawflow_sends_dead_total: { kind: "counter", help: "Parts of answers that became dead letters.", labels: AT },
  clawflow_runs_started_total: { kind: "counter", help: "Ways of a message through the flow of one entry node.", labels: ["gateway"] },
  clawflow_runs_ended_total: { kind: "counter", help: "Runs that ended, done or dead.", labels: ["gateway", "state"] },
  clawflow_errors_total: { kind: "counter", help: "Faults that a node or an account shows, that refuse a message, or that make a try again or a dead letter, by the code of docs/errors.md.", labels: ["code"] },
  clawflow_model_requests_total: { kind: "counter", help: "Requests to models; outcome is answered or failed.", labels: ["provider", "outcome"] },
  clawflow_model_tokens_total: { kind: "counter", help: "Tokens as the provider counts them; direction is input or output.", labels: ["provider", "direction"] },
  clawflow_model_faults_total: { kind: "counter", help: "Requests to models that failed, by the code of docs/errors.md; also those where another try or another model answered.", labels: ["provider", "code"] },
  clawflow_model_failovers_total: { kind: "counter", help: "Times another key or model was asked in the place of this provider's, by the code of the fault.", labels: ["provider", "code"] },
  clawflow_model_cost_microdollars_total: { kind: "counter", help: "Cost of model calls by the price table, in millionths of a US dollar.", labels: ["gateway", "provider"] },
  clawflow_model_unpriced_total: { kind: "counter", help: "Model calls whose price is not known.", labels: ["gateway", "provider"] },
  clawflow_budget_warnings_total: { kind: "counter", help: "Budgets that came to 80 %; what is the limit.", labels: ["gateway", "what"] },
  clawflow_budget_refusals_total: { kind: "counter", help: "Model calls that were not begun because nothing was left of a budget; what is the limit.", labels: ["gateway", "what"] },
  clawflow_store_open: { kind: "gauge", help: "1 while the store of the gateway is open.", labels: ["gateway"] },
  clawflow_messages_pending: { kind: "gauge", help: "Messages that are saved and not finished.", labels: ["gateway"] },
  clawflow_dead_letters: { kind: "gauge", help: "Dead letters that are kept; what is message or delivery.", labels: ["gateway", "what"] },
  clawflow_outbox_waiting: { kind: "gauge", help: "Parts of answers that are not sent yet.", labels: ["gateway"] },
  clawflow_runs_active: { kind: "gauge", help: "Runs under way.", labels: ["gateway"] },
  clawflow_connection_state: { kind: "gauge", help: "1 for the state the account is in, 0 for the others.", labels: [...AT, "state"] },
  clawflow_store_bytes: { kind: "gauge", help: "Bytes of the store that are in use.", labels: ["gateway"] },
  clawflow_store_limit_bytes: { kind: "gauge", help: "Bytes the store may have; 0: no limit.", labels: ["gateway"] },
  clawflow_documents: { kind: "gauge", help: "Documents below the folder of a documents node, by its tool; state is read, or unread for files and folders that could not be read.", labels: ["gateway", "tool", "state"] },
  clawflow_backup_timestamp_seconds: { kind: "gauge", help: "When the newest backup was made; 0: there is none.", labels: ["gateway"] },
} as const satisfies Record<string, MetricRow>;

export type MetricName = keyof typeof METRICS;
type NameOf<Kind extends MetricRow["kind"]> = { [Name in MetricName]: (typeof METRICS)[Name]["kind"] extends Kind ? Name : never }[MetricName];
export type CounterName = NameOf<"counter">;
export type GaugeName = NameOf<"gauge">;
type Labels = Readonly<Record<string, string>>;
export type Count = (name: CounterName, labels: Labels, by?: number) => void;
export interface Gauge { readonly name: GaugeName; readonly labels: Labels; readonly value: number }
export interface Metrics {
  readonly count: Count;
  /** Prometheus text format 0.0.4. */
  text(gauges: readonly Gauge[]): Promise<string>;
}
export const TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8";

export function createMetrics(): Metrics {
  const counters = new Map<CounterName, Map<string, { readonly labels: Labels; value: number }>>();
  return {
    count(name, labels, by = 1) {
      let key = "";
      for (const label of METRICS[name].labels) key += `${labels[label] ?? ""}\n`;
      const all = counters.get(name) ?? new Map<string, { readonly labels: Labels; value: number }>();
      counters.set(name, all);
      const found = all.get(key);
      if (found === undefined) all.set(key, { labels: Object.fromEntries(METRICS[name].labels.map((label) => [label, labels[label] ?? ""])), value: by });
      else found.value += by;
    },
    async text(gauges) {
      const { Counter, Gauge, Registry } = (await import("prom-client")).default;
      const registry = new Registry();
      for (const [name, { kind, help, labels }] of Object.entries(METRICS) as [MetricName, MetricRow][]) {
        const about = { name, help, labelNames: labels, registers: [registry] };
        if (kind === "counter") {
          const counter = new Counter(about);
          for (const { labels, value } of counters.get(name as CounterName)?.values() ?? []) counter.inc({ ...labels }, value);
        } else {
          const gauge = new Gauge(about);
          for (const one of gauges) if (one.name === name) gauge.set({ ...one.labels }, one.value);
        }
      }
      return registry.metrics();
    },
  };
}

/** What inbox and outbox tell of a message or a part on its way; `code` where a fault is why. */
export type Tell = (what: "received" | "duplicate" | "refused" | "done" | "dead", at: Address, code?: string) => void;
export type TellSend = (what: "sent" | "retried" | "dead", to: Address, code?: string) => void;
export type Tally = ReturnType<typeof createTally>;
/** Counts for one gateway. Where a message did not come from one of its accounts (cron, webhook, flow), the account is left empty. */
export function createTally(count: Count | undefined, isAccount: (id: string) => boolean) {
  const labels = ({ channel, account }: Address): Labels => ({ channel, account: isAccount(account) ? account : "" });
  const fault = (code: string | undefined): void => { if (code !== undefined) count?.("clawflow_errors_total", { code }); };
  const message: Tell = (what, at, code) => { count?.(`clawflow_messages_${what}_total`, labels(at)); fault(code); };
  const send: TellSend = (what, to, code) => { count?.(`clawflow_sends_${what}_total`, labels(to)); fault(code); };
  return {
    message, send, fault,
    began: (): void => { count?.("clawflow_runs_started_total", {}); },
    ended: (state: string): void => { count?.("clawflow_runs_ended_total", { state }); },
  };
}
