/** A folder of documents that agents can ask. A thread reads it; what stops the thread is named and left out. */
import { Worker } from "node:worker_threads";
import type { Clock } from "../clock.ts";
import { ToolError } from "../errors.ts";
import type { Tool } from "../tool.ts";
import type { Passage } from "./shelf.ts";
import type { FromWorker, ShelfState, ToWorker, WorkerSettings } from "./worker.ts";

export interface DocumentsOptions extends WorkerSettings {
  /** Code of the thread. */
  readonly worker: URL;
  readonly clock: Clock;
  onState(state: ShelfState): void;
}
export interface Documents {
  /** Throws ToolError DOC_001 while the folder cannot be read. */
  search(question: string, limit: number): Promise<readonly Passage[]>;
  state(): ShelfState;
  close(): Promise<void>;
}

/** One document, and one question, must not take longer. */
const READ_MS = 60_000;
const ANSWER_MS = 15_000;
const RESTART_MS = 1_000;
/** A thread that ends before it has said anything is begun again ever later, up to this. */
const MOST_RESTART_MS = 60_000;
/** A document whose reading takes more memory is left out. */
const MOST_MB = 512;
const NOTHING: ShelfState = { files: 0, passages: 0, busy: true, more: false, problems: [] };

export function openDocuments({ worker: code, clock, onState, ...settings }: DocumentsOptions): Documents {
  const waiting = new Map<number, (passages: readonly Passage[] | undefined) => void>();
  let state = NOTHING;
  let worker: Worker | undefined;
  let ids = 0;
  let inVain = 0;
  let closed = false;
  let cancelStart = (): void => undefined;
  let cancelWatch = (): void => undefined;

  function begin(): void {
    const own = new Worker(code, { workerData: settings, resourceLimits: { maxOldGenerationSizeMb: MOST_MB } });
    worker = own;
    let speaks = false;
    let fault = "";
    own.on("message", (message: FromWorker) => {
      speaks = true;
      inVain = 0;
      if (message.type === "found") waiting.get(message.id)?.(message.passages);
      else if (message.type === "state") {
        state = message.state;
        onState(state);
      } else {
        cancelWatch();
        if (message.file !== undefined) cancelWatch = clock.after(READ_MS, () => void own.terminate());
      }
    });
    // Out of memory, or ended by us: the file it was at is left out by the next one. One that could not even begin says why.
    own.on("error", (error: Error) => { fault = error.message; });
    own.on("exit", () => {
      cancelWatch();
      if (!speaks && !closed) {
        inVain++;
        state = { ...NOTHING, busy: false, fault };
        onState(state);
      }
      if (worker === own) worker = undefined;
      for (const answer of waiting.values()) answer(undefined);
      if (!closed) cancelStart = clock.after(Math.min(RESTART_MS * 2 ** inVain, MOST_RESTART_MS), begin);
    });
    own.unref();
  }
  begin();

  return {
    async search(question, limit) {
      if (state.fault !== undefined) throw new ToolError("DOC_001", { retry: "later" }, `Expected the folder of documents to be readable, got ${state.fault}.`);
      const id = ++ids;
      const { promise, resolve } = Promise.withResolvers<readonly Passage[] | undefined>();
      waiting.set(id, resolve);
      const cancel = clock.after(ANSWER_MS, () => resolve(undefined));
      worker?.postMessage({ type: "search", id, question, limit } satisfies ToWorker);
      const found = await promise;
      cancel();
      waiting.delete(id);
      if (found === undefined) throw new ToolError("DOC_001", { retry: "later" }, "Expected the documents to be searched within 15 s, but they are being read anew. Try again in a moment.");
      return found;
    },
    state: () => state,
    async close() {
      closed = true;
      cancelStart();
      cancelWatch();
      const own = worker;
      if (own === undefined) return;
      const gone = new Promise((resolve) => { own.once("exit", resolve); });
      own.postMessage({ type: "close" } satisfies ToWorker);
      const cancel = clock.after(2_000, () => void own.terminate());
      await gone;
      cancel();
    },
  };
}

const SHOWN = 6;
/** How a passage is named: what the agent quotes. */
export const sourceOf = ({ file, place }: Pick<Passage, "file" | "place">): string => (place === "" ? file : /^page \d+$/.test(place) ? `${file}, ${place}` : `${file}, "${place}"`);

/** The tool by which agents ask the documents. `trusted`: what stands in them was written by people who may give orders; else it counts as text from outside. */
export function documentsTool(documents: Documents, { name, about, trusted, shared }: { readonly name: string; readonly about: string; readonly trusted: boolean; readonly shared: boolean }): Tool {
  return {
    name, tags: ["documents"], risk: "read", readsPrivate: true, talksOutside: false, shared, timeoutMs: 20_000,
    description: `Finds passages in documents${about === "" ? "" : `: ${about}`}. Answer from what it finds, and name the source of each statement in brackets, as it stands before the passage. Say so when nothing fits.`,
    parameters: { type: "object", properties: { query: { type: "string", description: "What is looked for, in the words and the language of the documents" } }, required: ["query"], additionalProperties: false },
    async call(input) {
      const found = await documents.search((input as { query: string }).query, SHOWN);
      if (found.length === 0) return { text: `No passage fits.${documents.state().busy ? " The documents are still being read; there may be more in a moment." : " Try other words."}` };
      return { text: `Name the source of what you use, like this: (${sourceOf(found[0] as Passage)})\n\n${found.map((passage) => `[${sourceOf(passage)}]\n${passage.text}`).join("\n\n")}`, tainted: !trusted };
    },
  };
}
