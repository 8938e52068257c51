/** What a question to a person takes as its answer, and how words and presses are read. Pure. */
import { compilePattern } from "./patterns.ts";
import type { Button, Draft, Message } from "./message.ts";

export type Value = string | number | boolean;
/** `also`: other words for it; case does not count. */
export interface Choice { readonly label: string; readonly value: Value; readonly also?: readonly string[] }
export type AnswerForm =
  | { readonly kind: "choice"; readonly choices: readonly Choice[] }
  | { readonly kind: "text"; readonly pattern?: string }
  | { readonly kind: "number"; readonly min?: number; readonly max?: number; readonly whole?: boolean }
  /** Buttons alone, or the code of its seal: no other words are an answer. The first choice approves, the second denies. */
  | { readonly kind: "sealed"; readonly choices: readonly Choice[] };
/** What only those know who were asked: `nonce` stands in the buttons (128 bits), `code` is typed. `bound`: hash of all that the answer holds for. */
export interface Seal { readonly nonce: string; readonly code: string; readonly bound: string }
export interface Read { readonly value: Value; readonly label?: string }

/** Words as an answer; undefined: they do not fit. A choice is named by its label, by another word for it, or by its number in the list. */
export function readAnswer(form: AnswerForm, text: string): Read | undefined {
  const said = text.trim();
  if (said === "" || form.kind === "sealed") return undefined;
  switch (form.kind) {
    case "choice": {
      const word = folded(said);
      const numbered = /^(\d{1,3})[.)]?$/.exec(said)?.[1];
      const named = form.choices.find(({ label, also = [] }) => [label, ...also].some((one) => folded(one) === word));
      const choice = named ?? (numbered === undefined ? undefined : form.choices[Number(numbered) - 1]);
      return choice && readOf(choice);
    }
    case "text": return form.pattern === undefined || compilePattern(form.pattern).test(said) ? { value: said } : undefined;
    case "number": {
      if (!/^[-+]?\d{1,15}([.,]\d{1,15})?$/.test(said)) return undefined;
      const value = Number(said.replace(",", "."));
      const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY, whole = false } = form;
      return value < min || value > max || (whole && !Number.isInteger(value)) ? undefined : { value };
    }
  }
}
const readOf = ({ value, label }: Choice): Read => ({ value, label });
/** Case, and marks at the end, make no other word. */
export function folded(text: string): string {
  const said = text.trim();
  let end = said.length;
  while (end > 0 && MARKS.includes(said.charAt(end - 1))) end--;
  return said.slice(0, end).trim().toLocaleLowerCase();
}
const MARKS = ".!…";

const PRESS = /^ask:([A-Za-z0-9_-]{12}):(\d{1,3})(?::([A-Za-z0-9_-]{22}))?$/;
/** The button value of a choice, at most 43 bytes: platforms allow 64 and more. */
const pressValue = (question: string, choice: number, seal: Seal | undefined): string => `ask:${question}:${choice}${seal === undefined ? "" : `:${seal.nonce}`}`;
/** Which choice of which question was pressed; undefined: it was another button. */
export function pressOf({ action }: Message): { readonly question: string; readonly choice: number; readonly nonce: string | undefined } | undefined {
  const [value] = action?.type === "button" ? [action.value] : action?.type === "choice" ? action.values : [];
  const match = PRESS.exec(value ?? "");
  return match === null ? undefined : { question: match[1] as string, choice: Number(match[2]), nonce: match[3] };
}
export function readPress(form: AnswerForm, choice: number): Read | undefined {
  const chosen = form.kind === "choice" || form.kind === "sealed" ? form.choices[choice] : undefined;
  return chosen && readOf(chosen);
}

const CODE = /^\/(approve|deny)(?:@[\w.-]{1,64})?\s+([0-9a-z]{4,6})[.!]?$/i;
/** "/approve 7K3Q" and "/deny 7K3Q", typed or chosen from the platform's menu: which choice of which code. */
export function codeOf({ kind, text, action }: Message): { readonly choice: 0 | 1; readonly code: string } | undefined {
  const typed = action?.type === "command" ? `/${action.name} ${action.args}` : kind === "message" && action === undefined ? text : "";
  const match = CODE.exec(typed.trim());
  return match === null ? undefined : { choice: match[1]?.toLowerCase() === "approve" ? 0 : 1, code: (match[2] as string).toUpperCase() };
}

/** More than this in one row is hard to read on a telephone. */
const ROW_CHARACTERS = 24;
/** Buttons where there is a choice; a channel without buttons gets them as a numbered list (channels/degrade.ts). */
export function questionDraft(text: string, form: AnswerForm, question: string, seal?: Seal): Draft {
  if (form.kind !== "choice" && form.kind !== "sealed") return { text };
  const buttons = form.choices.map(({ label }, at): Button => ({ label, value: pressValue(question, at, seal) }));
  const short = buttons.reduce((all, { label }) => all + label.length, 0) <= ROW_CHARACTERS;
  // What is approved holds other people's words: they are no markup.
  return { text, ...(form.kind === "sealed" ? { plain: true } : {}), buttons: short ? [buttons] : buttons.map((button) => [button]) };
}
