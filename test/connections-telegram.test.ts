/** The connection of a real Telegram account, over HTTP, to a stub of the Bot API behind a network that can go away. What the stub saw is the judge. */
import assert from "node:assert/strict";
import { createServer, request as forward } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { telegram } from "../engine/channels/telegram/telegram.ts";
import { createGateway, type Gateway, type GatewayAccount } from "../engine/gateway.ts";
import { createFetch } from "../engine/http.ts";
import type { AccountStatus } from "../engine/connections.ts";
import { createMemoryStore } from "../engine/store/memory.ts";
import { manualClock, settle, until } from "./kit/scripted.ts";
import { startTelegram } from "./platforms/telegram.ts";
import { ADA, ADA_CHAT } from "./platforms/telegram-rig.ts";

interface Network {
  readonly url: string;
  /** Methods of the requests that came through, as the Bot API's last path segment. */
  readonly came: string[];
  /** The next request of this method does not get through any more: the network goes away under it. */
  breakAt: string | undefined;
  away(): Promise<void>;
  back(): Promise<void>;
}

/** A relay to the stub on a port of its own. While it is away, the port is closed and all that was open is cut. */
async function network(to: string): Promise<Network> {
  const sockets = new Set<Socket>();
  const came: string[] = [];
  const target = new URL(to);
  const server = createServer((request, response) => {
    const method = request.url?.split("/").at(-1) ?? "";
    if (method === own.breakAt) {
      own.breakAt = undefined;
      return void own.away();
    }
    came.push(method);
    const onward = forward({ host: target.hostname, port: target.port, path: request.url, method: request.method, headers: request.headers }, (answer) => {
      if (response.destroyed) return void answer.destroy();
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.on("error", () => { response.destroy(); });
    response.on("close", () => { onward.destroy(); });
    request.pipe(onward);
  });
  server.on("connection", (socket) => { sockets.add(socket); socket.on("error", () => undefined).on("close", () => { sockets.delete(socket); }); });
  const listen = (port: number) => new Promise<void>((resolve, reject) => { server.once("error", reject).listen(port, "127.0.0.1", resolve); });
  await listen(0);
  const { port } = server.address() as AddressInfo;
  const own: Network = {
    url: `http://127.0.0.1:${port}`, came, breakAt: undefined,
    async away() {
      const closed = new Promise((resolve) => { server.close(resolve); });
      for (const socket of sockets) socket.destroy();
      await closed;
    },
    back: () => listen(port),
  };
  return own;
}

async function setup(settings: Record<string, unknown> = {}) {
  const stub = await startTelegram();
  const link = await network(stub.url);
  const fetch = createFetch();
  const clock = manualClock();
  const statuses: AccountStatus[] = [];
  const texts: string[] = [];
  const gateway: Gateway = await createGateway({ store: createMemoryStore(), clock, random: () => 0.5, spool: { sweep: async () => 0 } as never, fetchFor: async () => fetch, texts: { claimed: "", notice: () => "" }, log: () => undefined });
  gateway.events.on("status", (status) => { statuses.push(status); });
  gateway.inbox.add({ id: "in", gatherMs: 0, covers: () => true, matches: () => true, emit: (run) => { for (const { text } of run.messages) texts.push(text); gateway.settle(run.id); } });
  gateway.start();
  const account: GatewayAccount = { id: "home", channel: "telegram", name: "Home", settings: { token: stub.token, mode: "polling", apiRoot: link.url, ...settings }, policy: { policy: "open", allow: [] } };
  let id = 1;
  return {
    stub, link, clock, gateway, statuses, texts, account,
    deploy: (of: GatewayAccount = account) => gateway.setAccounts([{ account: of, channel: telegram }]),
    say(text: string) { stub.push({ message: { message_id: id++, date: 1_790_000_000, chat: ADA_CHAT, from: ADA, text } }); },
    state: () => gateway.connections.status("home")?.state,
    /** Lets time go on in steps of a second until it is so, and gives the network time for each. */
    async pass(test: () => boolean, what: string) {
      const begun = clock.now();
      await until(async () => {
        if (test()) return true;
        if (clock.now() - begun > 600_000) throw new Error(`waited ten minutes of the clock for ${what}`);
        await clock.advance(1_000);
        return test();
      }, what, 15_000);
    },
    async close() {
      await gateway.close();
      await link.away().catch(() => undefined);
      await fetch.destroy();
      await stub.close();
      assert.deepEqual(stub.problems(), []);
    },
  };
}

describe("the connection of a Telegram account", () => {
  let rig: Awaited<ReturnType<typeof setup>>;
  afterEach(() => rig.close());
  const came = (method: string) => rig.link.came.filter((one) => one === method).length;

  it("asks once with a wrong token, however long it stands there and however often is deployed", async () => {
    rig = await setup({ token: "987654321:AAHwrongWRONGwrongWRONGwrongWRONG12" });
    await rig.deploy();
    await until(() => rig.state() === "failed", "the refusal");
    for (let deploys = 0; deploys < 20; deploys++) await rig.deploy({ ...rig.account, name: `Home ${deploys}` });
    await rig.clock.advance(24 * 3_600_000);
    assert.deepEqual(rig.link.came, ["getMe"]);
    const status = rig.gateway.connections.status("home");
    assert.deepEqual([status?.error?.code, status?.nextTryAt], ["CONN_002", undefined]);
    assert.ok(!JSON.stringify(rig.statuses).includes("AAHwrong"));
    rig.gateway.connections.reopen("home");
    await until(() => came("getMe") === 2 && rig.state() === "failed", "the second refusal");
    await rig.deploy({ ...rig.account, settings: { ...rig.account.settings, token: rig.stub.token } });
    await until(() => rig.state() === "connected", "the right token");
  });

  it("stops for good when its token is taken back while it polls, and asks no more", async () => {
    rig = await setup();
    await rig.deploy();
    await until(() => rig.state() === "connected" && rig.stub.calls("getUpdates").length === 1, "the poller");
    for (const method of ["getUpdates", "getMe", "deleteWebhook"]) rig.stub.fault(method, { code: 401, description: "Unauthorized" }, 1_000);
    rig.say("wakes the poller");
    await until(() => came("getUpdates") === 2 && rig.state() === "failed", "the refusal");
    const before = rig.link.came.length;
    await rig.clock.advance(24 * 3_600_000);
    assert.equal(rig.link.came.length, before);
    assert.equal(rig.gateway.connections.status("home")?.error?.code, "CONN_002");
    assert.equal(rig.gateway.connections.get("home")?.connection, undefined);
  });

  it("is asked for its health by getMe each 30 s, and opened anew when that fails", async () => {
    rig = await setup();
    await rig.deploy();
    await until(() => rig.state() === "connected" && came("getUpdates") === 1, "the poller");
    for (let asked = 2; asked < 6; asked++) {
      const begun = rig.clock.now();
      await rig.pass(() => came("getMe") === asked, `getMe number ${asked}`);
      const seconds = (rig.clock.now() - begun) / 1000;
      assert.ok(seconds >= 29 && seconds <= 40, `asked after ${seconds} s`);
    }
    assert.equal(rig.state(), "connected");
    rig.say("hello");
    await until(() => rig.texts.length === 1, "a message");
    rig.stub.fault("getMe", { code: 502, description: "Bad Gateway" });
    await rig.pass(() => rig.state() === "reconnecting", "the failed check");
    await rig.pass(() => rig.state() === "connected", "the new link");
    assert.equal(rig.statuses.some(({ state }) => state === "failed" || state === "error"), false);
    rig.say("again");
    await until(() => rig.texts.length === 2 && rig.stub.pending().length === 0, "a message over the new link");
    assert.deepEqual(rig.texts, ["hello", "again"]);
  });

  it("keeps its link over deploys; a changed one never polls beside its predecessor", async () => {
    rig = await setup();
    await rig.deploy();
    await until(() => came("getUpdates") === 1, "the poller");
    for (let deploys = 0; deploys < 20; deploys++) await rig.deploy({ ...rig.account, name: `Home ${deploys}` });
    await settle();
    // The menu of the built-in commands may come before or after the first poll.
    await until(() => came("setMyCommands") === 1, "the menu");
    assert.deepEqual([...rig.link.came].sort(), ["deleteWebhook", "getMe", "getUpdates", "setMyCommands"]);
    for (let deploys = 0; deploys < 20; deploys++) {
      rig.say(`message ${deploys}`);
      await rig.deploy({ ...rig.account, settings: { ...rig.account.settings, secret: `changed${deploys}` } });
      if (deploys % 3 === 0) await until(() => rig.state() === "connected", "the changed link");
    }
    await until(() => rig.texts.length === 20 && rig.stub.pending().length === 0, "all messages");
    assert.deepEqual(rig.texts, Array.from({ length: 20 }, (_, index) => `message ${index}`));
    assert.deepEqual(rig.statuses.filter(({ error }) => error !== undefined), [], "no conflict with itself");
  });

  for (const [name, seconds] of [["seconds, its poller goes on where it was", 4], ["minutes, it is opened anew after a pause", 200]] as const) {
    it(`gets what came while Telegram was away once and in order: away for ${name}`, async () => {
      rig = await setup();
      await rig.deploy();
      rig.say("before 1");
      await until(() => rig.texts.length === 1 && rig.stub.pending().length === 0 && rig.state() === "connected", "the first message");
      // Saved, but the request that confirms it does not get through: Telegram brings it again.
      rig.link.breakAt = "getUpdates";
      rig.say("before 2");
      await rig.pass(() => rig.state() === "reconnecting" || rig.state() === "failed", "the gap");
      for (let count = 1; count <= 5; count++) rig.say(`away ${count}`);
      assert.deepEqual([rig.texts, rig.stub.pending()], [["before 1", "before 2"], [1001, 1002, 1003, 1004, 1005, 1006]]);
      const end = rig.clock.now() + seconds * 1000;
      await rig.pass(() => rig.clock.now() >= end, "the end of the gap");
      if (seconds > 60) assert.ok(rig.statuses.some(({ state, nextTryAt }) => state === "failed" && nextTryAt !== undefined), "the breaker was open");
      assert.deepEqual(rig.texts.filter((text) => text.startsWith("away")), []);
      const asked = rig.stub.calls("getUpdates").length;
      await rig.link.back();
      await rig.pass(() => rig.state() === "connected", "the link");
      rig.say("after 1");
      await rig.pass(() => rig.stub.pending().length === 0 && rig.texts.length >= 8, "all messages");
      await settle();
      assert.deepEqual(rig.texts, ["before 1", "before 2", "away 1", "away 2", "away 3", "away 4", "away 5", "after 1"]);
      // A new link knows no offset and is brought the unconfirmed message again: the inbox knows it.
      assert.equal(rig.stub.calls("getUpdates")[asked]?.payload.offset, seconds > 60 ? undefined : 1002);
    });
  }
});
