/** Secrets at rest: sealed with a key that comes from Node-RED's credential secret, bound to their name. And a redactor for what is written. */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";
import { SettingError } from "./errors.ts";

export { secretInAddress } from "./secrets/address.ts";
export { createRedactor, type Redactor } from "./secrets/redact.ts";

/** `off`: there is no secret to seal with. `changed`: sealed under another one. `damaged`: not what was sealed, or under another name. */
export class SecretError extends SettingError {
  readonly reason: "off" | "changed" | "damaged";
  constructor(reason: SecretError["reason"], message: string, cause?: unknown) {
    super("CONF_001", { cause }, message);
    this.reason = reason;
  }
}

export interface SecretBox {
  /** Seals JSON data under a name. The text holds no part of it in clear. Throws SecretError `off`. */
  seal(name: string, value: unknown): string;
  /** Throws SecretError. */
  open(name: string, sealed: string): unknown;
}

const FORMAT = /^cf1\.([0-9a-f]{16})\.([\w-]{16})\.([\w-]{22,})$/;
const TAG_BYTES = 16;

/**
 * `keySource` is asked at every use: Node-RED's credential secret is not there yet when modules load, and it may change. Where it is off or
 * empty nothing is sealed and nothing is written in clear instead.
 */
export function createSecretBox(keySource: () => Uint8Array | string | undefined): SecretBox {
  let known: { secret: Buffer; key: Buffer; id: string } | undefined;

  function current(): { key: Buffer; id: string } {
    const source = keySource();
    if (source === undefined || source.length === 0) {
      throw new SecretError("off", "Expected a credential secret to encrypt with, got none. Set credentialSecret in Node-RED's settings.js to a long random text (it is switched off now) and restart.");
    }
    const secret = Buffer.from(source as string);
    if (!known?.secret.equals(secret)) known = { secret, key: derive(secret, "seal", 32), id: derive(secret, "id", 8).toString("hex") };
    return known;
  }

  return {
    seal(name, value) {
      const { key, id } = current();
      const nonce = randomBytes(12);
      const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(bound(id, name));
      const sealed = Buffer.concat([cipher.update(JSON.stringify(value ?? null), "utf8"), cipher.final(), cipher.getAuthTag()]);
      return `cf1.${id}.${nonce.toString("base64url")}.${sealed.toString("base64url")}`;
    },
    open(name, text) {
      const { key, id } = current();
      const [, sealedUnder, nonce = "", body = ""] = FORMAT.exec(text) ?? [];
      if (sealedUnder === undefined) throw new SecretError("damaged", `The stored secret "${name}" is not one this version sealed. Enter it again.`);
      if (sealedUnder !== id) throw new SecretError("changed", `The stored secret "${name}" was encrypted under another credential secret. Restore the old credentialSecret in settings.js, or enter the secret again.`);
      const sealed = Buffer.from(body, "base64url");
      try {
        const decipher = createDecipheriv("aes-256-gcm", key, Buffer.from(nonce, "base64url"), { authTagLength: TAG_BYTES }).setAAD(bound(id, name)).setAuthTag(sealed.subarray(-TAG_BYTES));
        return JSON.parse(Buffer.concat([decipher.update(sealed.subarray(0, -TAG_BYTES)), decipher.final()]).toString("utf8"));
      } catch (error) {
        throw new SecretError("damaged", `The stored secret "${name}" was changed or belongs to another name. Enter it again.`, error);
      }
    },
  };
}

const derive = (secret: Buffer, purpose: string, bytes: number): Buffer => Buffer.from(hkdfSync("sha256", secret, "clawflow", `clawflow secrets v1 ${purpose}`, bytes));
const bound = (id: string, name: string): Buffer => Buffer.from(`clawflow secrets v1\n${id}\n${name}`);
