/** What each kind of fault means for the next try, as a table. */
import { ClawError, type ErrorCode } from "../errors.ts";
import { type Kind, ModelFault } from "../models/faults.ts";

/** What a provider can do wrong, and a setting of ours. That whoever asked gave up is no fault: nobody is asked then, and nothing is held against anybody. */
export type FaultKind = Kind | "bad settings";

export interface Rule {
  /** How often the same key is asked again at once, after a pause. Not where the fault says of itself that trying again changes nothing. */
  readonly here: number;
  /** What becomes of the key: it rests for a while, it is out until its settings change, or nothing is wrong with it. */
  readonly key: "rests" | "out" | "fine";
  /** Who is asked then: the next key, the next model (another key would meet the same fault), the next model that reads more at once, or nobody. */
  readonly next: "key" | "model" | "wider" | "stop";
}

export const RULES: Readonly<Record<FaultKind, Rule>> = {
  "rate limited": { here: 1, key: "rests", next: "key" },
  overloaded: { here: 1, key: "rests", next: "model" },
  "no network": { here: 1, key: "rests", next: "model" },
  "too slow": { here: 0, key: "rests", next: "model" },
  "bad answer": { here: 1, key: "rests", next: "model" },
  "wrong address": { here: 0, key: "rests", next: "model" },
  // A key may be the only one without the right to a model, so the next is asked.
  "unknown model": { here: 0, key: "rests", next: "key" },
  "key refused": { here: 0, key: "out", next: "key" },
  "no credit": { here: 0, key: "out", next: "key" },
  "bad settings": { here: 0, key: "out", next: "key" },
  // Of this request alone: the next message may be answered.
  "request refused": { here: 0, key: "fine", next: "model" },
  "too long": { here: 0, key: "fine", next: "wider" },
  // A refusal is an answer. Nobody looks for a model that would say it after all.
  "answer refused": { here: 0, key: "fine", next: "stop" },
};

/** Faults that are no ModelFault: a cap, a setting, what another package threw. */
const BY_CODE: Partial<Record<ErrorCode, FaultKind>> = {
  MODEL_001: "no network", MODEL_002: "key refused", MODEL_003: "rate limited", MODEL_004: "overloaded", MODEL_005: "too long", MODEL_006: "answer refused",
  MODEL_007: "bad answer", MODEL_008: "request refused", MODEL_009: "no credit", MODEL_010: "too slow", CONF_001: "bad settings", CONF_002: "bad settings",
};

/** Where nothing fits, the request is what was wrong: the next model is asked, and no key suffers for it. */
export function kindOf(thrown: unknown): FaultKind {
  if (thrown instanceof ModelFault) return thrown.kind;
  return (thrown instanceof ClawError ? BY_CODE[thrown.code] : undefined) ?? "request refused";
}

/** Longest wait for which one stays with the same key; a longer one is spent better elsewhere. */
const HERE_MAX_MS = 2_000;
const HERE_FROM_MS = 500;

/** Milliseconds until the same key is asked again; undefined: it is not. `tried`: how often it was asked again already; `random` in [0, 1). */
export function pauseHere(thrown: unknown, tried: number, random: number): number | undefined {
  if (tried >= RULES[kindOf(thrown)].here) return undefined;
  const { retry, afterMs = 0 } = thrown as ClawError;
  if (retry !== "later" || afterMs > HERE_MAX_MS) return undefined;
  return Math.max(afterMs, HERE_FROM_MS * 2 ** tried * (0.5 + random / 2));
}
