/** Skills in a real Node-RED: a script as a tool of an agent, what the node says of wrong manifests, and of a missing sandbox. */
import assert from "node:assert/strict";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { LLMock } from "@copilotkit/aimock";
import { until } from "../kit/scripted.ts";
import { json, startLlm, wholeChat } from "../platforms/llm.ts";
import { account, gateway, model, on, startHome, tab } from "../rigs/home.ts";
import { projectRoot } from "../rigs/project.ts";

describe("skills in a real Node-RED", function () {
  this.timeout(600_000);
  it("answer an agent, and tell what is wrong in the folder", async () => {
    const folder = mkdtempSync(path.join(tmpdir(), "clawflow-skills-"));
    cpSync(path.join(projectRoot, "docs/skills"), folder, { recursive: true });
    writeFileSync(path.join(folder, "broken.skill.json"), '{\n  "name" 1\n}');
    writeFileSync(path.join(folder, "chatty.skill.json"), JSON.stringify({ name: "chatty", description: "Writes its key where the log takes it.", command: ["python3", "chatty.py"], risk: "read", shared: true }));
    writeFileSync(path.join(folder, "chatty.py"), "import os, sys\nprint('my key is ' + os.environ['API_KEY'], file=sys.stderr)\nprint('done')\n");
    const mock = new LLMock({ port: 0 });
    await mock.start();
    try {
      mock.on({ userMessage: "count", hasToolResult: false }, { toolCalls: [{ name: "count_words", arguments: '{"text":"one two two","top":1}' }, { name: "chatty", arguments: "{}" }] });
      mock.on({ userMessage: "count", hasToolResult: true }, { content: "counted" });
      await using home = await startHome((sink) => [
        tab, gateway, account(sink), model({ provider: "openai", model: "gpt-4o", baseUrl: `${mock.url}/v1`, credentials: { key: "sk-test" } }),
        on("in", "clawflow-channel-in", { gateway: "gw", accounts: [] }, ["agent"], []), on("agent", "clawflow-agent", { gateway: "gw", model: "model", tools: [{ by: "tag", value: "mine" }], live: false }, ["out"], []), on("out", "clawflow-channel-out", { gateway: "gw", action: "reply" }),
        on("sk", "clawflow-skills", { gateway: "gw", folder, unsafe: true, tags: "mine", credentials: { env: "API_KEY=opensesame-of-the-script" } }), on("none", "clawflow-skills", { gateway: "gw", folder: "no-such-folder" }),
      ], { startMs: 280_000 });
      assert.match(await home.red.waitForLog(/SKILL_001.*broken/, 60_000), /broken\.skill\.json:2:\d+/);
      await home.red.waitForLog(/SKILL_00[12].*(?:no-such-folder|sandbox)/, 60_000);
      await home.say("count");
      assert.deepEqual(await home.heard(1, 120_000), ["counted"]);
      const last = mock.getRequests().at(-1)?.body as { messages: { role: string; content: string }[] };
      assert.deepEqual(JSON.parse(last.messages.find((one) => one.role === "tool")?.content ?? ""), { words: 3, lines: 1, characters: 11, frequent: ["two"] });
      assert.doesNotMatch(await home.red.waitForLog(/chatty: my key is/, 60_000), /opensesame/, "what a script writes is cleaned before it is logged");
      const found = await home.red.admin<{ skills: { name: string }[]; problems: string[] }>("POST", "/clawflow/try/skills", { folder });
      assert.deepEqual([found.skills.map(({ name }) => name), found.problems.length], [["chatty", "count_words"], 1]);
    } finally {
      await mock.stop();
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it("are there for what waited over a restart", async () => {
    const offered: string[][] = [];
    const llm = await startLlm((response, request) => {
      const { tools = [] } = request.body as { tools?: { function: { name: string } }[] };
      offered.push(tools.map((tool) => tool.function.name));
      // The first time nobody answers: the process ends meanwhile.
      if (offered.length > 1) json(wholeChat("counted"))(response, request);
    });
    try {
      await using home = await startHome((sink) => [
        tab, gateway, account(sink), model({ provider: "openai", model: "small", baseUrl: `${llm.url}/v1`, credentials: { key: "sk-test" } }),
        on("in", "clawflow-channel-in", { gateway: "gw", accounts: [] }, ["agent"], []), on("agent", "clawflow-agent", { gateway: "gw", model: "model", tools: [{ by: "tag", value: "mine" }], live: false }, ["out"], []), on("out", "clawflow-channel-out", { gateway: "gw", action: "reply" }),
        on("sk", "clawflow-skills", { gateway: "gw", folder: path.join(projectRoot, "docs/skills"), unsafe: true, tags: "mine" }),
      ], { startMs: 280_000 });
      await home.say("count");
      await until(() => offered.length === 1, "the model to be asked", 60_000);
      await home.red.kill();
      await home.red.start();
      assert.deepEqual(await home.heard(1, 60_000), ["counted"]);
      assert.deepEqual(offered.at(-1), ["count_words"]);
    } finally {
      await llm.close();
    }
  });
});
