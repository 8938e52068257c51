/** How many tokens a text, a turn or a request is, by estimate; set right by what the provider counts. */
import { saidText } from "../models/turns.ts";
import type { ModelRequest, ToolSpec, Turn, Usage } from "../models/model.ts";

/** A picture of a chat at the sizes providers scale to: OpenAI counts 85 to 1,445, Anthropic up to 1,600. */
const IMAGE_TOKENS = 1_200;
/** Role and separators of a turn on the wire. */
const TURN_TOKENS = 4;

/** About four characters a token; one for scripts that have no letters between words. */
export function estimateTokens(text: string): number {
  let wide = 0;
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) >= 0x2e80) wide++;
  return Math.ceil((text.length - wide) / 4) + wide;
}

const sizes = new WeakMap<Turn, number>();
/** A turn with its calls, its pictures and what the provider wants back. Turns are never changed, so each is counted once. */
export function turnTokens(turn: Turn): number {
  const known = sizes.get(turn);
  if (known !== undefined) return known;
  let size = TURN_TOKENS + estimateTokens(turn.role === "user" ? saidText(turn) : turn.text);
  if (turn.role === "user") for (const file of turn.files ?? []) size += file.kind === "image" ? IMAGE_TOKENS : TURN_TOKENS * 4;
  if (turn.role === "assistant" && turn.calls !== undefined) size += estimateTokens(JSON.stringify(turn.calls));
  if (turn.role === "assistant" && turn.echo !== undefined) size += estimateTokens(JSON.stringify(turn.echo) ?? "");
  sizes.set(turn, size);
  return size;
}
export const turnsTokens = (turns: readonly Turn[]): number => turns.reduce((sum, turn) => sum + turnTokens(turn), 0);

/** What stands in a request beside the turns. */
export function frameTokens({ system, tools }: Pick<ModelRequest, "system" | "tools">): number {
  let size = estimateTokens(system) + TURN_TOKENS;
  for (const tool of tools) size += toolTokens(tool);
  return size;
}
const toolSizes = new WeakMap<ToolSpec, number>();
/** Tools stay the same from round to round: each is counted once. */
function toolTokens(tool: ToolSpec): number {
  const known = toolSizes.get(tool);
  if (known !== undefined) return known;
  const size = estimateTokens(tool.name) + estimateTokens(tool.description) + estimateTokens(JSON.stringify(tool.parameters)) + TURN_TOKENS * 2;
  toolSizes.set(tool, size);
  return size;
}

const requestTokens = (request: ModelRequest): number => frameTokens(request) + turnsTokens(request.turns);
/** Stands in where a provider tells nothing. `output`: all that the model wrote. */
export const estimateUsage = (request: ModelRequest, output: string): Usage => ({ input: requestTokens(request), output: estimateTokens(output), guessed: true });

/** What was learned of models: how far estimates are off, and how much a model took where it takes less than its settings say. */
export interface Gauge {
  /** Real tokens for one estimated; 1 until the provider has counted. */
  ratio(model: string): number;
  learn(model: string, request: ModelRequest, usage: Usage): void;
  /** Estimated tokens of a whole request above which it overflowed; undefined: never did. */
  ceiling(model: string): number | undefined;
  overflowed(model: string, ceiling: number): void;
}

const MOST_MODELS = 200;
/** A short request says more of the provider's own wrapping than of its words. */
const LEAST_TOKENS = 200;
const WEIGHT = 0.3;
const RANGE = [0.25, 4] as const;

export function createGauge(): Gauge {
  const known = new Map<string, { ratio?: number; ceiling?: number }>();
  const entry = (model: string) => {
    const found = known.get(model) ?? {};
    known.delete(model);
    known.set(model, found);
    if (known.size > MOST_MODELS) known.delete(known.keys().next().value as string);
    return found;
  };
  return {
    ratio: (model) => known.get(model)?.ratio ?? 1,
    learn(model, request, { input, guessed }) {
      const estimated = requestTokens(request);
      // An estimate of our own teaches nothing.
      if (estimated < LEAST_TOKENS || !(input > 0) || guessed) return;
      const seen = Math.min(RANGE[1], Math.max(RANGE[0], input / estimated));
      const found = entry(model);
      found.ratio = found.ratio === undefined ? seen : found.ratio + WEIGHT * (seen - found.ratio);
    },
    ceiling: (model) => known.get(model)?.ceiling,
    overflowed(model, ceiling) { entry(model).ceiling = ceiling; },
  };
}
