/** Calls of the runtime: what the forms ask it. Addresses are relative, so that a moved admin root works. */
import { query, t } from "./red.ts";

export interface Setting {
  key: string; type: "text" | "secret" | "url" | "number" | "boolean" | "choice" | "list"; label: string; hint?: string; required?: boolean;
  initial?: string | number | boolean; choices?: { value: string; label: string }[]; when?: { key: string; value: string | boolean };
}
export interface ChannelInfo { id: string; label: string; settings: Setting[] }
export interface ProviderInfo { id: string; label: string; wire: string; baseUrl: string; keyless?: boolean; env?: string; quirks?: { responses?: readonly string[] } }
export interface Tables {
  channels: ChannelInfo[]; providers: ProviderInfo[]; efforts: string[]; steps: unknown; presets: unknown; commands: unknown;
  errors: Record<string, { title: string; remedy: string }>;
}

async function call<T>(type: "GET" | "POST", path: string, body?: unknown, dataType: "json" | "text" = "json"): Promise<T> {
  try {
    return await query.ajax({
      type, url: `clawflow/${path}`, dataType, cache: false,
      ...body === undefined ? {} : { contentType: "application/json", data: JSON.stringify(body) },
    }) as T;
  } catch (failure) {
    const { status, responseText } = failure as { status: number; responseText?: string };
    if (status === 401 || status === 403) throw new Error(t("noPermission"));
    if (status === 0) throw new Error(t("noRuntime"));
    throw new Error(wordsOf(responseText ?? "") ?? `${t("runtimeFailed", { status })} ${(responseText ?? "").slice(0, 200)}`);
  }
}
/** The runtime answers a fault as `{ error: { code, text, remedy } }`. */
function wordsOf(answer: string): string | undefined {
  try {
    const { error } = JSON.parse(answer) as { error?: { code: string; text: string; remedy?: string } };
    return error && `${error.text}${error.remedy && !error.text.endsWith(error.remedy) ? ` ${error.remedy}` : ""} (${error.code})`;
  } catch {
    return undefined;
  }
}
export const ask = <T>(path: string): Promise<T> => call("GET", path);
export const askText = (path: string): Promise<string> => call("GET", path, undefined, "text");
export const post = <T>(path: string, body: unknown): Promise<T> => call("POST", path, body);

let asked: Promise<Tables> | undefined;
let known: Tables | undefined;
/** Asked once per page; again after a failure, and after a plugin has been added. */
export function tables(): Promise<Tables> {
  asked ??= ask<Tables>("tables").then((got) => { known = got; return got; }).catch((error: unknown) => { asked = undefined; throw error; });
  return asked;
}
/** Where they are there already: validation cannot wait. */
export const tablesNow = (): Tables | undefined => known;
export const forgetTables = (): void => { asked = undefined; };

/** A function that runs `act` after each call and drops the answer of an older one, and all once the form around `place` is closed. */
export function latest<T>(place: HTMLElement, act: () => Promise<T>, show: (answer: T) => void, fail: (error: Error) => void): () => void {
  let turn = 0;
  return () => {
    const own = ++turn;
    const isWanted = () => own === turn && place.isConnected;
    if (isWanted()) act().then((answer) => { if (isWanted()) show(answer); }, (error: Error) => { if (isWanted()) fail(error); });
  };
}
