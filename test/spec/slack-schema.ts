/**
 * What Slack takes, from its SDK's own types (@slack/web-api, made into JSON Schema once per version and kept in node_modules/.cache), with the lengths that the
 * types' comments name; which arguments are required is also asked of Slack's published description of 2021, as far as it knows the method.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { Ajv, type ValidateFunction } from "ajv";
import { projectRoot } from "../rigs/project.ts";
import { dataFolder } from "./telegram-schema.ts";

type Schema = Record<string, unknown>;
export interface SlackSpec {
  readonly methods: readonly string[];
  /** What is wrong with the arguments of a call, one line each. */
  request(method: string, args: Readonly<Record<string, unknown>>): string[];
}

/** Methods and the SDK's type of their arguments. */
const TYPES: Readonly<Record<string, string>> = {
  "auth.test": "AuthTestArguments", "apps.connections.open": "AppsConnectionsOpenArguments",
  "chat.postMessage": "ChatPostMessageArguments", "chat.postEphemeral": "ChatPostEphemeralArguments", "chat.update": "ChatUpdateArguments", "chat.delete": "ChatDeleteArguments",
  "chat.startStream": "ChatStartStreamArguments", "chat.appendStream": "ChatAppendStreamArguments", "chat.stopStream": "ChatStopStreamArguments",
  "reactions.add": "ReactionsAddArguments", "reactions.remove": "ReactionsRemoveArguments", "reactions.get": "ReactionsGetArguments",
  "conversations.history": "ConversationsHistoryArguments", "conversations.replies": "ConversationsRepliesArguments", "conversations.open": "ConversationsOpenArguments",
  "users.info": "UsersInfoArguments", "views.open": "ViewsOpenArguments",
  "files.getUploadURLExternal": "FilesGetUploadURLExternalArguments", "files.completeUploadExternal": "FilesCompleteUploadExternalArguments", "files.info": "FilesInfoArguments", "files.delete": "FilesDeleteArguments",
  "assistant.threads.setStatus": "AssistantThreadsSetStatusArguments",
};

/** Where the types say less than the documents, https://docs.slack.dev/reference/methods. */
const EXTRA: Readonly<Record<string, Schema>> = {
  "chat.postMessage": { properties: { text: { maxLength: 40_000 }, blocks: { maxItems: 50 } } },
  // chat.update refuses more with msg_too_long.
  "chat.update": { properties: { text: { maxLength: 4_000 }, blocks: { maxItems: 50 } } },
  "chat.startStream": { properties: { markdown_text: { maxLength: 12_000, minLength: 1 } } },
  "chat.appendStream": { properties: { markdown_text: { maxLength: 12_000, minLength: 1 } }, anyOf: [{ required: ["markdown_text"] }, { required: ["chunks"] }] },
  "chat.stopStream": { properties: { markdown_text: { maxLength: 12_000, minLength: 1 } } },
};

let loaded: SlackSpec | undefined;
/** Takes some seconds the first time after the SDK changed. */
export function loadSlackSpec(): SlackSpec {
  loaded ??= load();
  return loaded;
}

function load(): SlackSpec {
  const schemas = cached();
  const ajv = new Ajv({ strict: false, allErrors: true, allowUnionTypes: true });
  const compiled = new Map<string, ValidateFunction>();
  const required = requiredOf2021();
  return {
    methods: Object.keys(TYPES),
    request(method, args) {
      const type = TYPES[method];
      if (type === undefined) return [`no method ${method}`];
      let validate = compiled.get(method);
      if (validate === undefined) {
        const { $ref, $schema: _, ...definitions } = schemas[type] as { $ref: string; $schema: unknown };
        ajv.addSchema({ $id: `slack:${type}`, ...definitions });
        validate = ajv.compile({ allOf: [{ $ref: `slack:${type}${$ref}` }, EXTRA[method] ?? {}] });
        compiled.set(method, validate);
      }
      const missing = (required.get(method) ?? []).filter((name) => args[name] === undefined).map((name) => `${name} is required (2021)`);
      if (validate(args)) return missing;
      return [...new Set((validate.errors ?? []).map((error) => `${error.instancePath} ${error.message ?? ""}${error.keyword === "additionalProperties" ? `: ${String(error.params.additionalProperty)}` : ""}`.trim()))].slice(0, 40).concat(missing);
    },
  };
}

