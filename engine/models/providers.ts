/** Every provider we know, as a row. A provider of a known wire is added by one row here; docs/adding-a-provider.md says how. */
import type { Provider, Quirks } from "./model.ts";

/** Servers people run themselves: small models, often no pictures, no key. They hold an answer to a schema by its grammar, and have the Responses API by now. */
const LOCAL: Quirks = { maxTokensParam: "max_tokens", json: "schema", responses: [] };
/** OpenAI's own models, wherever they run. From gpt-5.2 on, chat completions refuse tools while the model thinks; the large ones and those for code are not there at all. */
const OPENAI: Quirks = {
  maxTokensParam: "max_completion_tokens", cacheKey: true, json: "schema", jsonNot: ["gpt-3.5", "gpt-4-", "o1-mini"],
  reasoners: ["o1", "o3", "o4", "gpt-5", "gpt-6", "codex", "computer-use"], responses: ["gpt-5.", "gpt-6", "-pro", "codex", "deep-research", "computer-use"],
};
/** The API version the SDK names by default (2026-10-21) is not known to older servers, nor to Claude before 4.7 on Bedrock. */
const OLD_VERSION = { "anthropic-version": "2023-06-01" };
/** Reasoning as `reasoning_content`, wanted back while tools are being called. */
const THINKS: Quirks = { reasoningField: "reasoning_content", echoFields: ["reasoning_content"] };

