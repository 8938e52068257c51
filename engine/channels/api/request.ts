/** A request of `POST /chat/completions`, read: what the flow takes from it, and what is refused because the answer would not be what the client asked for. */
import type { FileKind } from "../../message.ts";
import { parseObject } from "../json.ts";
import { ApiFault } from "./answers.ts";

/** A file in a message: its bytes, or the address of a picture. */
export type GivenFile = { readonly kind: FileKind; readonly name?: string; readonly mime: string } & ({ readonly bytes: Uint8Array } | { readonly url: string });
export interface ChatRequest {
  readonly model: string;
  readonly stream: boolean;
  /** The last chunk of a stream tells the tokens used. */
  readonly streamUsage: boolean;
  /** What the person said last: the user messages behind the last answer. */
  readonly text: string;
  readonly files: readonly GivenFile[];
  /** What came before, instructions of the client included. */
  readonly before: readonly { readonly role: string; readonly text: string }[];
  readonly user?: string;
}

/** The result of a tool of the client's; "function" is the name older clients give it. */
export const isToolResult = ({ role }: { readonly role: string }): boolean => role === "tool" || role === "function";

const MAX_TEXT = 200_000;
const MAX_MESSAGES = 5_000;
const MAX_FILES = 10;
type Json = Readonly<Record<string, unknown>>;

const bad = (text: string, param?: string, word = "invalid_value"): ApiFault => new ApiFault("MSG_001", { status: 400, word, ...(param === undefined ? {} : { param }) }, text);

/** Throws ApiFault. */
export function readRequest(bytes: Uint8Array): ChatRequest {
  const body = parseObject(bytes);
  if (body === undefined) throw bad("Expected a JSON object, got something else.", undefined, "invalid_json");
  refuse(body);
  const { model, messages, stream, user } = body;
  if (typeof model !== "string" || model === "") throw bad("Expected a model's name.", "model", "missing_required_parameter");
  if (!Array.isArray(messages) || messages.length === 0 || messages.length > MAX_MESSAGES) throw bad(`Expected 1 to ${MAX_MESSAGES} messages.`, "messages", "missing_required_parameter");
  const read = messages.map((message: unknown, index) => readMessage(message, `messages[${index}]`));
  const first = read.findLastIndex((one) => one.role === "assistant" || isToolResult(one)) + 1;
  const said = read.slice(first).filter(({ role }) => role === "user");
  const text = said.map((one) => one.text).filter((one) => one !== "").join("\n\n");
  const files = said.flatMap((one) => one.files);
  if (said.length === 0 || (text === "" && files.length === 0)) throw bad("Expected the last message to be of the user, with a text or a file.", "messages");
  if (text.length > MAX_TEXT) throw bad(`Expected at most ${MAX_TEXT} characters in what the user said last, got ${text.length}.`, "messages", "string_above_max_length");
  if (files.length > MAX_FILES) throw bad(`Expected at most ${MAX_FILES} files, got ${files.length}.`, "messages");
  return {
    model, stream: stream === true, streamUsage: (body["stream_options"] as Json | undefined)?.["include_usage"] === true, text, files,
    before: read.slice(0, first).concat(read.slice(first).filter(({ role }) => role !== "user")).map((one) => ({ role: one.role, text: one.text })),
    ...(typeof user === "string" && user !== "" ? { user: user.slice(0, 256) } : {}),
  };
}

/** The flow has its own tools and its own words: what would need the model itself is refused, other wishes (temperature, limits) are passed over. */
function refuse({ n, tool_choice: choice, response_format: format, modalities, audio, logprobs }: Json): void {
  const no = (param: string, text: string): never => { throw bad(text, param, "unsupported_parameter"); };
  if (n !== undefined && n !== null && n !== 1) no("n", "Expected n to be 1: a flow answers once.");
  if (choice === "required" || (typeof choice === "object" && choice !== null)) no("tool_choice", "Expected no tool to be asked for: a flow uses its own tools, and never calls the client's.");
  if (format !== undefined && format !== null && (format as Json)["type"] !== "text") no("response_format", "Expected the response format to be text: a flow promises no other.");
  if (audio !== undefined && audio !== null) no("audio", "Expected no audio to be asked for: answers are text.");
  if (Array.isArray(modalities) && modalities.some((one) => one !== "text")) no("modalities", "Expected the modality text alone.");
  if (logprobs === true) no("logprobs", "Expected no log probabilities to be asked for: a flow has none.");
}

function readMessage(message: unknown, path: string): { readonly role: string; readonly text: string; readonly files: readonly GivenFile[] } {
  const { role, content } = (typeof message === "object" && message !== null ? message : {}) as Json;
  if (typeof role !== "string" || !["system", "developer", "user", "assistant", "tool", "function"].includes(role)) throw bad("Expected a role: system, developer, user, assistant or tool.", `${path}.role`);
  if (typeof content === "string") return { role, text: clean(content), files: [] };
  if (!Array.isArray(content)) return { role, text: "", files: [] };
  const parts = content as readonly (Json | null)[];
  const texts = parts.map((part) => (part?.["type"] === "text" && typeof part["text"] === "string" ? clean(part["text"]) : "")).filter((text) => text !== "");
  return { role, text: texts.join("\n"), files: role === "user" ? parts.flatMap((part, index) => readFile(part ?? {}, `${path}.content[${index}]`)) : [] };
}

function readFile(part: Json, path: string): GivenFile[] {
  const of = (key: string): Json => (typeof part[key] === "object" && part[key] !== null ? (part[key] as Json) : {});
  switch (part["type"]) {
    case "text": case "refusal": return [];
    case "image_url": {
      const { url } = of("image_url");
      if (typeof url === "string" && /^https?:/i.test(url)) return [{ kind: "image", mime: "image/*", url }];
      return [{ kind: "image", ...dataUrl(url, `${path}.image_url.url`) }];
    }
    case "input_audio": {
      const { data, format } = of("input_audio");
      return [{ kind: "voice", mime: format === "mp3" ? "audio/mpeg" : "audio/wav", bytes: base64(data, `${path}.input_audio.data`) }];
    }
    case "file": {
      const { file_data: data, filename } = of("file");
      return [{ kind: "document", ...dataUrl(data, `${path}.file.file_data`), ...(typeof filename === "string" ? { name: filename.slice(0, 200) } : {}) }];
    }
    default: throw bad(`Expected a part of type text, image_url, input_audio or file, got ${JSON.stringify(part["type"])?.slice(0, 60)}.`, `${path}.type`);
  }
}

function dataUrl(value: unknown, path: string): { readonly mime: string; readonly bytes: Uint8Array } {
  const found = typeof value === "string" ? /^data:([\w.+-]+\/[\w.+-]+)?(?:;[\w=.+-]+)*;base64,/.exec(value) : null;
  if (found === null) throw bad("Expected an address, or data:<type>;base64,… with the bytes.", path);
  return { mime: found[1] ?? "application/octet-stream", bytes: base64((value as string).slice(found[0].length), path) };
}
function base64(value: unknown, path: string): Uint8Array {
  const bytes = typeof value === "string" && /^[A-Za-z0-9+/_-]+={0,2}$/.test(value) ? Buffer.from(value, "base64") : undefined;
  if (bytes === undefined || bytes.length === 0) throw bad("Expected base64, got something else.", path);
  return bytes;
}
function clean(text: string): string { return text.replaceAll("\0", "").replace(/\r\n?/g, "\n").toWellFormed(); }
