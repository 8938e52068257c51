/** A mail server for what goes out: npm smtp-server, which keeps what it took and fails as it is told. */
import type { AddressInfo } from "node:net";
import PostalMime, { type Email } from "postal-mime";
import { SMTPServer } from "smtp-server";

export interface Taken { readonly from: string; readonly to: readonly string[]; readonly source: Buffer; readonly email: Email }
/** `at` is the step that fails. "cut": the link ends there without a word; after the text the mail is kept all the same. */
export interface SmtpFault { readonly at: "from" | "to" | "text"; readonly code?: number; readonly says?: string; readonly cut?: true }
export interface SmtpStub { readonly port: number; readonly taken: Taken[]; fault(fault: SmtpFault): void; readonly logins: () => number; close(): Promise<void> }

/** `tls`: with this certificate, from the beginning or by STARTTLS. */
/** `token`: access tokens that are good (XOAUTH2). */
export async function startSmtp({ password = "pw", token, tls }: { readonly password?: string; readonly token?: (token: string) => boolean; readonly tls?: { readonly cert: string; readonly key: string; readonly secure: boolean } } = {}): Promise<SmtpStub> {
  const taken: Taken[] = [];
  const faults: SmtpFault[] = [];
  let logins = 0;
  const cut = (): void => { for (const each of server.connections as unknown as Set<{ _socket: { destroy(): void } }>) each._socket.destroy(); };
  const wanted = (at: SmtpFault["at"]): SmtpFault | undefined => { const found = faults.findIndex((each) => each.at === at); return found < 0 ? undefined : faults.splice(found, 1)[0]; };
  const refusal = ({ code = 550, says = "no" }: SmtpFault): Error => Object.assign(new Error(says), { responseCode: code });
  const step = (at: SmtpFault["at"]) => (_address: unknown, _session: unknown, done: (error?: Error | null) => void): void => {
    const fault = wanted(at);
    if (fault === undefined) done();
    else if (fault.cut) cut();
    else done(refusal(fault));
  };
  const server = new SMTPServer({
    ...(tls === undefined ? { disabledCommands: ["STARTTLS"], allowInsecureAuth: true } : { ...tls, allowInsecureAuth: false }), disableReverseLookup: true, size: 30_000_000, closeTimeout: 100,
    ...(token === undefined ? {} : { authMethods: ["XOAUTH2"] }),
    onAuth({ username, password: given, accessToken }, _session, done) {
      // A token that is not good is told by a challenge, as Google does.
      if (token !== undefined && !token(accessToken ?? "")) return done(null, { data: { status: "401", schemes: "bearer mac", scope: "https://mail.google.com/" } });
      if (token === undefined && given !== password) return done(Object.assign(new Error("5.7.8 Username and Password not accepted"), { responseCode: 535 }));
      logins++;
      done(null, { user: username ?? "" });
    },
    onMailFrom: step("from"),
    onRcptTo: step("to"),
    onData(stream, session, done) {
      const pieces: Buffer[] = [];
      stream.on("data", (piece: Buffer) => pieces.push(piece));
      stream.on("end", () => void (async () => {
        const fault = wanted("text");
        if (fault !== undefined && fault.cut !== true) return done(refusal(fault));
        const source = Buffer.concat(pieces);
        const { mailFrom, rcptTo } = session.envelope;
        taken.push({ from: mailFrom === false ? "" : mailFrom.address, to: rcptTo.map(({ address }) => address), source, email: await PostalMime.parse(source) });
        if (fault !== undefined) return cut();
        done();
      })());
    },
  });
  server.on("error", () => { /* A link that was cut. */ });
  await new Promise<void>((resolve) => { server.listen(0, "127.0.0.1", resolve); });
  return {
    port: (server.server.address() as AddressInfo).port, taken, logins: () => logins,
    fault(fault) { faults.push(fault); },
    close: () => new Promise((resolve) => { cut(); server.close(() => resolve()); }),
  };
}
