/** The tools of a gateway: one name, one tool. */
import type { Tool } from "./tool.ts";

/** How an agent names the tools it may call. */
export type ToolChoice = { readonly by: "name"; readonly value: string } | { readonly by: "tag"; readonly value: string } | { readonly by: "all" } | { readonly by: "agent" | "handover"; /** The handle of an agent (team.ts). */ readonly value: string };

export interface Tools {
  /** Returns a problem when another tool has this name already: the first one stays. */
  add(id: string, tool: Tool): string | undefined;
  remove(id: string): void;
  choose(choices: readonly ToolChoice[]): Tool[];
}

export function createTools(): Tools {
  const tools = new Map<string, Tool>();
  return {
    add(id, tool) {
      const other = [...tools].find(([otherId, known]) => otherId !== id && known.name === tool.name);
      if (other !== undefined) return `Expected tool names to be unique in a gateway, got "${tool.name}" twice. Rename one of them.`;
      tools.set(id, tool);
      return undefined;
    },
    remove(id) { tools.delete(id); },
    choose(choices) {
      const wanted = (tool: Tool) => choices.some((choice) => choice.by === "all" || (choice.by === "name" ? tool.name === choice.value : choice.by === "tag" && tool.tags.includes(choice.value)));
      return [...tools.values()].filter(wanted);
    },
  };
}
