/** What a program that a node starts finds around it: the system's own variables, and those of the node's form. Nothing else of Node-RED's environment. */
import { delimiter } from "node:path";
import type { RedNode } from "./red.ts";

const KEPT = process.platform === "win32"
  ? ["APPDATA", "COMSPEC", "HOMEDRIVE", "HOMEPATH", "LOCALAPPDATA", "PATH", "PATHEXT", "PROCESSOR_ARCHITECTURE", "PROGRAMFILES", "SYSTEMDRIVE", "SYSTEMROOT", "TEMP", "TMP", "USERNAME", "USERPROFILE"]
  : ["HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER"];
/** Files of the certificates that this machine trusts. */
const CERTIFICATES = ["NODE_EXTRA_CA_CERTS", "SSL_CERT_DIR", "SSL_CERT_FILE"];

/** `NAME=value` lines. */
export function variablesOf(lines: string | undefined): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const line of (lines ?? "").split(/\r?\n/)) {
    const at = line.indexOf("=");
    if (at > 0 && /^[A-Za-z_][A-Za-z0-9_]*$/.test(line.slice(0, at).trim())) variables[line.slice(0, at).trim()] = line.slice(at + 1).trim();
  }
  return variables;
}
export function systemVariables(): Record<string, string> {
  return Object.fromEntries([...KEPT, ...CERTIFICATES].flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name] as string]])));
}
/** Folders in which programs are looked for. */
export const programFolders = (): string[] => (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");

/** Node-RED calls the listener before the node's place is given to another, and waits for it. */
export function closeWith(node: RedNode, close: () => Promise<void> | undefined): void {
  node.on("close", (done: () => void) => { Promise.resolve(close()).then(() => done(), () => done()); });
}
