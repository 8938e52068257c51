/** Anthropic's reference as a judge of requests. */
import { Ajv2020 } from "ajv/dist/2020.js";

const CACHE = { type: "object", required: ["type"], additionalProperties: false, properties: { type: { const: "ephemeral" } } };
/** Anthropic publishes no machine-readable description; this is its API reference for messages/create (2026-10-21), as far as we use it. The SDK's types hold it at compile time already. */
const SCHEMA = {
  type: "object", required: ["model", "max_tokens", "messages"], additionalProperties: false,
  properties: {
    model: { type: "string", minLength: 1 }, max_tokens: { type: "integer", minimum: 1 }, stream: { type: "boolean" },
    system: { anyOf: [{ type: "string", minLength: 1 }, { type: "array", minItems: 1, items: { $ref: "#/$defs/text" } }] },
    thinking: { type: "object", required: ["type"], additionalProperties: false, properties: { type: { enum: ["adaptive", "disabled"] } } },
    output_config: {
      type: "object", minProperties: 1, additionalProperties: false,
      properties: {
        effort: { enum: ["low", "medium", "high", "xhigh", "max"] },
        format: { type: "object", required: ["type", "schema"], additionalProperties: false, properties: { type: { const: "json_schema" }, schema: { type: "object", required: ["type", "additionalProperties"], properties: { type: { const: "object" }, additionalProperties: { const: false } } } } },
      },
    },
    tool_choice: { type: "object", required: ["type"], additionalProperties: false, properties: { type: { enum: ["auto", "any", "none"] } } },
    tools: { type: "array", minItems: 1, items: { type: "object", required: ["name", "input_schema"], additionalProperties: false, properties: { name: { type: "string", pattern: "^[a-zA-Z0-9_-]{1,128}$" }, description: { type: "string" }, cache_control: CACHE, input_schema: { type: "object", required: ["type"], properties: { type: { const: "object" } } } } } },
    messages: {
      type: "array", minItems: 1, allOf: [{ prefixItems: [{ type: "object", properties: { role: { const: "user" } } }] }],
      items: {
        type: "object", required: ["role", "content"], additionalProperties: false,
        properties: {
          role: { enum: ["user", "assistant"] },
          content: { anyOf: [{ type: "string", pattern: "\\S" }, { type: "array", minItems: 1, items: { anyOf: ["text", "image", "tool_use", "tool_result"].map((name) => ({ $ref: `#/$defs/${name}` })) } }] },
        },
      },
    },
  },
  $defs: {
    text: { type: "object", required: ["type", "text"], additionalProperties: false, properties: { type: { const: "text" }, text: { type: "string", pattern: "\\S" }, cache_control: CACHE } },
    image: { type: "object", required: ["type", "source"], additionalProperties: false, properties: { type: { const: "image" }, cache_control: CACHE, source: { type: "object", required: ["type", "media_type", "data"], additionalProperties: false, properties: { type: { const: "base64" }, media_type: { enum: ["image/png", "image/jpeg", "image/gif", "image/webp"] }, data: { type: "string", minLength: 4 } } } } },
    tool_use: { type: "object", required: ["type", "id", "name", "input"], additionalProperties: false, properties: { type: { const: "tool_use" }, id: { type: "string", pattern: "^[a-zA-Z0-9_-]{1,64}$" }, name: { type: "string" }, input: { type: "object" } } },
    tool_result: { type: "object", required: ["type", "tool_use_id", "content"], additionalProperties: false, properties: { type: { const: "tool_result" }, tool_use_id: { type: "string", pattern: "^[a-zA-Z0-9_-]{1,64}$" }, content: { type: "string", pattern: "\\S" }, is_error: { type: "boolean" }, cache_control: CACHE } },
  },
};
interface Block { type: string; id?: string; tool_use_id?: string }
/** What the schema cannot say: every call is answered in the very next message, and no more than four places are marked for the cache. */
function unmatched(body: { messages: { role: string; content: string | Block[] }[] }): string[] {
  const problems: string[] = [];
  const marks = JSON.stringify(body).split('"cache_control"').length - 1;
  if (marks > 4) problems.push(`${marks} marks for the cache`);
  for (const [at, { role, content }] of body.messages.entries()) {
    if (at > 0 && body.messages[at - 1]?.role === role) problems.push(`message ${at} does not alternate`);
    if (typeof content === "string") continue;
    const next = body.messages[at + 1]?.content;
    const results = Array.isArray(next) ? next.filter((block) => block.type === "tool_result").map((block) => block.tool_use_id) : [];
    for (const block of content) if (block.type === "tool_use" && !results.includes(block.id)) problems.push(`call ${block.id} has no result`);
    const before = body.messages[at - 1]?.content;
    const calls = Array.isArray(before) ? before.filter((block) => block.type === "tool_use").map((block) => block.id) : [];
    for (const block of content) if (block.type === "tool_result" && !calls.includes(block.tool_use_id)) problems.push(`result ${block.tool_use_id} has no call`);
  }
  return problems;
}

/** Problems of a body of `POST /v1/messages`, as sentences; empty when it fits. */
export function anthropicJudge(): (body: unknown) => string[] {
  const check = new Ajv2020({ strict: false, allErrors: true }).compile(SCHEMA);
  return (body) => (check(body) ? unmatched(body as never) : (check.errors ?? []).map((error) => `${error.instancePath} ${error.message ?? ""}`));
}
