/** Slack's incoming webhooks: what is posted, what is said back, and that the address stays secret. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { inspect } from "node:util";
import type { Account, Connection } from "../../engine/channels/channel.ts";
import { degrade } from "../../engine/channels/degrade.ts";
import { slackWebhook } from "../../engine/channels/slack-webhook/slack-webhook.ts";
import type { ChannelError, ErrorCode, Retry } from "../../engine/errors.ts";
import { createFetch, type Fetch } from "../../engine/http.ts";
import type { Address } from "../../engine/message.ts";
import { recordingContext, type RecordingContext, settingsTable } from "../contracts/channel.ts";
import { projectRoot } from "../rigs/project.ts";
import { loadSlackSpec } from "../spec/slack-schema.ts";
import { dataFolder } from "../spec/telegram-schema.ts";

const PATH = "/services/T0TEAM/B0HOOK/canarysecret";
const TO: Address = { channel: "slack-webhook", account: "alert", chat: "alerts", kind: "group" };

describe("Slack's incoming webhook", () => {
  let server: Server;
  let fetch: Fetch;
  let context: RecordingContext;
  let account: Account;
  let connection: Connection | undefined;
  let bodies: Record<string, unknown>[];
  let answers: (readonly [status: number, body: string, headers?: Record<string, string>] | "reset")[];
  const spec = dataFolder("specs", "slack") === undefined ? undefined : loadSlackSpec();

  beforeEach(async () => {
    bodies = [];
    answers = [];
    server = createServer((request, response) => void (async () => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const body = JSON.parse(String(Buffer.concat(chunks))) as Record<string, unknown>;
      if (request.url !== PATH) return void response.writeHead(404).end("no_service");
      if (Object.keys(body).length === 0 && answers.length === 0) return void response.writeHead(400).end("no_text");
      const answer = answers.shift();
      if (answer === "reset") return void request.socket.destroy();
      bodies.push(body);
      response.writeHead(answer?.[0] ?? 200, answer?.[2] ?? {}).end(answer?.[1] ?? "ok");
    })());
    await new Promise<void>((resolve) => { server.listen(0, "127.0.0.1", resolve); });
    fetch = createFetch();
    context = recordingContext({ fetch });
    account = { id: "alert", channel: "slack-webhook", name: "Alerts", settings: { token: `http://127.0.0.1:${(server.address() as AddressInfo).port}${PATH}` } };
  });
  afterEach(async () => {
    await connection?.close();
    connection = undefined;
    await fetch.destroy();
    await new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); });
  });
  const open = async (): Promise<Connection> => (connection = await slackWebhook.open(account, context));

  it("is described by its README, and checks its settings without telling them", () => {
    assert.ok(readFileSync(path.join(projectRoot, "engine/channels/slack-webhook/README.md"), "utf8").includes(settingsTable(slackWebhook.settings)));
    assert.deepEqual(slackWebhook.check(account), []);
    assert.match(slackWebhook.check({ ...account, settings: {} })[0] ?? "", /missing/);
    for (const token of ["canary", "ftp://a/canary", "https://hooks.slack.com"]) assert.ok((slackWebhook.check({ ...account, settings: { token } })[0] ?? "canary").includes("canary") === false);
  });

  it("tries the address without anybody seeing it", async () => {
    assert.deepEqual(await slackWebhook.try?.(account, context), { id: "T0TEAM/B0HOOK", name: "Slack incoming webhook" });
    await open();
    assert.deepEqual(bodies, []);
    assert.equal(context.states.at(-1)?.state, "connected");
    const gone = { ...account, settings: { token: String(account.settings["token"]).replace("canarysecret", "canaryother") } };
    await assert.rejects(slackWebhook.open(gone, context), (error: ChannelError) => error.code === "CONN_002" && error.retry === "no" && !inspect(error).includes("canary"));
    await assert.rejects(slackWebhook.open({ ...account, settings: { token: `http://127.0.0.1:9${PATH}` } }, context), (error: ChannelError) => error.code === "CONN_001" && error.unsent && !inspect(error, { depth: 8 }).includes("canary"));
  });

  it("posts mrkdwn and cards into a thread where one is named; buttons are told in words", async () => {
    const { send } = await open();
    assert.equal(await send({ ...TO, thread: "1.000001" }, { text: "**Disk** full <!channel>" }, "k1"), "webhook:k1");
    await send(TO, degrade({ text: "Look", cards: [{ title: "nas1", text: "98 %", color: "#ff0000" }], buttons: [[{ label: "Ignore", value: "i" }]] }, slackWebhook.shows ?? {}), "k2");
    await send(TO, { text: "*as is*", plain: true, native: { "slack-webhook": { icon_emoji: ":fire:" } } }, "k3");
    assert.deepEqual(bodies[0], { text: "*Disk* full &lt;!channel&gt;", thread_ts: "1.000001", unfurl_links: false, unfurl_media: false });
    assert.match(String(bodies[1]?.text), /Look\n\n1\. Ignore/);
    assert.equal((bodies[1]?.attachments as { color: string }[] | undefined)?.[0]?.color, "#ff0000");
    assert.equal(bodies[2]?.icon_emoji, ":fire:");
    for (const body of bodies) assert.deepEqual(spec?.request("chat.postMessage", { channel: "C1", ...body }) ?? [], []);
    await assert.rejects(send(TO, { text: "x", only: "U1" }, "k4"), { code: "MSG_005" });
  });

  const SAYS: readonly (readonly [answer: readonly [number, string, Record<string, string>?] | "reset", code: ErrorCode, retry: Retry, more?: Partial<ChannelError>])[] = [
    [[400, "invalid_payload"], "MSG_002", "no", { markup: true }], [[403, "action_prohibited"], "MSG_002", "no"], [[410, "channel_is_archived"], "MSG_002", "no"], [[404, ""], "CONN_002", "no"], [[404, "no_service"], "CONN_002", "no"], [[403, "invalid_token"], "CONN_002", "no"], [[400, "too_many_attachments"], "MSG_003", "no"],
    [[500, "rollup_error"], "CONN_001", "later", { answered: true }], [[503, "<html>"], "CONN_001", "later", { answered: true }], [[429, "rate_limited", { "retry-after": "30" }], "CONN_003", "later", { afterMs: 30_000, answered: true }], [[200, "<html>hotel</html>"], "CONN_001", "later", { answered: false }], ["reset", "CONN_001", "later", { answered: false, unsent: false }],
  ];
  for (const [answer, code, retry, more = {}] of SAYS) it(`${answer === "reset" ? answer : answer.slice(0, 2).join(" ")} → ${code}, ${retry}`, async () => {
    const { send } = await open();
    answers.push(answer);
    const error = await send(TO, { text: "x" }, "k").then(() => assert.fail("expected an error"), (thrown: unknown) => thrown as ChannelError);
    assert.deepEqual([error.code, error.retry], [code, retry], error.message);
    for (const [key, value] of Object.entries(more)) assert.equal(error[key as keyof ChannelError], value, key);
    assert.ok(!inspect(error, { depth: 8 }).includes("canary"));
  });
});
