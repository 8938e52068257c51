/** One flow for everybody: each channel with a platform of its own, all in one Node-RED, all at once. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { until } from "../kit/scripted.ts";
import { hasDovecot } from "../platforms/dovecot.ts";
import { type Answer, startLlm, talk, type LlmStub } from "../platforms/llm.ts";
import { model } from "../rigs/home.ts";
import { type FlowNode, type NodeRed, startNodeRed } from "../rigs/node-red.ts";
import { skip } from "../rigs/skip.ts";
import type { Line } from "../rigs/line.ts";
import { ELEVEN, oneFlow, openEmail, OTHER_WAYS } from "../rigs/twelve.ts";
import { dataFolder } from "../spec/telegram-schema.ts";

/** Milliseconds one message to everybody may take on a machine that is busy with other things. */
const PATIENCE_MS = 90_000;

/** Knows what stands in the talk it is handed, and nothing else: a memory that is shared shows. */
const recite: Answer = (response, asked) => {
  const told = (asked.body.messages as { role: string; content: unknown }[]).filter(({ role }) => role === "user").map(({ content }) => JSON.stringify(content));
  const words = told.flatMap((text) => /my word is (\w+)/.exec(text)?.[1] ?? []);
  const last = told.at(-1) ?? "";
  const count = /number (\d+)/.exec(last)?.[1];
  talk(count !== undefined ? `Here for ${count}` : /which word/.test(last) ? `You told me ${words.join(" and ")}` : `Noted ${words.at(-1)}`)(response, asked);
};

interface AccountView { readonly slug: string; readonly state: string; readonly code?: string; readonly since: number }

