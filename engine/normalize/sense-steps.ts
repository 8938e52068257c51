/** Steps that need a model: voice to text, describe pictures, translate. Each does its work once; what fails is marked, told, and the message goes on. */
import { asClawError, type ClawError } from "../errors.ts";
import type { FileAttachment, Message } from "../message.ts";
import type { NormalizeContext, StepKind } from "../normalize.ts";
import type { Senses } from "../senses/senses.ts";
import { detectLanguage } from "./language.ts";

/** Lent by whoever has models; without it these steps change nothing. */
export interface SenseContext { readonly senses: Senses; failed(error: ClawError): void }

const tagged = (message: Message, tag: string): Message => (message.tags?.includes(tag) === true ? message : { ...message, tags: [...(message.tags ?? []), tag] });
const below = (text: string, more: string): string => (text === "" ? more : more === "" ? text : `${text}\n${more}`);

/** Does `act` with each file that `wanted`, in order; what it makes of the message stands for the next. */
async function eachFile(message: Message, { sensing }: NormalizeContext, wanted: (file: FileAttachment) => boolean, act: { readonly fault: string; do(senses: Senses, file: FileAttachment, at: number, now: Message): Promise<Message> }): Promise<Message> {
  if (sensing === undefined) return message;
  let now = message;
  for (const [at, file] of message.attachments.entries()) {
    if (!("media" in file) || !wanted(file)) continue;
    try {
      now = await act.do(sensing.senses, file, at, now);
    } catch (thrown) {
      sensing.failed(asClawError(thrown, "MODEL_001"));
      now = tagged(now, act.fault);
    }
  }
  return now;
}
function withFile(message: Message, at: number, more: Partial<FileAttachment>): Message {
  return { ...message, attachments: message.attachments.map((file, index) => (index === at ? ({ ...file, ...more } as FileAttachment) : file)) };
}

export const SENSE_STEPS: readonly StepKind[] = [
  {
    type: "hear", label: "voice to text", hint: 'What is said in a voice note becomes the text, tagged "heard"; what cannot be heard is tagged "unheard".',
    params: [
      { key: "what", type: "choice", label: "hears", choices: ["voice", "audio"], initial: "voice" },
      { key: "seconds", type: "number", label: "longest (s)", initial: 300, min: 1, max: 7_200 },
      { key: "language", type: "text", label: "language", hint: "Such as de, where it is always the same; empty: any." },
    ],
    make: (params) => {
      const kinds = params.text("what") === "audio" ? ["voice", "audio"] : ["voice"];
      const seconds = params.number("seconds");
      const language = params.text("language").trim();
      return (message, context) => eachFile(message, context, (file) => kinds.includes(file.kind) && file.transcript === undefined, {
        fault: "unheard",
        async do(senses, file, at, now) {
          const heard = await senses.hear(file, { at: `${now.ref} ${at}`, seconds, ...(language === "" ? {} : { language }) });
          const told = heard.language ?? now.language;
          return { ...tagged(withFile(now, at, { transcript: heard.text }), "heard"), text: below(now.text, heard.text), ...(told === undefined ? {} : { language: told }) };
        },
      });
    },
  },
  {
    type: "see", label: "describe pictures", hint: 'What is to be seen is added to the text, tagged "described"; what cannot be seen is tagged "unseen". An agent whose model sees pictures needs no such step.',
    params: [{ key: "language", type: "text", label: "in the language", hint: "Such as de; empty: the person's, as far as it is known." }],
    make: (params) => {
      const wanted = params.text("language").trim();
      return (message, context) => eachFile(message, context, (file) => (file.kind === "image" || file.kind === "sticker") && file.alt === undefined, {
        fault: "unseen",
        async do(senses, file, at, now) {
          const language = wanted === "" ? now.language : wanted;
          const alt = await senses.see(file, { at: `${now.ref} ${at}`, ...(language === undefined ? {} : { language }) });
          return { ...tagged(withFile(now, at, { alt }), "described"), text: below(now.text, `[${file.kind}: ${alt}]`) };
        },
      });
    },
  },
  {
    type: "translate", label: "translate", hint: 'The text into one language, tagged "translated"; code, links and names stay. A channel out can translate the answer back.',
    params: [
      { key: "to", type: "text", label: "into", hint: "Such as en or de.", initial: "en", required: true },
      { key: "names", type: "list", label: "stays as it is", hint: "Names and words, one a line." },
    ],
    make: (params) => {
      const to = params.text("to").trim();
      const names = params.list("names");
      return async (message, { sensing }) => {
        if (sensing === undefined || message.action?.type === "command" || message.translated !== undefined) return message;
        const known = detectLanguage(message.text) ?? message.language;
        try {
          const { text, from } = await sensing.senses.translate(message.text, { to, names, ...(known === undefined ? {} : { from: known }) });
          return text === message.text ? message : { ...tagged(message, "translated"), text, translated: { to, text: message.text, ...(from === undefined ? {} : { from }) } };
        } catch (thrown) {
          sensing.failed(asClawError(thrown, "MODEL_001"));
          return tagged(message, "untranslated");
        }
      };
    },
  },
];
