/**
 * Prompts as Liquid templates: data is substituted once, never read as a template itself; no code, no files, bounded time and memory.
 * Jinja habits work too: `elif`, and the filters upper, lower, length and trim. Dates take our Unix milliseconds;
 * `now` and `timeZone` of the data are what "now" and the default zone mean.
 */
import { filters, IfTag, Liquid, Tag, type FilterImplOptions, type Parser, type TagToken, type Template, type TopLevelToken } from "liquidjs";
import { ClawError, SettingError } from "./errors.ts";
import { isZone, offsetAt } from "./schedule/zone.ts";

/** Characters of a template, and of what it may become. */
export const MAX_TEMPLATE = 100_000;
export const MAX_RENDERED = 1_000_000;
type Handler = Extract<FilterImplOptions, (...args: never[]) => unknown>;
/** Milliseconds of one rendering. */
const RENDER_MS = 250;
/** liquidjs counts characters and list entries that filters and loops make. */
const MEMORY = 10_000_000;

/** A template ready to render; without `parsed` it is a fixed text. */
export interface CompiledTemplate { readonly source: string; readonly parsed?: Template[] }

const ALIASES = { upper: "upcase", lower: "downcase", length: "size", trim: "strip" } as const;
const NO_FILES = ["include", "render", "layout", "block"];

/** Compiles once, at deploy. Throws SettingError AGENT_002 with the line and column of the fault. */
export function compileTemplate(source: string): CompiledTemplate {
  if (source.length > MAX_TEMPLATE) {
    throw new SettingError("AGENT_002", {}, `Expected a template of at most ${MAX_TEMPLATE} characters, got ${source.length}. Put long knowledge into a tool that looks it up.`);
  }
  if (!source.includes("{{") && !source.includes("{%")) return { source };
  try {
    return { source, parsed: liquid().parse(source) };
  } catch (error) {
    throw new SettingError("AGENT_002", { cause: error }, `The prompt template is not valid: ${describe(error)}`);
  }
}

/** The finished text. A name that the data does not have is empty. Throws ClawError AGENT_002 with the line, also when it takes too long or grows too large. */
export function renderTemplate(template: CompiledTemplate, data: Readonly<Record<string, unknown>>): string {
  if (template.parsed === undefined) return template.source;
  const text = rendered(template.parsed, data);
  if (text.length > MAX_RENDERED) throw new ClawError("AGENT_002", {}, `Expected the prompt template to give at most ${MAX_RENDERED} characters, got ${text.length}. Shorten its data with the filter truncate.`);
  return text;
}

/** A machine that stood still for a moment is no fault of the template: time that ran out is given once more. */
function rendered(parsed: Template[], data: Readonly<Record<string, unknown>>, isLast = false): string {
  try {
    return String(liquid().renderSync(parsed, data));
  } catch (error) {
    if (!isLast && /render limit exceeded/.test(describe(error))) return rendered(parsed, data, true);
    throw new ClawError("AGENT_002", { cause: error }, `The prompt template failed: ${describe(error)}`);
  }
}

let engine: Liquid | undefined;
/** Made with the first template that needs it; it holds no state of any template. */
function liquid(): Liquid {
  engine ??= build();
  return engine;
}

function build(): Liquid {
  const made = new Liquid({ ownPropertyOnly: true, strictFilters: true, templates: {}, parseLimit: MAX_TEMPLATE, renderLimit: RENDER_MS, memoryLimit: MEMORY });
  for (const [alias, name] of Object.entries(ALIASES)) made.registerFilter(alias, filters[name] as Handler);
  const date = filters["date"] as Handler;
  made.registerFilter("date", function (value: unknown, format?: unknown, zone?: unknown) {
    const { now, timeZone } = this.context.environments as { now?: unknown; timeZone?: unknown };
    const moment = (value === "now" || value === "today") && now !== undefined ? now : value;
    return date.call(this, asDate(moment), format, offset(moment, zone ?? timeZone)) as unknown;
  });
  made.registerTag("if", IfElif);
  for (const name of NO_FILES) made.registerTag(name, class extends Tag {
    constructor(token: TagToken, rest: TopLevelToken[], owner: Liquid) {
      super(token, rest, owner);
      throw new Error(`the tag "${name}" is not available, a prompt is one text`);
    }
    *render(): Generator<unknown, void> {}
  });
  return made;
}

/** Liquid reads numbers as seconds; ours are milliseconds. 1e11 seconds would be the year 5138. */
const asDate = (value: unknown): unknown => (typeof value === "number" && Math.abs(value) >= 1e11 ? new Date(value) : value);

/** Minutes west of UTC for a zone's name, which liquidjs finds out at many times the cost; other dates and zones are left to it. */
function offset(moment: unknown, zone: unknown): unknown {
  const date = asDate(moment);
  return date instanceof Date && typeof zone === "string" && isZone(zone) ? -offsetAt(zone, date.getTime()) / 60_000 : zone;
}

class IfElif extends IfTag {
  constructor(token: TagToken, rest: TopLevelToken[], owner: Liquid, parser: Parser) {
    for (const next of rest as { name?: string }[]) if (next.name === "elif") next.name = "elsif";
    super(token, rest, owner, parser);
  }
}

/** liquidjs ends its texts with ", line:2, col:3"; we begin with it. */
function describe(error: unknown): string {
  const [, text, line, column] = /^([\s\S]*?)(?:, line:(\d+), col:(\d+))?$/.exec((error as Error).message) ?? [];
  return line === undefined ? `${text}.` : `line ${line}, column ${column}: ${text}.`;
}
