/** Tool out: ends a tool's flow and gives the result back to the agent that called. */
import { ToolError } from "../engine/errors.ts";
import { answerCall } from "./shared/calls.ts";
import { hostOf } from "./shared/gateways.ts";
import { onInput } from "./shared/input.ts";
import type { Red, RedNode, Saved } from "./shared/red.ts";
import { versioned } from "./shared/versioned.ts";

type Config = Saved<{ field?: string; fieldType?: string }>;

export default function register(red: Red): void {
  const host = hostOf(red);
  function ToolOutNode(this: RedNode, config: Config): void {
    red.nodes.createNode(this, config);
    onInput(this, (msg) => {
      // A function node may have put a new object in the msg's place; the call is still known by its context.
      const scope = host.settle.scopeOf(msg);
      const id = msg.call?.id ?? (scope?.startsWith("call-") ? scope : undefined);
      if (id === undefined) throw new ToolError("TOOL_003", {}, "Expected a msg that began at a tool node (msg.call), got one without. Keep the msg object in function nodes.");
      answerCall(id, red.util.evaluateNodeProperty(config.field || "payload", config.fieldType || "msg", this, msg), this);
    });
  }
  red.nodes.registerType("clawflow-tool-out", versioned(red, "clawflow-tool-out", ToolOutNode));
}
