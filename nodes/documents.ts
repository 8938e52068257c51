/** Documents: a folder that agents may ask, by a tool of its own. */
import { existsSync } from "node:fs";
import path from "node:path";
import { systemClock } from "../engine/clock.ts";
import { documentsTool, openDocuments } from "../engine/documents/documents.ts";
import type { ShelfState } from "../engine/documents/worker.ts";
import { SettingError, ToolError } from "../engine/errors.ts";
import { numberOf } from "./gateway.ts";
import { withGateway } from "./shared/config.ts";
import { hostOf } from "./shared/gateways.ts";
import { shown } from "./shared/input.ts";
import { closeWith } from "./shared/programs.ts";
import { createStatus, faultStatus, short } from "./shared/status.ts";
import type { Red, RedNode, Saved } from "./shared/red.ts";
import { versioned } from "./shared/versioned.ts";

type Config = Saved<{ gateway: string; tool?: string; folder?: string; about?: string; trusted?: boolean; shared?: boolean; fileMb?: number | string }>;

const LOOK_EVERY_MS = 60_000;
/** Names that stand in the status; all of them are in the log. */
const SHOWN = 3;
const WORKER = new URL("./documents-worker.js", import.meta.url);

export default function register(red: Red): void {
  const host = hostOf(red);
  function DocumentsNode(this: RedNode, config: Config): void {
    red.nodes.createNode(this, config);
    const name = config.tool || "search_documents";
    const status = createStatus(this);
    const told = new Set<string>();
    let closing: Promise<void> | undefined;

    const show = (state: ShelfState): void => {
      if (state.fault !== undefined) {
        status(() => faultStatus("DOC_001", host.say("documents.folder", { reason: state.fault ?? "" }), "ring"));
        return;
      }
      for (const { file, fault } of state.problems) {
        const text = `[DOC_002] ${file}: ${host.say(`documents.${fault}`)}`;
        if (!told.has(text)) this.warn(text);
        told.add(text);
      }
      const count = host.say("documents.count", { files: state.files, passages: state.passages });
      const names = state.problems.slice(0, SHOWN).map(({ file }) => short(file, 30)).join(", ");
      const left = state.problems.length === 0 ? "" : `, ${host.say("documents.left", { count: state.problems.length })}: ${names}${state.problems.length > SHOWN ? " …" : ""}`;
      status(() => ({ fill: state.busy ? "blue" : state.problems.length > 0 || state.more ? "yellow" : "green", shape: "dot", text: `${count}${left}${state.more ? `, ${host.say("documents.more")}` : ""}` }));
    };

    withGateway(host, this, config.gateway, (gateway, handle) => {
      if (!/^[a-zA-Z_][a-zA-Z0-9_-]{0,63}$/.test(name)) throw new ToolError("TOOL_006", {}, `Expected the tool's name to be letters, digits, _ or -, at most 64, got "${name}".`);
      if (!config.folder?.trim()) throw new SettingError("CONF_001", {}, "Expected the folder of the documents, got none.");
      const folder = path.resolve(red.settings.userDir ?? ".", config.folder.trim());
      if (!existsSync(WORKER)) throw new SettingError("CORE_001", {}, `Expected ${WORKER.pathname} beside the node, but the package is incomplete. Install it anew.`);
      const documents = openDocuments({
        worker: WORKER, clock: systemClock, folder, file: path.join(handle.folder, "documents", `${this.id}.sqlite`),
        mostBytes: numberOf(config.fileMb, 50) * 1_000_000, everyMs: LOOK_EVERY_MS,
        onState: (state) => { handle.documents.set(this.id, { tool: name, read: state.files, unread: state.problems.length }); show(state); },
      });
      const problem = gateway.tools.add(this.id, documentsTool(documents, { name, about: config.about ?? "", trusted: config.trusted ?? false, shared: config.shared ?? false }));
      if (problem !== undefined) this.error(shown(this, new ToolError("TOOL_006", {}, problem)).message);
      return () => {
        gateway.tools.remove(this.id);
        handle.documents.delete(this.id);
        closing = documents.close();
      };
    });
    closeWith(this, () => closing);
  }
  red.nodes.registerType("clawflow-documents", versioned(red, "clawflow-documents", DocumentsNode));
}
