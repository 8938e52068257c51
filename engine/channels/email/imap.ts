/** Connections to the IMAP server, and the folder of sent mails. */
import type { Account, ChannelContext } from "../channel.ts";
import { ChannelError } from "../../errors.ts";
import { text } from "../setting-text.ts";
import { fromImap } from "./errors.ts";
import { type Credentials, type Login, withLogin } from "./login.ts";
import { numberOf, serverOf } from "./settings.ts";

export type Imap = import("imapflow").ImapFlow;

const CONNECT_MS = 20_000;

/** A connection that is logged in; ended by the signal. Throws ChannelError. */
export function openImap(account: Account, { signal }: Pick<ChannelContext, "signal">, login: Login): Promise<Imap> {
  return withLogin(login, (credentials) => open(account, signal, credentials));
}
async function open(account: Account, signal: AbortSignal, credentials: Credentials): Promise<Imap> {
  // Node and the bundle agree on the default alone: imapflow is CommonJS.
  const { default: { ImapFlow } } = await import("imapflow") as unknown as { default: typeof import("imapflow") };
  const { host, port, security } = serverOf(account, "imap");
  const proxy = text(account, "proxy").replace(/^socks:/, "socks5:");
  const every = everyMs(account);
  const client = new ImapFlow({
    host, port, secure: security === "tls", ...(security === "tls" ? {} : { doSTARTTLS: security === "starttls" }),
    auth: credentials, logger: false, disableAutoIdle: true, maxIdleTime: every, connectionTimeout: CONNECT_MS, greetingTimeout: CONNECT_MS,
    // Silence is broken by our own looks.
    socketTimeout: every * 2 + 60_000, clientInfo: { name: "ClawFlow" }, ...(proxy === "" ? {} : { proxy }),
  });
  const end = (): void => client.close();
  // Whoever waits for an answer hears of the fault; "close" follows.
  client.on("error", () => undefined);
  client.once("close", () => signal.removeEventListener("abort", end));
  if (signal.aborted) throw new ChannelError("CONN_001", { retry: "later", unsent: true }, "The account is closed.");
  signal.addEventListener("abort", end, { once: true });
  try {
    await client.connect();
    return client;
  } catch (error) {
    client.close();
    throw fromImap(error, `The login at ${host}`);
  }
}

export const everyMs = (account: Account): number => (numberOf(account, "everySeconds") ?? 60) * 1000;

/** Name of the folder of sent mails: the setting, else what the server marks as such. Undefined: there is none. */
export async function sentFolder(account: Account, client: Imap): Promise<string | undefined> {
  const named = text(account, "sentFolder");
  if (named !== "") return named;
  const folders = await client.list();
  return (folders.find(({ specialUse }) => specialUse === "\\Sent") ?? folders.find(({ path }) => /^(?:INBOX[./])?Sent(?: Items| Messages)?$/i.test(path)))?.path;
}

/** UIDs of the mails with this Message-ID in the folder that is open. */
export async function findId(client: Imap, id: string): Promise<readonly number[]> {
  const found = await client.search({ header: { "message-id": `<${id}>` } }, { uid: true });
  return Array.isArray(found) ? found : [];
}
