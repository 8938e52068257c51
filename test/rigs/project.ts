/** Where the project stands, and what stands in a flows file. */
import path from "node:path";
import { fileURLToPath } from "node:url";

export const projectRoot = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");

/** A node of a flows file. `credentials` may stand inside it: the rig writes them encrypted, as the editor would. */
export interface FlowNode { readonly id: string; readonly type: string; readonly [property: string]: unknown }
