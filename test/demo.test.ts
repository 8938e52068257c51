/** `npm run demo`, as a person would run it; the browser tests talk to it. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { withServer } from "../scripts/demo-server.ts";
import { until } from "./kit/scripted.ts";
import { buildIfStale, type FlowNode, projectRoot } from "./rigs/node-red.ts";

interface Entry { readonly seq: number; readonly ref?: string; readonly from: "visitor" | "bot"; readonly text: string; readonly buttons?: readonly (readonly { readonly label: string; readonly value?: string }[])[] }
/** Of the MCP server of this clone. */
const processes = (): string[] => readdirSync("/proc").filter((id) => {
  try {
    return /^\d+$/.test(id) && readFileSync(`/proc/${id}/cmdline`, "utf8").includes(path.join(projectRoot, "node_modules/@modelcontextprotocol/server-everything"));
  } catch {
    return false; // it has ended meanwhile
  }
});
interface Demo { child: ChildProcess; editor: string; chat: string; output(): string; stop(): Promise<number | null> }

describe("npm run demo", function () {
  this.timeout(120_000);
  const key = "sk-canary-4711";
  let parent: string;
  let userDir: string;
  const running: ChildProcess[] = [];
  const flows = (): FlowNode[] => JSON.parse(readFileSync(path.join(userDir, "flows.json"), "utf8")) as FlowNode[];
  const modelNode = () => flows().find(({ type }) => type === "clawflow-model");

  async function start(env: Record<string, string> = {}, port = 0): Promise<Demo> {
    const { PATH = "", HOME = "" } = process.env;
    // Nothing of this machine's environment: a key in it would choose another model.
    const child = spawn(process.execPath, ["scripts/demo.mjs", `--port=${port}`, `--user-dir=${userDir}`], { cwd: projectRoot, env: { PATH, HOME, ...env }, stdio: ["ignore", "pipe", "pipe"] });
    running.push(child);
    let output = "";
    const ready = new Promise<void>((resolve, reject) => {
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding("utf8").on("data", (text: string) => { output += text; if (/Ctrl-C stops/.test(output)) resolve(); });
      }
      child.once("close", (code) => reject(new Error(`The demo ended with ${code}:\n${output}`)));
    });
    await ready;
    const address = (name: string) => new RegExp(`^ +${name} +(\\S+)$`, "m").exec(output)?.[1] ?? "";
    return {
      child, editor: address("Editor"), chat: address("Chat"), output: () => output,
      async stop() {
        const closed = once(child, "close");
        child.kill("SIGINT");
        return (await closed)[0] as number | null;
      },
    };
  }

  before(() => {
    buildIfStale();
    // As in the checkout, where the folder lies inside a package of ES modules.
    parent = mkdtempSync(path.join(tmpdir(), "clawflow-demo-"));
    writeFileSync(path.join(parent, "package.json"), '{ "type": "module" }');
    userDir = path.join(parent, ".demo");
  });
  after(async () => {
    for (const child of running) if (child.exitCode === null && child.signalCode === null) { child.kill("SIGKILL"); await once(child, "close"); }
    rmSync(parent, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  });

  it("names a key that it found, never shows or stores it, and uses it with a cap", async () => {
    const demo = await start({ OPENAI_API_KEY: key });
    assert.match(demo.output(), /OpenAI, \S+, with the key in OPENAI_API_KEY; it stops after [\d,]+ tokens/);
    assert.ok(demo.output().indexOf("OPENAI_API_KEY") < demo.output().indexOf("Editor"), "named before it can be used");
    assert.deepEqual([modelNode()?.provider, typeof modelNode()?.model], ["openai", "string"]);
    assert.equal(await demo.stop(), 0);
    assert.ok(!demo.output().includes(key));
    for (const file of readdirSync(userDir, { recursive: true }) as string[]) {
      if (file.startsWith("node_modules")) continue;
      const place = path.join(userDir, file);
      if (statSync(place).isFile()) assert.ok(!readFileSync(place).includes(key), `${file} holds the key`);
    }
  });

  it("prints two addresses on loopback, takes the next port where one is taken, keeps the user's changes, and ends cleanly", async () => {
    const changed = flows();
    const own = { id: "comment", type: "comment", z: changed.find(({ type }) => type === "tab")?.id, name: "mine", info: "", x: 100, y: 20, wires: [] };
    writeFileSync(path.join(userDir, "flows.json"), JSON.stringify([...changed, own]));
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as { port: number };
    try {
      const demo = await start({}, port);
      assert.match(demo.output(), /Answers come from the practice model/);
      const got = Number(new URL(demo.editor).port);
      assert.ok(got > port && got < port + 100, `${got} follows ${port}`);
      assert.deepEqual([new URL(demo.editor).hostname, new URL(demo.chat).hostname], ["127.0.0.1", "127.0.0.1"]);
      assert.match(new URL(demo.chat).hash, /^#owner=[0-9A-Z]{16}$/);
      const page = await fetch(demo.chat);
      assert.equal(page.status, 200);
      assert.match(page.headers.get("content-type") ?? "", /html/);
      const [, bearer = "", bell = ""] = /Authorization: (Bearer \S+)".* (http\S+)$/m.exec(demo.output()) ?? [];
      assert.equal((await fetch(bell, { method: "POST", body: "text=ding" })).status, 401, "the doorbell asks for its secret");
      assert.ok((await fetch(bell, { method: "POST", headers: { authorization: bearer }, body: new URLSearchParams({ text: "ding" }) })).ok, "and the printed one is it");
      const running = await (await fetch(new URL("flows", demo.editor))).json() as FlowNode[];
      assert.ok(running.some(({ id }) => id === "comment"), "the user's node is still there");
      assert.equal(modelNode()?.provider, "practice", "without the key it is the practice model again");
      assert.equal(await demo.stop(), 0);
      await assert.rejects(fetch(demo.editor), "nothing listens any more");
      assert.doesNotMatch(demo.output(), /\[error\](?!.*MSG_002)/, "only that nobody can be told of the bell yet");
    } finally {
      taken.close();
    }
  });

  it("answers in its web chat by a tool of an MCP server, asks the owner before it switches anything after that, and leaves no process behind", async () => {
    const demo = await start();
    const token = randomBytes(24).toString("base64url");
    const ask = async (name: string, body?: object): Promise<unknown> => {
      const answer = await fetch(new URL(name, demo.chat), { headers: { "content-type": "application/json", "x-clawflow-visitor": token }, ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }) });
      assert.equal(answer.status, 200, `${name}: ${await answer.clone().text()}`);
      return answer.json();
    };
    const said = async (): Promise<Entry[]> => (await ask("history") as Entry[]).filter(({ from }) => from === "bot");
    let count = 0;
    const answer = async (name: "send" | "press", body: object, pattern: RegExp): Promise<Entry> => {
      const before = (await said()).length;
      await ask(name, { clientId: `test-${String(++count).padStart(20, "0")}`, ...body });
      await until(async () => (await said()).slice(before).some(({ text }) => pattern.test(text)), `an answer like ${pattern}: ${demo.output()}`, 60_000);
      return (await said()).slice(before).find(({ text }) => pattern.test(text)) as Entry;
    };
    try {
      assert.deepEqual(await ask("claim", { code: new URL(demo.chat).hash.replace("#owner=", "") }), { claimed: true });
      await answer("send", { text: "turn on the hall light" }, /hall light is on/);
      // The server's process begins beside Node-RED, not before it.
      await until(async () => /\b42\b/.test((await answer("send", { text: "what is the sum of 2 and 40?" }, /./)).text), "the answer by the server's tool", 60_000);
      assert.equal(processes().length, 1, "it is one process");
      const question = await answer("send", { text: "turn on the bedroom light" }, /switch_light/);
      const yes = question.buttons?.flat().find(({ value }) => value !== undefined);
      await answer("press", { ref: question.ref ?? String(question.seq), value: yes?.value }, /bedroom light is on/);
    } finally {
      await demo.stop();
    }
    await until(() => processes().length === 0, "the end of the server", 20_000);
  });

  it("has no MCP server where the package is not installed, and switches the node off where it has gone", () => {
    const example = JSON.parse(readFileSync(path.join(projectRoot, "examples/Home demo.json"), "utf8")) as FlowNode[];
    const nowhere = path.join(parent, "nowhere");
    assert.deepEqual(withServer(example, nowhere, true), example);
    const placed = withServer(example, projectRoot, true);
    const server = placed.find(({ type }) => type === "clawflow-mcp");
    assert.ok(server);
    assert.equal(placed.filter(({ id }) => placed.filter((other) => other.id === id).length > 1).length, 0);
    const moved = placed.map((node) => (node === server ? { ...node, args: [`/elsewhere/${String((server.args as string[])[0]).split("/node_modules/")[1]}`, "stdio"], name: "mine" } : node));
    assert.deepEqual(withServer(moved, projectRoot, false).find(({ id }) => id === server.id), { ...server, name: "mine" });
    assert.equal(withServer(placed, nowhere, false).find(({ id }) => id === server.id)?.d, true);
    const own = placed.map((node) => (node === server ? { ...node, command: "uvx", args: ["some-other-server"] } : node));
    assert.deepEqual(withServer(own, nowhere, false), own, "what the user made of it stays");
  });

  it("says what it expects when a provider is not known", async () => {
    await assert.rejects(start({ CLAWFLOW_DEMO_PROVIDER: "nobody" }), /ended with 1:\s+Expected CLAWFLOW_DEMO_PROVIDER to be one of practice, openai/);
  });
});
