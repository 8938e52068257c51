/** Brings the saved fields of a node to what this version's code reads. */
import { SettingError } from "../../engine/errors.ts";

/** The fields of a saved node. */
export type Fields = Readonly<Record<string, unknown>>;
/** Fields of one version as the next version has them. Pure; `version` is set by the caller. */
export type Step = (fields: Fields) => Fields;
/** By node type. The step at place n leads from version n to n + 1, so the newest version is their number. */
export type Steps = Readonly<Record<string, readonly Step[]>>;

/** From before nodes carried a version; no default has changed its meaning since. */
const unnumbered: Step = (fields) => fields;

export const STEPS: Steps = {
  "clawflow-gateway": [unnumbered],
  "clawflow-account": [unnumbered],
  "clawflow-model": [unnumbered],
  "clawflow-channel-in": [unnumbered],
  "clawflow-normalize": [unnumbered],
  "clawflow-route": [unnumbered],
  "clawflow-agent": [unnumbered],
  "clawflow-tool": [unnumbered],
  "clawflow-tool-out": [unnumbered],
  "clawflow-channel-out": [unnumbered],
  "clawflow-mcp": [unnumbered],
  "clawflow-mcp-server": [unnumbered],
  "clawflow-skills": [unnumbered],
  "clawflow-ask": [unnumbered],
  "clawflow-cron": [unnumbered],
  "clawflow-webhook": [unnumbered],
  "clawflow-documents": [unnumbered],
};

/** The same fields in the newest version; `saved` stays as it was. A type without steps comes back unchanged. Throws CONF_001 for a node of a newer ClawFlow. */
export function migrate<T extends object>(type: string, saved: T, steps: Steps = STEPS): T {
  const own = Object.hasOwn(steps, type) ? steps[type] : undefined;
  if (own === undefined) return saved;
  const found = versionOf(saved);
  if (found === undefined || found > own.length) {
    throw new SettingError("CONF_001", {}, `Expected a ${type} of version ${own.length} or older, got ${found === undefined ? `"${String((saved as Fields).version)}"` : `version ${found}: it was made by a newer ClawFlow. Update @clawflow/node-red`}.`);
  }
  if (found === own.length) return saved;
  return { ...own.slice(found).reduce<Fields>((fields, step) => step(fields), saved as Fields), version: own.length } as T;
}

/** Editors may save a number as text. Undefined: no version at all can be read. */
function versionOf(saved: object): number | undefined {
  const { version } = saved as Fields;
  if (version === undefined || version === null || version === "") return 0;
  const number = Number(version);
  return Number.isInteger(number) && number >= 0 ? number : undefined;
}
