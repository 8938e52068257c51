/** What every channel must do. `make` starts a stub of the platform and gives what the suite needs to play both sides. */
import { skip } from "../rigs/skip.ts";
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { inspect } from "node:util";
import type { Account, AccountStorage, Channel, ChannelContext, Connection, Setting } from "../../engine/channels/channel.ts";
import { systemClock } from "../../engine/clock.ts";
import { ChannelError, type ClawError, ERRORS, StoreError } from "../../engine/errors.ts";
import type { Address, Message } from "../../engine/message.ts";
import { createSpool } from "../../engine/media.ts";
import { createConverters } from "../../engine/media/convert.ts";
import { createDownload } from "../../engine/media/download.ts";
import { createReady } from "../../engine/media/ready.ts";
import { mediaSpool } from "../../engine/gateway.ts";
import { parseMessage } from "../../engine/message-schema.ts";
import { until } from "../kit/scripted.ts";
import { projectRoot } from "../rigs/project.ts";

/** How the platform can fail a send. */
export type SendFault = "rate" | "refused" | "server" | "reset" | "markup";

export interface ChannelRig {
  readonly channel: Channel;
  /** Settings that work. */
  readonly account: Account;
  /** Credentials the platform refuses; left out where there are none to refuse. */
  readonly wrong?: Account;
  /** Settings that point at a port where nobody listens. */
  readonly away?: Account;
  /** Texts that must appear in no error, status or log. */
  readonly secrets: readonly string[];
  readonly context?: Partial<ChannelContext>;
  /** A chat that a person began with the bot. */
  readonly to: Address;
  /** A person writes; the platform brings it until it is confirmed. */
  say(text: string): void | Promise<void>;
  /** What a person sees in the chat, oldest first. */
  shown(): readonly string[];
  /** Makes the next send go wrong; false where the platform has no such fault. */
  fail?(fault: SendFault): boolean;
  /** For channels with a webhook: serves it from now on. */
  serve?(connection: Connection): void;
  close(): Promise<void>;
}

/** A ChannelContext that remembers. `refuseSaves`: the next receives fail with STORE_005. */
export interface RecordingContext extends ChannelContext {
  readonly received: Message[];
  readonly states: { readonly state: string; readonly error: ClawError | undefined }[];
  readonly logs: string[];
  refuseSaves: number;
  abort(): void;
}

export function recordingContext(more: Partial<ChannelContext> = {}): RecordingContext {
  const controller = new AbortController();
  const spool = createSpool(path.join(tmpdir(), `clawflow-contract-${process.pid}`));
  const download = createDownload({ fetch: more.fetch ?? globalThis.fetch });
  const context: RecordingContext = {
    download, file: createReady({ spool, download, converters: createConverters((process.env.PATH ?? "").split(path.delimiter)) }), spool: mediaSpool(spool),
    received: [], states: [], logs: [], refuseSaves: 0,
    async receive(message) {
      if (context.refuseSaves > 0) {
        context.refuseSaves -= 1;
        throw new StoreError("STORE_005", { retry: "later", afterMs: 20 });
      }
      const known = context.received.some((each) => each.id === message.id);
      if (!known) context.received.push(message);
      return known ? "duplicate" : "saved";
    },
    signal: controller.signal,
    fetch: globalThis.fetch,
    storage: memoryStorage(),
    clock: systemClock,
    status(state, error) { context.states.push({ state, error }); },
    log(level, text) { context.logs.push(`${level} ${text}`); },
    commands: [],
    abort: () => controller.abort(),
    ...more,
  };
  return context;
}

export function memoryStorage(): AccountStorage {
  const entries = new Map<string, unknown>();
  return {
    async get(key) { return entries.get(key); },
    async set(changes) { for (const [key, value] of Object.entries(changes)) if (value === undefined) entries.delete(key); else entries.set(key, structuredClone(value)); },
    async list(prefix, { after = "", limit = 1000, last = false } = {}) {
      const found = [...entries].filter(([key]) => key.startsWith(prefix) && key > after).sort(([a], [b]) => (a < b ? -1 : 1));
      return last ? found.slice(-limit) : found.slice(0, limit);
    },
  };
}

