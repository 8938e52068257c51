/** A real IMAP server: Dovecot 2.3 in a folder of its own, one for the process; every user is let in with the password. */
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { selfSigned } from "./certificate.ts";

export interface Dovecot {
  readonly port: number;
  /** Port with TLS, and the certificate that nobody vouches for; the other port has STARTTLS. */
  readonly tls: { readonly port: number; readonly cert: string; readonly key: string };
  readonly password: string;
  /** A mail comes into the user's INBOX, as the server's own delivery does it: by a file. */
  deliver(user: string, mail: Buffer): void;
  /** Log of the server, for when a test fails. */
  log(): string;
}

const PROGRAM = "/usr/sbin/dovecot";
const PASSWORD = "canary-mailbox-password";
/** Of Debian's nobody; Dovecot serves nobody's mail as root. */
const NOBODY = { uid: 65_534, gid: 65_534 };
export const hasDovecot = (): boolean => existsSync(PROGRAM);

const running = new Map<string, Promise<Dovecot>>();
export interface DovecotOptions {
  readonly idle?: boolean;
  /** Access tokens are good, and nothing else: where to ask about one, which is put behind it. */
  readonly tokens?: string;
}
export function dovecot(options: DovecotOptions = {}): Promise<Dovecot> {
  const key = JSON.stringify(options);
  const known = running.get(key);
  if (known !== undefined) return known;
  const made = start(options);
  running.set(key, made);
  return made;
}

async function start({ idle = true, tokens }: DovecotOptions): Promise<Dovecot> {
  const folder = mkdtempSync(path.join(tmpdir(), "clawflow-dovecot-"));
  const root = process.getuid?.() === 0;
  const own = <T extends string>(place: T): T => { if (root) chownSync(place, NOBODY.uid, NOBODY.gid); return place; };
  chmodSync(folder, 0o755);
  for (const each of ["mail", "run", "state"]) mkdirSync(path.join(folder, each));
  own(path.join(folder, "mail"));
  const port = await freePort();
  const tlsPort = await freePort();
  const { key, cert } = selfSigned("localhost");
  writeFileSync(path.join(folder, "key.pem"), key, { mode: 0o600 });
  writeFileSync(path.join(folder, "cert.pem"), cert);
  const user = root ? "nobody" : String(process.env.USER);
  if (tokens !== undefined) writeFileSync(path.join(folder, "oauth.conf"), `tokeninfo_url = ${tokens}\nusername_attribute = username\nactive_attribute = active\nactive_value = true\n`);
  writeFileSync(path.join(folder, "d.conf"), `
base_dir = ${folder}/run
state_dir = ${folder}/state
log_path = ${folder}/log
protocols = imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <${folder}/cert.pem
ssl_key = <${folder}/key.pem
disable_plaintext_auth = no
auth_failure_delay = 0
mail_max_userip_connections = 100
mail_location = maildir:${folder}/mail/%u
mail_uid = ${user}
${root ? "mail_gid = nogroup" : ""}
first_valid_uid = 1
default_internal_user = ${user}
default_login_user = ${user}
${root ? "default_internal_group = nogroup" : ""}
${idle ? "" : "imap_capability = IMAP4rev1 LITERAL+ UIDPLUS LIST-EXTENDED SPECIAL-USE"}
auth_mechanisms = ${tokens === undefined ? "plain login" : "xoauth2"}
passdb {
${tokens === undefined ? `  driver = static\n  args = password=${PASSWORD}` : `  driver = oauth2\n  args = ${folder}/oauth.conf`}
}
userdb {
  driver = static
  args = ${root ? "uid=nobody gid=nogroup " : ""}home=${folder}/mail/%u
}
namespace inbox {
  inbox = yes
  mailbox Sent {
    auto = create
    special_use = \\Sent
  }
}
service imap-login {
  inet_listener imap {
    port = ${port}
  }
  inet_listener imaps {
    port = ${tlsPort}
  }
  chroot =
}
service anvil {
  chroot =
}
service stats {
  chroot =
}
`);
  const log = (): string => (existsSync(`${folder}/log`) ? readFileSync(`${folder}/log`, "utf8") : "");
  const child: ChildProcess = spawn(PROGRAM, ["-F", "-c", path.join(folder, "d.conf")], { stdio: "ignore" });
  child.unref();
  process.once("exit", () => { child.kill("SIGTERM"); rmSync(folder, { recursive: true, force: true, maxRetries: 3 }); });
  for (let tries = 0; !(await answers(port)); tries++) {
    if (tries > 300 || child.exitCode !== null) throw new Error(`Dovecot did not start: ${log()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  let count = 0;
  return {
    port, tls: { port: tlsPort, cert, key }, password: PASSWORD, log,
    deliver(name, mail) {
      const box = path.join(folder, "mail", name);
      for (const each of [box, path.join(box, "tmp"), path.join(box, "new"), path.join(box, "cur")]) if (!existsSync(each)) { mkdirSync(each); own(each); }
      // UIDs are given by the time in the name.
      const file = `${1_795_700_000 + count++}.M1P1.host`;
      writeFileSync(path.join(box, "tmp", file), mail);
      own(path.join(box, "tmp", file));
      renameSync(path.join(box, "tmp", file), path.join(box, "new", file));
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => { server.listen(0, "127.0.0.1", resolve); });
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => { server.close(resolve); });
  return port;
}
/** Greets, and does not merely listen. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    const end = (yes: boolean) => { socket.destroy(); resolve(yes); };
    socket.once("data", () => end(true));
    socket.once("error", () => end(false));
    socket.once("close", () => resolve(false));
    socket.setTimeout(2_000, () => end(false));
  });
}
