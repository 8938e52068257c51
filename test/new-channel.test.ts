/** `npm run new-channel` in a copy of the sources: what it writes has right types, passes the contract suite, and is known to the project's own tests. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { projectRoot } from "./rigs/project.ts";

describe("a new channel", function () {
  this.timeout(300_000);
  let copy = "";
  before(() => {
    copy = mkdtempSync(path.join(tmpdir(), "clawflow-new-channel-"));
    for (const place of ["engine", "locales", "scripts", "test", "types", "nodes", "editor", "package.json", "tsconfig.json", ".mocharc.json", "biome.json"]) cpSync(path.join(projectRoot, place), path.join(copy, place), { recursive: true });
    symlinkSync(path.join(projectRoot, "node_modules"), path.join(copy, "node_modules"), "junction");
  });
  after(() => rmSync(copy, { recursive: true, force: true }));
  const run = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: copy, encoding: "utf8", maxBuffer: 50_000_000 });
    return { status, text: stdout + stderr };
  };
  const mocha = (...args: string[]) => run("node_modules/mocha/bin/mocha.js", ...args);

  it("is refused with a name that cannot be one, or that is taken", () => {
    for (const id of ["", "My Chat", "telegram", "../x", "-x", "x_y"]) {
      const { status, text } = run("scripts/new-channel.mjs", id);
      assert.equal(status, 1, id);
      assert.match(text, /Expected an id|is there already/);
    }
    assert.equal(run("scripts/new-channel.mjs", "good", 'A"; evil()').status, 1);
  });

  it("is written, and passes the contract suite as it is", () => {
    const made = run("scripts/new-channel.mjs", "my-chat", "My Chat 2");
    assert.equal(made.status, 0, made.text);
    assert.match(readFileSync(path.join(copy, "engine/channels/index.ts"), "utf8"), /import \{ myChat \} from ".\/my-chat\/my-chat.ts";[\s\S]*\[.*myChat.*\];/);
    const suite = mocha("test/channels/my-chat.test.ts");
    assert.equal(suite.status, 0, suite.text);
    assert.doesNotMatch(suite.text, /pending/);
  });

  it("has its words in every language, its place in the list, right types and clean style", () => {
    assert.equal(mocha("test/locales.test.ts").status, 0);
    assert.equal(mocha("test/structure.test.ts", "-g", "my-chat|index.ts lists each folder once").status, 0);
    const types = run("node_modules/typescript/bin/tsc", "--noEmit");
    assert.deepEqual(types.text.split("\n").filter((line) => line.includes("my-chat")), [], types.text);
    const lint = run("node_modules/@biomejs/biome/bin/biome", "lint", "--error-on-warnings", "engine/channels/my-chat", "test/platforms/my-chat.ts", "test/channels/my-chat.test.ts");
    assert.equal(lint.status, 0, lint.text);
  });

  it("says where the code is missing once the stub asks for something else", () => {
    const stub = path.join(copy, "test/platforms/my-chat.ts");
    const source = readFileSync(stub, "utf8");
    spawnSync(process.execPath, ["-e", `require("fs").writeFileSync(${JSON.stringify(stub)}, ${JSON.stringify(source.replace('"POST messages"(', '"POST send-message"('))})`]);
    const suite = mocha("test/channels/my-chat.test.ts", "-g", "shows a text and gives its ref");
    assert.equal(suite.status, 1);
    assert.match(suite.text, /The platform answered 404/);
  });
});