export const PROVIDERS: readonly Provider[] = [
  { id: "practice", label: "Practice (no account, works offline)", wire: "practice", baseUrl: "", keyless: true },
  { id: "openai", label: "OpenAI", wire: "openai", baseUrl: "https://api.openai.com/v1", env: "OPENAI_API_KEY", quirks: OPENAI },
  {
    id: "anthropic", label: "Anthropic", wire: "anthropic", baseUrl: "https://api.anthropic.com", env: "ANTHROPIC_API_KEY",
    // API version 2026-10-21 refuses a temperature, whatever the model.
    quirks: { promptCache: true, dropParams: ["temperature"], json: "schema", jsonNot: ["claude-2", "claude-3", "claude-opus-4-0", "claude-opus-4-2", "claude-sonnet-4-0", "claude-sonnet-4-2"] },
  },
  {
    id: "gemini", label: "Google Gemini", wire: "openai", baseUrl: "https://generativelanguage.googleapis.com/v1beta/openai/", env: "GEMINI_API_KEY",
    quirks: { dropSchemaKeywords: ["$schema", "$id", "additionalProperties", "patternProperties", "examples"], json: "schema-alone" },
  },
  { id: "ollama", label: "Ollama on this network", wire: "openai", baseUrl: "http://localhost:11434/v1/", keyless: true, quirks: LOCAL },
  { id: "ollama-cloud", label: "Ollama cloud", wire: "openai", baseUrl: "https://ollama.com/v1", env: "OLLAMA_API_KEY" },
  {
    id: "openrouter", label: "OpenRouter", wire: "openai", baseUrl: "https://openrouter.ai/api/v1", env: "OPENROUTER_API_KEY",
    quirks: { reasoningField: "reasoning", echoFields: ["reasoning_details"], responses: [] },
  },
  { id: "deepseek", label: "DeepSeek", wire: "openai", baseUrl: "https://api.deepseek.com", env: "DEEPSEEK_API_KEY", quirks: { ...THINKS, images: false, json: "object" } },
  { id: "huggingface", label: "Hugging Face", wire: "openai", baseUrl: "https://router.huggingface.co/v1", env: "HF_TOKEN", quirks: { responses: [] } },
  // Claude on Bedrock answers on the Anthropic wire only; the open-weight models on chat completions only.
  { id: "bedrock", label: "Amazon Bedrock (Claude)", wire: "anthropic", baseUrl: "https://bedrock-mantle.{region}.api.aws/anthropic", env: "AWS_BEARER_TOKEN_BEDROCK", headers: OLD_VERSION },
  { id: "bedrock-open", label: "Amazon Bedrock (open models)", wire: "openai", baseUrl: "https://bedrock-runtime.{region}.amazonaws.com/openai/v1", env: "AWS_BEARER_TOKEN_BEDROCK", quirks: { responses: [] } },
  { id: "litellm", label: "LiteLLM proxy", wire: "openai", baseUrl: "http://localhost:4000/v1", keyless: true, env: "LITELLM_API_KEY", quirks: { responses: [] } },
  {
    id: "mistral", label: "Mistral", wire: "openai", baseUrl: "https://api.mistral.ai/v1", env: "MISTRAL_API_KEY",
    // Rejects fields it does not know; its streams carry usage without being asked.
    quirks: { streamUsage: false, maxTokensParam: "max_tokens", toolIdRule: "nine-alphanumerics", json: "schema-alone" },
  },
  { id: "groq", label: "Groq", wire: "openai", baseUrl: "https://api.groq.com/openai/v1", env: "GROQ_API_KEY", quirks: { reasoningField: "reasoning", json: "object", responses: [] } },
  { id: "xai", label: "xAI", wire: "openai", baseUrl: "https://api.x.ai/v1", env: "XAI_API_KEY", quirks: { reasoningField: "reasoning_content", json: "schema", responses: [] } },
  { id: "together", label: "Together AI", wire: "openai", baseUrl: "https://api.together.ai/v1", env: "TOGETHER_API_KEY", quirks: { json: "schema-alone" } },
  { id: "fireworks", label: "Fireworks AI", wire: "openai", baseUrl: "https://api.fireworks.ai/inference/v1", env: "FIREWORKS_API_KEY", quirks: { streamUsage: false, json: "schema-alone", responses: [] } },
  { id: "cerebras", label: "Cerebras", wire: "openai", baseUrl: "https://api.cerebras.ai/v1", env: "CEREBRAS_API_KEY", quirks: { maxTokensParam: "max_completion_tokens", images: false, json: "schema-alone" } },
  {
    id: "azure", label: "Azure OpenAI (the model is the deployment's name)", wire: "openai", baseUrl: "https://{resource}.openai.azure.com/openai/v1/", env: "AZURE_OPENAI_API_KEY",
    quirks: OPENAI,
  },
  { id: "lmstudio", label: "LM Studio", wire: "openai", baseUrl: "http://localhost:1234/v1", keyless: true, quirks: LOCAL },
  { id: "vllm", label: "vLLM", wire: "openai", baseUrl: "http://localhost:8000/v1", keyless: true, quirks: LOCAL },
  { id: "llamacpp", label: "llama.cpp server", wire: "openai", baseUrl: "http://localhost:8080/v1", keyless: true, quirks: LOCAL },
  { id: "moonshot", label: "Moonshot (Kimi)", wire: "openai", baseUrl: "https://api.moonshot.ai/v1", env: "MOONSHOT_API_KEY", quirks: { ...THINKS, json: "object" } },
  { id: "qwen", label: "Qwen (Alibaba Cloud)", wire: "openai", baseUrl: "https://dashscope.aliyuncs.com/compatible-mode/v1", env: "DASHSCOPE_API_KEY", quirks: { reasoningField: "reasoning_content", json: "object" } },
  { id: "glm", label: "GLM (Zhipu)", wire: "openai", baseUrl: "https://open.bigmodel.cn/api/paas/v4", env: "ZHIPUAI_API_KEY", quirks: { reasoningField: "reasoning_content", json: "object" } },
  { id: "siliconflow", label: "SiliconFlow", wire: "openai", baseUrl: "https://api.siliconflow.cn/v1", env: "SILICONFLOW_API_KEY", quirks: { reasoningField: "reasoning_content", json: "object" } },
  { id: "nvidia", label: "NVIDIA", wire: "openai", baseUrl: "https://integrate.api.nvidia.com/v1", env: "NVIDIA_API_KEY" },
  { id: "venice", label: "Venice", wire: "openai", baseUrl: "https://api.venice.ai/api/v1", env: "VENICE_API_KEY" },
  { id: "volcengine", label: "Volcengine Ark", wire: "openai", baseUrl: "https://ark.cn-beijing.volces.com/api/v3", env: "ARK_API_KEY", quirks: { reasoningField: "reasoning_content" } },
  { id: "perplexity", label: "Perplexity", wire: "openai", baseUrl: "https://api.perplexity.ai", env: "PERPLEXITY_API_KEY", quirks: { streamUsage: false, json: "schema-alone" } },
  { id: "openai-compatible", label: "Another server that speaks OpenAI's chat completions", wire: "openai", baseUrl: "", keyless: true, quirks: { responses: [] } },
  { id: "anthropic-compatible", label: "Another server that speaks Anthropic's messages", wire: "anthropic", baseUrl: "", keyless: true, headers: OLD_VERSION },
];

const BY_ID: ReadonlyMap<string, Provider> = new Map(PROVIDERS.map((provider) => [provider.id, provider]));

export function findProvider(id: string): Provider | undefined {
  return BY_ID.get(id);
}

/** Names of the `{name}` parts of a provider's base URL: the form asks for them. */
export function providerFields(provider: Provider): string[] {
  return [...provider.baseUrl.matchAll(/\{(\w+)\}/g)].map((match) => match[1] as string);
}

