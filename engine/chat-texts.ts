/** What the gateway itself says in a chat, in the language of whoever hears it. */
import german from "../locales/de/commands.json" with { type: "json" };
import english from "../locales/en-US/commands.json" with { type: "json" };
import type { Message } from "./message.ts";

type Catalogue = { readonly [key: string]: string | Catalogue };
const CATALOGUES: Readonly<Record<string, Catalogue>> = { en: english, de: german };

/** A text by its key, with its `__values__` in place. */
export type Say = (key: string, values?: Readonly<Record<string, string | number>>) => string;

/** BCP 47 language tags, the first that we speak counts; English where we speak none of them. */
export function sayIn(...languages: readonly (string | undefined)[]): Say {
  const known = languages.map((language) => language?.toLowerCase().split(/[-_]/)[0] ?? "").find((language) => Object.hasOwn(CATALOGUES, language)) ?? "en";
  return (key, values = {}) => {
    const found = key.split(".").reduce<string | Catalogue | undefined>((at, part) => (typeof at === "object" ? at[part] : undefined), CATALOGUES[known]);
    return typeof found !== "string" ? key : found.replace(/__(\w+?)__/g, (whole, name: string) => (Object.hasOwn(values, name) ? String(values[name]) : whole));
  };
}

/** As the sender writes, where that is known. */
export const sayTo = ({ language, sender }: Pick<Message, "language" | "sender">, otherwise: string | undefined): Say => sayIn(language, sender.language, otherwise);