/** The table under "## Settings" of a channel's README. */
export function settingsTable(settings: readonly Setting[]): string {
  const rows = settings.map(({ label, type, hint, required, initial, when }) => [
    label, type, required === true ? "yes" : when === undefined ? "no" : `no (${when.key}: ${String(when.value)})`, initial === undefined || initial === "" ? "–" : String(initial), hint ?? "–",
  ]);
  return [["Setting", "Type", "Required", "Default", "About"], ["---", "---", "---", "---", "---"], ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
}

export function channelContract(name: string, make: () => Promise<ChannelRig>): void {
  describe(`${name} keeps the contract of a channel`, () => {
    let rig: ChannelRig;
    let context: RecordingContext;
    const open: Connection[] = [];

    async function connect(account: Account = rig.account): Promise<Connection> {
      const connection = await rig.channel.open(account, context);
      open.push(connection);
      rig.serve?.(connection);
      return connection;
    }
    beforeEach(async () => {
      rig = await make();
      context = recordingContext(rig.context);
    });
    afterEach(async () => {
      context.abort();
      for (const connection of open.splice(0)) await connection.close();
      await rig.close();
    });
    /** Everything the account said to people or logs. */
    const said = (): string => inspect([context.states, context.logs], { depth: 8 });
    const holdsNoSecret = (text: string): void => { for (const secret of rig.secrets) assert.ok(!text.includes(secret), `a secret shows in: ${text}`); };

    describe("as data", () => {
      it("has settings with unique keys, and its secrets are of type secret", () => {
        const { settings } = rig.channel;
        assert.equal(new Set(settings.map(({ key }) => key)).size, settings.length);
        for (const { key, type } of settings) if (/token|secret|password|proxy|key$/i.test(key)) assert.equal(type, "secret", key);
        for (const setting of settings) if (setting.type === "choice") assert.ok(setting.choices?.some(({ value }) => value === setting.initial), setting.key);
      });

      it("has limits that make sense", () => {
        const { limits } = rig.channel;
        for (const [key, value] of Object.entries(limits)) if (key !== "unit" && key !== "bare") assert.ok(typeof value === "number" && value > 0, key);
        assert.ok(["utf16", "bytes", "points"].includes(limits.unit));
      });

      it("finds nothing wrong with good settings, names each required one that is missing, and tells no secret", () => {
        assert.deepEqual(rig.channel.check(rig.account), []);
        for (const { key } of rig.channel.settings.filter(({ required }) => required)) {
          const problems = rig.channel.check({ ...rig.account, settings: { ...rig.account.settings, [key]: "" } });
          assert.equal(problems.length, 1, key);
          assert.match(problems[0] ?? "", /\w+ .*\.$/);
        }
        for (const value of [undefined, null, 5, [], {}, "\u0000", "canary-value"]) {
          for (const { key } of rig.channel.settings) holdsNoSecret(rig.channel.check({ ...rig.account, settings: { ...rig.account.settings, [key]: value } }).join(" "));
        }
        const canary = rig.channel.settings.filter(({ type }) => type === "secret").map(({ key }) => key);
        const texts = rig.channel.check({ ...rig.account, settings: { ...rig.account.settings, ...Object.fromEntries(canary.map((key) => [key, "canary-value"])) } });
        assert.ok(!texts.join(" ").includes("canary-value"));
      });

      it("has a README with the five headings and the table of its settings, and samples", () => {
        const folder = path.join(projectRoot, "engine/channels", rig.channel.id);
        const readme = readFileSync(path.join(folder, "README.md"), "utf8");
        assert.deepEqual([...readme.matchAll(/^## (.+)$/gm)].map((match) => match[1]), ["What it does", "Get the token", "Settings", "Limits", "When it fails"]);
        const table = settingsTable(rig.channel.settings);
        assert.ok(readme.includes(table), `expected in README.md:\n${table}`);
        for (const [code] of readme.matchAll(/\b[A-Z]+_\d{3}\b/g)) assert.ok(code in ERRORS, code);
        assert.ok(existsSync(path.join(folder, "samples")) && readdirSync(path.join(folder, "samples")).some((file) => file.endsWith(".json")));
      });
    });

    describe("receiving", () => {
      it("gives a message in the canonical shape, from the right account, and says it is connected", async () => {
        const connection = await connect();
        assert.ok(connection.self.id !== "" && connection.self.name !== "");
        await rig.say("hello there");
        await until(() => context.received.length > 0, "the message");
        const [message] = context.received as [Message];
        assert.deepEqual(parseMessage(message), message);
        assert.equal(message.kind, "message");
        assert.equal(message.text, "hello there");
        assert.deepEqual(message.at, rig.to);
        assert.equal(message.sender.self, false);
        assert.ok(message.addressed);
        assert.equal(context.states.at(-1)?.state, "connected");
      });

      it("confirms nothing that could not be saved: the platform brings it again under the same id, in order", async () => {
        await connect();
        context.refuseSaves = 3;
        await rig.say("first");
        await rig.say("second");
        await until(() => context.received.length >= 2, "both messages");
        assert.deepEqual(context.received.map(({ text }) => text), ["first", "second"]);
        assert.equal(new Set(context.received.map(({ id }) => id)).size, 2);
      });

      it("receives nothing after it was closed, and gets what it missed when it is opened again", async () => {
        const first = await connect();
        await first.close();
        await rig.say("while away");
        await new Promise((resolve) => setTimeout(resolve, 60));
        assert.equal(context.received.length, 0);
        context = recordingContext(rig.context);
        await connect();
        await until(() => context.received.length === 1, "the message");
        assert.equal(context.received[0]?.text, "while away");
      });

      it("ends with its signal alone", async () => {
        await connect();
        context.abort();
        await rig.say("too late");
        await new Promise((resolve) => setTimeout(resolve, 60));
        assert.equal(context.received.length, 0);
      });
    });

    describe("sending", () => {
      it("shows a text and gives its ref; edits, reacts to and removes it where it can", async () => {
        const connection = await connect();
        const ref = await connection.send(rig.to, { text: "plain words" }, "key-1");
        assert.match(ref, /\S/);
        assert.deepEqual(rig.shown(), ["plain words"]);
        assert.equal(rig.channel.delivery.edit === true, connection.edit !== undefined);
        await connection.edit?.(rig.to, ref, { text: "other words" });
        // The same again is no fault: an edit is repeated after a crash.
        await connection.edit?.(rig.to, ref, { text: "other words" });
        if (connection.edit !== undefined) assert.deepEqual(rig.shown(), ["other words"]);
        await connection.react?.(rig.to, ref, "👍");
        await connection.typing?.(rig.to);
        await connection.remove?.(rig.to, ref);
        await connection.remove?.(rig.to, ref);
        if (connection.remove !== undefined) assert.deepEqual(rig.shown(), []);
      });

      it("renders Markdown, and leaves it alone when told to", async () => {
        const connection = await connect();
        await connection.send(rig.to, { text: "a **bold** word" }, "key-2");
        await connection.send(rig.to, { text: "a **bold** word & <b>", plain: true }, "key-3");
        assert.equal(rig.shown()[1], "a **bold** word & <b>");
      });

      it("sends many at once", async () => {
        const connection = await connect();
        const refs = await Promise.all(Array.from({ length: 30 }, (_, index) => connection.send(rig.to, { text: `number ${index}` }, `many-${index}`)));
        assert.equal(new Set(refs).size, 30);
        assert.equal(rig.shown().length, 30);
      });

      const WANTED: Record<SendFault, Partial<ChannelError>> = {
        rate: { code: "CONN_003", retry: "later" }, refused: { code: "MSG_002", retry: "no" }, server: { retry: "later", unsent: false },
        reset: { retry: "later", unsent: false }, markup: { markup: true, retry: "no" },
      };
      for (const [fault, wanted] of Object.entries(WANTED) as [SendFault, Partial<ChannelError>][]) {
        it(`reports the fault "${fault}" as a ChannelError and does not try again by itself`, async function () {
          const connection = await connect();
          if (rig.fail?.(fault) !== true) return skip(this, `${name} knows no fault "${fault}": there is no platform behind it, or not this one`);
          const error = await connection.send(rig.to, { text: "**x**" }, `fault-${fault}`).then(() => assert.fail("expected an error"), (thrown: unknown) => thrown);
          assert.ok(error instanceof ChannelError, String(error));
          for (const [key, value] of Object.entries(wanted)) assert.equal(error[key as keyof ChannelError], value, `${key}: ${error.message}`);
          if (fault === "rate") assert.ok((error.afterMs ?? 0) > 0);
          holdsNoSecret(inspect(error, { depth: 8 }));
          assert.ok(rig.shown().length === 0 || fault === "reset");
        });
      }
    });

    describe("opening", () => {
      it("refuses wrong credentials for good", async function () {
        if (rig.wrong === undefined) return skip(this, `${name} has no credentials that could be wrong`);
        const error = await rig.channel.open(rig.wrong, context).then(() => assert.fail("expected an error"), (thrown: unknown) => thrown);
        assert.ok(error instanceof ChannelError, String(error));
        assert.equal(error.code, "CONN_002");
        assert.equal(error.retry, "no");
        holdsNoSecret(inspect(error, { depth: 8 }) + said());
      });

      it("says that nobody is there, and that nothing was sent", async function () {
        if (rig.away === undefined) return skip(this, `${name} has no platform that could be away`);
        const error = await rig.channel.open(rig.away, context).then(() => assert.fail("expected an error"), (thrown: unknown) => thrown);
        assert.ok(error instanceof ChannelError, String(error));
        assert.equal(error.code, "CONN_001");
        assert.equal(error.retry, "later");
        assert.equal(error.unsent, true);
        holdsNoSecret(inspect(error, { depth: 8 }) + said());
      });
    });
  });
}
