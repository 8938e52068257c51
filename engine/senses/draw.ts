/** Pictures as a tool: one a call, kept in the media folder, and carried by the agent's answer. */
import { ToolError } from "../errors.ts";
import type { Spool } from "../media.ts";
import { paidMedia } from "../models/charge.ts";
import type { MediaModel } from "../models/media.ts";
import type { JsonSchema, Payer, Usage } from "../models/model.ts";
import type { CallContext, ToolResult } from "../tool.ts";

export const PICTURE_PARAMETERS: JsonSchema = {
  type: "object", additionalProperties: false, required: ["prompt"],
  properties: { prompt: { type: "string", minLength: 1, maxLength: 4_000, description: "What the picture shows, with style and mood." } },
};
/** Pictures of one run. */
const MAX_PICTURES = 4;
const REMEMBERED = 1_000;

export interface DrawDeps {
  readonly model: () => Promise<MediaModel>;
  readonly spool: () => Spool;
  /** Who pays where the caller is no agent, which pays itself. */
  payer(context: CallContext): Payer & { close(): void };
  spent(context: CallContext, usage: Usage): void;
  /** Such as 1024x1024; empty: the model's own. */
  readonly size: string;
  readonly limitMs: number;
}

export function createDraw({ model, spool, payer, spent, size, limitMs }: DrawDeps): (input: unknown, context: CallContext, signal: AbortSignal) => Promise<ToolResult> {
  const drawn = new Map<string, number>();
  return async (input, context, signal) => {
    const { prompt } = input as { readonly prompt: string };
    const before = drawn.get(context.run) ?? 0;
    if (before >= MAX_PICTURES) throw new ToolError("TOOL_003", {}, `Expected at most ${MAX_PICTURES} pictures for one message. Tell the user.`);
    drawn.set(context.run, before + 1);
    if (drawn.size > REMEMBERED) drawn.delete(drawn.keys().next().value as string);
    const own = context.payer === undefined ? payer(context) : undefined;
    const picture = await paidMedia(await model(), own ?? context.payer as Payer).draw(prompt, { limitMs, ...(size === "" ? {} : { size }) }, signal).finally(() => own?.close());
    const { id } = await spool().save(new Blob([picture.bytes]).stream(), { mime: picture.mime, signal });
    if (picture.usage !== undefined) spent(context, picture.usage);
    const cost = picture.usage === undefined ? "" : ` It cost ${picture.usage.input + picture.usage.output} tokens.`;
    return { text: `The picture is drawn, and stands under your answer by itself: do not link or describe it at length.${cost}`, files: [{ kind: "image", media: `spool:${id}`, mime: picture.mime, alt: prompt.slice(0, 1_000) }] };
  };
}
