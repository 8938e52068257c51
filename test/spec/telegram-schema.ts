/** Telegram's api.json (github.com/PaulSonOfLars/telegram-bot-api-spec) as JSON Schema: what the descriptions say about lengths and values becomes a rule. */
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { Ajv, type ValidateFunction } from "ajv";
import { projectRoot } from "../rigs/project.ts";

interface Field { readonly name: string; readonly types: readonly string[]; readonly required: boolean; readonly description: string }
interface Part { readonly fields?: readonly Field[]; readonly subtypes?: readonly string[] }
interface Spec { readonly version: string; readonly methods: Readonly<Record<string, Part>>; readonly types: Readonly<Record<string, Part>> }
type Schema = Record<string, unknown>;

/** A folder of the data for tests, which stand beside the project: `specs` or `payloads`, then the platform. Undefined where they are not. */
export function dataFolder(kind: "specs" | "payloads", platform: string): string | undefined {
  const specs = path.resolve(projectRoot, process.env.CLAWFLOW_SPECS ?? "../shared/data/specs");
  const folder = path.join(kind === "specs" ? specs : path.join(specs, "../payloads"), platform);
  return existsSync(folder) ? folder : undefined;
}

export interface TelegramSpec {
  readonly version: string;
  readonly methods: readonly string[];
  /** What is wrong with a request's parameters, one line each. Texts have to be measured as Telegram sees them: without markup. */
  request(method: string, parameters: unknown): string[];
  /** The same for an object of a type, such as Update. */
  object(type: string, value: unknown): string[];
}

/** Where the descriptions say less than the server does, or JSON Schema less than the description. */
const EXTRA: Readonly<Record<string, Schema>> = {
  // "Required if inline_message_id is not specified", "required if rich_message isn't specified".
  editMessageText: { allOf: [{ anyOf: [{ required: ["chat_id", "message_id"] }, { required: ["inline_message_id"] }] }, { anyOf: [{ required: ["text"] }, { required: ["rich_message"] }] }] },
  editMessageCaption: { anyOf: [{ required: ["chat_id", "message_id"] }, { required: ["inline_message_id"] }] },
  // "Exactly one of the fields other than text, icon_custom_emoji_id, and style".
  InlineKeyboardButton: { minProperties: 2, oneOf: ["url", "callback_data", "web_app", "login_url", "switch_inline_query", "switch_inline_query_current_chat", "switch_inline_query_chosen_chat", "copy_text", "callback_game", "pay"].map((field) => ({ required: [field] })) },
};
const FIELD_EXTRA: Readonly<Record<string, Schema>> = {
  "sendChatAction.action": { enum: ["typing", "upload_photo", "record_video", "upload_video", "record_voice", "upload_voice", "upload_document", "choose_sticker", "find_location", "record_video_note", "upload_video_note"] },
  // "Must be one of “danger” (red), “success” (green) or “primary” (blue)".
  "InlineKeyboardButton.style": { enum: ["danger", "success", "primary"] },
  "sendMessageDraft.draft_id": { not: { const: 0 } },
  "setMyCommands.commands": { maxItems: 100 },
  "setWebhook.url": { pattern: "^(?:https?://.*)?$" },
};

export function loadTelegramSpec(folder: string): TelegramSpec {
  const spec = JSON.parse(readFileSync(path.join(folder, "api.json"), "utf8")) as Spec;
  const ajv = new Ajv({ strict: false, allErrors: true, inlineRefs: false });
  const bytes = (compare: (length: number, limit: number) => boolean) => ({ type: "string" as const, validate: (limit: number, text: string) => compare(Buffer.byteLength(text), limit) });
  ajv.addKeyword({ keyword: "maxBytes", ...bytes((length, limit) => length <= limit) });
  ajv.addKeyword({ keyword: "minBytes", ...bytes((length, limit) => length >= limit) });
  ajv.addSchema({
    $id: "telegram",
    $defs: Object.fromEntries([
      ...Object.entries(spec.types).map(([name, part]) => [name, partSchema(name, part)]),
      ...Object.entries(spec.methods).map(([name, part]) => [`method-${name}`, partSchema(name, part)]),
    ]),
  });
  const compiled = new Map<string, ValidateFunction>();
  const check = (definition: string, value: unknown): string[] => {
    const validate = compiled.get(definition) ?? ajv.compile({ $ref: `telegram#/$defs/${definition}` });
    compiled.set(definition, validate);
    if (validate(value)) return [];
    return (validate.errors ?? []).map((error) => `${error.instancePath} ${error.message ?? ""}${error.keyword === "additionalProperties" ? `: ${String(error.params.additionalProperty)}` : ""}`.trim());
  };
  return {
    version: spec.version,
    methods: Object.keys(spec.methods),
    request: (method, parameters) => (method in spec.methods ? check(`method-${method}`, parameters) : [`no method ${method}`]),
    object: check,
  };
}

