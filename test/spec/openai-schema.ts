/** OpenAI's own OpenAPI description as a judge of what we send, and of what we answer. */
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import { projectRoot } from "../rigs/project.ts";

/** Problems of a body by the description of this name, as sentences; empty when it fits. Undefined where the description is not on this machine. */
export function openaiJudge(name = "CreateChatCompletionRequest"): ((body: unknown) => string[]) | undefined {
  const file = path.join(path.resolve(projectRoot, process.env.CLAWFLOW_SPECS ?? "../shared/data/specs"), "openai", "openapi.json");
  if (!existsSync(file)) return undefined;
  const spec = repair(JSON.parse(readFileSync(file, "utf8")));
  const ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: false });
  ajv.addSchema(spec as object, "openai");
  const check = ajv.compile({ $ref: `openai#/components/schemas/${name}` });
  const known = propertiesOf(spec as Spec, name);
  return (body) => {
    const problems = check(body) ? [] : (check.errors ?? []).map((error) => `${error.instancePath} ${error.message ?? ""}`);
    // The description leaves the body open; a field it does not name is a mistake of ours all the same.
    for (const field of Object.keys(body as object)) if (!known.has(field)) problems.push(`/${field} is not a field of ${name}`);
    return problems;
  };
}

interface Schema { $ref?: string; allOf?: Schema[]; properties?: Record<string, unknown> }
interface Spec { components: { schemas: Record<string, Schema> } }

/** The description mixes OpenAPI 3.0's `nullable` into 3.1, which JSON Schema does not know; and where a field tells its alternatives apart they overlap, so that "exactly one" fails for what is right. */
function repair(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(repair);
  if (typeof value !== "object" || value === null) return value;
  const { nullable, ...given } = value as Record<string, unknown>;
  const { oneOf, ...others } = given;
  const rest = Array.isArray(oneOf) && given.discriminator !== undefined ? { ...others, anyOf: oneOf } : given;
  const fixed = Object.fromEntries(Object.entries(rest).map(([key, part]) => [key, repair(part)]));
  if (nullable !== true) return fixed;
  if (typeof fixed.type === "string") return { ...fixed, type: [fixed.type, "null"], ...(Array.isArray(fixed.enum) ? { enum: [...(fixed.enum as unknown[]), null] } : {}) };
  return { anyOf: [fixed, { type: "null" }] };
}

function propertiesOf(spec: Spec, name: string): Set<string> {
  const found = new Set<string>();
  const walk = (schema: Schema | undefined): void => {
    if (schema?.$ref !== undefined) walk(spec.components.schemas[schema.$ref.split("/").at(-1) ?? ""]);
    for (const part of schema?.allOf ?? []) walk(part);
    for (const key of Object.keys(schema?.properties ?? {})) found.add(key);
  };
  walk(spec.components.schemas[name]);
  return found;
}
