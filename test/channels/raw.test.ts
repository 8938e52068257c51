import assert from "node:assert/strict";
import { parseJson, parseObject } from "../../engine/channels/json.ts";
import { withRaw } from "../../engine/channels/raw.ts";
import { message } from "../kit/scripted.ts";

const account = (raw: unknown) => ({ settings: { raw } });

describe("the platform's own payload", () => {
  it("stands beside a message only where the account wants it", () => {
    const said = message({ text: "m1" });
    assert.equal(withRaw(account(undefined), said, { a: 1 }), said);
    assert.equal(withRaw(account("true"), said, { a: 1 }), said);
    assert.deepEqual(withRaw(account(true), said, { a: 1 }).raw, { a: 1 });
  });

  it("is without secrets, prototypes and bytes, and not too long", () => {
    const payload = JSON.parse('{"token":"t","inner":{"token":"u","__proto__":{"isOwner":true},"kept":1}}') as object;
    const { raw } = withRaw(account(true), message({ text: "m1" }), { ...payload, file: new Uint8Array([1, 2]) }, new Set(["token"]));
    assert.deepEqual(raw, { inner: { kept: 1 }, file: "AQI=" });
    assert.equal(Object.hasOwn((raw as { inner: object }).inner, "__proto__"), false);
    const long = message({ text: "m2" });
    assert.equal(withRaw(account(true), long, { text: "x".repeat(70_000) }), long);
    assert.equal(withRaw(account(true), long, undefined), long);
  });
});

describe("what may be no JSON", () => {
  it("is undefined, and nothing is thrown", () => {
    for (const wrong of ["", "{", "\u0000", new Uint8Array([0xff])]) assert.equal(parseJson(wrong), undefined);
    for (const other of ["null", "[]", "5", '"x"']) assert.equal(parseObject(other), undefined);
    assert.deepEqual(parseObject(Buffer.from('{"a":1}')), { a: 1 });
  });
});
