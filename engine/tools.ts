/** The tools of a gateway: one name, one tool. */
import type { Clock } from "./clock.ts";
import type { Tool } from "./tool.ts";

/** How an agent names the tools it may call. */
export type ToolChoice = { readonly by: "name"; readonly value: string } | { readonly by: "tag"; readonly value: string } | { readonly by: "all" } | { readonly by: "agent" | "handover"; /** The handle of an agent (team.ts). */ readonly value: string };

export interface Tools {
  /** Returns a problem when another tool has this name already: the first one stays, but a foreign one gives way, and stands behind until the name is free. */
  add(id: string, tool: Tool): string | undefined;
  remove(id: string): void;
  choose(choices: readonly ToolChoice[]): Tool[];
  /** A source finds out what its tools are, until `work` settles. */
  reading(work: Promise<unknown>): void;
  /** Resolves when all sources know their tools, or have had their time; undefined: they do. */
  read(clock: Clock): Promise<void> | undefined;
}

/** Longer nobody waits for the tools of a source, in milliseconds. */
const READ_MS = 10_000;

export function createTools(): Tools {
  const tools = new Map<string, Tool>();
  const sources = new Set<Promise<void>>();
  return {
    reading(work) {
      const over = (): void => { sources.delete(source); };
      const source = work.then(over, over);
      sources.add(source);
    },
    read(clock) {
      if (sources.size === 0) return undefined;
      const { promise, resolve } = Promise.withResolvers<void>();
      const cancel = clock.after(READ_MS, resolve);
      void Promise.all(sources).then(() => resolve());
      return promise.finally(cancel);
    },
    add(id, tool) {
      const taken = [...tools].some(([otherId, known]) => otherId !== id && known.name === tool.name && (tool.foreign === true || known.foreign !== true));
      if (!taken || tool.foreign === true) tools.set(id, tool);
      return taken ? `Expected tool names to be unique in a gateway, got "${tool.name}" twice. Rename one of them.` : undefined;
    },
    remove(id) { tools.delete(id); },
    choose(choices) {
      const wanted = (tool: Tool) => choices.some((choice) => choice.by === "all" || (choice.by === "name" ? tool.name === choice.value : choice.by === "tag" && tool.tags.includes(choice.value)));
      return [...firstOfName(tools.values()).values()].filter(wanted);
    },
  };
}

/** By name: what is not foreign goes before what is, then what came first. */
export function firstOfName(tools: Iterable<Tool>): ReadonlyMap<string, Tool> {
  const first = new Map<string, Tool>();
  for (const tool of tools) {
    const before = first.get(tool.name);
    if (before === undefined || (before.foreign === true && tool.foreign !== true)) first.set(tool.name, tool);
  }
  return first;
}
