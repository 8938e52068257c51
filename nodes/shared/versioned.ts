/** The one place where every saved node is brought up to date before its constructor sees it. */
import type { ClawError } from "../../engine/errors.ts";
import { shown } from "./input.ts";
import { migrate } from "./migrate.ts";
import type { Red, RedNode, Saved } from "./red.ts";

/** A node that could not be read, and why: others that name it say the same. */
export interface Refused extends RedNode { readonly refused?: ClawError }

/** What `registerType` takes in the constructor's place. A node of a newer ClawFlow stands there, does nothing and says so. */
export function versioned<N extends RedNode, C extends Saved<object>>(red: Red, type: string, make: (this: N, config: C) => void): (this: N, config: C) => void {
  return function VersionedNode(this: N, saved: C): void {
    let config: C;
    try {
      config = migrate(type, saved);
    } catch (error) {
      red.nodes.createNode(this, saved);
      Object.assign(this, { refused: error });
      const told = shown(this, error);
      this.error(told.message);
      this.on("input", (_msg: unknown, _send: unknown, done: (error: Error) => void) => done(told));
      return;
    }
    // Node-RED hangs the node's flow on the saved fields, not enumerable: a copy would stand in no flow.
    if (config !== saved) for (const [name, own] of Object.entries(Object.getOwnPropertyDescriptors(saved))) if (!own.enumerable) Object.defineProperty(config, name, own);
    make.call(this, config);
  };
}