function partSchema(name: string, part: Part): Schema {
  if (part.subtypes !== undefined) return { anyOf: part.subtypes.map((type) => typeSchema(type)) };
  // An uploaded file stands in the parameters as the reference to its part.
  if (name === "InputFile") return { type: "string", pattern: "^attach://" };
  const fields = part.fields ?? [];
  return {
    type: "object",
    properties: Object.fromEntries(fields.map((field) => [field.name, { ...fieldSchema(field), ...FIELD_EXTRA[`${name}.${field.name}`] }])),
    required: fields.filter((field) => field.required).map((field) => field.name),
    additionalProperties: false,
    ...EXTRA[name],
  };
}

function typeSchema(type: string): Schema {
  const item = /^Array of (.+)$/.exec(type)?.[1];
  if (item !== undefined) return { type: "array", items: typeSchema(item) };
  const simple = { Integer: "integer", Float: "number", String: "string", Boolean: "boolean" }[type];
  return simple === undefined ? { $ref: `#/$defs/${type}` } : { type: simple };
}

function fieldSchema({ types, description, name }: Field): Schema {
  const rules: Schema = {};
  const array = types.every((type) => type.startsWith("Array of "));
  const range = /(?:^|[^\d*-])(\d+)-(\d+)(?: (characters|[Bb]ytes)|(?= \w+ identifiers| items| tasks| answer options|$|[;,.]|(?: are accepted)))/.exec(description);
  if (range !== null) {
    const [, least, most, unit] = range;
    const number = types.every((type) => type === "Integer" || type === "Float");
    const [lower, upper] = array ? ["minItems", "maxItems"] : number ? ["minimum", "maximum"] : unit === "characters" ? ["minLength", "maxLength"] : unit === undefined ? [] : ["minBytes", "maxBytes"];
    if (lower !== undefined && upper !== undefined && (array || number || types.includes("String"))) Object.assign(rules, { [lower]: Number(least), [upper]: Number(most) });
  }
  if (types.length === 1 && types[0] === "String") {
    const fixed = /(?:always|must be) (?:"(\w+)"|(\w+))$/.exec(description);
    const listed = /(?:must be one of|it can be one of|can be either) ("[^.]*)/.exec(description)?.[1]?.match(/"[^"]+"/g);
    if (fixed !== null && ["type", "status", "source"].includes(name)) rules.const = fixed[1] ?? fixed[2];
    else if (listed !== undefined && listed !== null && listed.length > 1) rules.enum = listed.map((value) => value.slice(1, -1));
    if (/Only characters A-Z, a-z, 0-9, _ and - are allowed/.test(description)) rules.pattern = "^[\\w-]*$";
    if (/Can contain only lowercase English letters, digits and underscores/.test(description)) rules.pattern = "^[a-z0-9_]*$";
    if (name.endsWith("parse_mode")) rules.enum = ["HTML", "Markdown", "MarkdownV2"];
  }
  // "Array of A, Array of B" means an array whose items are A or B: an album mixes photos and videos.
  if (array && types.length > 1) return { type: "array", items: { anyOf: types.map((type) => typeSchema(type.slice("Array of ".length))) }, ...rules };
  const alternatives = types.map(typeSchema);
  return { ...(alternatives.length === 1 ? alternatives[0] : { anyOf: alternatives }), ...rules };
}
