/** Alerts by a Discord webhook: what goes out, held against Discord's description; nothing comes in. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { inspect } from "node:util";
import type { Account, Connection } from "../../engine/channels/channel.ts";
import { degrade } from "../../engine/channels/degrade.ts";
import { discordWebhook } from "../../engine/channels/discord-webhook/discord-webhook.ts";
import { ChannelError } from "../../engine/errors.ts";
import { createFetch, type Fetch } from "../../engine/http.ts";
import type { Address } from "../../engine/message.ts";
import { type RecordingContext, recordingContext, settingsTable } from "../contracts/channel.ts";
import { type DiscordStub, startDiscord, THREAD } from "../platforms/discord.ts";
import { projectRoot } from "../rigs/project.ts";

const ID = "1420000000000000301";
const TOKEN = "webhook-token-that-nobody-may-see";
const AT: Address = { channel: "discord-webhook", account: "alerts", chat: "alerts", kind: "group" };
const EXECUTE = "/webhooks/{webhook_id}/{webhook_token}";

describe("A Discord webhook", function () {
  this.timeout(60_000);
  let stub: DiscordStub;
  let fetch: Fetch;
  let context: RecordingContext;
  let connection: Connection;
  let account: Account;
  beforeEach(async () => {
    stub = await startDiscord();
    fetch = createFetch();
    account = { id: "alerts", channel: "discord-webhook", name: "Alerts", settings: { secret: `${stub.url}/webhooks/${ID}/${TOKEN}`, name: "House" } };
    context = recordingContext({ fetch });
    connection = await discordWebhook.open(account, context);
  });
  afterEach(async () => {
    context.abort();
    await connection.close();
    await stub.close();
    await fetch.close();
    assert.deepEqual(stub.problems(), []);
  });
  const shown = () => stub.hooked(TOKEN);
  const faultOf = async (act: Promise<unknown>): Promise<ChannelError> => {
    const error = await act.then(() => assert.fail("expected an error"), (thrown: unknown) => thrown);
    assert.ok(error instanceof ChannelError, String(error));
    assert.ok(!inspect(error, { depth: 8 }).includes(TOKEN), "the token shows");
    return error;
  };

  it("says who it is, and posts nothing for it", async () => {
    assert.deepEqual(await discordWebhook.try?.(account, context), { id: ID, name: "Alerts" });
    assert.deepEqual(connection.self, { id: ID, name: "Alerts" });
    assert.equal(stub.calls("POST", EXECUTE).length, 0);
    await connection.health?.(new AbortController().signal);
    assert.deepEqual(context.states.map(({ state }) => state), ["connecting", "connected"]);
  });

  it("posts, edits and removes, and pings nobody", async () => {
    const ref = await connection.send(AT, { text: "@everyone **fire**" }, "k1");
    assert.deepEqual(shown().map(({ content }) => content), ["@everyone **fire**"]);
    const [sent] = stub.calls("POST", EXECUTE);
    assert.deepEqual(sent?.body["allowed_mentions"], { parse: [], replied_user: false });
    assert.equal(sent?.body["username"], "House");
    assert.equal(sent?.query.get("wait"), "true");
    assert.equal(sent?.auth, "");
    await connection.edit?.(AT, ref, { text: "false alarm" });
    await connection.edit?.(AT, ref, { text: "false alarm" });
    assert.deepEqual(shown().map(({ content }) => content), ["false alarm"]);
    await connection.remove?.(AT, ref);
    await connection.remove?.(AT, ref);
    assert.deepEqual(shown(), []);
  });

  it("sends cards and files, names a thread, and tells buttons in words", async () => {
    assert.ok(context.spool !== undefined && discordWebhook.shows !== undefined);
    const kept = await context.spool.save(new Blob(["plan"]).stream(), { name: "plan.txt", mime: "text/plain" });
    const draft = degrade({ text: "Look", cards: [{ title: "Boiler", text: "78 °C", color: "#ff0000", fields: [{ name: "Room", value: "Cellar", short: true }] }], attachments: [{ kind: "document", media: `spool:${kept.id}`, name: "plan.txt" }], buttons: [[{ label: "Stop it" }]] }, discordWebhook.shows);
    await connection.send({ ...AT, thread: THREAD }, draft, "k2");
    const [sent] = stub.calls("POST", EXECUTE);
    assert.deepEqual(sent?.uploads.map(({ name, bytes }) => [name, String(bytes)]), [["plan.txt", "plan"]]);
    assert.equal(sent?.query.get("thread_id"), THREAD);
    assert.deepEqual(sent?.body["embeds"], [{ title: "Boiler", description: "78 °C", color: 0xff0000, fields: [{ name: "Room", value: "Cellar", inline: true }] }]);
    assert.match(String(sent?.body["content"]), /Stop it/);
    assert.equal(sent?.body["components"], undefined);
  });

  it("tells a webhook that is gone, a flood, a refusal and a lost answer apart", async () => {
    stub.fault("POST", EXECUTE, { status: 429, body: { message: "You are being rate limited.", retry_after: 0.4, global: false } });
    const flood = await faultOf(connection.send(AT, { text: "x" }, "f1"));
    assert.deepEqual([flood.code, flood.retry, (flood.afterMs ?? 0) >= 400], ["CONN_003", "later", true]);
    stub.fault("POST", EXECUTE, { status: 400, body: { message: "Webhooks posted to forum channels must have a thread_name or thread_id", code: 220001 } });
    assert.deepEqual([(await faultOf(connection.send(AT, { text: "x" }, "f2"))).code], ["MSG_002"]);
    stub.fault("POST", EXECUTE, { reset: "after" });
    const lost = await faultOf(connection.send(AT, { text: "x" }, "f3"));
    assert.deepEqual([lost.code, lost.retry, lost.unsent, lost.answered], ["CONN_001", "later", false, false]);
    assert.equal((await faultOf(connection.send(AT, { text: "x", only: "1" }, "f4"))).code, "MSG_005");
    stub.kill(TOKEN);
    const gone = await faultOf(connection.send(AT, { text: "x" }, "f5"));
    assert.deepEqual([gone.code, gone.retry], ["CONN_002", "no"]);
    assert.equal((await faultOf(discordWebhook.open(account, context))).code, "CONN_002");
  });

  it("checks its settings without a word of the secret, and has a README that fits", () => {
    assert.deepEqual(discordWebhook.check(account), []);
    for (const secret of ["", "canary-value", "https://example.org/canary-value", "ftp://discord.com/api/webhooks/1/canary-value-canary"]) {
      const [problem, ...more] = discordWebhook.check({ ...account, settings: { ...account.settings, secret } });
      assert.ok(problem !== undefined && more.length === 0 && !problem.includes("canary"), secret);
    }
    assert.equal(discordWebhook.check({ ...account, settings: { ...account.settings, name: "Discord alerts" } }).length, 1);
    assert.deepEqual(discordWebhook.check({ ...account, settings: { secret: "https://discord.com/api/v10/webhooks/1420000000000000301/abcdefghijkl" } }), []);
    const readme = readFileSync(path.join(projectRoot, "engine/channels/discord-webhook/README.md"), "utf8");
    assert.ok(readme.includes(settingsTable(discordWebhook.settings)));
  });
});
