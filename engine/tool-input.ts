/** Checks what a model wrote against a tool's JSON Schema, and a schema against the standard. */
import { Ajv, type ValidateFunction } from "ajv";
import type { JsonSchema } from "./models/model.ts";

const OPTIONS = { strict: false, allErrors: true, logger: false, validateFormats: false } as const;
/** Knows what a schema may say, and is never given one to keep. */
const standard = new Ajv(OPTIONS);
/** Ajv keeps whatever it has compiled, and refuses an `$id` that comes twice: so each schema has an Ajv of its own, which goes with it. */
const compile = (schema: object): ValidateFunction => new Ajv({ ...OPTIONS, meta: false, validateSchema: false }).compile(schema);
const compiled = new WeakMap<JsonSchema, ValidateFunction>();

/** A sentence the model can act on, or undefined when the arguments fit. */
export function checkInput(tool: { readonly name: string; readonly parameters: JsonSchema }, input: unknown): string | undefined {
  const faults = faultsOf(tool.parameters, input, "arguments");
  return faults === undefined ? undefined : `The arguments do not fit the parameters of "${tool.name}": ${faults}.`;
}

/** The same for an answer that is to be JSON. */
export function checkJson(schema: JsonSchema, answer: unknown): string | undefined {
  const faults = faultsOf(schema, answer, "answer");
  return faults === undefined ? undefined : `The answer does not fit the schema: ${faults}.`;
}

function faultsOf(schema: JsonSchema, value: unknown, whole: string): string | undefined {
  let validate = compiled.get(schema);
  if (validate === undefined) {
    validate = compile(schema);
    compiled.set(schema, validate);
  }
  if (validate(value)) return undefined;
  return (validate.errors ?? []).slice(0, 5).map((error) => `${error.instancePath || whole} ${error.message}${error.params.allowedValues ? ` (${(error.params.allowedValues as unknown[]).join(", ")})` : ""}`).join("; ");
}

/** What is wrong with a tool's schema, or undefined. */
export function checkSchema(schema: unknown): string | undefined {
  if (schema === null || typeof schema !== "object" || Array.isArray(schema)) return `Expected the parameters to be a JSON Schema object, got ${JSON.stringify(schema)}.`;
  if ((schema as { type?: unknown }).type !== "object") return `Expected the parameters to have "type": "object", got ${JSON.stringify((schema as { type?: unknown }).type)}.`;
  try {
    if (!standard.validateSchema(schema)) return `Expected a valid JSON Schema: ${standard.errorsText(standard.errors, { dataVar: "schema" })}`;
    compile(schema);
    return undefined;
  } catch (error) {
    return `Expected a valid JSON Schema: ${(error as Error).message}`;
  }
}
