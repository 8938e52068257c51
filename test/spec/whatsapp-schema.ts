/** Meta's own description of the Cloud API (github.com/facebook/openapi, v23.0) as JSON Schema, mended where it says less than the documents, or what cannot hold. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { Ajv, type ValidateFunction } from "ajv";
import { parse } from "yaml";

type Schema = Record<string, unknown>;

export interface WhatsappSpec {
  /** What is wrong with a POST to /messages: a message, or a read mark. One line each. */
  message(body: unknown): string[];
  /** The same for the form of an upload and for the subscription of a business account. */
  upload(fields: unknown): string[];
  subscription(body: unknown): string[];
}

const TYPES: Readonly<Record<string, string>> = {
  text: "TextMessage", audio: "AudioMessage", document: "DocumentMessage", image: "ImageMessage", location: "LocationMessage", video: "VideoMessage", sticker: "StickerMessage",
  reaction: "ReactionMessage", interactive: "InteractiveMessage", template: "TemplateMessage", contacts: "ContactsMessage",
};

/** Fields of every message that the documents have and the description has not. */
const COMMON: Schema = {
  // …/whatsapp/reference/…/message-api: comes back with each status.
  biz_opaque_callback_data: { type: "string", minLength: 1, maxLength: 512 },
  // …/whatsapp/business-scoped-user-ids: in place of "to" for people who hide their number.
  recipient: { type: "string", pattern: "^[A-Z]{2}\\.(?:ENT\\.)?[A-Za-z0-9]{1,128}$" },
};
const media = (more: Schema = {}): Schema => ({ type: "object", properties: { id: { type: "string", minLength: 1 }, link: { type: "string", pattern: "^https?://" }, ...more }, oneOf: [{ required: ["id"] }, { required: ["link"] }], additionalProperties: false });
const caption = { type: "string", minLength: 1, maxLength: 1024 };
/** Contents whose description is looser than the documents (…/whatsapp/messages/<kind>-messages). */
const CONTENT: Readonly<Record<string, Schema>> = {
  text: { type: "object", required: ["body"], additionalProperties: false, properties: { body: { type: "string", minLength: 1, maxLength: 4096 }, preview_url: { type: "boolean" } } },
  image: media({ caption }),
  video: media({ caption }),
  document: media({ caption, filename: { type: "string", minLength: 1, maxLength: 240 } }),
  audio: media({ voice: { type: "boolean" } }),
  reaction: { type: "object", required: ["message_id", "emoji"], additionalProperties: false, properties: { message_id: { type: "string", minLength: 1 }, emoji: { type: "string" } } },
  location: { type: "object", required: ["latitude", "longitude"], additionalProperties: false, properties: { latitude: { type: "string", pattern: "^-?\\d" }, longitude: { type: "string", pattern: "^-?\\d" }, name: { type: "string" }, address: { type: "string" } } },
};
/** Holds for objects of this type alone. */
const where = (type: string, schema: Schema): Schema => ({ anyOf: [{ properties: { type: { not: { const: type } } } }, schema] });
const nonEmpty = { type: "string", minLength: 1, maxLength: 1024 };
/** …/whatsapp/messages/interactive-cta-url-messages: newer than the description. */
const CTA_URL: Schema = {
  type: "object", required: ["type", "body", "action"], additionalProperties: false,
  properties: {
    type: { const: "cta_url" }, header: { $ref: "#/components/schemas/HeaderObject" }, footer: { $ref: "#/components/schemas/FooterObject" },
    body: { type: "object", required: ["text"], additionalProperties: false, properties: { text: nonEmpty } },
    action: {
      type: "object", required: ["name", "parameters"], additionalProperties: false,
      properties: { name: { const: "cta_url" }, parameters: { type: "object", required: ["display_text", "url"], additionalProperties: false, properties: { display_text: { type: "string", minLength: 1, maxLength: 20 }, url: { type: "string", pattern: "^https?://" } } } },
    },
  },
};
/** "button" wants buttons, "list" sections; both a body. A button's title and id may not be empty. */
const INTERACTIVE_EXTRA: Schema = {
  required: ["type", "action", "body"],
  properties: { body: { properties: { text: nonEmpty } } },
  allOf: [
    where("button", { properties: { action: { required: ["buttons"], properties: { buttons: { items: { properties: { reply: { properties: { id: { minLength: 1, pattern: "^\\S(?:[\\s\\S]*\\S)?$" }, title: { minLength: 1 } } } } } } } } } }),
    where("list", { properties: { action: { required: ["button", "sections"], properties: { button: { minLength: 1 }, sections: { items: { required: ["rows"], properties: { rows: { minItems: 1, items: { properties: { id: { minLength: 1 }, title: { minLength: 1 }, description: { minLength: 1 } } } } } } } } }, header: { properties: { type: { const: "text" } } } } }),
  ],
};
/** …/whatsapp/typing-indicators: read marks alone are described. */
const TYPING: Schema = { type: "object", required: ["type"], additionalProperties: false, properties: { type: { const: "text" } } };

