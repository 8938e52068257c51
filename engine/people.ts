/** Who may talk, and how far. Refuses by default: a person nobody let in is a stranger. */
import { randomInt } from "node:crypto";
import type { Clock } from "./clock.ts";
import type { Address, Message, Sender } from "./message.ts";
import type { Store } from "./store/store.ts";
import type { Trust } from "./tool.ts";
import { sameSecret } from "./verify.ts";

/** A person of one account, by the platform's immutable id. `at`: where a direct message reaches them, once known. */
export interface Person { readonly channel: string; readonly account: string; readonly id: string; readonly name: string; readonly trust: Exclude<Trust, "stranger">; readonly at?: Address }
export interface Refused { readonly channel: string; readonly account: string; readonly id: string; readonly name: string; readonly at: number; readonly count: number }

/** How an account treats people who are on no list. */
export interface AccountPolicy { readonly policy: "owner" | "list" | "open"; readonly allow: readonly string[] }

export interface People {
  /** Level of the sender; `own` for the bot itself. */
  trustOf(message: { readonly at: Address; readonly sender: Pick<Sender, "id"> }): Trust;
  /** The message holds the one-time code: its sender is the owner from now on. Wrong tries are counted; after ten the code changes. */
  claim(message: Pick<Message, "text" | "sender" | "at">): Promise<boolean>;
  ownerCode(): string | undefined;
  newOwnerCode(code?: string): Promise<string>;
  set(person: Omit<Person, "trust"> & { readonly trust: Trust }): Promise<void>;
  policy(account: string, policy: AccountPolicy): void;
  refuse(message: Message): void;
  /** The direct chat of an account's owner. */
  ownerOf(account: string): Person | undefined;
  all(): Person[];
  refused(): Refused[];
}

const SPACE = "people";
const ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
const MAX_REFUSED = 200;
const MAX_WRONG = 10;
const keyOf = (channel: string, account: string, id: string) => [channel, account, id].map(encodeURIComponent).join("/");

export async function createPeople(store: Store, clock: Clock): Promise<People> {
  const people = new Map<string, Person>();
  const policies = new Map<string, AccountPolicy>();
  const refused = new Map<string, Refused>();
  for (const [key, value] of await store.list(SPACE, "")) people.set(key, value as Person);
  let code = (await store.get("gateway", "ownerCode")) as string | undefined;
  let wrong = 0;
  const hasOwner = () => [...people.values()].some((person) => person.trust === "owner");

  async function newOwnerCode(given?: string): Promise<string> {
    code = given ?? Array.from({ length: 8 }, () => ALPHABET[randomInt(ALPHABET.length)]).join("");
    wrong = 0;
    await store.commit([{ do: "set", space: "gateway", key: "ownerCode", value: code }]);
    return code;
  }
  if (code === undefined && !hasOwner()) await newOwnerCode();

  async function set(person: Omit<Person, "trust"> & { readonly trust: Trust }): Promise<void> {
    const key = keyOf(person.channel, person.account, person.id);
    const { trust } = person;
    const kept: Person | undefined = trust === "stranger" ? undefined : { channel: person.channel, account: person.account, id: person.id, name: person.name, trust, ...(person.at === undefined ? {} : { at: person.at }) };
    await store.commit([{ do: "set", space: SPACE, key, value: kept }]);
    if (kept === undefined) people.delete(key);
    else people.set(key, kept);
    refused.delete(key);
  }

  return {
    trustOf({ at, sender }) {
      const known = people.get(keyOf(at.channel, at.account, sender.id));
      if (known !== undefined) return known.trust;
      const rule = policies.get(at.account);
      if (rule === undefined) return "stranger";
      if (rule.policy === "open") return "allowed";
      return rule.allow.includes(sender.id) ? "allowed" : "stranger";
    },
    async claim({ text, sender, at }) {
      const words = text.trim().split(/\s+/);
      // "/start CODE" is what Telegram's deep link t.me/<bot>?start=CODE sends.
      const said = (words.length === 2 && /^\/(start|claim)$/i.test(words[0] ?? "") ? words[1] : words.length === 1 ? words[0] : "") ?? "";
      if (code === undefined || at.kind !== "direct" || said.length !== code.length) return false;
      if (!sameSecret(said, code) && !sameSecret(said.toUpperCase(), code)) {
        if (/^[0-9A-Za-z]+$/.test(said) && ++wrong >= MAX_WRONG) await newOwnerCode();
        return false;
      }
      await set({ channel: at.channel, account: at.account, id: sender.id, name: sender.name, trust: "owner", at });
      code = undefined;
      await store.commit([{ do: "set", space: "gateway", key: "ownerCode", value: undefined }]);
      return true;
    },
    ownerCode: () => code,
    newOwnerCode,
    set,
    policy(account, policy) { policies.set(account, policy); },
    refuse({ at, sender }) {
      const key = keyOf(at.channel, at.account, sender.id);
      const count = (refused.get(key)?.count ?? 0) + 1;
      refused.delete(key);
      refused.set(key, { channel: at.channel, account: at.account, id: sender.id, name: sender.name, at: clock.now(), count });
      if (refused.size > MAX_REFUSED) refused.delete(refused.keys().next().value as string);
    },
    ownerOf: (account) => [...people.values()].find((person) => person.account === account && person.trust === "owner" && person.at !== undefined),
    all: () => [...people.values()],
    refused: () => [...refused.values()].reverse(),
  };
}
