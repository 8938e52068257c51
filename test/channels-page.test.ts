/** docs/channels.md is what the code says. `CLAWFLOW_WRITE=1 npx mocha test/channels-page.test.ts` writes it anew. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { channels } from "../engine/channels/index.ts";
import { channelsPage } from "./kit/channels-page.ts";
import { projectRoot as root } from "./rigs/project.ts";

const COMMAND = "CLAWFLOW_WRITE=1 npx mocha test/channels-page.test.ts";

describe("docs/channels.md", () => {
  it("is the table of the channels", () => {
    const file = path.join(root, "docs/channels.md");
    const page = channelsPage(channels);
    if (process.env.CLAWFLOW_WRITE === "1") writeFileSync(file, page);
    assert.ok(existsSync(file), `expected docs/channels.md; write it with ${COMMAND}`);
    assert.equal(readFileSync(file, "utf8"), page, `docs/channels.md is older than the channels; write it anew with ${COMMAND}`);
  });

  it("has a cell for every column of every channel, and a page behind each name", () => {
    const lines = channelsPage(channels).split("\n").filter((line) => line.startsWith("|"));
    const columns = (line: string) => line.replaceAll("\\|", "").split("|").length;
    for (const line of lines) assert.equal(columns(line), columns(lines[0] ?? ""), line);
    assert.equal(lines.length, channels.length + 2);
    for (const { id } of channels) assert.ok(existsSync(path.join(root, "engine/channels", id, "README.md")), id);
  });

  it("knows what each channel can do: the contract suite holds `can` against a live connection", () => {
    assert.deepEqual(channels.filter(({ can }) => can === undefined).map(({ id }) => `${id} needs "can": the methods that its connections have (Ability in engine/channels/channel.ts)`), []);
  });
});
