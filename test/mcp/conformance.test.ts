/**
 * The conformance suite of the protocol: our client and our server, in those scenarios that speak of what we offer.
 * `CLAWFLOW_WRITE=1 npx mocha test/mcp/conformance.test.ts` writes the table in docs/mcp.md anew.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { projectRoot } from "../rigs/project.ts";
import { startServer } from "./conformance-server.ts";
import { CLIENT, conformanceSection, LEFT_OUT, SERVER } from "./scenarios.ts";

const suite = path.join(projectRoot, "node_modules/@modelcontextprotocol/conformance");
const program = path.join(suite, "dist/index.js");
const client = path.join(import.meta.dirname, "conformance-client.ts");
/** The suite wants the client back after 500 ms and takes 1,000 for a client that does not listen: on a busy machine a good one may be that late once. */
const LATE = /^client-sse-retry-timing: Client reconnected very late/;
const TRIES = 5;

interface Check { readonly id: string; readonly status: string; readonly errorMessage?: string }
const execute = (args: readonly string[]): Promise<string> => new Promise((resolve) => {
  execFile(process.execPath, [program, ...args], { timeout: 580_000, env: { ...process.env, NO_COLOR: "1" } }, (_error, stdout, stderr) => resolve(`${stdout}\n${stderr}`));
});
/** Runs one scenario; resolves to its checks. */
async function run(args: readonly string[]): Promise<Check[]> {
  const out = mkdtempSync(path.join(tmpdir(), "clawflow-conformance-"));
  try {
    const said = await execute([...args, "-o", out]);
    const files = (readdirSync(out, { recursive: true }) as string[]).filter((name) => name.endsWith("checks.json"));
    assert.equal(files.length, 1, said);
    return JSON.parse(readFileSync(path.join(out, files[0] ?? ""), "utf8")) as Check[];
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}
const of = (checks: readonly Check[], status: string): string[] => checks.filter((check) => check.status === status).map(({ id, errorMessage }) => `${id}: ${errorMessage ?? ""}`);

describe("the conformance suite of MCP", function () {
  this.timeout(600_000);
  const lines: string[] = [];
  after(() => { console.log(`    ${lines.length} of ${CLIENT.length + SERVER.length} scenarios that apply passed:\n${lines.map((line) => `      ${line}`).join("\n")}`); });
  const judge = (scenario: string, checks: readonly Check[]): void => {
    assert.deepEqual(of(checks, "FAILURE"), []);
    const passed = of(checks, "SUCCESS").length;
    assert.ok(passed > 0, "nothing was checked");
    lines.push(`${scenario}: ${passed} checks passed, 0 failed, ${of(checks, "WARNING").length} warnings`);
  };

  it("has no scenario of which docs/mcp.md does not tell", async () => {
    const [servers = "", clients = ""] = (await execute(["list"])).split("Client scenarios");
    const listed = (text: string): string[] => [...text.matchAll(/^ {2}- (\S+)/gm)].map((match) => match[1] ?? "").sort();
    const known = (side: string, examined: readonly string[]): string[] => [...examined, ...LEFT_OUT.filter((left) => left.side === side).flatMap(({ names }) => names)].sort();
    assert.deepEqual(listed(servers), known("server", SERVER));
    assert.deepEqual(listed(clients), known("client", CLIENT));
    const { version } = JSON.parse(readFileSync(path.join(suite, "package.json"), "utf8")) as { version: string };
    const file = path.join(projectRoot, "docs/mcp.md");
    const page = readFileSync(file, "utf8");
    const right = page.slice(0, page.indexOf("## Conformance")) + conformanceSection(version);
    if (process.env["CLAWFLOW_WRITE"] === "1") writeFileSync(file, right);
    assert.equal(readFileSync(file, "utf8"), right);
  });

  for (const scenario of CLIENT) {
    it(`client: ${scenario}`, async () => {
      const once = () => run(["client", "--command", `${process.execPath} --disable-warning=ExperimentalWarning ${client}`, "--scenario", scenario, "--timeout", "120000"]);
      let checks = await once();
      for (let tries = 1; tries < TRIES && of(checks, "FAILURE").some((text) => LATE.test(text)); tries++) checks = await once();
      judge(scenario, checks);
    });
  }

  describe("server", () => {
    let server: Awaited<ReturnType<typeof startServer>>;
    before(async () => { server = await startServer(); });
    after(() => server.close());

    for (const scenario of SERVER) it(scenario, async () => judge(scenario, await run(["server", "--url", server.url, "--scenario", scenario])));

    it("is stateless: there is no stream to listen to", async () => {
      const status = await new Promise<number>((resolve, reject) => { request(server.url, { method: "GET", headers: { accept: "text/event-stream" } }, (res) => { res.resume(); resolve(res.statusCode ?? 0); }).on("error", reject).end(); });
      assert.equal(status, 405);
    });
  });
});
