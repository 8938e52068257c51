/** What a gateway's form shows of the long-term memory of its agents, and removes from it. */
import { SettingError } from "../../engine/errors.ts";
import type { Gateway } from "../../engine/gateway.ts";
import { readBook } from "../../engine/memory.ts";
import { opened, type Request } from "./admin-store.ts";
import type { Host } from "./gateways.ts";

const MOST_BOOKS = 200;
/** Notes of all books together, and of one. */
const MOST_NOTES = 1_000;
const MOST_OF_ONE = 100;

/** The books with the newest notes, each with its newest; `notes` may be fewer than `count`. */
async function memoryView(gateway: Gateway): Promise<object> {
  const people = gateway.people.all();
  const books = [];
  let left = MOST_NOTES;
  for (const { book, notes: count } of await gateway.memory.books(MOST_BOOKS)) {
    const owner = readBook(book);
    const name = owner?.scope === "person" ? people.find(({ account, id }) => account === owner.account && id === owner.id)?.name : undefined;
    const notes = await gateway.memory.list(book, Math.min(left, MOST_OF_ONE));
    left -= notes.length;
    books.push({ book, ...owner, ...(name === undefined ? {} : { name }), count, notes });
    if (left <= 0) break;
  }
  return { books };
}

interface Routes {
  /** For who may change the gateway: what agents keep is what people told them. */
  get(path: string, act: (request: Request) => unknown): void;
  post(path: string, act: (request: Request) => unknown): void;
}
export function registerMemoryAdmin(host: Host, { get, post }: Routes): void {
  const of = ({ params: { id = "" } }: Request): Promise<Gateway> => opened(host, id);
  get("gateway/:id/memory", async (request) => memoryView(await of(request)));
  post("gateway/:id/memory-forget", async (request) => {
    const { book, n } = request.body ?? {};
    if (typeof book !== "string" || readBook(book) === undefined) throw new SettingError("CONF_001", {}, `Expected "book" to be the name of a memory as it was shown, got ${JSON.stringify(book)}.`);
    if (n !== undefined && !Number.isSafeInteger(n)) throw new SettingError("CONF_001", {}, `Expected "n" to be the number of a note, or to be left out, got ${JSON.stringify(n)}.`);
    const gateway = await of(request);
    await gateway.memory.forget(book, n as number | undefined);
    return memoryView(gateway);
  });
}
