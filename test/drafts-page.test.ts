/** The examples of docs/drafts.md are drafts: every field is known, every part of a draft has one, and each says something on a platform that shows text alone. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { channels } from "../engine/channels/index.ts";
import { degrade } from "../engine/channels/degrade.ts";
import { splitDraft } from "../engine/channels/split.ts";
import type { Draft } from "../engine/message.ts";
import { projectRoot } from "./rigs/project.ts";

const PARTS: Readonly<Record<keyof Draft, true>> = { text: true, plain: true, attachments: true, buttons: true, choices: true, cards: true, poll: true, location: true, contact: true, form: true, template: true, subject: true, replyTo: true, silent: true, only: true, native: true };

describe("docs/drafts.md", () => {
  const page = readFileSync(path.join(projectRoot, "docs/drafts.md"), "utf8");
  const drafts = [...page.matchAll(/```json\n([\s\S]*?)\n```/g)].map(([, json = ""]) => JSON.parse(json) as Draft);

  it("has an example of every part, and no field that is none", () => {
    assert.deepEqual([...new Set(drafts.flatMap((draft) => Object.keys(draft)))].sort(), Object.keys(PARTS).sort());
  });

  it("has examples that every channel can be sent", () => {
    for (const draft of drafts) {
      for (const { shows = {}, limits, dialect } of channels) assert.ok(splitDraft(degrade(draft, shows), limits, dialect).length > 0);
      assert.ok(degrade(draft, {}).text !== "" || draft.template !== undefined, JSON.stringify(draft));
    }
  });
});
