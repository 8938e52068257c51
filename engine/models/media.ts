/**
 * Sound and pictures by OpenAI-compatible endpoints: audio/transcriptions, audio/speech, images/generations. What a provider has is a row.
 * Source: OpenAI's API reference; the providers' own pages.
 */
import { ModelError, SettingError } from "../errors.ts";
import { sniff } from "../media/sniff.ts";
import { type Extras, fillExtras, type ModelExtras } from "./extras.ts";
import { ModelFault, modelFault } from "./faults.ts";
import { checkModel } from "./index.ts";
import type { ModelSettings, Usage } from "./model.ts";
import { findMediaPrice, type MediaPrice, PRICES, type Work } from "./prices.ts";
import { NO_TIMEOUT_MS, type Place, placeOf } from "./place.ts";
import { findProvider } from "./providers.ts";

/** Models to begin with. `voice`: one of its voices; `format`: how it writes speech, opus where it can. */
export interface MediaRow { readonly hear?: string; readonly speak?: { readonly model: string; readonly voice: string; readonly format: "opus" | "wav" | "mp3" }; readonly draw?: string }
const ANY: MediaRow = { hear: "whisper-1", speak: { model: "tts-1", voice: "alloy", format: "opus" }, draw: "gpt-image-1" };
/** What is not here has none of the three. */
export const MEDIA: Readonly<Record<string, MediaRow>> = {
  openai: { hear: "gpt-4o-mini-transcribe", speak: { model: "gpt-4o-mini-tts", voice: "alloy", format: "opus" }, draw: "gpt-image-1" },
  azure: ANY, litellm: ANY, "openai-compatible": ANY,
  groq: { hear: "whisper-large-v3-turbo", speak: { model: "canopylabs/orpheus-v1-english", voice: "hannah", format: "wav" } },
  mistral: { hear: "voxtral-mini-latest" },
  together: { hear: "openai/whisper-large-v3", draw: "black-forest-labs/FLUX.1-schnell" },
  siliconflow: { hear: "FunAudioLLM/SenseVoiceSmall", speak: { model: "FunAudioLLM/CosyVoice2-0.5B", voice: "FunAudioLLM/CosyVoice2-0.5B:alex", format: "opus" }, draw: "Kwai-Kolors/Kolors" },
  ollama: { hear: "whisper", speak: { model: "tts", voice: "alloy", format: "wav" } },
  vllm: { hear: "openai/whisper-large-v3" },
  gemini: { draw: "imagen-4.0-generate-001" },
  xai: { draw: "grok-2-image" },
};

export interface Sound { readonly bytes: Uint8Array<ArrayBuffer>; readonly mime: string; readonly name: string }
export interface Picture { readonly bytes: Uint8Array<ArrayBuffer>; readonly mime: string; readonly usage?: Usage }
/** `counted`: what the provider says it counted. */
export interface HeardSound { readonly text: string; readonly language?: string; readonly counted?: Pick<Work, "seconds" | "tokens"> }
/** One model at one provider, for sound or pictures. Each method throws ModelFault and tries once; one request has `limitMs`. */
export interface MediaModel {
  readonly id: string;
  readonly provider: string;
  /** What it costs, where that is known: `workCost(price, work)` in prices.ts. */
  readonly price?: MediaPrice;
  /** `language`: BCP 47 of what is said, where it is known; the answer's where the provider tells one. */
  hear(sound: Sound, options: { readonly language?: string; readonly limitMs: number }, signal: AbortSignal): Promise<HeardSound>;
  speak(text: string, options: { readonly voice?: string; readonly limitMs: number }, signal: AbortSignal): Promise<{ readonly bytes: Uint8Array<ArrayBuffer>; readonly mime: string }>;
  draw(prompt: string, options: { readonly size?: string; readonly limitMs: number }, signal: AbortSignal): Promise<Picture>;
}

/** Throws SettingError (CONF_001). No request is made. */
export async function openMedia(settings: ModelSettings, fetch: typeof globalThis.fetch, extras?: ModelExtras): Promise<MediaModel> {
  const provider = findProvider(settings.provider);
  const row = MEDIA[settings.provider];
  const problems = checkModel(settings);
  if (problems.length > 0 || provider === undefined) throw new SettingError("CONF_001", {}, problems.join(" "));
  if (row === undefined) throw new SettingError("CONF_001", {}, `Expected a provider that has sound or pictures (${Object.keys(MEDIA).join(", ")}), got ${provider.label}.`);
  const filled = fillExtras(extras);
  const price = settings.price ?? findMediaPrice(settings.provider, settings.model, [...(filled.prices ?? []), PRICES])?.price;
  const model = await mediaModel(placeOf(settings, provider, filled.clock), row, fetch, filled);
  return price === undefined ? model : { ...model, price };
}

/** Texts to be spoken may have 4096 characters (OpenAI). */
export const MAX_SPOKEN = 4_000;
const MAX_BYTES = 25 * 1024 * 1024;

