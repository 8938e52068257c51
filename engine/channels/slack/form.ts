/** A Form as a modal. Pure. */
import type { webApi } from "@slack/bolt";
import type { Address, Draft, Form, FormField } from "../../message.ts";
import { contentOf, type KnownBlock, optionOf, tooLong, words } from "./blocks.ts";
import { ID_LIMIT, INPUT_LIMIT, LABEL_LIMIT, MODAL_FIELDS_LIMIT, MODAL_TITLE_LIMIT, OPTIONS_LIMIT, PLACEHOLDER_LIMIT } from "./limits.ts";

/** The chat it belongs to rides in its metadata: a submitted modal names none. A field's key is the name of its block. */
export function modalOf(to: Address, draft: Draft, form: Form): webApi.ViewsOpenArguments["view"] {
  if (form.fields.length > MODAL_FIELDS_LIMIT) throw tooLong("a form", MODAL_FIELDS_LIMIT, form.fields.length, "fields");
  for (const { key } of form.fields) if (key.length > ID_LIMIT) throw tooLong("a field's key", ID_LIMIT, key.length);
  if (form.name.length > ID_LIMIT) throw tooLong("a form's name", ID_LIMIT, form.name.length);
  const { cards, ...intro } = draft;
  const about = draft.text === "" && cards === undefined ? [] : contentOf({ text: intro.text, plain: intro.plain ?? false, cards: (cards ?? []).map(({ color: _, ...card }) => card) });
  const head: KnownBlock[] = "blocks" in about ? (about.blocks.length > 0 ? about.blocks : [{ type: "section", text: { type: "mrkdwn", text: about.text.slice(0, INPUT_LIMIT), verbatim: true } }]) : [];
  return {
    type: "modal",
    callback_id: form.name,
    title: words(form.title, MODAL_TITLE_LIMIT),
    submit: words(form.submit ?? "OK", MODAL_TITLE_LIMIT),
    private_metadata: JSON.stringify({ chat: to.chat, ...(to.thread === undefined ? {} : { thread: to.thread }) }),
    blocks: [...head, ...form.fields.map(inputOf)],
  };
}

function inputOf(field: FormField): KnownBlock {
  return { type: "input", block_id: field.key, optional: field.required !== true, label: words(field.label, 2000), element: elementOf(field) };
}
function elementOf({ type, initial, options = [] }: FormField) {
  const action_id = "value";
  if (type !== "choice") return { type: "plain_text_input" as const, action_id, multiline: type === "long", ...(initial === undefined ? {} : { initial_value: initial.slice(0, INPUT_LIMIT) }) };
  if (options.length > OPTIONS_LIMIT) throw tooLong("a menu", OPTIONS_LIMIT, options.length, "options");
  const made = options.map(optionOf);
  const chosen = made.find(({ value }) => value === initial);
  return { type: "static_select" as const, action_id, options: made, placeholder: words("…", Math.min(LABEL_LIMIT, PLACEHOLDER_LIMIT)), ...(chosen === undefined ? {} : { initial_option: chosen }) };
}
