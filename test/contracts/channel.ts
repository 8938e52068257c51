/**
 * What every channel must do. `make` starts a stub of the platform and gives what the suite needs to play both sides (channel-rig.ts).
 * Tests are there for what the channel has, by its own data, and its platform, by `lacks`; a hook that the rig forgets is a failure.
 */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { inspect } from "node:util";
import type { Ability, Account, Connection, Setting } from "../../engine/channels/channel.ts";
import { DIALECTS } from "../../engine/channels/dialects.ts";
import { asClawError, ChannelError, type ErrorCode, ERRORS } from "../../engine/errors.ts";
import type { Message } from "../../engine/message.ts";
import { parseMessage } from "../../engine/message-schema.ts";
import { until } from "../kit/scripted.ts";
import { projectRoot } from "../rigs/project.ts";
import { linkTests } from "./channel-links.ts";
import { partTests } from "./channel-parts.ts";
import { type ChannelRig, type Contract, type Lacks, type Need, type RecordingContext, recordingContext, type Refusal, type SendFault } from "./channel-rig.ts";

export * from "./channel-rig.ts";

/** The table under "## Settings" of a channel's README. */
export function settingsTable(settings: readonly Setting[]): string {
  const rows = settings.map(({ label, type, hint, required, initial, when }) => [
    label, type, required === true ? "yes" : when === undefined ? "no" : `no (${when.key}: ${String(when.value)})`, initial === undefined || initial === "" ? "–" : String(initial), hint ?? "–",
  ]);
  return [["Setting", "Type", "Required", "Default", "About"], ["---", "---", "---", "---", "---"], ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
}

const ABILITIES: readonly Ability[] = ["react", "remove", "typing", "read", "preview", "call"];

/** What the tests of one channel share; `rig` and `context` are new for each. */
export interface Bench extends Contract {
  readonly name: string;
  readonly rig: ChannelRig;
  /** A test that is there unless the platform lacks this. */
  test(need: Need, title: string, act: Mocha.AsyncFunc): void;
  /** The hook, which a rig must have whose platform does not lack it. */
  hook<K extends keyof ChannelRig>(name: K): NonNullable<ChannelRig[K]>;
  context: RecordingContext;
  connect(account?: Account): Promise<Connection>;
}

/** The error of a call that must fail; one of another package counts as ours by its code, as in the engine. */
export async function faultOf(act: Promise<unknown>): Promise<ChannelError> {
  const thrown = await act.then(() => assert.fail("expected an error"), (error: unknown) => error);
  const error = asClawError(thrown, "CORE_001");
  assert.ok(error instanceof ChannelError && error.code !== "CORE_001", `expected a ChannelError, got ${String(thrown)}`);
  return error;
}

/** What follows from the channel itself. */
function lacksOf({ channel, plugin, lacks }: Contract): Lacks {
  return {
    ...(channel.settings.some(({ key }) => key === "proxy") ? {} : { host: "it has no setting for a proxy" }),
    ...(plugin === true ? { read: "it keeps its samples in its own package" } : channel.can?.includes("call") === true ? {} : { call: "it lends no calls of its own" }),
    ...lacks,
  };
}
/** True where a rig has it after all. */
async function has(need: Need, rig: ChannelRig, connection: Connection): Promise<boolean> {
  const [kind, what] = need.split(" ") as [Exclude<Need, `${string} ${string}`> | "fault" | "refusal", string | undefined];
  if (kind === "fault") return rig.fail?.(what as SendFault) === true;
  if (kind === "refusal") return rig.refuse?.(what as Refusal) === true;
  if (kind === "signed" || kind === "unsecured") return rig[kind] !== undefined && connection.webhook !== undefined;
  if (kind === "call") return connection.call !== undefined;
  return rig[kind] !== undefined;
}

export function channelContract(name: string, contract: Contract): void {
  const { channel, plugin, make } = contract;
  const lacks = lacksOf(contract);
  describe(`${name} keeps the contract of a channel`, () => {
    let rig: ChannelRig;
    let context: RecordingContext;
    const open: Connection[] = [];
    const test: Bench["test"] = (need, title, act) => { if (lacks[need] === undefined) it(title, act); };
    const bench: Bench = {
      ...contract, name, lacks, test,
      hook(key) { return rig[key] ?? assert.fail(`Expected the rig of ${name} to have "${key}". Give it one, or say in "lacks" why its platform can have none.`); },
      get rig() { return rig; },
      get context() { return context; },
      set context(other) { context = other; },
      connect: (account) => connect(account),
    };

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
      it("is the channel of its rig, and lacks what it says", async () => {
        assert.equal(rig.channel.id, channel.id);
        const connection = await connect();
        const found: string[] = [];
        for (const need of Object.keys(lacks) as Need[]) if (await has(need, rig, connection)) found.push(need);
        assert.deepEqual(found, [], "it is said to lack these, and has them");
      });

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

      it("says of itself what fits together", async () => {
        const { limits, shows, dialect, delivery } = rig.channel;
        const connection = await connect();
        assert.ok((limits.caption ?? 1) <= limits.text && (limits.controls ?? 1) <= limits.text, "a caption or a text with buttons is longer than a text");
        assert.equal(delivery.evidence === true, connection.find !== undefined, "delivery.evidence and find go together");
        assert.equal(delivery.edit === true, connection.edit !== undefined, "delivery.edit and edit go together");
        assert.ok(delivery.keyMs === undefined || delivery.keyMs >= 1000, "keyMs is a time in milliseconds");
        if (limits.editEveryMs !== undefined) assert.ok(connection.edit !== undefined || connection.preview !== undefined, "limits.editEveryMs without edit or preview");
        if (dialect !== undefined) assert.ok(Object.hasOwn(DIALECTS, dialect), `no dialect "${dialect}"`);
        const can = ABILITIES.filter((ability) => connection[ability] !== undefined);
        if (rig.channel.can !== undefined || plugin !== true) assert.deepEqual([...(rig.channel.can ?? [])].sort(), [...can].sort(), `channel.can: expected [${can.map((each) => `"${each}"`).join(", ")}], the methods of a live connection`);
        if (plugin === true) return;
        assert.ok(shows !== undefined, "a channel of ours says what it shows");
        assert.ok((shows.files ?? []).length === 0 || limits.upload !== undefined, "files are shown: limits.upload says how large they may be");
        assert.ok(connection.media === undefined || limits.download !== undefined, "files are fetched: limits.download says how large they may be");
        assert.ok(shows.links === undefined || shows.buttons !== undefined, "links are buttons");
        assert.ok(shows.buttonLabel === undefined || shows.buttons !== undefined, "buttonLabel without buttons");
        for (const most of [shows.buttons, shows.buttonLabel, shows.choices]) assert.ok(most === undefined || (Number.isInteger(most) && most > 0), String(most));
        for (const kind of limits.bare ?? []) assert.ok(shows.files?.includes(kind), `limits.bare names "${kind}", which is not shown`);
      });

      test("read", "maps every sample to a message that parses", async () => {
        const read = bench.hook("read");
        const folder = path.join(projectRoot, "engine/channels", rig.channel.id, "samples");
        const count = { samples: 0, messages: 0 };
        for (const file of readdirSync(folder).filter((each) => each.endsWith(".json"))) {
          const whole: unknown = JSON.parse(readFileSync(path.join(folder, file), "utf8"));
          for (const sample of Array.isArray(whole) ? whole : [whole]) {
            const made = read(sample);
            const messages: readonly Message[] = made === undefined ? [] : "version" in made ? [made] : made;
            count.samples++;
            count.messages += messages.length;
            for (const message of messages) {
              assert.deepEqual(parseMessage(structuredClone(message)), message, file);
              assert.equal(message.at.channel, rig.channel.id, file);
              assert.ok(message.id !== "" && message.sender.id !== "" && message.at.chat !== "", `${file}: ${inspect(message)}`);
            }
          }
        }
        assert.ok(count.messages > 0, "expected a sample that is a message");
      });

      if (plugin !== true) it("has a README with the five headings and the table of its settings, and samples", () => {
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
        if (plugin !== true) assert.equal(context.states.at(-1)?.state, "connected");
        await connection.read?.(message.at, message.ref);
        await connection.read?.(message.at, message.ref);
        await connection.typing?.(message.at, message.ref);
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
        // What the account remembers is on disk.
        context = recordingContext({ storage: context.storage, ...rig.context });
        await connect();
        await until(() => context.received.length === 1, "the message");
        assert.equal(context.received[0]?.text, "while away");
      });

      // The engine takes the webhook of a closed account away by itself.
      if (plugin !== true) it("ends with its signal alone", async () => {
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
        test(`fault ${fault}`, `reports the fault "${fault}" as a ChannelError and does not try again by itself`, async () => {
          const connection = await connect();
          assert.equal(bench.hook("fail").call(rig, fault), true, `the rig has no fault "${fault}"`);
          const error = await faultOf(connection.send(rig.to, { text: "**x**" }, `fault-${fault}`));
          for (const [key, value] of Object.entries(wanted)) assert.equal(error[key as keyof ChannelError], value, `${key}: ${error.message}`);
          if (fault === "rate") assert.ok((error.afterMs ?? 0) > 0);
          holdsNoSecret(inspect(error, { depth: 8 }));
          assert.ok(rig.shown().length === 0 || fault === "reset");
        });
      }

      const REFUSED: Record<Refusal, ErrorCode> = { gone: "MSG_002", kicked: "MSG_002", long: "MSG_003" };
      for (const [how, code] of Object.entries(REFUSED) as [Refusal, ErrorCode][]) {
        test(`refusal ${how}`, `knows the refusal "${how}" as one for good`, async () => {
          const connection = await connect();
          assert.equal(bench.hook("refuse").call(rig, how), true, `the rig has no refusal "${how}"`);
          const error = await faultOf(connection.send(rig.to, { text: "x" }, `refusal-${how}`));
          assert.deepEqual([error.code, error.retry, error.unsent || error.answered || error.retry === "no"], [code, "no", true], error.message);
          holdsNoSecret(inspect(error, { depth: 8 }));
        });
      }
    });

    partTests(bench);
    linkTests(bench);

    describe("opening", () => {
      test("wrong", "refuses wrong credentials for good", async () => {
        const error = await faultOf(rig.channel.open(bench.hook("wrong"), context));
        assert.equal(error.code, "CONN_002");
        assert.equal(error.retry, "no");
        holdsNoSecret(inspect(error, { depth: 8 }) + said());
      });

      test("away", "says that nobody is there, and that nothing was sent", async () => {
        const error = await faultOf(rig.channel.open(bench.hook("away"), context));
        assert.equal(error.code, "CONN_001");
        assert.equal(error.retry, "later");
        assert.equal(error.unsent, true);
        holdsNoSecret(inspect(error, { depth: 8 }) + said());
      });
    });
  });
}
