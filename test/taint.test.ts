/** What a message brings that its sender has not written. */
import assert from "node:assert/strict";
import { type ChatRequest, readRequest } from "../engine/channels/api/request.ts";
import { toMessage } from "../engine/channels/api/to-message.ts";
import type { Attachment, Message } from "../engine/message.ts";
import { bringsOutside } from "../engine/taint.ts";
import { message } from "./kit/scripted.ts";

const file = (kind: "image" | "sticker" | "video" | "audio" | "document" | "voice"): Attachment => ({ kind, media: "spool:a", state: "ready" });

describe("text of others in a message", () => {
  const CASES: readonly (readonly [what: string, outside: boolean, more: Partial<Message>])[] = [
    ["words alone", false, { text: "turn on the light" }],
    ["a voice note is the person's own words", false, { attachments: [file("voice")] }],
    ["an answer names what it answers, and no more", false, { replyTo: "m1" }],
    ["a place and a card of a person, which no model is shown", false, { attachments: [{ kind: "location", latitude: 1, longitude: 2 }] }],
    ["what is passed on", true, { forwarded: {} }],
    ["a picture", true, { attachments: [file("image")] }], ["a sticker", true, { attachments: [file("sticker")] }], ["a film", true, { attachments: [file("video")] }],
    ["music", true, { attachments: [file("audio")] }], ["a document", true, { attachments: [file("voice"), file("document")] }],
    ["an answer by mail, which quotes", true, { replyTo: "m1", at: { ...message().at, channel: "email" } }], ["the same by Gmail", true, { replyTo: "m1", at: { ...message().at, channel: "gmail" } }],
    ["a mail of its own", false, { at: { ...message().at, channel: "email" } }],
  ];
  for (const [what, outside, more] of CASES) it(`${what}: ${outside ? "yes" : "no"}`, () => assert.equal(bringsOutside({ ...message(), ...more }), outside));

  it("a client of the API passes on what its tools fetched", () => {
    const asked = (roles: readonly string[], alone: boolean): boolean => {
      const request: ChatRequest = readRequest(Buffer.from(JSON.stringify({ model: "flow", messages: [...roles.map((role) => ({ role, content: `said by ${role}`, ...(role === "tool" ? { tool_call_id: "1" } : {}) })), { role: "user", content: "go on" }] })));
      return bringsOutside(toMessage(request, { account: "a", token: "t", key: "k", now: 1 }, { alone }));
    };
    assert.equal(asked(["system", "user", "assistant", "tool"], true), true);
    assert.equal(asked(["system", "user", "assistant"], true), false);
    assert.equal(asked(["tool"], false), false, "a talk that is kept here takes the last words alone");
  });
});
