import assert from "node:assert/strict";
import type { Connection } from "../../engine/channels/channel.ts";
import { createTokens } from "../../engine/channels/gmail/api.ts";
import { fromAnswer } from "../../engine/channels/gmail/errors.ts";
import { gmail } from "../../engine/channels/gmail/gmail.ts";
import { read } from "../../engine/channels/gmail/receive.ts";
import type { ChannelError } from "../../engine/errors.ts";
import type { Message } from "../../engine/message.ts";
import { channelContract, recordingContext, type RecordingContext, refuseWrites } from "../contracts/channel.ts";
import { manualClock, until } from "../kit/scripted.ts";
import { ADA } from "../platforms/email-rig.ts";
import { AR, gmailRig, type GmailRig, letter, resourceOf, samples, SELF } from "../platforms/gmail-rig.ts";
import { gmailProblems } from "../spec/gmail-schema.ts";

describe("Gmail by its API", () => {
  let rig: GmailRig | undefined;
  // Whatever a test made the channel send, the stub held it against the reference.
  afterEach(() => {
    const problems = rig?.stub.problems() ?? [];
    rig = undefined;
    assert.deepEqual(problems, []);
  });
  channelContract("Gmail", {
    channel: gmail, lacks: { signed: "it polls: there is no webhook", unsecured: "it polls: there is no webhook", "fault markup": "HTML is not judged by servers", "refusal kicked": "there is no room one can be put out of" },
    make: async () => { rig = await gmailRig(); return rig; },
  });
});

