/** A model whose calls are paid for by whoever asks. It stands around each single model, so that a chain of several pays each one's own price. */
import { ClawError, type ErrorCode, SettingError } from "../errors.ts";
import { soundLength } from "../media/length.ts";
import { ModelFault } from "./faults.ts";
import type { MediaModel } from "./media.ts";
import type { Model, Payer } from "./model.ts";
import type { Work } from "./prices.ts";

/** With these the provider says that it did not begin. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set(["MODEL_002", "MODEL_003", "MODEL_004", "MODEL_005", "MODEL_008", "MODEL_009"]);
function didNothing(thrown: unknown): boolean {
  if (thrown instanceof ModelFault) {
    if (thrown.unsent) return true;
    if (thrown.begun || thrown.unsure) return false;
    // No provider read it. "No network" has the same code, and there it may have.
    if (thrown.kind === "wrong address") return true;
  }
  return thrown instanceof SettingError || (thrown instanceof ClawError && REFUSALS.has(thrown.code));
}

export function chargeModel(model: Model): Model {
  return {
    ...model,
    async *stream({ payer, ...request }, signal) {
      if (payer === undefined) return yield* model.stream(request, signal);
      const bill = await payer.begin(model, request);
      if (signal.aborted) bill.broken(true);
      signal.throwIfAborted();
      let state: "silent" | "heard" | "paid" = "silent";
      let fault: unknown;
      try {
        for await (const event of model.stream(request, signal)) {
          if (event.type !== "end") { state = "heard"; yield event; continue; }
          const usage = bill.paid(event.usage);
          state = "paid";
          yield { ...event, usage };
        }
      } catch (thrown) {
        fault = thrown;
        if (thrown instanceof ModelFault && thrown.usage !== undefined) {
          bill.paid(thrown.usage);
          state = "paid";
        }
        throw thrown;
      } finally {
        if (state !== "paid") bill.broken(state === "silent" && didNothing(fault));
      }
    },
  };
}

/** The same model, or chain of models, paid for by `payer` wherever it is asked. */
export const paidBy = (model: Model, payer: Payer): Model => ({ ...model, stream: (request, signal) => model.stream({ ...request, payer }, signal) });

/** Slower nobody speaks: characters of one second. */
const CHARACTERS_PER_SECOND = 8;
/** Of the largest picture in the best quality (gpt-image-1: 1024x1536, high). */
const PICTURE_TOKENS = 6_240;
/** Characters of one token, and what stands around a prompt. */
const PROMPT = { characters: 3, frame: 50 };

/** The same model for sound and pictures, paid for by `payer`: the most it may cost is reserved before each call, and what it was replaces that. */
export function paidMedia(media: MediaModel, payer: Payer): MediaModel {
  async function paying<T>(most: Work, act: () => Promise<T>, was: (done: T) => { readonly work: Work; readonly exact: boolean }, signal: AbortSignal): Promise<T> {
    const bill = await payer.beginWork(media, most);
    if (signal.aborted) bill.broken(true);
    signal.throwIfAborted();
    let done: T;
    try {
      done = await act();
    } catch (thrown) {
      bill.broken(didNothing(thrown));
      throw thrown;
    }
    const { work, exact } = was(done);
    bill.paid(work, exact);
    return done;
  }
  return {
    ...media,
    hear(sound, options, signal) {
      const { seconds, exact } = soundLength(sound.bytes, sound.mime);
      return paying({ seconds }, () => media.hear(sound, options, signal), ({ counted = {} }) => ({ work: { seconds, ...counted }, exact: exact || counted.seconds !== undefined }), signal);
    },
    speak(text, options, signal) {
      const characters = [...text].length;
      return paying({ characters, seconds: characters / CHARACTERS_PER_SECOND }, () => media.speak(text, options, signal), ({ bytes, mime }) => {
        const { seconds, exact } = soundLength(bytes, mime);
        return { work: { characters, seconds: exact ? seconds : Math.min(seconds, characters / CHARACTERS_PER_SECOND) }, exact: exact || !byMinute(media) };
      }, signal);
    },
    draw(prompt, options, signal) {
      const one = { pictures: 1, ...(options.size === undefined ? {} : { size: options.size }) };
      const most = { input: PROMPT.frame + Math.ceil(prompt.length / PROMPT.characters), output: PICTURE_TOKENS };
      const byTokens = media.price === undefined || !("per" in media.price);
      return paying(byTokens ? { ...one, tokens: most } : one, () => media.draw(prompt, options, signal), ({ usage }) => ({ work: { ...one, ...(usage !== undefined ? { tokens: usage } : byTokens && media.price !== undefined ? { tokens: most } : {}) }, exact: usage !== undefined || !byTokens }), signal);
    },
  };
}
const byMinute = ({ price }: MediaModel): boolean => price !== undefined && "per" in price && price.per === "minute";
