/** What the process of child.ts and the test say to each other, and what a flow answers. */
import type { Account } from "../../../engine/channels/channel.ts";
import type { Address } from "../../../engine/message.ts";

export interface Config { readonly folder: string; readonly account: Account; readonly webhookUrl?: string; /** What the account's storage holds from the beginning. */ readonly seed: readonly (readonly [string, unknown])[] }
export type Order =
  /** So many messages are not taken by the store. */
  | { readonly do: "refuse"; readonly times: number }
  | { readonly do: "account"; readonly account: Account }
  | { readonly do: "send"; readonly to: Address; readonly text: string }
  /** Send what a flow answers to this text. */
  | { readonly do: "answer"; readonly to: Address; readonly text: string }
  | { readonly do: "counts"; readonly id: number };
export type Told =
  | { readonly what: "ready"; readonly port: number }
  | { readonly what: "state"; readonly state: string; readonly code: string | undefined; readonly text: string | undefined }
  | { readonly what: "run"; readonly text: string }
  | { readonly what: "refused" }
  | { readonly what: "dead"; readonly of: string; readonly reason: string }
  | { readonly what: "log"; readonly text: string }
  /** `open`: receipts and sends that are not at their end. */
  | { readonly what: "counts"; readonly id: number; readonly open: number };

export const PARTS = 3;
/** Longer texts than this are whole messages: of mail. */
export const LONG = 25_000;
export const answerTo = (text: string, part?: number): string => (part === undefined ? `a:${text}` : `a:${text} part ${part} `);