describe("one flow on every channel", function () {
  this.timeout(20 * 60_000);
  let red: NodeRed;
  let llm: LlmStub;
  let lines: readonly Line[];
  let nodes: FlowNode[];
  const expected = new Map<Line, string[]>();
  const rows: { name: string; ms: number[]; reconnects: number }[] = [];
  const accounts = () => lines.filter(({ node }) => node.type === "clawflow-account");

  before(async function () {
    for (const platform of ["telegram", "discord", "slack", "whatsapp", "twilio", "signal"]) if (dataFolder("specs", platform) === undefined) skip(this as unknown as Mocha.Context, `the specification of ${platform} is not here (CLAWFLOW_SPECS)`);
    const port = await freePort();
    const base = `http://127.0.0.1:${port}`;
    llm = await startLlm(recite);
    if (!hasDovecot()) console.log("skipped: e-mail, for Dovecot is not installed (apt-get install dovecot-imapd)");
    lines = await Promise.all([...ELEVEN, ...(hasDovecot() ? [openEmail] : []), ...OTHER_WAYS].map((open) => open(base)));
    nodes = oneFlow(lines, base, model({ provider: "openai", model: "stub", baseUrl: `${llm.url}/v1`, credentials: { key: "sk-of-the-test" } }));
    red = await startNodeRed({ port, flows: nodes });
    await until(async () => (await views()).every(({ state }) => state === "connected"), "every connection", PATIENCE_MS).catch(async (error: Error) => assert.fail(`${error.message}: ${JSON.stringify(await views())}\n${red.lines.slice(-30).join("\n")}`));
    for (const line of lines) { expected.set(line, []); rows.push({ name: line.name, ms: [], reconnects: 0 }); }
  });
  after(async () => {
    await red?.remove();
    for (const line of lines ?? []) await line.close();
    await llm?.close();
    const width = Math.max(...rows.map(({ name }) => name.length));
    console.log(`      ${"channel".padEnd(width)}  answers  first ms  median ms  links made anew`);
    for (const { name, ms, reconnects } of rows) console.log(`      ${name.padEnd(width)}  ${String(ms.length).padStart(7)}  ${String(Math.round(ms[0] ?? Number.NaN)).padStart(8)}  ${String(Math.round([...ms].sort((a, b) => a - b)[ms.length >> 1] ?? Number.NaN)).padStart(9)}  ${String(reconnects).padStart(15)}`);
  });

  async function views(): Promise<AccountView[]> {
    return (await red.admin<{ accounts: AccountView[] }>("GET", "/clawflow/gateway/gw")).accounts;
  }
  /** Within a deploy there is a moment without it. */
  const viewOf = async ({ node }: Line): Promise<AccountView> => (await views()).find(({ slug }) => slug === node.slug) ?? { slug: String(node.slug), state: "gone", since: 0 };

  /** Everybody writes at the same moment; each gets one answer, where it wrote. */
  async function everybody(who: readonly Line[], text: (line: Line) => string, answer: (line: Line) => string): Promise<void> {
    await Promise.all(who.map(async (line) => {
      const all = expected.get(line) as string[];
      all.push(answer(line));
      const from = performance.now();
      void line.say(text(line)).catch((error: Error) => { all.push(`and no fault: ${error.message}`); });
      await until(() => line.answers().length >= all.length, "", PATIENCE_MS).catch(() => undefined);
      rows.find(({ name }) => name === line.name)?.ms.push(performance.now() - from);
    }));
    for (const line of lines) assert.deepEqual(line.answers(), expected.get(line), `${line.name}\n${red.lines.slice(-30).join("\n")}`);
  }
  let round = 0;
  const stillThere = (who: readonly Line[] = lines) => { round++; return everybody(who, () => `number ${round}, please`, () => `Here for ${round}`); };
  const wordOf = ({ name }: Line) => `kiwi${name.replace(/\W/g, "")}`;

  /** What the platforms know of their links. */
  const seen = () => new Map(accounts().map((line) => [line, { logins: line.logins?.() ?? 0, links: line.links?.() ?? [] }]));
  /** Deploys, waits until `changed` stands as it should, and holds all others against how they stood before. */
  async function deploy(changed: Line, fields: Record<string, unknown>, type: "full" | "nodes", wanted: (view: AccountView) => boolean): Promise<void> {
    const [before, since] = [seen(), new Map((await views()).map(({ slug, since }) => [slug, since]))];
    nodes = nodes.map(({ credentials, ...node }) => (node.id === changed.node.id ? { ...node, ...fields } : node) as FlowNode);
    await red.deploy(nodes, type);
    await until(async () => wanted(await viewOf(changed)), "", PATIENCE_MS).catch(async () => assert.fail(`${changed.name} is ${JSON.stringify(await viewOf(changed))}\n${red.lines.slice(-20).join("\n")}`));
    const now = await views();
    for (const [line, { logins, links }] of before) {
      if (line === changed) continue;
      assert.equal(line.logins?.() ?? 0, logins, `${line.name} logged in again when ${changed.name} changed`);
      assert.ok((line.links?.() ?? []).every((link, at) => link === links[at]) && (line.links?.() ?? []).length === links.length, `${line.name} has another link since ${changed.name} changed`);
      assert.equal(now.find(({ slug }) => slug === line.node.slug)?.since, since.get(String(line.node.slug)), `${line.name} was opened anew when ${changed.name} changed`);
    }
  }

  it("answers each person once, at the place of the question", () => everybody(lines, (line) => `my word is ${wordOf(line)}`, (line) => `Noted ${wordOf(line)}`));

  it("remembers for each person what was said there, and nothing of the others", () => everybody(lines, () => "which word was it?", (line) => `You told me ${wordOf(line)}`));

  it("says what is wrong with a token that is refused, answers on all others, and connects when it is right again", async () => {
    const guarded = accounts().filter(({ wrong }) => wrong !== undefined);
    assert.equal(guarded.length, accounts().length - 1, "the web chat alone has no token");
    for (const [turn, line] of guarded.entries()) {
      const type = turn % 2 === 0 ? "nodes" : "full";
      await deploy(line, { credentials: line.wrong }, type, ({ state, code }) => state === "failed" && code === "CONN_002");
      await stillThere(lines.filter((other) => other !== line));
      await deploy(line, { credentials: line.node.credentials }, type, ({ state }) => state === "connected");
    }
    await stillThere();
  });

  it("makes the one link anew whose account a deploy changes, and leaves all others as they are", async () => {
    for (const [turn, line] of accounts().entries()) {
      const [{ since }, logins] = [await viewOf(line), line.logins?.() ?? 0];
      await deploy(line, { keepRaw: true }, turn % 2 === 0 ? "full" : "nodes", (view) => view.state === "connected" && view.since !== since);
      const made = () => (line.logins?.() ?? logins + 1) - logins;
      // A page of the web chat notices a little later that its stream has ended.
      await until(() => made() > 0, "", PATIENCE_MS).catch(() => undefined);
      await stillThere();
      assert.equal(made(), 1, `${line.name} logged in ${made()} times`);
      const row = rows.find(({ name }) => name === line.name);
      if (row !== undefined) row.reconnects += made();
    }
  });

  it("sent nothing that a platform's specification does not allow, and left nothing undone", async () => {
    assert.deepEqual(lines.flatMap((line) => line.problems().map((problem) => `${line.name}: ${problem}`)), []);
    type Counts = { counts: { pending: number; dead: number; received: number; done: number; outbox: { sending: number } } };
    await until(async () => (await red.admin<Counts>("GET", "/clawflow/gateway/gw")).counts.pending === 0, "the end of all messages", PATIENCE_MS);
    const { dead, outbox } = (await red.admin<Counts>("GET", "/clawflow/gateway/gw")).counts;
    assert.deepEqual([dead, outbox.sending], [0, 0]);
    for (const line of lines) assert.deepEqual(line.answers(), expected.get(line), line.name);
    assert.deepEqual(red.lines.filter((line) => /\[error\]/.test(line) && !/CONN_002/.test(line)), []);
  });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => { server.once("listening", resolve); });
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => { server.close(resolve); });
  return port;
}