/** The base URL with its parts filled in. A part without a value stays as `{name}`; `checkModel` names it. */
export function fillBaseUrl(template: string, fields: Readonly<Record<string, string>> = {}): string {
  return template.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = Object.hasOwn(fields, name) ? (fields[name] ?? "").trim() : "";
    return value === "" ? whole : value;
  });
}

/**
 * Context windows in tokens by the beginning of a model's name (without a path such as "openai/", with "-" for "."); the longest match counts.
 * As of 2026-09-23, from the providers' own pages as Pydantic collects them (genai-prices 0.1.8, MIT); a family that is not whole there has its smallest.
 */
const CONTEXTS: readonly (readonly [string, number])[] = [
  ["gpt-3-5", 16_385], ["gpt-4", 8_192], ["gpt-4-32k", 32_000], ["gpt-4-turbo", 128_000], ["gpt-4-1", 1_000_000], ["gpt-4o", 128_000], ["chatgpt", 128_000], ["gpt-oss", 131_072],
  ["gpt-5", 400_000], ["gpt-5-chat", 128_000], ["gpt-5-1-chat", 128_000], ["gpt-5-2-chat", 128_000], ["gpt-5-3", 128_000], ["gpt-5-3-codex", 400_000], ["gpt-5-4", 1_050_000], ["gpt-5-4-mini", 400_000], ["gpt-5-4-nano", 400_000], ["gpt-5-5", 1_000_000], ["gpt-5-6", 1_050_000], ["gpt-6", 1_050_000],
  ["o1", 200_000], ["o1-mini", 128_000], ["o1-preview", 128_000], ["o3", 200_000], ["o4", 200_000],
  ["claude", 200_000], ["claude-fable-5", 1_000_000], ["claude-opus-4-6", 1_000_000], ["claude-opus-4-7", 1_000_000], ["claude-opus-4-8", 1_000_000], ["claude-opus-5", 1_000_000], ["claude-sonnet-4-6", 1_000_000], ["claude-sonnet-5", 1_000_000],
  ["gemini", 1_000_000], ["gemini-1-0", 32_768], ["gemini-pro", 32_768], ["gemini-pro-1-5", 1_000_000], ["gemma", 128_000], ["gemma-4", 131_072], ["deepseek", 128_000], ["deepseek-chat", 64_000], ["deepseek-reasoner", 64_000], ["deepseek-v4", 1_000_000],
  ["mistral", 128_000], ["mistral-large-2512", 262_144], ["mistral-medium-3-5", 262_144], ["mistral-small-2603", 262_144], ["magistral", 40_000], ["ministral", 128_000], ["codestral", 256_000], ["devstral-2512", 262_144], ["voxtral-small", 32_768], ["voxtral-mini", 16_384],
  ["grok", 131_072], ["grok-2", 32_768], ["grok-4", 256_000], ["grok-4-fast", 2_000_000], ["grok-4-1-fast", 2_000_000], ["grok-4-20", 1_000_000], ["grok-4-3", 1_000_000], ["grok-4-5", 500_000], ["grok-4-6", 500_000], ["grok-code", 256_000], ["grok-build", 256_000],
  ["kimi", 131_072], ["kimi-k2-0905", 262_144], ["kimi-k2-thinking", 262_144], ["kimi-k2-turbo", 262_144], ["kimi-k2-5", 262_144], ["kimi-k2-6", 262_144], ["kimi-k2-7", 262_144], ["kimi-k3", 1_048_576], ["moonshot-v1-8k", 8_192], ["moonshot-v1-32k", 32_768], ["moonshot-v1-128k", 131_072],
  ["qwen", 128_000], ["qwen3", 131_072], ["qwen-3", 131_072], ["glm", 128_000], ["llama-3-3", 128_000], ["llama-4", 128_000], ["sonar", 128_000], ["sonar-pro", 200_000],
];
const UNKNOWN_CONTEXT = 32_000;
/** Local servers cut the prompt silently at what they were started with, which is often little. */
const LOCAL_CONTEXT = 8_000;

/** A careful guess for where the user gives no number. */
export function guessContext(provider: Provider, model: string): number {
  if (provider.keyless) return LOCAL_CONTEXT;
  const name = model.toLowerCase().slice(model.lastIndexOf("/") + 1).replace(/^([a-z]+\.)?anthropic\./, "").replaceAll(".", "-");
  let best: readonly [string, number] | undefined;
  for (const row of CONTEXTS) if (name.startsWith(row[0]) && row[0].length > (best?.[0].length ?? 0)) best = row;
  return best?.[1] ?? UNKNOWN_CONTEXT;
}
