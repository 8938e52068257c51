/** The `openai` SDK's client, as both of OpenAI's wires use it. */
import type OpenAI from "openai";
import { NO_TIMEOUT_MS, type Place } from "./place.ts";

export async function openaiClient({ settings, provider, baseUrl }: Place, fetch: typeof globalThis.fetch): Promise<OpenAI> {
  const { default: Client } = await import("openai");
  const keyless = settings.key === undefined || settings.key === "";
  return new (leanClient(Client, fetch))({
    apiKey: keyless ? "none" : settings.key,
    baseURL: baseUrl,
    // Named, so that nothing of the process environment finds its way to another provider.
    organization: null, project: null, webhookSecret: null, adminAPIKey: null,
    defaultHeaders: { ...(keyless ? { authorization: null } : {}), ...provider.headers, ...settings.headers },
    fetch, maxRetries: 0, timeout: NO_TIMEOUT_MS, logLevel: "off",
  });
}

/**
 * The SDK's client for one address, without what it does anew for each request although nothing changes: the headers are built once,
 * and the signal goes to fetch as it is, because retries and limits of time are ours. A fifth of the time of a short turn.
 */
function leanClient(Client: typeof OpenAI, fetch: typeof globalThis.fetch): typeof OpenAI {
  return class extends Client {
    #first: { readonly url: string; readonly timeout: number; readonly headers: Headers; readonly sent: Record<string, string> } | undefined;

    override async buildRequest(...[options, retry]: Parameters<OpenAI["buildRequest"]>): ReturnType<OpenAI["buildRequest"]> {
      if (this.#first === undefined) {
        const { req, url, timeout } = await super.buildRequest({ ...options, body: {} }, retry);
        // The x-stainless headers tell the provider about this machine.
        const sent = Object.fromEntries([...req.headers].filter(([name]) => !name.startsWith("x-stainless-")));
        this.#first = { url, timeout, headers: req.headers, sent };
      }
      const { url, timeout, headers } = this.#first;
      return { url, timeout, req: { method: options.method, headers, body: JSON.stringify(options.body), ...(options.signal ? { signal: options.signal } : {}) } };
    }
    override fetchWithTimeout(...[url, init]: Parameters<OpenAI["fetchWithTimeout"]>): Promise<Response> {
      return fetch(url as string, { ...init, ...(this.#first === undefined ? {} : { headers: this.#first.sent }) });
    }
  };
}
