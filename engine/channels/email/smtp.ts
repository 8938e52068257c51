/** Mail out: one mail after another over one connection, which ends when none waits. */
import type { Readable } from "node:stream";
import type { Account, ChannelContext } from "../channel.ts";
import { ChannelError } from "../../errors.ts";
import { text } from "../setting-text.ts";
import { fromSmtp, TOKEN_REFUSED } from "./errors.ts";
import { type Credentials, type Login, withLogin } from "./login.ts";
import { addressOf, serverOf } from "./settings.ts";

type SMTPConnection = InstanceType<typeof import("nodemailer/lib/smtp-connection").default>;
export interface Smtp {
  /** Resolves when the server has taken the mail. Throws ChannelError. */
  send(mail: { readonly to: string; stream(): Readable }): Promise<void>;
  /** Proves server and login. */
  prove(): Promise<void>;
  close(): void;
}

const CONNECT_MS = 20_000;
const SILENCE_MS = 120_000;

export function createSmtp(account: Account, { signal, clock }: Pick<ChannelContext, "signal" | "clock">, login: Login): Smtp {
  let live: SMTPConnection | undefined;
  let last: Promise<unknown> = Promise.resolve();
  let waiting = 0;
  let closed = false;
  /** Said goodbye, and wait for the server's. */
  const leaving = new Set<SMTPConnection>();
  const end = (): void => {
    closed = true;
    for (const each of [...leaving, ...(live === undefined ? [] : [live])]) each.close();
    live = undefined;
  };
  signal.addEventListener("abort", end, { once: true });

  /** One after another; each gets the connection the one before left, if it still stands. */
  function inTurn<T>(act: () => Promise<T>): Promise<T> {
    waiting++;
    const turn = last.then(act).finally(() => {
      if (--waiting > 0 || live === undefined) return;
      const gone = live;
      live = undefined;
      leaving.add(gone);
      gone.once("end", () => leaving.delete(gone));
      gone.quit();
    });
    last = turn.catch(() => undefined);
    return turn;
  }
  async function connected(): Promise<SMTPConnection> {
    if (closed) throw new ChannelError("CONN_001", { retry: "later", unsent: true }, "The account is closed.");
    if (live !== undefined) return live;
    const made = await withLogin(login, (credentials) => logIn(account, credentials).catch((error: unknown) => { throw fromSmtp(error, "the login by SMTP", false, clock.now()); }));
    if (closed) { made.close(); throw new ChannelError("CONN_001", { retry: "later", unsent: true }, "The account is closed."); }
    made.once("end", () => { if (live === made) live = undefined; });
    live = made;
    return made;
  }

  return {
    prove: () => inTurn(async () => { await connected(); }),
    send: ({ to, stream }) => inTurn(async () => {
      let handed = false;
      try {
        const connection = await connected();
        const text = stream();
        // The client reads the mail only after the server said 354: until then nothing of it has left.
        text.once("resume", () => { handed = true; });
        await new Promise<void>((resolve, reject) => {
          connection.once("error", reject);
          text.once("error", reject);
          connection.send({ from: addressOf(account), to: [to] }, text, (error) => {
            connection.removeListener("error", reject);
            if (error === null) resolve();
            else reject(error);
          });
        }).finally(() => text.destroy());
      } catch (error) {
        // After a failure nobody knows in which state the session is.
        live?.close();
        live = undefined;
        throw fromSmtp(error, `the mail to ${to}`, handed, clock.now());
      }
    }),
    close() { signal.removeEventListener("abort", end); end(); },
  };
}

/** One access token is one try: the next one is ours to get. */
const authOf = (credentials: Credentials) => ("pass" in credentials ? credentials : {
  user: credentials.user,
  oauth2: {
    getToken(again: boolean, done: (fault: string | null, token?: string) => void) { if (again) done(TOKEN_REFUSED); else done(null, credentials.accessToken); },
    buildXOAuth2Token: (token: string) => Buffer.from(`user=${credentials.user}\u0001auth=Bearer ${token}\u0001\u0001`).toString("base64"),
  },
}) as Parameters<SMTPConnection["login"]>[0];

async function logIn(account: Account, credentials: Credentials): Promise<SMTPConnection> {
  const { host, port, security } = serverOf(account, "smtp");
  const { default: Connection } = await import("nodemailer/lib/smtp-connection");
  const proxy = text(account, "proxy");
  const socket = proxy === "" ? undefined : await throughProxy(proxy, host, port);
  const connection = new Connection({
    host, port, secure: security === "tls", requireTLS: security === "starttls", ignoreTLS: security === "none", connectionTimeout: CONNECT_MS, greetingTimeout: CONNECT_MS, socketTimeout: SILENCE_MS, socketCloseTimeout: 0,
    ...(socket === undefined ? {} : { connection: socket }),
  });
  await new Promise<void>((resolve, reject) => {
    const fail = (error: unknown): void => { connection.close(); reject(error); };
    connection.once("error", fail);
    connection.connect((fault) => {
      if (fault) return fail(fault);
      connection.login(authOf(credentials), (error) => {
        if (error !== null) return fail(error);
        connection.removeListener("error", fail);
        resolve();
      });
    });
  });
  // What befalls a connection between two mails is met by the next one.
  connection.on("error", () => undefined);
  return connection;
}

const SILENT = { info: () => undefined, error: () => undefined };
async function throughProxy(proxy: string, host: string, port: number): Promise<import("node:net").Socket> {
  const { default: { proxyConnection } } = await import("imapflow/lib/proxy-connection.js") as unknown as { default: typeof import("imapflow/lib/proxy-connection.js") };
  return proxyConnection(SILENT, proxy.replace(/^socks:/, "socks5:"), host, port).catch((error: unknown) => {
    throw new ChannelError("CONN_001", { retry: "later", unsent: true }, `The proxy did not connect to ${host}: ${String((error as { code?: unknown }).code ?? "refused")}.`);
  });
}
