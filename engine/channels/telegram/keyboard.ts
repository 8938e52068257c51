/** Buttons and menus as an inline keyboard, and what comes back when one is pressed. */
import type { InlineKeyboardButton, InlineKeyboardMarkup } from "grammy/types";
import { ChannelError } from "../../errors.ts";
import type { Action, Button, Choices, Draft } from "../../message.ts";
import { BUTTON_LIMIT } from "./limits.ts";

/** https://core.telegram.org/bots/api#inlinekeyboardbutton: callback_data, 1-64 bytes. */
const DATA_BYTES = 64;
/**
 * A button's data is its value as it is. What begins with a mark is written otherwise: `~=<value>` a button whose own value begins so,
 * `~c<name>\n<value>` an option of a menu, `~i<name>\n<index>` one whose value is a label too long to stand here: the label comes back with the press.
 */
const MARK = "~";

export function keyboard(draft: Pick<Draft, "buttons" | "choices">): InlineKeyboardMarkup | undefined {
  const rows = [...(draft.buttons ?? []).map((row) => row.map(pressed)), ...(draft.choices === undefined ? [] : menu(draft.choices))].filter((row) => row.length > 0);
  if (rows.length === 0) return undefined;
  const count = rows.flat().length;
  if (count > BUTTON_LIMIT) throw new ChannelError("MSG_003", {}, `Expected at most ${BUTTON_LIMIT} buttons and options in one message, got ${count}.`);
  return { inline_keyboard: rows };
}

function pressed({ label, value = label, url, style }: Button): InlineKeyboardButton {
  const look = style === undefined ? {} : { style };
  if (url !== undefined) return { text: label, url, ...look };
  return { text: label, callback_data: within(value.startsWith(MARK) ? `${MARK}=${value}` : value, `value of button "${label}"`), ...look };
}

/** Short options stand beside each other. */
function menu({ name = "", options }: Choices): InlineKeyboardButton[][] {
  const head = `${name.replace(/\s+/g, " ").trim()}\n`;
  const keys = options.map(({ label, value }, index): InlineKeyboardButton => {
    const whole = `${MARK}c${head}${value ?? label}`;
    const data = value === undefined && Buffer.byteLength(whole) > DATA_BYTES ? `${MARK}i${head}${index}` : whole;
    return { text: label, callback_data: within(data, `value of option "${label}" with the name of its menu`) };
  });
  const longest = Math.max(...options.map(({ label }) => label.length));
  const width = longest <= 8 ? 3 : longest <= 16 ? 2 : 1;
  return Array.from({ length: Math.ceil(keys.length / width) }, (_, row) => keys.slice(row * width, (row + 1) * width));
}

function within(data: string, what: string): string {
  const bytes = Buffer.byteLength(data);
  if (bytes === 0 || bytes > DATA_BYTES) throw new ChannelError("MSG_003", {}, `Expected the ${what} to be 1 to ${DATA_BYTES} bytes, got ${bytes}. Use a short id for it.`);
  return data;
}

/** `label`: what stood on the key, where the message still tells it. */
export function actionOf(data: string, label: string | undefined): Action {
  const [head = "", ...rest] = data.slice(2).split("\n");
  const menu = data.startsWith(`${MARK}c`) ? rest.join("\n") : data.startsWith(`${MARK}i`) ? (label ?? rest.join("\n")) : undefined;
  if (menu !== undefined && rest.length > 0) return { type: "choice", values: [menu], ...(head === "" ? {} : { name: head }) };
  return { type: "button", value: data.startsWith(`${MARK}=`) ? data.slice(2) : data, ...(label === undefined ? {} : { label }) };
}