/** `token` rides in a header nowadays; the rest still holds. */
function requiredOf2021(): Map<string, string[]> {
  const folder = dataFolder("specs", "slack");
  if (folder === undefined) return new Map();
  const spec = JSON.parse(readFileSync(path.join(folder, "slack_web_openapi_v2.json"), "utf8")) as { paths: Record<string, Record<string, { parameters?: { name: string; required?: boolean }[] }>> };
  return new Map(Object.entries(spec.paths).map(([route, verbs]) => [route.slice(1), Object.values(verbs).flatMap(({ parameters = [] }) => parameters).filter((each) => each.required === true && each.name !== "token").map((each) => each.name)]));
}

function cached(): Record<string, Schema> {
  const require = createRequire(path.join(projectRoot, "package.json"));
  const version = (name: string) => (JSON.parse(readFileSync(path.join(projectRoot, "node_modules", name, "package.json"), "utf8")) as { version: string }).version;
  const folder = path.join(projectRoot, "node_modules/.cache/clawflow");
  const file = path.join(folder, `slack-${version("@slack/web-api")}-${version("@slack/types")}-4.json`);
  if (existsSync(file)) return JSON.parse(readFileSync(file, "utf8")) as Record<string, Schema>;
  mkdirSync(folder, { recursive: true });
  const { createGenerator } = require("ts-json-schema-generator") as typeof import("ts-json-schema-generator");
  const generator = createGenerator({ path: path.join(projectRoot, "node_modules/@slack/web-api/dist/index.d.ts"), type: "*", skipTypeCheck: true, expose: "export", additionalProperties: false, jsDoc: "extended" });
  const made = Object.fromEntries(Object.values(TYPES).map((type) => {
    const schema = structuredClone(generator.createSchema(type)) as Schema;
    mend(schema);
    const definitions = schema.definitions as Record<string, Schema>;
    definitions[type] = merged(definitions[type] as Schema);
    return [type, schema];
  }));
  const staged = `${file}.${process.pid}`;
  writeFileSync(staged, JSON.stringify(made));
  renameSync(staged, file);
  return made;
}

/** TypeScript lets an object hold fields of several members of a union; a schema of closed members would not. */
function merged(root: Schema): Schema {
  const members = root.anyOf as Schema[] | undefined;
  if (members === undefined || !members.every((each) => each.type === "object")) return root;
  const kinds = new Map<string, Map<string, unknown>>();
  for (const { properties } of members) for (const [name, schema] of Object.entries(properties as Record<string, unknown>)) kinds.set(name, (kinds.get(name) ?? new Map()).set(JSON.stringify(schema), schema));
  const needs = [...new Map(members.map(({ required = [] }) => [JSON.stringify(required), { required }])).values()];
  return { type: "object", properties: Object.fromEntries([...kinds].map(([name, schemas]) => [name, schemas.size === 1 ? [...schemas.values()][0] : { anyOf: [...schemas.values()] }])), additionalProperties: false, anyOf: needs };
}

/** "Maximum length for the text in this field is 75 characters" becomes a rule: of the text itself, or of the `text` within. Types for anything (`Block`) are left out of unions: they would let everything pass. */
function mend(value: unknown): void {
  if (typeof value !== "object" || value === null) return;
  for (const inner of Object.values(value)) mend(inner);
  const node = value as Schema;
  const description = typeof node.description === "string" ? node.description.replaceAll("\n", " ") : "";
  const most = /[Mm]ax(?:imum)? (?:length|of)[^.]*?([\d,]{2,7})\s*characters/.exec(description)?.[1] ?? /[Mm]aximum length [^.]*?(?:is|of) ([\d,]{2,7})\b/.exec(description)?.[1];
  const items = /[Mm]aximum (?:number of \w+ is|of) (\d{2,3})(?: options)?/.exec(description)?.[1];
  if (most !== undefined) {
    const limit = Number(most.replace(",", ""));
    if (node.type === "string") node.maxLength = limit;
    else if (node.type !== "array") node.allOf = [...((node.allOf as unknown[] | undefined) ?? []), { maxLength: limit, properties: { text: { maxLength: limit } } }];
  }
  if (items !== undefined && node.type === "array") node.maxItems = Number(items);
  if (Array.isArray(node.anyOf) && node.anyOf.length > 1) {
    const strict = (node.anyOf as Schema[]).filter((each) => each.$ref !== "#/definitions/Block");
    if (strict.length > 0) node.anyOf = strict;
  }
  if (node.$ref !== undefined && description !== "") delete node.description;
}
