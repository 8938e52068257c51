/** Calls of a platform's own API (`Connection.call`), made for a flow: at most once in the life of a run, and truthful about what came of it. */
import type { Connection } from "./channels/channel.ts";
import { asClawError, ChannelError } from "./errors.ts";
import type { Gateway } from "./gateway.ts";

export interface PlatformCall {
  /** "" for a msg that belongs to no run: nothing repeats it. */
  readonly run: string;
  readonly step: string;
  /** Slug of the account. */
  readonly account: string;
  /** As the platform names it. */
  readonly method: string;
  readonly parameters: Readonly<Record<string, unknown>>;
}
/** `unknown`: it was handed over, and nobody knows whether it was done; it is not done again. */
export type CallOutcome =
  | { readonly state: "done"; readonly result: unknown }
  | { readonly state: "failed" | "unknown"; readonly code: string; readonly text: string };

/** Characters of JSON of an answer that are kept. */
const MOST = 1_000_000;

/** Never throws for what the platform says; throws what the store throws, before anything was asked. */
export async function callPlatform(gateway: Pick<Gateway, "once" | "connections">, call: PlatformCall): Promise<CallOutcome> {
  const line = gateway.connections.get(call.account);
  const act = (): Promise<CallOutcome> => made(line?.connection, line?.channel.label ?? call.account, call);
  if (call.run === "") return act();
  return gateway.once<CallOutcome>(call.run, call.step, async (begin) => { await begin(); return { data: await act() }; }, () => unknown(`${call.method} was under way when the system stopped.`));
}

async function made(connection: Connection | undefined, label: string, { method, parameters }: PlatformCall): Promise<CallOutcome> {
  try {
    if (connection === undefined) throw new ChannelError("CONN_001", { retry: "later", unsent: true }, `Expected ${label} to be connected, but it is not now.`);
    if (connection.call === undefined) throw new ChannelError("MSG_005", { unsent: true }, `${label} lends no methods of its own.`);
    const json = JSON.stringify((await connection.call(method, parameters)) ?? null);
    if (json.length > MOST) return { state: "failed", code: "MSG_003", text: `${method} was done, but its answer is longer than the ${MOST} characters that are kept.` };
    return { state: "done", result: JSON.parse(json) as unknown };
  } catch (thrown) {
    const error = asClawError(thrown, "CONN_001", "later");
    const { unsent = false, answered = false } = error as Partial<ChannelError>;
    // Only silence is doubt: who answered, or was never asked, has not done it.
    const doubt = error.retry === "later" && error.code !== "CONN_003" && !unsent && !answered;
    return doubt ? unknown(`${method} was handed over and not answered: ${error.message}`) : { state: "failed", code: error.code, text: error.message };
  }
}

const unknown = (text: string): CallOutcome => ({ state: "unknown", code: "MSG_007", text: `${text} Nobody knows whether it was done, so it is not done again. Check by hand.` });
