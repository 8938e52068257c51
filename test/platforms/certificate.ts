/** A certificate nobody trusts, made for one test: X.509 written by hand, so that no key lies in the repository. */
import { createPrivateKey, generateKeyPairSync, randomBytes, sign } from "node:crypto";

/** Self-signed for `name`, P-256, valid from 2020 to 2049. */
export function selfSigned(name: string): { readonly key: string; readonly cert: string } {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256", privateKeyEncoding: { type: "pkcs8", format: "pem" }, publicKeyEncoding: { type: "spki", format: "der" } });
  const ecdsaWithSha256 = list(0x30, der(0x06, Buffer.from("2a8648ce3d040302", "hex")));
  const issuer = list(0x30, list(0x31, list(0x30, der(0x06, Buffer.from("550403", "hex")), der(0x0c, Buffer.from(name)))));
  const validity = list(0x30, der(0x17, Buffer.from("200101000000Z")), der(0x17, Buffer.from("491231235959Z")));
  const serial = der(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)]));
  const body = list(0x30, serial, ecdsaWithSha256, issuer, validity, issuer, publicKey);
  const signature = sign("sha256", body, createPrivateKey(privateKey));
  const whole = list(0x30, body, ecdsaWithSha256, der(0x03, Buffer.concat([Buffer.from([0]), signature])));
  return { key: privateKey, cert: `-----BEGIN CERTIFICATE-----\n${whole.toString("base64")}\n-----END CERTIFICATE-----\n` };
}

const list = (tag: number, ...parts: Buffer[]): Buffer => der(tag, Buffer.concat(parts));

function der(tag: number, content: Buffer): Buffer {
  const size = content.length;
  const length = size < 128 ? [size] : size < 256 ? [0x81, size] : [0x82, size >> 8, size & 255];
  return Buffer.concat([Buffer.from([tag, ...length]), content]);
}
