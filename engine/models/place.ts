/** A model node's settings together with their provider: where a model is and how it is spoken to. */
import { createHash } from "node:crypto";
import type { Clock } from "../clock.ts";
import type { Party } from "./faults.ts";
import type { ModelRequest, ModelSettings, Provider, Wire } from "./model.ts";
import { fillBaseUrl, guessContext } from "./providers.ts";

export interface Place {
  readonly settings: ModelSettings;
  readonly provider: Provider;
  readonly wire: Wire;
  readonly baseUrl: string;
  readonly contextTokens: number;
  /** Marks data that only this provider, at this address, may get back. */
  readonly origin: string;
  readonly party: Party;
}

export function placeOf(settings: ModelSettings, provider: Provider, clock: Clock): Place {
  const baseUrl = baseUrlOf(settings, provider);
  const host = URL.canParse(baseUrl) ? new URL(baseUrl).host : "";
  const own = provider.baseUrl === "" && host !== "";
  const wire = wireOf(settings, provider);
  const elsewhere = (settings.baseUrl?.trim() ?? "") !== "" && host !== "";
  return {
    settings, provider, wire, baseUrl,
    contextTokens: settings.contextTokens ?? guessContext(provider, settings.model),
    origin: `${wire}/${provider.id}${elsewhere ? `/${host}` : ""}`,
    party: { name: own ? host : `${short(provider.label)}${host === "" ? "" : ` (${host})`}`, model: settings.model, secrets: secretsOf(settings, baseUrl), clock },
  };
}

function wireOf({ api, model }: ModelSettings, { wire, quirks }: Provider): Wire {
  if (wire !== "openai" || quirks?.responses === undefined) return wire;
  const needed = quirks.responses.some((part) => model.toLowerCase().includes(part));
  return api === "responses" || (api !== "chat" && needed) ? "responses" : "openai";
}

/** A model that thinks, by its name or because the user says how much. The chat variants of a family do not. */
export function isReasoner({ settings: { model, effort }, provider }: Place): boolean {
  if (effort !== undefined) return effort !== "none";
  const name = model.toLowerCase();
  return !name.includes("-chat") && (provider.quirks?.reasoners ?? []).some((beginning) => name.startsWith(beginning));
}

/** The same for requests that begin alike: prompts may carry the day or a name, but further behind. */
export function cacheKey({ settings }: Place, { system, tools }: ModelRequest): string {
  return createHash("sha256").update([settings.model, system.slice(0, 400), ...tools.map((tool) => tool.name)].join("\n")).digest("hex").slice(0, 32);
}

/** "Azure OpenAI (the model is …)" to "Azure OpenAI". */
function short(label: string): string {
  return label.replace(/ \(.*$/, "");
}

export function baseUrlOf(settings: ModelSettings, provider: Provider): string {
  const own = settings.baseUrl?.trim() ?? "";
  return fillBaseUrl(own === "" ? provider.baseUrl : own, settings.fields);
}

/** Longest first, so that a secret inside another leaves no rest. */
function secretsOf(settings: ModelSettings, baseUrl: string): string[] {
  const secrets = [settings.key ?? "", ...Object.values(settings.headers ?? {})];
  for (const value of Object.values(settings.headers ?? {})) secrets.push(...value.split(/\s+/));
  if (URL.canParse(baseUrl)) {
    const url = new URL(baseUrl);
    secrets.push(...url.searchParams.values(), ...url.search.slice(1).split(/[=&]/));
  }
  return [...new Set(secrets)].filter((secret) => secret.length >= 4).sort((a, b) => b.length - a.length);
}

/** Longer than any patience of ours: the SDKs' own limits stay out of the way. */
export const NO_TIMEOUT_MS = 2_147_483_647;

/** A streamed answer shows life early; one in a single piece comes only when it is complete. */
export function patience(settings: ModelSettings, live: boolean): { firstByteMs: number; stallMs: number } {
  return { firstByteMs: settings.firstByteMs ?? (live ? 120_000 : 300_000), stallMs: settings.stallMs ?? 60_000 };
}
