/** May this tool run for these people? The table of docs/security.md as data; what is unknown is refused. */
import type { Risk, Tool, Trust } from "./tool.ts";

/** `ask`: the owner decides in the chat before the tool runs. */
export type Decision = "run" | "ask" | "deny";
export interface Ruling {
  readonly decision: Decision;
  /** Names the row and column that decided, for the audit: `owner-clean-dangerous`; a tool that is not shared adds `-unshared`. */
  readonly rule: string;
}

/** From most to least. */
export const TRUSTS: readonly Trust[] = ["owner", "paired", "allowed", "stranger"];

type Row = Readonly<Record<Risk, Decision>>;
/** `clean`: every text in the context was typed by the owner or a paired person; `tainted`: some came from elsewhere. */
const POLICY: Readonly<Record<Trust, Readonly<Record<"clean" | "tainted", Row>>>> = {
  owner: {
    clean: { read: "run", write: "run", dangerous: "ask" },
    tainted: { read: "run", write: "ask", dangerous: "ask" },
  },
  paired: {
    clean: { read: "run", write: "run", dangerous: "ask" },
    tainted: { read: "run", write: "ask", dangerous: "deny" },
  },
  allowed: {
    clean: { read: "run", write: "ask", dangerous: "deny" },
    tainted: { read: "run", write: "deny", dangerous: "deny" },
  },
  stranger: {
    clean: { read: "deny", write: "deny", dangerous: "deny" },
    tainted: { read: "deny", write: "deny", dangerous: "deny" },
  },
};

/** `trust` is the lowest of everybody whose text is in the context. A trust or risk from elsewhere that is not in the table counts as stranger and dangerous. */
export function decide(question: { readonly trust: Trust; readonly tainted: boolean; readonly tool: Pick<Tool, "risk" | "shared"> }): Ruling {
  const trust = Object.hasOwn(POLICY, question.trust) ? question.trust : "stranger";
  const context = question.tainted === false ? "clean" : "tainted";
  const row = POLICY[trust][context];
  const risk = Object.hasOwn(row, question.tool.risk) ? question.tool.risk : "dangerous";
  const rule = `${trust}-${context}-${risk}`;
  const decision = row[risk];
  if (trust === "allowed" && decision === "run" && question.tool.shared !== true) return { decision: "deny", rule: `${rule}-unshared` };
  return { decision, rule };
}

/** The least of several; a stranger where there is nobody or somebody unknown. */
export function lowestTrust(trusts: readonly Trust[]): Trust {
  if (trusts.length === 0) return "stranger";
  const ranks = trusts.map((trust) => TRUSTS.indexOf(trust));
  return ranks.includes(-1) ? "stranger" : (TRUSTS[Math.max(...ranks)] as Trust);
}
