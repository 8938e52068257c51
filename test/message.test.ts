import assert from "node:assert/strict";
import { contentKinds, laneOf, sessionKey, SESSION_SCOPES, type Address } from "../engine/message.ts";
import { message } from "./kit/scripted.ts";

const direct = (more: Partial<Address> = {}): Address => ({ channel: "telegram", account: "bot", chat: "42", kind: "direct", ...more });

describe("session keys", () => {
  it("reach as far as the scope says in direct chats", () => {
    const said = message({ from: "42", at: direct() });
    assert.deepEqual(SESSION_SCOPES.map((scope) => sessionKey(said, scope, "home")), [
      "agent:home:main", "agent:home:direct:42", "agent:home:telegram:direct:42", "agent:home:telegram:bot:direct:42",
    ]);
  });
  it("keep two bots, two agents and two people apart by default", () => {
    const key = (at: Address, from = "42", agent = "home") => sessionKey(message({ at, from }), "account-channel-peer", agent);
    const keys = [key(direct()), key(direct({ account: "other" })), key(direct({ channel: "slack" })), key(direct(), "43"), key(direct(), "42", "work")];
    assert.equal(new Set(keys).size, keys.length);
  });
  it("give a group and a thread a memory of their own whatever the scope", () => {
    const group = direct({ kind: "group", chat: "-100" });
    for (const scope of SESSION_SCOPES) {
      assert.equal(sessionKey(message({ at: group, from: "1" }), scope, "home"), sessionKey(message({ at: group, from: "2" }), scope, "home"));
      assert.notEqual(sessionKey(message({ at: { ...group, thread: "7" } }), scope, "home"), sessionKey(message({ at: group }), scope, "home"));
    }
  });
  it("cannot be forged by ids that look like keys", () => {
    const a = sessionKey(message({ from: "1:thread:2", at: direct() }), "peer", "home");
    const b = sessionKey(message({ from: "1", at: direct({ thread: "2" }) }), "peer", "home");
    assert.notEqual(a, b);
    assert.notEqual(laneOf(direct({ chat: "1\n2" })), laneOf(direct({ chat: "1", thread: "2" })));
  });
  it("use the linked identity where there is one", () => {
    assert.equal(sessionKey(message({ from: "42", at: direct() }), "peer", "home", "anna"), "agent:home:direct:anna");
  });
});

describe("content kinds", () => {
  it("name the text first, then what came with it", () => {
    assert.deepEqual(contentKinds(message({ text: "look", attachments: [{ kind: "location", latitude: 1, longitude: 2 }] })), ["text", "location"]);
    assert.deepEqual(contentKinds(message({ text: "", attachments: [{ kind: "image", media: "m", state: "remote" }] })), ["image"]);
  });
});
