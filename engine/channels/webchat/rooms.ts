/** Rooms of an account: chats that several visitors share with the bot. */
import { createHash } from "node:crypto";

export interface Room { readonly id: string; readonly label: string }
const LINE = /^([a-z0-9][a-z0-9-]{0,31})\s*(?::\s*(.*))?$/;

/** Lines as "id: label"; without a label the id is shown. */
export function roomsOf(lines: readonly string[]): ReadonlyMap<string, Room> {
  return new Map(lines.flatMap((line) => { const [, id, label] = LINE.exec(line) ?? []; return id === undefined ? [] : [[id, { id, label: label || id }] as const]; }));
}
export function roomProblem(line: string): string | undefined {
  return LINE.test(line) ? undefined : `Expected a room as "help: Help desk", its id of small letters, digits and -, got "${line.slice(0, 60)}".`;
}
export const chatOfRoom = (id: string): string => `room-${id}`;

/** A person's tag in one room: others see it, and can do nothing with it elsewhere. */
export function tagOf(chat: string, visitor: string): string {
  return createHash("sha256").update(`clawflow tag\n${chat}\n${visitor}`).digest("hex").slice(0, 16);
}

/** Whether a text names the bot, as @title or @bot, at the beginning of a word. */
export function mentions(text: string, title: string): boolean {
  const names = [title, title.replace(/\s+/g, ""), "bot"].filter((name) => name !== "").map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`(?:^|[^\\p{L}\\p{N}])@(?:${names.join("|")})(?![\\p{L}\\p{N}])`, "iu").test(text);
}
