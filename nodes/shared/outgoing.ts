/** What is done to a draft before it is sent: translated back, and spoken. What fails leaves the words as they are. */
import { asClawError, type ClawError } from "../../engine/errors.ts";
import type { Gateway } from "../../engine/gateway.ts";
import type { Address, Draft, Message } from "../../engine/message.ts";
import { paidMedia } from "../../engine/models/charge.ts";
import { paying } from "../../engine/senses/senses.ts";
import { needsWords, spokenText } from "../../engine/senses/spoken.ts";
import { modelNode } from "./config.ts";
import type { Host } from "./gateways.ts";
import type { Known } from "./run.ts";
import { payerFor } from "./payer.ts";
import { onceOf, sensesOf } from "./senses.ts";

export type VoiceWhen = "never" | "asked" | "always";
export interface Outgoing { readonly voice?: VoiceWhen; readonly voiceModel?: string; readonly voiceName?: string; readonly translateModel?: string }
export interface Place { readonly to: Address; readonly known: Known | undefined; readonly step: string; readonly node: string; /** The message as the flow left it. */ readonly message: Message | undefined }

const SPEAK_MS = 60_000;
/** May the form's settings change what is sent at all? Then an answer is not shown while it is written. */
export const changes = ({ voice, translateModel }: Outgoing): boolean => (voice !== undefined && voice !== "never") || Boolean(translateModel);

export async function outgoing(host: Host, gateway: Gateway, config: Outgoing, given: Draft, place: Place): Promise<{ readonly draft: Draft; readonly faults: readonly ClawError[] }> {
  const faults: ClawError[] = [];
  let draft = given;
  const tries: ((now: Draft) => Promise<Draft>)[] = [(now) => translateBack(host, gateway, config, now, place), (now) => speak(host, gateway, config, now, place)];
  for (const act of tries) {
    try {
      draft = await act(draft);
    } catch (thrown) {
      faults.push(asClawError(thrown, "MODEL_001"));
    }
  }
  return { draft, faults };
}

async function translateBack(host: Host, gateway: Gateway, { translateModel }: Outgoing, draft: Draft, { known, step, node, message }: Place): Promise<Draft> {
  const back = message?.translated;
  if (!translateModel || back?.from === undefined || draft.text.trim() === "") return draft;
  const senses = sensesOf(host, gateway, known, { mind: translateModel }, onceOf(gateway, known, step), step, payerFor(host, gateway, known, node));
  const { text } = await senses.translate(draft.text, { to: back.from, from: back.to, names: [] });
  return { ...draft, text };
}

async function speak(host: Host, gateway: Gateway, { voice = "never", voiceModel, voiceName }: Outgoing, draft: Draft, { to, known, step, node, message }: Place): Promise<Draft> {
  const asked = (known?.receipt.message ?? message)?.attachments.some(({ kind }) => kind === "voice") === true;
  const can = gateway.connections.get(to.account)?.channel.shows?.files?.includes("voice") === true;
  if (!can || voice === "never" || (voice === "asked" && !asked) || draft.attachments?.some(({ kind }) => kind === "voice") === true) return draft;
  const words = spokenText(draft);
  if (words === undefined) return draft;
  const once = onceOf(gateway, known, step);
  const payer = payerFor(host, gateway, known, node);
  const kept = await once("speak", paying(payer, async () => {
    const sound = await paidMedia(await modelNode(host, voiceModel).media(), payer).speak(words, { limitMs: SPEAK_MS, ...(voiceName ? { voice: voiceName } : {}) }, known?.signal ?? new AbortController().signal);
    const { id } = await gateway.spool.save(new Blob([sound.bytes]).stream(), { mime: sound.mime });
    // Voice notes are Ogg with Opus; what a server writes otherwise is converted where ffmpeg is installed.
    const ready = await gateway.file({ kind: "voice", media: `spool:${id}`, mime: sound.mime }, { types: ["audio/ogg"] });
    return { media: ready.media, mime: ready.mime };
  }));
  return { ...draft, text: needsWords(draft) ? draft.text : "", attachments: [...(draft.attachments ?? []), { kind: "voice", media: kept.media, mime: kept.mime, alt: words.slice(0, 1_000) }] };
}
