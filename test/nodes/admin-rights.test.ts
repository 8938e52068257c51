/** The editor's routes over HTTP: who may look, who may change, what bad input says, and what a change does. Long-term memory, "always allow" and what an MCP server has. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { type NodeRed, startNodeRed } from "../rigs/node-red.ts";
import { gateway, model, on, tab } from "../rigs/home.ts";
import { until } from "../kit/scripted.ts";

const USERS = { boss: "*", reader: ["clawflow.read"], looker: "read", stranger: ["flows.read"], keeper: ["clawflow.read", "clawflow.write"] };
const USERS_CODE = `const users = ${JSON.stringify(USERS)};
const known = (name) => Promise.resolve(users[name] === undefined ? null : { username: name, permissions: users[name] });
settings.adminAuth = { type: "credentials", users: known, authenticate: known };`;
const GATEWAY = "/clawflow/gateway/gw";

interface Answer { readonly status: number; readonly body: { readonly error?: { readonly code: string; readonly text: string } } & Record<string, unknown> }
interface Entry { readonly seq: number; readonly from: "visitor" | "bot"; readonly text: string; readonly buttons?: readonly (readonly { readonly label: string; readonly value?: string }[])[] }
interface Books { readonly books: readonly { readonly book: string; readonly scope: string; readonly count: number; readonly notes: readonly { readonly n: number; readonly text: string }[] }[] }

describe("the editor's routes of a gateway", function () {
  this.timeout(600_000);
  let red: NodeRed;
  const tokens: Record<string, string> = {};
  const visitor = randomBytes(24).toString("base64url");
  let said = 0;

  async function ask(user: string | undefined, method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    const answer = await red.fetch(path, {
      method, headers: { ...(user === undefined ? {} : { authorization: `Bearer ${tokens[user]}` }), ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await answer.text();
    return { status: answer.status, body: /^\{/.test(text) ? JSON.parse(text) as Answer["body"] : {} };
  }
  const right = async (path: string, body?: unknown): Promise<Answer["body"]> => {
    const { status, body: got } = await ask("boss", body === undefined ? "GET" : "POST", `${GATEWAY}${path}`, body);
    assert.equal(status, 200, `${path}: ${JSON.stringify(got)}`);
    return got;
  };
  const chat = async (name: string, body?: object): Promise<unknown> => {
    const answer = await red.fetch(`/clawflow/home/chat/${name}`, { headers: { "content-type": "application/json", "x-clawflow-visitor": visitor }, ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }) });
    assert.equal(answer.status, 200, `${name}: ${await answer.clone().text()}`);
    return answer.json();
  };
  const heard = async (): Promise<Entry[]> => (await chat("history") as Entry[]).filter(({ from }) => from === "bot");
  /** What the chat answers to this, once it is like `pattern`. */
  async function talk(name: "send" | "press", body: object, pattern: RegExp): Promise<Entry> {
    const before = (await heard()).length;
    await chat(name, { clientId: `test-${String(++said).padStart(20, "0")}`, ...body });
    const found = async (): Promise<Entry | undefined> => (await heard()).slice(before).find(({ text }) => pattern.test(text));
    await until(async () => (await found()) !== undefined, `an answer like ${pattern}\n${red.lines.slice(-5).join("\n")}`, 120_000);
    return (await found()) as Entry;
  }
  const books = async (): Promise<Books["books"]> => (await right("/memory") as unknown as Books).books;

  before(async () => {
    red = await startNodeRed({
      startMs: 280_000, settingsCode: USERS_CODE,
      flows: [
        tab, gateway, model(), { id: "acc", type: "clawflow-account", name: "Chat", gateway: "gw", slug: "chat", channel: "webchat", settings: {}, policy: "owner", version: 1 },
        on("in", "clawflow-channel-in", { gateway: "gw", accounts: [] }, ["agent"], []), on("agent", "clawflow-agent", { gateway: "gw", model: "model", tools: [{ by: "all" }], memory: "person", live: false }, ["out"], [], []),
        on("out", "clawflow-channel-out", { gateway: "gw", action: "reply" }, []),
        on("t", "clawflow-tool", { gateway: "gw", tool: "unlock_door", description: "Unlocks the front door.", risk: "dangerous", params: [] }, ["f"]),
        on("f", "change", { rules: [{ t: "set", p: "payload", pt: "msg", to: "The door is unlocked.", tot: "str" }] }, ["o"]), on("o", "clawflow-tool-out", { field: "payload", fieldType: "msg" }),
      ],
    });
    for (const user of Object.keys(USERS)) {
      const answer = await red.fetch("/auth/token", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ client_id: "node-red-admin", grant_type: "password", scope: "", username: user, password: "x" }) });
      tokens[user] = ((await answer.json()) as { access_token: string }).access_token;
    }
    await until(async () => (await red.fetch("/clawflow/home/chat/")).status === 200, "the chat", 120_000);
    assert.deepEqual(await chat("claim", { code: (await right("/owner-code", {}))["ownerCode"] }), { claimed: true });
    await talk("send", { text: "remember: I drink tea" }, /./);
    await talk("send", { text: "remember: my cat is called Minka" }, /./);
  });
  after(() => red?.remove());

  const READS = ["", "/usage", "/usage.csv"];
  /** To read is not enough: a code that is open makes its holder the owner, the others tell what people said. */
  const KEPT = ["/owner-code", "/memory", "/always"];
  const WRITES: readonly (readonly [string, unknown])[] = [["/memory-forget", { book: "x" }], ["/always", { key: "x" }], ["/owner-code", {}], ["/people", { channel: "webchat", account: "chat", id: "evil", trust: "owner" }], ["/pause", { where: "all" }], ["/resume", { where: "all" }]];

  it("tell nothing to who may not read, and change nothing for who may not write", async () => {
    const state = async () => { const { people, pauses, accounts } = await right(""); return JSON.stringify([people, await right("/always"), pauses, accounts, await books(), await right("/owner-code")]); };
    await right("/owner-code", {});
    const before = await state();
    for (const path of READS) {
      for (const user of [undefined, "stranger"]) assert.equal((await ask(user, "GET", `${GATEWAY}${path}`)).status, 401, `${user} GET ${path}`);
      for (const user of ["reader", "looker", "keeper", "boss"]) assert.equal((await ask(user, "GET", `${GATEWAY}${path}`)).status, 200, `${user} GET ${path}`);
    }
    for (const path of KEPT) {
      for (const user of [undefined, "stranger", "reader", "looker"]) assert.equal((await ask(user, "GET", `${GATEWAY}${path}`)).status, 401, `${user} GET ${path}`);
      for (const user of ["keeper", "boss"]) assert.equal((await ask(user, "GET", `${GATEWAY}${path}`)).status, 200, `${user} GET ${path}`);
    }
    const { ownerCode } = await right("/owner-code");
    assert.match(String(ownerCode), /^[0-9A-Z]{8}$/);
    for (const path of ["", "/usage"]) assert.ok(!JSON.stringify((await ask("reader", "GET", `${GATEWAY}${path}`)).body).includes(String(ownerCode)), path);
    for (const [path, body] of WRITES) for (const user of [undefined, "stranger", "reader", "looker"]) assert.equal((await ask(user, "POST", `${GATEWAY}${path}`, body)).status, 401, `${user} POST ${path}`);
    // To ask an MCP server starts a program: that is for who may deploy.
    for (const path of ["/clawflow/try/mcp", "/clawflow/try/skills", "/clawflow/try/account", "/clawflow/try/model", "/clawflow/try/models"]) for (const user of [undefined, "stranger", "reader", "looker", "keeper"]) assert.equal((await ask(user, "POST", path, { transport: "stdio", command: process.execPath, args: ["-e", "1"], credentials: {} })).status, 401, `${user} POST ${path}`);
    assert.equal(await state(), before);
  });

  it("change nothing for another web site, even in the owner's browser", async () => {
    const before = JSON.stringify(await books());
    const [{ book = "" } = {}] = await books();
    for (const headers of [{ origin: "http://evil.example" }, { "sec-fetch-site": "cross-site" }, { origin: "null" }] as Record<string, string>[]) {
      for (const [path, body] of [["/memory-forget", { book }], ...WRITES.slice(1)] as const) {
        const { status, body: got } = await ask("boss", "POST", `${GATEWAY}${path}`, body, headers);
        assert.deepEqual([status, got.error?.code], [403, "SEC_001"], `${path} ${JSON.stringify(headers)}`);
      }
      assert.equal((await ask("boss", "POST", "/clawflow/try/mcp", { transport: "stdio", command: process.execPath }, headers)).status, 403);
    }
    assert.equal(JSON.stringify(await books()), before);
  });

  it("say what they expect of bad input, and keep what there is", async () => {
    const before = JSON.stringify([(await right(""))["people"], await books()]);
    const [{ book = "" } = {}] = await books();
    const bad: readonly (readonly [string, unknown, RegExp])[] = [
      ["/memory-forget", {}, /"book"/], ["/memory-forget", { book: 5 }, /"book"/], ["/memory-forget", { book: "" }, /"book"/], ["/memory-forget", { book: "__proto__" }, /"book"/], ["/memory-forget", { book: "../../gateway" }, /"book"/],
      ["/memory-forget", { book, n: "1" }, /"n"/], ["/memory-forget", { book, n: 1.5 }, /"n"/], ["/memory-forget", { book, n: null }, /"n"/], ["/memory-forget", { book, n: 1e300 }, /"n"/],
      ["/always", {}, /"key"/], ["/always", { key: 7 }, /"key"/], ["/always", { key: ["a"] }, /"key"/],
      ["/people", { channel: "webchat", account: "chat", id: "x", trust: "god" }, /trust/], ["/people", { channel: "webchat", account: "chat", trust: "owner" }, /"id"/],
    ];
    for (const [path, body, pattern] of bad) {
      const { status, body: got } = await ask("boss", "POST", `${GATEWAY}${path}`, body);
      assert.equal(status, 400, `${path} ${JSON.stringify(body)}`);
      assert.match(`${got.error?.code} ${got.error?.text}`, /^CONF_001 Expected /);
      assert.match(got.error?.text ?? "", pattern);
    }
    for (const [path, body] of [["/memory-forget", { book: book.replace("web-", "web-f") }], ["/memory-forget", { book, n: 999 }], ["/always", { key: "nobody's" }]] as const) assert.equal((await ask("boss", "POST", `${GATEWAY}${path}`, body)).status, 200, `${path} ${JSON.stringify(body)}: what is not there is gone`);
    for (const path of ["/memory", "/memory-forget", "/always"]) assert.equal((await ask("boss", path === "/memory" ? "GET" : "POST", `/clawflow/gateway/none${path}`, path === "/memory" ? undefined : { book, key: "x" })).status, 400, `no such gateway: ${path}`);
    assert.ok((await ask("boss", "POST", `${GATEWAY}/memory-forget`, "{no json")).status >= 400);
    assert.equal(JSON.stringify([(await right(""))["people"], await books()]), before);
  });

  it("show what agents keep of a person, and remove a note or all of it", async () => {
    const [mine] = await books();
    assert.ok(mine);
    assert.deepEqual([mine.scope, mine.count, mine.notes.map(({ text }) => text).sort()], ["person", 2, ["I drink tea", "my cat is called Minka"]]);
    const tea = mine.notes.find(({ text }) => text === "I drink tea");
    const { status, body } = await ask("keeper", "POST", `${GATEWAY}/memory-forget`, { book: mine.book, n: tea?.n });
    assert.equal(status, 200);
    assert.deepEqual((body as unknown as Books).books[0]?.notes.map(({ text }) => text), ["my cat is called Minka"]);
    await right("/memory-forget", { book: mine.book });
    assert.deepEqual(await books(), []);
    await red.restart();
    await until(async () => (await ask("boss", "GET", `${GATEWAY}/memory`)).status === 200, "the gateway", 120_000);
    assert.deepEqual(await books(), []);
  });

  it("show what is always allowed, and take it back: then the owner is asked again", async () => {
    await until(async () => (await red.fetch("/clawflow/home/chat/")).status === 200, "the chat", 120_000);
    await chat("send", { clientId: `test-${String(++said).padStart(20, "0")}`, text: "/new" });
    const question = await talk("send", { text: "unlock the front door" }, /unlock_door/);
    const always = question.buttons?.flat().at(-1);
    assert.match(always?.label ?? "", /always/i);
    await talk("press", { ref: String(question.seq), value: always?.value }, /unlocked/);
    const [kept, ...more] = (await right("/always"))["always"] as { key: string; tool: string }[];
    assert.ok(kept !== undefined && more.length === 0);
    assert.equal(kept.tool, "unlock_door");
    assert.ok(!JSON.stringify((await ask("reader", "GET", GATEWAY)).body).includes("unlock_door"), "a reader sees what was allowed");
    await talk("send", { text: "unlock the front door" }, /is unlocked/);
    const { status, body } = await ask("keeper", "POST", `${GATEWAY}/always`, { key: kept.key });
    assert.deepEqual([status, body["always"]], [200, []]);
    await talk("send", { text: "unlock the front door" }, /unlock_door/);
  });
});
