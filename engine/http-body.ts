/** A request by undici's dispatcher, without the node stream that `undici.request` makes of each answer: it costs as much as the rest of a small request. */
import type { Dispatcher } from "undici";

export interface Head { readonly statusCode: number; readonly headers: Readonly<Record<string, string | string[] | undefined>>; readonly body: Body }

/** Bytes kept while nobody reads; then the connection waits. */
const KEPT_BYTES = 65_536;
/** A body nobody wants is read to its end up to this size, so that its connection can be used again; a longer one breaks it off. */
const DUMPED_BYTES = 131_072;

/** Resolves when the head of the answer is there. Rejects with undici's error, or with the signal's reason. */
export function send(dispatcher: Dispatcher, options: Dispatcher.DispatchOptions, signal: AbortSignal | undefined): Promise<Head> {
  return new Promise((resolve, reject) => {
    let controller: Dispatcher.DispatchController | undefined;
    let body: Body | undefined;
    const abort = (): void => {
      controller?.abort(reasonOf(signal));
      if (body === undefined) reject(reasonOf(signal));
    };
    const end = (): void => { signal?.removeEventListener("abort", abort); };
    // Throws when it was closed: then it rejects.
    dispatcher.dispatch(options, {
      onRequestStart(given) {
        controller = given;
        if (signal?.aborted) given.abort(reasonOf(signal));
      },
      onResponseStart(given, statusCode, headers) {
        if (statusCode < 200) return;
        body = new Body(given);
        resolve({ statusCode, headers, body });
      },
      onResponseData(_, piece) { body?.add(piece); },
      onResponseEnd() { end(); body?.end(undefined); },
      onResponseError(_, error) {
        end();
        if (body === undefined) reject(error);
        else body.end(error);
      },
    });
    signal?.addEventListener("abort", abort);
  });
}
/** grammY brings an AbortSignal of its own, which may have no reason. */
function reasonOf(signal: AbortSignal | undefined): Error {
  return (signal?.reason as Error | undefined) ?? new DOMException("This operation was aborted", "AbortError");
}

/** The body of an answer: text, or its pieces, once. Reading throws what ended it before its time. */
export class Body {
  /** Somebody has begun to read it. */
  read = false;
  readonly #controller: Dispatcher.DispatchController;
  #pieces: Uint8Array[] = [];
  #bytes = 0;
  #most = KEPT_BYTES;
  #ended = false;
  #fault: unknown;
  #changed: Promise<void> | undefined;
  #wake: (() => void) | undefined;

  constructor(controller: Dispatcher.DispatchController) { this.#controller = controller; }

  add(piece: Uint8Array): void {
    this.#bytes += piece.length;
    this.#pieces.push(piece);
    if (this.#bytes > this.#most) this.#controller.pause();
    this.#wake?.();
  }
  end(fault: unknown): void {
    this.#ended = true;
    this.#fault = fault;
    this.#wake?.();
  }
  async text(): Promise<string> {
    this.read = true;
    const pieces = await this.#all(Number.POSITIVE_INFINITY);
    return decoder.decode(pieces.length === 1 ? pieces[0] : Buffer.concat(pieces));
  }
  /** Lets go of it: the connection is free when this resolves. Never throws. */
  async dump(): Promise<void> {
    try {
      await this.#all(DUMPED_BYTES);
    } catch { /* Nobody wanted it. */ }
    this.destroy();
  }
  destroy(): void {
    if (!this.#ended) this.#controller.abort(new Error("The rest of the answer was not wanted."));
  }
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    this.read = true;
    try {
      for (;;) {
        const piece = this.#pieces.shift();
        if (piece === undefined) {
          if (this.#fault !== undefined) throw this.#fault;
          if (this.#ended) return;
          this.#controller.resume();
          await this.#change();
          continue;
        }
        this.#bytes -= piece.length;
        yield piece;
      }
    } finally {
      this.destroy();
    }
  }
  async #all(most: number): Promise<Uint8Array[]> {
    this.#most = most;
    this.#controller.resume();
    while (!this.#ended && this.#bytes <= most) await this.#change();
    if (this.#fault !== undefined) throw this.#fault;
    return this.#pieces;
  }
  #change(): Promise<void> {
    this.#changed ??= new Promise((resolve) => {
      this.#wake = () => { this.#changed = undefined; resolve(); };
    });
    return this.#changed;
  }
}
const decoder = new TextDecoder();
