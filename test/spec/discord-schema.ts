/** Discord's own OpenAPI description (github.com/discord/discord-api-spec) as a judge of requests; what only its documentation says stands in EXTRA. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";

type Json = Record<string, unknown>;
interface Operation { readonly operationId?: string; readonly parameters?: readonly { readonly name: string; readonly in: string; readonly required?: boolean; readonly schema?: Json }[]; readonly requestBody?: { readonly required?: boolean; readonly content: Readonly<Record<string, { readonly schema: Json }>> } }
interface Spec { readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>; readonly components: { readonly schemas: Readonly<Record<string, Json>> } }

export interface DiscordSpec {
  /** The path as the description writes it, "/channels/{channel_id}/messages"; undefined where it knows none. */
  template(method: string, path: string): string | undefined;
  /** What is wrong with a request, one line each. `uploads`: files that came beside. */
  request(method: string, path: string, query: URLSearchParams, body: unknown, uploads: number): string[];
  /** The same for an object of a schema, such as MessageResponse; fields it does not name are no fault. */
  object(schema: string, value: unknown): string[];
}

/** Rules of the documentation that the description leaves out, by operation. */
const MESSAGES = /^(create_message|update_message|execute_webhook|update_webhook_message|update_original_webhook_message)$/;
function extra(operation: string, body: Json, uploads: number): string[] {
  const problems: string[] = [];
  const message = operation === "create_interaction_response" ? (body["data"] as Json | undefined) : operation === "create_thread" ? (body["message"] as Json | undefined) : MESSAGES.test(operation) ? body : undefined;
  if (message !== undefined) {
    if (String(message["content"] ?? "").length > 2000) problems.push("content: Must be 2000 or fewer in length");
    const rows = (message["components"] ?? []) as { type: number; components?: { custom_id?: string }[] }[];
    const modal = body["type"] === 9;
    if (rows.length > 5) problems.push(`components: ${rows.length} of at most 5`);
    const ids = rows.flatMap((row) => (row.components ?? []).map((each) => each.custom_id)).filter((id) => id !== undefined);
    if (new Set(ids).size < ids.length) problems.push("components: COMPONENT_CUSTOM_ID_DUPLICATED");
    if (modal && rows.some(({ type }) => type !== 18 && type !== 1)) problems.push("components: a modal holds labels");
    const texts = ((message["embeds"] ?? []) as { title?: string; description?: string; footer?: { text: string }; fields?: { name: string; value: string }[] }[])
      .reduce((sum, { title = "", description = "", footer, fields = [] }) => sum + title.length + description.length + (footer?.text.length ?? 0) + fields.reduce((own, field) => own + field.name.length + field.value.length, 0), 0);
    if (texts > 6000) problems.push("embeds: MAX_EMBED_SIZE_EXCEEDED");
    for (const { id } of (message["attachments"] ?? []) as { id: string }[]) if (Number(id) >= uploads && id.length < 15) problems.push(`attachments: no upload ${id}`);
    if (message["allowed_mentions"] === undefined && !modal && operation !== "create_interaction_response") problems.push("allowed_mentions: left out, a text could ping everybody");
  }
  return problems;
}

export function loadDiscordSpec(folder: string): DiscordSpec {
  const spec = JSON.parse(readFileSync(path.join(folder, "openapi.json"), "utf8")) as Spec;
  const make = (id: string, schemas: unknown) => {
    const ajv = new Ajv2020({ strict: false, allErrors: false, inlineRefs: false });
    for (const format of ["uri", "double", "snowflake", "nonce", "int64", "int32", "date-time"]) ajv.addFormat(format, true);
    ajv.addSchema({ $id: id, components: { schemas } });
    return ajv;
  };
  const asks = make("asks", mapped(spec.components.schemas));
  const says = make("says", spec.components.schemas);
  const compiled = new Map<string, ValidateFunction>();
  const check = (ajv: Ajv2020, name: string, schema: Json, value: unknown): string[] => {
    const validate = compiled.get(name) ?? ajv.compile(schema);
    compiled.set(name, validate);
    return validate(value) ? [] : [`${name} ${(validate.errors ?? []).map(({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`).slice(-1)[0] ?? "is wrong"}`];
  };
  const routes = Object.keys(spec.paths).map((template) => ({ template, fixed: template.replace(/\{[^}]+\}/g, "").length, pattern: new RegExp(`^${template.replace(/[.*+?^$()|[\]\\]/g, "\\$&").replace(/\{([^}]+)\}/g, (_, name: string) => (/_id$/.test(name) && !/message_id|webhook_token/.test(name) ? "(\\d+)" : "([^/]+)"))}$`) }))
    .sort((a, b) => b.fixed - a.fixed);
  const route = (method: string, place: string) => routes.find(({ template, pattern }) => pattern.test(place) && spec.paths[template]?.[method.toLowerCase()] !== undefined)?.template;

  return {
    template: route,
    request(method, place, query, body, uploads) {
      const template = route(method, place);
      const operation = template === undefined ? undefined : spec.paths[template]?.[method.toLowerCase()];
      if (template === undefined || operation === undefined) return [`${method} ${place}: no such operation`];
      const problems: string[] = [];
      for (const parameter of operation.parameters ?? []) if (parameter.in === "query" && parameter.required === true && !query.has(parameter.name)) problems.push(`query ${parameter.name} is missing`);
      for (const [name, value] of query) {
        const known = (operation.parameters ?? []).find((each) => each.in === "query" && each.name === name);
        if (known === undefined) problems.push(`query ${name} is unknown`);
        else if (name === "limit" && !(Number(value) >= 1 && Number(value) <= 100)) problems.push(`query limit: ${value}`);
      }
      const schema = operation.requestBody?.content["application/json"]?.schema ?? operation.requestBody?.content["multipart/form-data"]?.schema;
      if (body === undefined) return operation.requestBody?.required === true ? [...problems, "the body is missing"] : problems;
      if (schema === undefined) return [...problems, "takes no body"];
      return [...problems, ...check(asks, `${method} ${template}`, mapped(schema, "asks"), body), ...extra(operation.operationId ?? "", body as Json, uploads)];
    },
    object: (name, value) => check(says, name, { $ref: `says#/components/schemas/${name}` }, value),
  };
}

/** References of a schema into its bundle, and no fields beside those an object names: a slip of the pen is a fault. */
function mapped<T>(schema: T, id?: string): T {
  if (Array.isArray(schema)) return schema.map((each) => mapped(each, id)) as T;
  if (typeof schema !== "object" || schema === null) return schema;
  const own = schema as Json;
  const out = Object.fromEntries(Object.entries(own).map(([key, value]) => [key, key === "$ref" && typeof value === "string" && id !== undefined ? `${id}${value}` : mapped(value, id)]));
  const closed = id === undefined && own["type"] === "object" && typeof own["properties"] === "object" && own["additionalProperties"] === undefined && own["allOf"] === undefined;
  return (closed ? { ...out, additionalProperties: false } : out) as T;
}
