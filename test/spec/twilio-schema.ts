/** Twilio's own OpenAPI description as a judge of requests to its REST API. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { Ajv, type ValidateFunction } from "ajv";
import { dataFolder } from "./telegram-schema.ts";

type Schema = Record<string, unknown>;
interface Operation { readonly parameters?: readonly { readonly name: string; readonly in: string; readonly required?: boolean; readonly schema: Schema }[]; readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> } }
interface Spec { readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>; readonly components: { readonly schemas: Readonly<Record<string, Schema>> } }
export interface TwilioJudge {
  /** What is wrong with a request, one line each. `fields`: each with all its values. */
  request(method: "GET" | "POST", pathname: string, fields: Readonly<Record<string, readonly string[]>>): string[];
}

/** Undefined where the description is not on this machine. */
export function twilioJudge(): TwilioJudge | undefined {
  const folder = dataFolder("specs", "twilio");
  if (folder === undefined) return undefined;
  const spec = JSON.parse(readFileSync(path.join(folder, "twilio_api_v2010.json"), "utf8")) as Spec;
  const ajv = new Ajv({ strict: false, allErrors: true, coerceTypes: true, inlineRefs: false });
  const E164 = /^(?:(?:whatsapp|messenger):)?\+?[1-9]\d{1,14}$|^[A-Za-z0-9 ]{1,11}$/;
  ajv.addFormat("phone-number", (text: string) => E164.test(text));
  ajv.addFormat("endpoint", (text: string) => E164.test(text) || /^(?:sip|client):/.test(text));
  ajv.addFormat("uri", (text: string) => URL.canParse(text) && /^https?:/.test(text));
  ajv.addFormat("twiml", (text: string) => text.length <= 4_000 && /^<Response>.*<\/Response>$/s.test(text));
  for (const name of ["date-time", "http-method", "uri-map", "date", "decimal", "date-time-rfc-2822", "currency", "int64"]) ajv.addFormat(name, true);
  ajv.addSchema(repair(spec) as object, "twilio");
  const compiled = new Map<string, ValidateFunction>();
  const routes = Object.keys(spec.paths).map((route) => ({ route, pattern: new RegExp(`^${route.replace(/[.]/g, "\\.").replace(/\{(\w+)\}/g, "(?<$1>[^/]+)")}$`) }));

  return {
    request(method, pathname, fields) {
      const found = routes.find(({ pattern }) => pattern.test(pathname));
      const operation = (found === undefined ? undefined : spec.paths[found.route]?.[method.toLowerCase()]) as Operation | undefined;
      if (found === undefined || operation === undefined) return [`no ${method} ${pathname}`];
      const problems: string[] = [];
      const named = found.pattern.exec(pathname)?.groups ?? {};
      const check = (name: string, schema: Schema, value: unknown): void => {
        const key = `${method} ${found.route} ${name}`;
        const validate = compiled.get(key) ?? ajv.compile(pointed(schema));
        compiled.set(key, validate);
        if (!validate(value)) problems.push(...(validate.errors ?? []).map((error) => `${name} ${error.message ?? ""}`));
      };
      for (const parameter of operation.parameters ?? []) {
        const value = parameter.in === "path" ? named[parameter.name] : method === "GET" ? fields[parameter.name]?.[0] : undefined;
        if (value !== undefined) check(parameter.name, parameter.schema, value);
      }
      const body = operation.requestBody === undefined ? undefined : (Object.values(operation.requestBody.content)[0]?.schema as { properties?: Record<string, Schema>; required?: string[] } | undefined);
      const known = new Map<string, Schema>(method === "GET" ? (operation.parameters ?? []).filter((each) => each.in === "query").map((each) => [each.name, each.schema]) : Object.entries(body?.properties ?? {}));
      for (const [name, values] of Object.entries(fields)) {
        const schema = known.get(name);
        if (schema === undefined) problems.push(`${name} is no field of ${method} ${found.route}`);
        else check(name, schema, schema.type === "array" ? [...values] : values[0]);
      }
      for (const name of body?.required ?? []) if (fields[name] === undefined) problems.push(`${name} is missing`);
      // What the description only says in words.
      if (method === "POST" && found.route.endsWith("/Messages.json")) {
        if ((fields.Body?.[0]?.length ?? 0) > 1_600) problems.push("Body is longer than 1600 characters");
        if ((fields.MediaUrl?.length ?? 0) > 10) problems.push("MediaUrl holds more than 10 addresses");
        if (fields.From === undefined && fields.MessagingServiceSid === undefined) problems.push("From or MessagingServiceSid is missing");
        if (fields.Body === undefined && fields.MediaUrl === undefined && fields.ContentSid === undefined) problems.push("Body, MediaUrl or ContentSid is missing");
      }
      return problems;
    },
  };
}

/** Twilio writes 3.0's `nullable`. */
function repair(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(repair);
  if (typeof value !== "object" || value === null) return value;
  const { nullable, ...rest } = value as Schema;
  const fixed = Object.fromEntries(Object.entries(rest).map(([key, part]) => [key, repair(part)]));
  return nullable === true && typeof fixed.type === "string" ? { ...fixed, type: [fixed.type, "null"] } : fixed;
}
function pointed(schema: Schema): Schema {
  return JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"twilio#/')) as Schema;
}