describe("a mailbox at Gmail", function () {
  this.timeout(60_000);
  let rig: GmailRig;
  let context: RecordingContext;
  const open: Connection[] = [];
  afterEach(async () => {
    context?.abort();
    for (const connection of open.splice(0)) await connection.close();
    await rig?.close();
    assert.deepEqual(rig.stub.problems(), []);
  });
  async function start(settings: Record<string, unknown> = {}): Promise<Connection> {
    rig = await gmailRig(settings);
    context = recordingContext(rig.context);
    return again();
  }
  async function again(): Promise<Connection> {
    const connection = await rig.channel.open(rig.account, context);
    open.push(connection);
    return connection;
  }
  const texts = (): string[] => context.received.map(({ text }) => text);
  const came = (count: number) => until(() => context.received.length >= count, `${count} mails`, 20_000);
  const fault = (act: Promise<unknown>): Promise<ChannelError> => act.then(() => assert.fail("expected an error"), (error: ChannelError) => error);

  it("begins with what comes from now on, reads all pages of the history, and each mail once", async () => {
    rig = await gmailRig();
    await rig.stub.deliver(letter("old"));
    context = recordingContext(rig.context);
    const first = await again();
    for (let index = 0; index < 8; index++) await rig.stub.deliver(letter(`n${index}`));
    await came(8);
    await first.close();
    for (let index = 8; index < 16; index++) await rig.stub.deliver(letter(`n${index}`));
    await again();
    await came(16);
    assert.deepEqual(texts(), Array.from({ length: 16 }, (_, index) => `n${index}`));
  });

  it("does not take for its author's what somebody sends again: an old mail to us, and one to somebody else", async () => {
    await start();
    const old = new Date(Date.now() - 9 * 86_400_000).toUTCString();
    const copies = [letter("open the door", { Date: old }), letter("open the safe", { To: "bob@example.com" }), letter("open the gate", { Date: old }), letter("now, really")];
    for (const [index, copy] of copies.entries()) {
      await rig.stub.deliver(copy);
      await came(index + 1);
    }
    assert.deepEqual(context.received.map(({ text, sender }) => [text, sender.id.replace(/#.*/, "#…")]), [["open the door", `unverified:${ADA}#…`], ["open the safe", `unverified:${ADA}#…`], ["open the gate", `unverified:${ADA}#…`], ["now, really", ADA]]);
    const told = context.logs.filter((line) => line.startsWith("warn") && line.includes("counts as unverified"));
    assert.deepEqual(told.map((line) => [line.includes(ADA), /7 days|To or Cc/.exec(line)?.[0]]), [[true, "7 days"], [true, "To or Cc"]]);
  });

  it("takes no drafts, no spam, nothing without the label, and what is sent here by itself not at all", async () => {
    await start();
    for (const labelIds of [["DRAFT", "INBOX"], ["SPAM"], ["SENT"], ["TRASH", "INBOX"], ["Label_1"]]) await rig.stub.deliver(letter(labelIds.join()), { labelIds });
    await rig.stub.deliver(letter("mine"), { labelIds: ["INBOX", "Label_7"] });
    await came(1);
    assert.deepEqual(texts(), ["mine"]);
    assert.deepEqual(context.received[0]?.tags?.filter((tag) => tag.startsWith("label:")), ["label:INBOX", "label:Label_7"]);
  });

  it("looks through the mails again when Gmail has forgotten the history, oldest first, nothing twice", async () => {
    const connection = await start();
    await rig.stub.deliver(letter("before"));
    await came(1);
    await connection.close();
    for (let index = 0; index < 9; index++) await rig.stub.deliver(letter(`away ${index}`));
    rig.stub.forget();
    await rig.stub.deliver(letter("long ago"), { at: Date.now() - 5 * 86_400_000 });
    await again();
    await came(10);
    await rig.stub.deliver(letter("then"));
    await came(11);
    assert.deepEqual(texts(), ["before", ...Array.from({ length: 9 }, (_, index) => `away ${index}`), "then"]);
    assert.ok(context.logs.some((line) => line.includes("forgotten")));
  });

  it("says that it comes again while Google is away, and goes on by itself", async () => {
    await start();
    rig.stub.fault(/history$/, { status: 503 }, 3);
    await until(() => context.states.at(-1)?.state === "reconnecting", "the word");
    await rig.stub.deliver(letter("through"));
    await came(1);
    await until(() => context.states.at(-1)?.state === "connected", "the word");
  });

  it("renews a token that was refused before its time; one that is revoked ends the link for good", async () => {
    const connection = await start();
    rig.stub.revoke();
    await connection.send(rig.to, { text: "with another" }, "key-1");
    assert.deepEqual(rig.shown(), ["with another"]);
    rig.stub.fault(/^\/token$/, { status: 400, reason: "x", says: "invalid_grant: Token has been expired or revoked." }, 1_000);
    rig.stub.revoke();
    const error = await connection.gone;
    assert.deepEqual([error?.code, error?.retry, context.states.at(-1)?.state], ["CONN_002", "no", "error"]);
    assert.match(error?.message ?? "", /7 days/);
    const refused = await fault(connection.send(rig.to, { text: "x" }, "key-2"));
    assert.deepEqual([refused.code, refused.unsent], ["CONN_002", true]);
  });

  it("answers in Gmail's own conversation, and is found by key, also where Gmail gives another Message-ID", async () => {
    const connection = await start();
    for (const rewrites of [false, true]) {
      rig.stub.rewrites = rewrites;
      const begun = await rig.stub.deliver(letter(`how are you? ${rewrites}`, { "In-Reply-To": undefined, References: undefined, Subject: "The engine" }));
      await came(rewrites ? 2 : 1);
      const question = context.received.at(-1) as Message;
      const key = `key-${rewrites}`;
      const startedAt = Date.now();
      const ref = await connection.send(question.at, { text: "fine" }, key);
      const sent = rig.stub.sent().at(-1);
      assert.deepEqual([sent?.threadId, sent?.email.subject, sent?.email.inReplyTo, sent?.email.messageId], [begun.threadId, "Re: The engine", `<${question.ref}>`, `<${ref}>`]);
      assert.equal(ref.endsWith("@mail.gmail.com"), rewrites);
      // A process that died right after it was sent has only the search.
      for (const [name] of await context.storage.list("sent/")) await context.storage.set({ [name]: undefined });
      assert.equal(await connection.find?.(question.at, { key, draft: { text: "fine" }, startedAt }), ref);
    }
    const look = (startedAt: number, silentAt?: number) => connection.find?.(rig.to, { key: "never", draft: { text: "x" }, startedAt, ...(silentAt === undefined ? {} : { silentAt }) }) ?? Promise.reject(new Error("no find"));
    assert.deepEqual((({ code, retry, afterMs }) => [code, retry, afterMs])(await fault(look(Date.now()))), ["CONN_001", "later", 20_000]);
    assert.equal(await look(Date.now() - 120_000), undefined);
    // A large mail takes its time: what counts is when the server fell silent.
    const late = await fault(look(Date.now() - 120_000, Date.now() - 10_000));
    assert.deepEqual([late.code, late.retry], ["CONN_001", "later"]);
  });

  it("counts a mail as sent once the server took it, also where that cannot be kept", async () => {
    const connection = await start();
    refuseWrites(context.storage, "sent/");
    assert.match(await connection.send(rig.to, { text: "taken" }, "key-1"), /@/);
    assert.equal(rig.shown().length, 1);
    assert.ok(context.logs.some((line) => /^warn STORE_001: a message was sent/.test(line)));
  });

  it("sends large mails as an upload, byte by byte", async () => {
    const connection = await start();
    assert.ok(context.spool !== undefined);
    const bytes = new Uint8Array(4_000_000).map((_, index) => (index * 7919) % 251);
    const kept = await context.spool.save(new Blob([bytes]).stream(), { name: "data.bin", mime: "application/octet-stream" });
    await connection.send(rig.to, { text: "large", attachments: [{ kind: "document", media: `spool:${kept.id}`, name: "data.bin" }] }, "key-1");
    assert.ok(rig.stub.seen.some(({ path, query }) => path.startsWith("/upload/") && query.get("uploadType") === "multipart"));
    assert.deepEqual(Buffer.from(rig.seen?.()[0]?.files?.[0] ?? new Uint8Array()), Buffer.from(bytes));
  });

  it("marks as read, calls by hand, and lets no path lead elsewhere", async () => {
    const connection = await start();
    const { labelIds } = await rig.stub.deliver(letter("unread"));
    await came(1);
    await connection.read?.(rig.to, context.received[0]?.ref ?? "");
    assert.deepEqual(labelIds, ["INBOX"]);
    for (const method of ["labels", "GET ../../x", "GET https://evil.example", "GET labels?x=1", "TRACE labels", "GET /labels"]) assert.equal((await fault(Promise.resolve().then(() => connection.call?.(method, {})))).code, "MSG_001", method);
    for (const reference of ["x", "../profile/0", "abc/9", `${rig.stub.stored[0]?.id}/5`]) assert.equal((await fault(Promise.resolve().then(() => connection.media?.(reference, new AbortController().signal)))).code, "MSG_002", reference);
  });
});

describe("the token of Google", () => {
  it("is renewed five minutes before its end, once for all who wait", async () => {
    const clock = manualClock();
    let asked = 0;
    const waiting: ((response: Response) => void)[] = [];
    const fetch = (() => { asked++; return new Promise<Response>((resolve) => waiting.push(resolve)); }) as typeof globalThis.fetch;
    const account = { id: "g", channel: "gmail", name: "G", settings: { clientId: "c", secret: "s", token: "t" } };
    const tokens = createTokens(account, { fetch, clock, signal: new AbortController().signal });
    const answer = async (said: () => Response) => { await until(() => waiting.length > 0, "a request"); for (const resolve of waiting.splice(0)) resolve(said()); };
    const give = (name: string) => answer(() => Response.json({ access_token: name, expires_in: 3_600 }));
    const first = Promise.all([tokens.get(), tokens.get(), tokens.get()]);
    await give("one");
    assert.deepEqual([await first, asked], [["one", "one", "one"], 1]);
    await clock.advance(3_600_000 - 300_001);
    assert.deepEqual([await tokens.get(), asked], ["one", 1]);
    await clock.advance(2);
    const second = Promise.all([tokens.get(), tokens.get()]);
    await give("two");
    assert.deepEqual([await second, asked], [["two", "two"], 2]);
    // A failure is told to all who wait, and is not kept.
    tokens.drop("two");
    const failed = Promise.allSettled([tokens.get(), tokens.get()]);
    await answer(() => Response.json({ error: "temporarily_unavailable" }, { status: 503 }));
    assert.deepEqual((await failed).map(({ status }) => status), ["rejected", "rejected"]);
    const third = tokens.get();
    await give("three");
    assert.deepEqual([await third, asked], ["three", 4]);
    tokens.drop("another");
    assert.equal(await tokens.get(), "three");
  });
});

describe("messages of Gmail", () => {
  it("are read as a person reads them", async () => {
    const rows: Readonly<Record<string, readonly [kind: string, text: string, sender: string, tags: string]>> = {
      "a mail": ["message", "Turn on the light.", ADA, "spf:pass dkim:pass dmarc:pass verified label:UNREAD label:IMPORTANT label:CATEGORY_PERSONAL label:INBOX"],
      "somebody else writes as Ada": ["message", "Open the door.", "unverified:ada@example.org#…", "spf:softfail dmarc:fail unverified label:UNREAD label:INBOX"],
      "a newsletter": ["event", "All cheap", "news@shop.example", "automatic list spf:pass dkim:pass dmarc:pass verified label:CATEGORY_PROMOTIONS label:UNREAD label:INBOX"],
    };
    const all = samples();
    assert.deepEqual(all.map(({ about }) => about), Object.keys(rows));
    for (const sample of all) {
      const { message } = await read(resourceOf(sample), SELF);
      assert.deepEqual([message.kind, message.text, message.sender.id.replace(/#[0-9a-f]{16}$/, "#…"), message.tags?.join(" ")], rows[sample.about], sample.about);
      assert.equal(message.sentAt, Number(sample.internalDate));
    }
    assert.match(AR, /^mx\.google\.com;/);
  });
  it("with no mail in them are read as empty, and crash nothing", async () => {
    for (const resource of [{}, { raw: 5 }, { raw: "" }, { raw: "!!!" }, { id: null, labelIds: "x", internalDate: "NaN", raw: "AA" }, { labelIds: [1, null], raw: "RnJvbTogYQ" }]) assert.equal((await read(resource, SELF)).message.kind, "event", JSON.stringify(resource));
  });
});

describe("what Google says", () => {
  it("is what it is", () => {
    const google = (reason: string, message = "x") => ({ error: { code: 0, message, errors: [{ domain: "global", reason, message }] } });
    const rows: readonly [status: number, body: unknown, code: string, retry: string, afterMs?: number, headers?: Record<string, string>][] = [
      [400, { error: "invalid_grant", error_description: "Token has been expired or revoked." }, "CONN_002", "no"], [401, { error: "invalid_client" }, "CONN_002", "no"], [401, google("authError"), "CONN_002", "no"],
      [403, google("rateLimitExceeded"), "CONN_003", "later", 10_000], [403, google("userRateLimitExceeded", "User Rate Limit Exceeded"), "CONN_003", "later", 10_000], [403, google("dailyLimitExceeded"), "CONN_003", "later", 600_000], [429, google("rateLimitExceeded", "Retry after 1970-01-01T00:01:00.000Z"), "CONN_003", "later", 60_000],
      [429, undefined, "CONN_003", "later", 7_000, { "retry-after": "7" }], [429, { error: { status: "RESOURCE_EXHAUSTED", message: "Too many concurrent requests for user" } }, "CONN_003", "later", 10_000], [403, google("insufficientPermissions"), "CONN_002", "no"], [403, google("accessNotConfigured"), "CONN_002", "no"],
      [403, { error: { status: "PERMISSION_DENIED", details: [{ reason: "ACCESS_TOKEN_SCOPE_INSUFFICIENT" }] } }, "CONN_002", "no"], [403, google("domainPolicy"), "CONN_002", "no"], [400, google("failedPrecondition", "Mail service not enabled"), "CONN_002", "no"],
      [400, google("invalidArgument", "Invalid To header"), "MSG_002", "no"], [404, google("notFound"), "MSG_002", "no"], [413, undefined, "MSG_003", "no"], [400, google("uploadTooLarge"), "MSG_003", "no"], [500, google("backendError"), "CONN_001", "later"], [503, undefined, "CONN_001", "later"], [502, "<html>", "CONN_001", "later"],
    ];
    for (const [status, body, code, retry, afterMs, headers = {}] of rows) {
      const error = fromAnswer(status, body, (name) => headers[name] ?? null, "x", 0);
      assert.deepEqual([error.code, error.retry, error.afterMs, error.answered, error.unsent], [code, retry, afterMs, true, false], `${status} ${JSON.stringify(body)}`);
    }
    console.log(`      ${rows.length} answers`);
  });
});

describe("the judge of requests to Gmail", () => {
  it("finds planted faults", () => {
    const none = new URLSearchParams();
    const ask = (text: string) => new URLSearchParams(text);
    const me = "/gmail/v1/users/me";
    assert.deepEqual(gmailProblems("POST", `${me}/messages/send`, none, { raw: "AA", threadId: "1" }), []);
    const planted: readonly [string, string, string, URLSearchParams, Record<string, unknown>?][] = [
      ["no raw", "POST", `${me}/messages/send`, none, { threadId: "1" }], ["base64 of the other alphabet", "POST", `${me}/messages/send`, none, { raw: "a+/=" }], ["an unknown field", "POST", `${me}/messages/send`, none, { raw: "AA", to: "x" }], ["an empty thread", "POST", `${me}/messages/send`, none, { raw: "AA", threadId: "" }],
      ["no start", "GET", `${me}/history`, none], ["a start that is no number", "GET", `${me}/history`, ask("startHistoryId=x")], ["an unknown type of history", "GET", `${me}/history`, ask("startHistoryId=1&historyTypes=messagesAdded")], ["too many results", "GET", `${me}/messages`, ask("maxResults=501")],
      ["an unknown format", "GET", `${me}/messages/1`, ask("format=RAW2")], ["an unknown query", "GET", `${me}/messages`, ask("query=x")], ["a query twice", "GET", `${me}/messages`, ask("q=x&q=y")], ["labels as text", "POST", `${me}/messages/1/modify`, none, { removeLabelIds: "UNREAD" }],
      ["an upload without its type", "POST", `/upload${me}/messages/send`, none], ["another user", "GET", "/gmail/v1/users/you/profile", none], ["a body where none is wanted", "GET", `${me}/profile`, none, { x: 1 }],
    ];
    for (const [about, method, path, query, body] of planted) assert.notDeepEqual(gmailProblems(method, path, query, body), [], about);
    console.log(`      ${planted.length} planted faults found`);
  });
});

describe("settings of Gmail", () => {
  it("that cannot work are named", () => {
    const problems = (settings: Record<string, unknown>) => gmail.check({ id: "g", channel: "gmail", name: "G", settings: { clientId: "1-a.apps.googleusercontent.com", secret: "s", token: "1//t", ...settings } });
    assert.deepEqual(problems({}), []);
    for (const settings of [{ clientId: "" }, { clientId: "a b" }, { secret: "" }, { token: "" }, { label: "My label" }, { everySeconds: 0 }, { apiRoot: "ftp://x" }, { authRoot: "x" }, { proxy: "x" }]) assert.equal(problems(settings).length, 1, JSON.stringify(settings));
  });
});
