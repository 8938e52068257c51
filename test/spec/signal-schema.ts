/** signal-cli-rest-api's own description (Swagger 2) as a judge of requests to it, and of the envelopes that tests hand out. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { Ajv, type ValidateFunction } from "ajv";
import { dataFolder } from "./telegram-schema.ts";

type Schema = Record<string, unknown>;
interface Parameter { readonly name: string; readonly in: string; readonly required?: boolean; readonly schema?: Schema }
interface Spec { readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly parameters?: readonly Parameter[] }>>>>; readonly definitions: Readonly<Record<string, Schema>> }
export interface SignalJudge {
  /** What is wrong with a request, one line each. */
  request(method: string, pathname: string, query: URLSearchParams, body: unknown): string[];
  /** The same for an envelope, as the server hands it out. */
  envelope(value: unknown): string[];
}

/** Undefined where the description is not on this machine. */
export function signalJudge(): SignalJudge | undefined {
  const folder = dataFolder("specs", "signal");
  if (folder === undefined) return undefined;
  const spec = JSON.parse(readFileSync(path.join(folder, "swagger.json"), "utf8")) as Spec;
  const ajv = new Ajv({ strict: false, allErrors: true, inlineRefs: false });
  ajv.addSchema(closed(spec) as object, "signal");
  const compiled = new Map<string, ValidateFunction>();
  const check = (reference: string, value: unknown): string[] => {
    const validate = compiled.get(reference) ?? ajv.compile({ $ref: `signal${reference}` });
    compiled.set(reference, validate);
    return validate(value) ? [] : (validate.errors ?? []).map((error) => `${error.instancePath} ${error.message ?? ""}${error.keyword === "additionalProperties" ? `: ${String(error.params.additionalProperty)}` : ""}`.trim());
  };
  const routes = Object.keys(spec.paths).map((route) => ({ route, pattern: new RegExp(`^${route.replace(/\{\w+\}/g, "[^/]+")}$`) }));
  return {
    request(method, pathname, query, body) {
      const found = routes.find(({ pattern }) => pattern.test(pathname));
      const operation = found && spec.paths[found.route]?.[method.toLowerCase()];
      if (operation === undefined) return [`no ${method} ${pathname}`];
      const known = new Map((operation.parameters ?? []).map((parameter) => [parameter.name, parameter]));
      const problems = [...query.keys()].filter((name) => known.get(name)?.in !== "query").map((name) => `${name} is no query parameter of ${pathname}`);
      const data = (operation.parameters ?? []).find((parameter) => parameter.in === "body");
      const reference = data?.schema?.$ref;
      if (typeof reference === "string") problems.push(...check(reference, body));
      else if (body !== undefined) problems.push(`${method} ${pathname} takes no body`);
      return problems;
    },
    envelope: (value) => check("#/definitions/receive.MessageEnvelope", value),
  };
}

/** The description leaves objects open: a field it does not name would be ignored by the server, so it is a mistake. Nulls stand for what is not there in envelopes. */
function closed(value: unknown, inEnvelope = false): unknown {
  if (Array.isArray(value)) return value.map((each) => closed(each, inEnvelope));
  if (typeof value !== "object" || value === null) return value;
  const fixed = Object.fromEntries(Object.entries(value).map(([key, part]) => [key, closed(part, inEnvelope || key.startsWith("receive."))])) as Schema;
  if (fixed.type === "object" && fixed.properties !== undefined && fixed.additionalProperties === undefined) fixed.additionalProperties = false;
  if (inEnvelope && typeof fixed.type === "string" && fixed.type !== "object" && fixed.type !== "array") fixed.type = [fixed.type, "null"];
  return fixed;
}