async function mediaModel(place: Place, row: MediaRow, fetch: typeof globalThis.fetch, { clock }: Extras): Promise<MediaModel> {
  const { default: Client, toFile } = await import("openai");
  const { settings, provider, party } = place;
  const { model } = settings;
  const keyless = settings.key === undefined || settings.key === "";
  const client = new Client({
    apiKey: keyless ? "none" : settings.key, baseURL: place.baseUrl, organization: null, project: null, webhookSecret: null, adminAPIKey: null,
    defaultHeaders: { ...(keyless ? { authorization: null } : {}), ...provider.headers, ...settings.headers }, fetch, maxRetries: 0, timeout: NO_TIMEOUT_MS, logLevel: "off",
  });

  async function within<T>(limitMs: number, signal: AbortSignal, act: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const own = new AbortController();
    let late = false;
    const cancel = clock.after(limitMs, () => { late = true; own.abort(); });
    const follow = (): void => own.abort(signal.reason);
    signal.throwIfAborted();
    signal.addEventListener("abort", follow, { once: true });
    try {
      return await act(own.signal);
    } catch (thrown) {
      if (signal.aborted) throw signal.reason;
      if (late) throw new ModelFault("too slow", `${party.name} took longer than ${limitMs / 1000} s.`);
      throw thrown instanceof ModelError ? thrown : modelFault(thrown, party);
    } finally {
      cancel();
      signal.removeEventListener("abort", follow);
    }
  }
  function need(what: keyof MediaRow, words: string): void {
    if (row[what] === undefined) throw new SettingError("CONF_001", {}, `Expected a provider that can ${words} (${Object.keys(MEDIA).filter((id) => MEDIA[id]?.[what] !== undefined).join(", ")}), got ${provider.label}.`);
  }
  const bad = (text: string): ModelFault => new ModelFault("bad answer", `${party.name}: ${text}`);

  return {
    id: model, provider: provider.id,
    async hear({ bytes, mime, name }, { language, limitMs }, signal) {
      need("hear", "hear");
      return within(limitMs, signal, async (own) => {
        const file = await toFile(bytes, name, { type: mime });
        const primary = language?.split("-", 1)[0]?.toLowerCase();
        // Plain "json" is what every server and every model writes; only whisper's own tells a language, and by another form.
        const said: unknown = await client.audio.transcriptions.create({ file, model, response_format: "json", ...(primary === undefined ? {} : { language: primary }) }, { signal: own });
        const { text, language: told, usage } = (typeof said === "object" && said !== null ? said : { text: said }) as { text?: unknown; language?: unknown; usage?: unknown };
        if (typeof text !== "string") throw bad("expected the words of a recording, got none.");
        const counted = countedIn(usage);
        return { text: text.trim(), ...(typeof told === "string" && /^[a-z]{2,3}(-|$)/i.test(told) ? { language: told } : {}), ...(counted === undefined ? {} : { counted }) };
      });
    },
    async speak(text, { voice, limitMs }, signal) {
      need("speak", "speak");
      const { voice: usual = "alloy", format = "opus" } = row.speak ?? {};
      return within(limitMs, signal, async (own) => {
        const answer = await client.audio.speech.create({ model, input: text, voice: voice || usual, response_format: format }, { signal: own });
        const bytes = new Uint8Array(await answer.arrayBuffer());
        const mime = sniff(bytes.subarray(0, 4_100), "application/octet-stream");
        if (!mime.startsWith("audio/") || bytes.length > MAX_BYTES) throw bad(`expected speech of at most ${MAX_BYTES} bytes, got ${bytes.length} bytes of ${mime}.`);
        return { bytes, mime };
      });
    },
    async draw(prompt, { size, limitMs }, signal) {
      need("draw", "draw");
      return within(limitMs, signal, async (own) => {
        // OpenAI's newer models always send the bytes, and refuse the parameter; the others are asked for them.
        const asked = /^(gpt-image|chatgpt-image)/.test(model) ? {} : { response_format: "b64_json" as const };
        const answer = await client.images.generate({ model, prompt, n: 1, ...asked, ...(size ? { size: size as "1024x1024" } : {}) }, { signal: own });
        const encoded = answer.data?.[0]?.b64_json;
        if (typeof encoded !== "string") throw bad("expected the picture's bytes, got none.");
        const bytes = new Uint8Array(Buffer.from(encoded, "base64"));
        const mime = sniff(bytes.subarray(0, 4_100), "application/octet-stream");
        if (!mime.startsWith("image/") || bytes.length > MAX_BYTES) throw bad(`expected a picture of at most ${MAX_BYTES} bytes, got ${bytes.length} bytes of ${mime}.`);
        const { usage } = answer;
        return { bytes, mime, ...(usage === undefined ? {} : { usage: { input: usage.input_tokens, output: usage.output_tokens } }) };
      });
    },
  };
}

/** `usage` of a transcription: seconds, or tokens. What cannot be true is not there. */
function countedIn(usage: unknown): HeardSound["counted"] {
  const { type, seconds, input_tokens: input, output_tokens: output } = (typeof usage === "object" && usage !== null ? usage : {}) as Record<string, unknown>;
  const count = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value) && value >= 0 && value < 20_000_000;
  if (type === "duration" && count(seconds)) return { seconds };
  return type === "tokens" && count(input) && count(output) ? { tokens: { input, output } } : undefined;
}
