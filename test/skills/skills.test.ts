/** Skills: real scripts in a real folder, with bubblewrap where it works here, and without. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { systemClock } from "../../engine/clock.ts";
import { findSandbox, findSkills, skillTool, type Found, type Sandbox } from "../../engine/skills.ts";
import type { Tool } from "../../engine/tool.ts";
import { until } from "../kit/scripted.ts";
import { context } from "../mcp/source.ts";
import { projectRoot } from "../rigs/project.ts";
import { skip } from "../rigs/skip.ts";

const places = (process.env["PATH"] ?? "").split(path.delimiter);
const ECHO = "import sys\nsys.stdout.write(sys.stdin.read())\n";

describe("skills", function () {
  this.timeout(180_000);
  let here: Sandbox;
  let folder = "";
  const write = (name: string, text: string): void => { mkdirSync(path.dirname(path.join(folder, name)), { recursive: true }); writeFileSync(path.join(folder, name), text); };
  const manifest = (name: string, fields: object = {}): void => write(`${name}.skill.json`, JSON.stringify({ name, description: "Does something.", command: ["python3", `${name}.py`], timeoutSeconds: 60, ...fields }));
  const python = (name: string, code: string, fields: object = {}): void => { write(`${name}.py`, code); manifest(name, fields); };
  const said = ({ problems }: Found): string[] => problems.map(({ file, at, text }) => `${file}|${at}|${text}`);
  async function tool(name: string, sandbox: Sandbox, unsafe = true, lines: string[] = []): Promise<Tool> {
    const found = await findSkills(folder);
    const skill = found.skills.find((one) => one.manifest.name === name);
    assert.ok(skill, said(found).join("\n"));
    return skillTool(skill, ["mine"], { clock: systemClock, sandbox, unsafe, env: { EXTRA: "given" }, places: "/usr/local/bin:/usr/bin:/bin", log: (line) => { lines.push(line); } });
  }
  const call = async (name: string, sandbox: Sandbox, input: unknown = {}, signal = new AbortController().signal): Promise<string> => (await (await tool(name, sandbox)).call(input, context, signal)).text;

  before(async () => { here = await findSandbox(places, systemClock); });
  beforeEach(() => { folder = realpathSync(mkdtempSync(path.join(tmpdir(), "clawflow-skills-"))); });
  afterEach(() => { rmSync(folder, { recursive: true, force: true }); });

  for (const walls of ["bubblewrap", "no sandbox"] as const) {
    describe(`with ${walls}`, () => {
      let sandbox: Sandbox;
      before(function () {
        if (walls === "bubblewrap" && here.bwrap === undefined) skip(this, `${here.why}`);
        sandbox = walls === "bubblewrap" ? here : { why: "the test says so", ...(here.prlimit === undefined ? {} : { prlimit: here.prlimit }) };
      });

      it("give a script its arguments as JSON, and its result back", async () => {
        const found = await findSkills(path.join(projectRoot, "docs/skills"));
        assert.deepEqual(found.problems, []);
        const counter = skillTool(found.skills[0] as never, [], { clock: systemClock, sandbox, unsafe: true, env: {}, places: "/usr/local/bin:/usr/bin:/bin", log: () => undefined });
        const { text } = await counter.call({ text: "the quick brown the", top: 1 }, context, new AbortController().signal);
        assert.deepEqual(JSON.parse(text), { words: 4, lines: 1, characters: 19, frequent: ["the"] });
        python("plain", "print('just \\x1b[31mtext')");
        assert.equal(await call("plain", sandbox), "just [31mtext");
        python("texts", "print('\"a JSON text\"')");
        assert.equal(await call("texts", sandbox), "a JSON text");
      });
      it("end what takes too long, with all it started, when its time is over and when it is taken back", async () => {
        const child = "import os,sys,time,subprocess\np=subprocess.Popen(['sleep','600'])\nsys.stderr.write('started\\n');sys.stderr.flush()\ntime.sleep(600)\n";
        python("slow", child, { timeoutSeconds: 2 });
        await assert.rejects(call("slow", sandbox), /TOOL_002|did not answer within 2 s/);
        python("slow", child);
        const lines: string[] = [];
        const abort = new AbortController();
        const running = (await tool("slow", sandbox, true, lines)).call({}, context, abort.signal);
        running.catch(() => undefined);
        await until(() => lines.some((line) => line.includes("started")), "the script", 60_000);
        abort.abort(new Error("taken back"));
        await assert.rejects(running, /taken back/);
        await until(() => !process.getActiveResourcesInfo().includes("ProcessWrap"), "the end", 20_000);
      });
      it("end what eats memory", async function () {
        if (sandbox.prlimit === undefined) skip(this, "prlimit is not here");
        python("hungry", "x = bytearray(512 * 1024 * 1024)\nprint(len(x))", { memoryMb: 64 });
        await assert.rejects(call("hungry", sandbox), /exit code 1.*MemoryError/s);
        python("fed", "x = bytearray(32 * 1024 * 1024)\nprint(len(x))", { memoryMb: 128 });
        assert.equal(await call("fed", sandbox), String(32 * 1024 * 1024));
      });
      it("cut off what writes without end, and tell how a script failed", async () => {
        python("chatty", "while True: print('x' * 1000)", { outputKb: 8 });
        await assert.rejects(call("chatty", sandbox), /more than 8 kB/);
        python("fails", "import sys\nsys.stderr.write('no such city\\n')\nsys.exit(3)");
        await assert.rejects(call("fails", sandbox), /exit code 3: no such city/);
        manifest("gone", { command: ["no-such-program-here"] });
        await assert.rejects(call("gone", sandbox), /SKILL_003|no-such-program-here/);
      });
      it("see nothing of Node-RED's environment", async () => {
        process.env["CLAWFLOW_TEST_SECRET"] = "opensesame";
        try {
          python("env", "import os,json\nprint(json.dumps(dict(os.environ)))");
          const seen = JSON.parse(await call("env", sandbox)) as Record<string, string>;
          assert.equal(seen["CLAWFLOW_TEST_SECRET"], undefined);
          assert.equal(seen["EXTRA"], "given");
          assert.equal(seen["HOME"], walls === "bubblewrap" ? "/tmp" : folder);
        } finally {
          delete process.env["CLAWFLOW_TEST_SECRET"];
        }
      });
      it("get hostile arguments as they are, and nothing of them reaches a shell", async function () {
        const file = path.resolve(process.env["CLAWFLOW_SPECS"] ?? "../shared/data/specs", "../badinputs/tool-args.json");
        let hostile: unknown;
        try { hostile = JSON.parse(readFileSync(file, "utf8")); } catch { skip(this, "the hostile tool arguments are not here"); }
        python("echo", ECHO, { outputKb: 4_096 });
        const echo = await tool("echo", sandbox);
        const inputs = [...(hostile as { cases: unknown[] }).cases, ...((hostile as { calls?: unknown[] }).calls ?? []), "$(touch /tmp/owned)", "`id`", "; rm -rf /", "\u0000\u001b[2J", "--help", "-c", "../../etc/passwd"];
        // A few at once in one call would prove the same; one alone is what a model sends.
        const whole = await echo.call({ all: inputs }, context, new AbortController().signal);
        assert.deepEqual(JSON.parse(whole.text), JSON.parse(JSON.stringify({ all: inputs })));
        for (const input of inputs.slice(-7)) assert.deepEqual(JSON.parse((await echo.call({ input }, context, new AbortController().signal)).text), { input });
        console.log(`      ${inputs.length} hostile arguments came back as they were`);
      });
    });
  }

  describe("in the sandbox", () => {
    before(function () { if (here.bwrap === undefined) skip(this, `${here.why}`); });
    it("see neither homes nor the network, write nowhere but /tmp, and hold no rights", async () => {
      python("look", `
import os, json, socket
def tried(act):
    try: return str(act())
    except Exception as e: return type(e).__name__
s = socket.socket(); s.settimeout(1)
print(json.dumps({
  "root": sorted(os.listdir("/")), "home": tried(lambda: os.listdir("/root")), "shadow": tried(lambda: open("/etc/shadow").read()),
  "own": tried(lambda: open("look.py", "a")), "usr": tried(lambda: open("/usr/x", "w")), "tmp": tried(lambda: open("/tmp/x", "w").write("x")),
  "net": tried(lambda: s.connect(("127.0.0.1", ${process.debugPort || 9}))), "interfaces": [n for _, n in socket.if_nameindex()],
  "pids": [p for p in os.listdir("/proc") if p.isdigit()], "caps": [l for l in open("/proc/self/status") if l.startswith("CapEff")],
}))`);
      const seen = JSON.parse(await call("look", here)) as Record<string, unknown> & { root: string[]; pids: string[]; caps: string[] };
      assert.ok(!seen.root.includes("root") && !seen.root.includes("home") && !seen.root.includes("work"), seen.root.join(" "));
      assert.equal(seen["home"], "FileNotFoundError");
      assert.equal(seen["shadow"], "FileNotFoundError");
      assert.match(String(seen["own"]), /OSError|PermissionError/);
      assert.match(String(seen["usr"]), /OSError|PermissionError/);
      assert.equal(seen["tmp"], "1");
      assert.doesNotMatch(String(seen["net"]), /None/);
      assert.deepEqual(seen["interfaces"], ["lo"]);
      assert.ok(seen.pids.length < 6, seen.pids.join(" "));
      assert.match(seen.caps[0] ?? "", /0000000000000000/);
    });
    it("leave no process behind that left its group", async () => {
      python("daemon", "import os,sys,time\nif os.fork()==0:\n  os.setsid()\n  os.close(0); os.close(1); os.close(2)\n  time.sleep(600)\nprint('ok')", { timeoutSeconds: 20 });
      assert.equal(await call("daemon", here), "ok");
      const running = (): string[] => readdirSync("/proc").filter((id) => { try { return /^\d+$/.test(id) && readFileSync(`/proc/${id}/cmdline`, "utf8").includes("daemon.py"); } catch { return false; } });
      await until(() => running().length === 0, "the end of the daemon", 20_000);
    });
    it("count as outside only with the network", async () => {
      python("a", ECHO);
      python("b", ECHO, { network: true });
      python("c", ECHO, { network: true, talksOutside: false });
      assert.deepEqual(await Promise.all(["a", "b", "c"].map(async (name) => (await tool(name, here)).talksOutside)), [false, true, false]);
      assert.equal((await tool("a", { why: "none" })).talksOutside, true);
    });
  });

  it("are refused without a sandbox, unless the owner says otherwise", async () => {
    python("echo", ECHO);
    const one = await tool("echo", { why: "bubblewrap is not installed" }, false);
    await assert.rejects(one.call({}, context, new AbortController().signal), /bubblewrap is not installed/);
    assert.equal((await findSandbox(["/nowhere"], systemClock)).bwrap, undefined);
    const fake = path.join(folder, "bwrap");
    writeFileSync(fake, "#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n", { mode: 0o755 });
    assert.match((await findSandbox([folder], systemClock)).why ?? "", /No permissions/);
  });

  it("say of a wrong manifest in which file and at which line or field", async () => {
    write("broken.skill.json", '{\n  "name": "x",\n  "description" "y"\n}');
    manifest("badrisk", { risk: "none", timeoutSeconds: 0, parameters: { type: "object", properties: { a: { type: "nonsense" } } } });
    manifest("typo", { timeoutSecond: 5 });
    write("list.skill.json", "[]");
    manifest("upward", { command: ["python3", "../outside.py"] });
    manifest("absolute", { command: ["/bin/sh", "-c", "id"] });
    manifest("shell", { command: "python3 x.py" });
    manifest("missing", { command: ["./missing.sh"] });
    write("sub/skill.json", JSON.stringify({ name: "below", description: "Is below.", command: ["python3", "x.py"] }));
    write("sub/deeper/skill.json", "{}");
    write("other.json", "{}");
    python("good", ECHO);
    write("twin.skill.json", JSON.stringify({ name: "good", description: "Has a twin.", command: ["true"] }));
    const found = await findSkills(folder);
    assert.deepEqual(found.skills.map(({ manifest: { name } }) => name).sort(), ["below", "good"]);
    const places = found.problems.map(({ file, at }) => `${file}|${at}`);
    for (const expected of ["broken.skill.json|3:17", "badrisk.skill.json|risk", "badrisk.skill.json|timeoutSeconds", "badrisk.skill.json|parameters", "typo.skill.json|timeoutSecond", "list.skill.json|1:1", "upward.skill.json|command[1]", "absolute.skill.json|command[0]", "shell.skill.json|command", "missing.skill.json|command[0]", "twin.skill.json|name"]) assert.ok(places.includes(expected), `${expected} is not among\n${places.join("\n")}`);
    assert.equal(places.length, 11, places.join("\n"));
  });

  it("do not follow a link out of the folder, also not one that came later", async () => {
    const outside = mkdtempSync(path.join(tmpdir(), "clawflow-outside-"));
    try {
      writeFileSync(path.join(outside, "secret.py"), "print('secret')");
      writeFileSync(path.join(outside, "skill.json"), JSON.stringify({ name: "stolen", description: "Is outside.", command: ["python3", "secret.py"] }));
      symlinkSync(outside, path.join(folder, "linked"));
      symlinkSync(path.join(outside, "skill.json"), path.join(folder, "l.skill.json"));
      symlinkSync(path.join(outside, "secret.py"), path.join(folder, "s.py"));
      manifest("s");
      python("late", "print('mine')");
      const found = await findSkills(folder);
      assert.deepEqual(found.skills.map(({ manifest: { name } }) => name), ["late"]);
      assert.deepEqual(found.problems.map(({ file, at }) => `${file}|${at}`).sort(), ["l.skill.json|", "s.skill.json|command[1]"]);
      const late = await tool("late", here);
      rmSync(path.join(folder, "late.py"));
      symlinkSync(path.join(outside, "secret.py"), path.join(folder, "late.py"));
      await assert.rejects(late.call({}, context, new AbortController().signal), /leads out of it/);
      assert.match(said(await findSkills(path.join(folder, "nowhere")))[0] ?? "", /found none/);
    } finally {
      rmSync(outside, { recursive: true, force: true });
    }
  });
});