const loaded = new Map<string, WhatsappSpec>();
/** Read once: it takes half a second. */
export function loadWhatsappSpec(folder: string): WhatsappSpec {
  const spec = loaded.get(folder) ?? load(folder);
  loaded.set(folder, spec);
  return spec;
}

function load(folder: string): WhatsappSpec {
  const text = readFileSync(path.join(folder, "business-messaging-api_v23.0.yaml"), "utf8");
  // The schemas alone: the paths are nine tenths of a megabyte of YAML.
  const { components } = parse(text.slice(text.indexOf("\ncomponents:"), text.indexOf("\npaths:"))) as { components: { schemas: Record<string, Schema> } };
  const schemas = components.schemas;
  const base = schemas["BaseMessageProperties"] as { properties: Schema; required: string[] };
  for (const [type, name] of Object.entries(TYPES)) {
    const own = (schemas[name] as { allOf: Schema[] }).allOf.at(-1) as { properties: Schema; required: string[] };
    // As published no message is possible: one branch allows nothing of the other. Merged, both hold, and nothing else is allowed.
    schemas[name] = {
      type: "object", additionalProperties: false,
      properties: { ...base.properties, ...own.properties, ...COMMON, ...(CONTENT[type] === undefined ? {} : { [type]: CONTENT[type] }) },
      required: [...new Set([...base.required.filter((field) => field !== "to"), ...own.required])],
      oneOf: [{ required: ["to"] }, { required: ["recipient"] }],
    };
  }
  const spoken = schemas["InteractiveObject"] as Schema;
  schemas["InteractiveObject"] = { oneOf: [CTA_URL, { allOf: [spoken, INTERACTIVE_EXTRA] }] };
  const mark = schemas["MarkMessageRequestPayload"] as { properties: Schema };
  schemas["MarkMessageRequestPayload"] = { ...mark, additionalProperties: false, properties: { ...mark.properties, status: { const: "read" }, typing_indicator: TYPING } };
  schemas["SubscriptionRequest"] = { ...schemas["SubscriptionRequest"], additionalProperties: false };
  // Of an upload the documents say that both fields, and the type, are required.
  schemas["Upload"] = { type: "object", required: ["messaging_product", "type"], additionalProperties: false, properties: { messaging_product: { const: "whatsapp" }, type: { type: "string", pattern: "^[a-z]+/" } } };
  (schemas["BaseMessageProperties"] as { properties: { messaging_product: Schema } }).properties.messaging_product = { const: "whatsapp" };
  for (const name of Object.values(TYPES)) ((schemas[name] as { properties: Schema }).properties)["messaging_product"] = { const: "whatsapp" };

  const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false, discriminator: false });
  ajv.addSchema({ $id: "whatsapp", components });
  const compiled = new Map<string, ValidateFunction>();
  const check = (name: string, value: unknown): string[] => {
    const validate = compiled.get(name) ?? ajv.compile({ $ref: `whatsapp#/components/schemas/${name}` });
    compiled.set(name, validate);
    if (validate(value)) return [];
    return (validate.errors ?? []).map((error) => `${error.instancePath} ${error.message ?? ""}${error.keyword === "additionalProperties" ? `: ${String(error.params.additionalProperty)}` : ""}`.trim());
  };
  return {
    message(body) {
      const { type, status } = (body ?? {}) as { type?: unknown; status?: unknown };
      if (status !== undefined) return check("MarkMessageRequestPayload", body);
      const name = typeof type === "string" && Object.hasOwn(TYPES, type) ? TYPES[type] : undefined;
      return name === undefined ? [`no type ${String(type)}`] : check(name, body);
    },
    upload: (fields) => check("Upload", fields),
    subscription: (body) => check("SubscriptionRequest", body),
  };
}
