/** The tools of a gateway: one name, one tool. */
import type { Tool } from "./tool.ts";

/** How an agent names the tools it may call. */
export type ToolChoice = { readonly by: "name"; readonly value: string } | { readonly by: "tag"; readonly value: string } | { readonly by: "all" } | { readonly by: "agent" | "handover"; /** The handle of an agent (team.ts). */ readonly value: string };

export interface Tools {
  /** Returns a problem when another tool has this name already: the first one stays, but a foreign one gives way, and stands behind until the name is free. */
  add(id: string, tool: Tool): string | undefined;
  remove(id: string): void;
  choose(choices: readonly ToolChoice[]): Tool[];
}

export function createTools(): Tools {
  const tools = new Map<string, Tool>();
  return {
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
