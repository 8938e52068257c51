import assert from "node:assert/strict";
import type { AddressInfo } from "node:net";
import { createServer, getCACertificates, setDefaultCACertificates } from "node:tls";
import type { Connection } from "../../engine/channels/channel.ts";
import { email } from "../../engine/channels/email/email.ts";
import { fromImap, fromReply } from "../../engine/channels/email/errors.ts";
import { messageId } from "../../engine/channels/mail/compose.ts";
import { parseMail } from "../../engine/channels/mail/parse.ts";
import { toMessage } from "../../engine/channels/mail/to-message.ts";
import type { ChannelError } from "../../engine/errors.ts";
import type { Message } from "../../engine/message.ts";
import { channelContract, recordingContext, type RecordingContext, refuseWrites } from "../contracts/channel.ts";
import { until } from "../kit/scripted.ts";
import { selfSigned } from "../platforms/certificate.ts";
import { hasDovecot } from "../platforms/dovecot.ts";
import { startSmtp } from "../platforms/smtp.ts";
import { ADA, emailRig, type EmailRig, mail, SELF } from "../platforms/email-rig.ts";
import { skip } from "../rigs/skip.ts";

describe("E-mail by Dovecot and smtp-server", function () {
  this.timeout(60_000);
  before(function () { if (!hasDovecot()) skip(this, "Dovecot is not installed (apt-get install dovecot-imapd)"); });
  channelContract("E-mail", { channel: email, lacks: { signed: "mail has no webhook", unsecured: "mail has no webhook", "fault markup": "HTML is not judged by servers" }, make: () => emailRig() });
});

describe("a mailbox", function () {
  this.timeout(60_000);
  let rig: EmailRig;
  let context: RecordingContext;
  const open: Connection[] = [];
  before(function () { if (!hasDovecot()) skip(this, "Dovecot is not installed (apt-get install dovecot-imapd)"); });
  afterEach(async () => {
    context?.abort();
    for (const connection of open.splice(0)) await connection.close();
    await rig?.close();
  });
  async function start(settings: Record<string, unknown> = {}, options: { idle?: boolean } = {}): Promise<Connection> {
    rig = await emailRig(settings, options);
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

  it("begins with what comes from now on, and goes on where it stood, in order, each mail once", async () => {
    rig = await emailRig();
    context = recordingContext(rig.context);
    rig.deliver(mail("old"));
    const first = await again();
    rig.deliver(mail("one"));
    rig.deliver(mail("two"));
    await came(2);
    await first.close();
    for (let index = 0; index < 20; index++) rig.deliver(mail(`away ${index}`));
    await again();
    await came(22);
    assert.deepEqual(texts(), ["one", "two", ...Array.from({ length: 20 }, (_, index) => `away ${index}`)]);
  });

  it("moves the cursor only over what is saved, also over a mail that nobody can read", async () => {
    const connection = await start();
    context.refuseSaves = 100;
    rig.deliver(mail("kept"));
    await until(() => context.refuseSaves < 98, "tries to save");
    await connection.close();
    assert.deepEqual(texts(), []);
    context.refuseSaves = 0;
    rig.deliver(Buffer.from(`From: ${ADA}\r\n${"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n".repeat(80)}x`));
    rig.deliver(Buffer.from("\r\n\r\n\0\0"));
    rig.deliver(mail("behind"));
    await again();
    await until(() => texts().includes("behind"), "the mail behind", 20_000);
    assert.equal(texts()[0], "kept");
    assert.ok(context.logs.some((line) => /MSG_001/.test(line)), context.logs.join("\n"));
  });

  it("does not take for its author's what somebody sends again: an old mail to us, and one to somebody else", async () => {
    await start();
    const old = new Date(Date.now() - 9 * 86_400_000).toUTCString();
    const copies = [mail("open the door", { Date: old }), mail("open the safe", { To: "bob@example.com" }), mail("open the gate", { Date: old }), mail("now, really")];
    for (const [index, copy] of copies.entries()) {
      rig.deliver(copy);
      await came(index + 1);
    }
    assert.deepEqual(context.received.map(({ text, sender }) => [text, sender.id.replace(/#.*/, "#…")]), [["open the door", `unverified:${ADA}#…`], ["open the safe", `unverified:${ADA}#…`], ["open the gate", `unverified:${ADA}#…`], ["now, really", ADA]]);
    const told = context.logs.filter((line) => line.startsWith("warn") && line.includes("counts as unverified"));
    assert.deepEqual(told.map((line) => [line.includes(ADA), /7 days|To or Cc/.exec(line)?.[0]]), [[true, "7 days"], [true, "To or Cc"]]);
  });

  it("is told at once by IDLE", async () => {
    await start({ everySeconds: 1_400 });
    for (const text of ["one", "two"]) {
      rig.deliver(mail(text));
      await until(() => texts().at(-1) === text, text, 20_000);
    }
  });

  for (const security of ["tls", "starttls"] as const) it(`goes over ${security} with a certificate that is known, both ways`, async () => {
    rig = await emailRig();
    context = recordingContext(rig.context);
    const { tls } = rig.imap;
    const smtp = await startSmtp({ password: rig.imap.password, tls: { cert: tls.cert, key: tls.key, secure: security === "tls" } });
    const before = getCACertificates("default");
    setDefaultCACertificates([...before, tls.cert]);
    try {
      const connection = await rig.channel.open({ ...rig.account, settings: { ...rig.account.settings, imapHost: "localhost", imapPort: security === "tls" ? tls.port : rig.imap.port, imapSecurity: security, smtpHost: "localhost", smtpPort: smtp.port, smtpSecurity: security } }, context);
      open.push(connection);
      rig.deliver(mail("sealed"));
      await came(1);
      await connection.send(rig.to, { text: "sealed too" }, "key-1");
      assert.deepEqual(smtp.taken.map(({ email: { text } }) => text?.trim()), ["sealed too"]);
    } finally {
      setDefaultCACertificates(before);
      context.abort();
      for (const connection of open.splice(0)) await connection.close();
      await smtp.close();
    }
  });

  it("is asked now and then where the server has no IDLE", async () => {
    await start({}, { idle: false });
    rig.deliver(mail("no idle"));
    await came(1);
    rig.deliver(mail("once more"));
    await came(2);
    assert.deepEqual(texts(), ["no idle", "once more"]);
  });

  it("is read again from the day before when the server numbers it anew, and nothing is there twice", async () => {
    const connection = await start();
    rig.deliver(mail("before"));
    await came(1);
    await connection.close();
    const cursor = (await context.storage.get("cursor")) as { validity: string; uid: number };
    await context.storage.set({ cursor: { ...cursor, validity: "1", uid: 4_000_000 } });
    rig.deliver(mail("after"));
    await again();
    await came(2);
    assert.deepEqual(texts(), ["before", "after"]);
    assert.ok(context.logs.some((line) => line.includes("numbered the folder anew")));
  });

  it("says that its link is gone, so that another is opened", async () => {
    const connection = await start();
    rig.relay.cut();
    const error = await connection.gone;
    assert.deepEqual([error?.code, error?.retry, context.states.at(-1)?.state], ["CONN_001", "later", "error"]);
  });

  it("answers in the conversation, and files a copy that is found by its key", async () => {
    const connection = await start();
    rig.deliver(mail("how are you?", { "Message-ID": "<q1@example.org>", Subject: "The engine" }));
    await came(1);
    const [question] = context.received as [Message];
    const startedAt = context.clock.now();
    const ref = await connection.send(question.at, { text: "fine" }, "key-1");
    const [sent] = rig.smtp.taken;
    assert.deepEqual([sent?.email.subject, sent?.email.inReplyTo, sent?.email.messageId, sent?.to, sent?.from], ["Re: The engine", "<q1@example.org>", `<${ref}>`, [ADA], "claw@example.net"]);
    assert.match(sent?.email.references ?? "", /^<root-1@example\.org> <q1@example\.org>$/);
    // A process that died right after the server took it has only the folder to look into.
    for (const [key] of await context.storage.list("sent/")) await context.storage.set({ [key]: undefined });
    assert.equal(await connection.find?.(question.at, { key: "key-1", draft: { text: "fine" }, startedAt }), ref);
    assert.equal(await connection.find?.(question.at, { key: "key-2", draft: { text: "fine" }, startedAt }), undefined);
    // Where only the memory has it.
    await context.storage.set({ [`sent/${String(startedAt).padStart(14, "0")}/${messageId({ address: "claw@example.net", name: "", account: "post" }, "key-3")}`]: "m3@example.net" });
    assert.notEqual(await connection.find?.(question.at, { key: "key-3", draft: { text: "fine" }, startedAt }), undefined);
    // An answer to what we began comes into its conversation.
    const { thread: _thread, ...elsewhere } = question.at;
    const begun = await connection.send(elsewhere, { text: "A new thing" }, "key-4");
    rig.deliver(mail("about that", { "In-Reply-To": `<${begun}>`, References: undefined }));
    await came(2);
    assert.equal(context.received[1]?.at.thread, begun);
  });

  it("asks to be asked later where the server files sent mail itself", async () => {
    const connection = await start({ sent: "server" });
    const look = (startedAt: number, silentAt?: number) => connection.find?.(rig.to, { key: "never", draft: { text: "x" }, startedAt, ...(silentAt === undefined ? {} : { silentAt }) }) ?? Promise.reject(new Error("no find"));
    const error = await fault(look(context.clock.now()));
    assert.deepEqual([error.code, error.retry, error.afterMs], ["CONN_001", "later", 20_000]);
    assert.equal(await look(context.clock.now() - 120_000), undefined);
    // A large mail takes its time: what counts is when the server fell silent.
    const late = await fault(look(context.clock.now() - 120_000, context.clock.now() - 10_000));
    assert.deepEqual([late.code, late.retry], ["CONN_001", "later"]);
    await connection.send(rig.to, { text: "not filed here" }, "key-1");
    assert.equal(rig.shown().length, 1);
  });

  it("counts a mail as sent once the server took it, also where that cannot be kept", async () => {
    const connection = await start();
    refuseWrites(context.storage, "sent/");
    assert.match(await connection.send(rig.to, { text: "taken" }, "key-1"), /@/);
    assert.equal(rig.shown().length, 1);
    assert.ok(context.logs.some((line) => /^warn STORE_001: a message was sent/.test(line)));
  });

  it("never answers a machine, and answers the person again who writes in the same conversation", async () => {
    const connection = await start();
    rig.deliver(mail("I am away", { "Auto-Submitted": "auto-replied" }));
    await came(1);
    const [event] = context.received as [Message];
    assert.deepEqual([event.kind, event.addressed], ["event", false]);
    const error = await fault(connection.send(event.at, { text: "but" }, "key-1"));
    assert.deepEqual([error.code, error.retry], ["MSG_002", "no"]);
    rig.deliver(mail("back again"));
    await came(2);
    await connection.send(event.at, { text: "welcome" }, "key-2");
    assert.deepEqual(rig.shown(), ["welcome"]);
    // In the other direction: what we send is known as a machine's.
    const back = toMessage(await parseMail(rig.smtp.taken[0]?.source ?? Buffer.alloc(0)), { ...SELF, addresses: [] }, { reference: "1/1", receivedAt: 0 });
    assert.deepEqual([back.kind, back.tags?.[1]], ["event", "auto-reply"]);
  });

  it("lets nobody who may not talk here into its memory, nor one into the conversation of another", async () => {
    rig = await emailRig();
    context = recordingContext(rig.context);
    const { receive } = context;
    const connection = await rig.channel.open(rig.account, { ...context, receive: async (message) => (message.text.startsWith("spam") ? "refused" : receive(message)) });
    open.push(connection);
    rig.deliver(mail("let us talk"));
    await came(1);
    rig.deliver(mail("spam", { "Message-ID": "<spam@evil.example>", "Auto-Submitted": "auto-generated" }));
    rig.deliver(mail("as if", { From: "mallory@evil.example", "Authentication-Results": undefined, "Message-ID": "<mal@evil.example>", "Auto-Submitted": "auto-generated" }));
    await came(2);
    assert.notEqual(context.received[1]?.at.chat, ADA);
    await connection.send(rig.to, { text: "gladly" }, "key-1");
    assert.doesNotMatch(rig.smtp.taken[0]?.email.references ?? "", /evil/);
    assert.deepEqual((await context.storage.list("thread/")).map(([, value]) => (value as { chat: string }).chat).sort(), [ADA, "mallory@evil.example"]);
  });

  it("knows what was refused, what is in doubt, and what never left", async () => {
    const connection = await start();
    const rows: readonly [about: string, fault: Parameters<typeof rig.smtp.fault>[0], code: string, retry: string, answered: boolean, unsent: boolean][] = [
      ["cut at the sender", { at: "from", cut: true }, "CONN_001", "later", false, true],
      ["cut at the recipient", { at: "to", cut: true }, "CONN_001", "later", false, true],
      ["cut behind the text", { at: "text", cut: true }, "CONN_001", "later", false, false],
      ["failed behind the text", { at: "text", code: 451, says: "4.3.0 disk full" }, "CONN_001", "later", true, false],
      ["refused behind the text", { at: "text", code: 554, says: "5.7.1 spam" }, "MSG_002", "no", true, false],
      ["greylisted", { at: "to", code: 451, says: "4.7.1 Greylisting in action, please come back later" }, "CONN_003", "later", true, false],
      ["the sender refused", { at: "from", code: 550, says: "5.7.1 not yours" }, "MSG_002", "no", true, false],
    ];
    for (const [about, wanted, code, retry, answered, unsent] of rows) {
      rig.smtp.fault(wanted);
      const error = await fault(connection.send(rig.to, { text: about }, `doubt-${about}`));
      assert.deepEqual([error.code, error.retry, error.answered, error.unsent], [code, retry, answered, unsent], `${about}: ${error.message}`);
    }
    assert.equal(await connection.send(rig.to, { text: "well again" }, "well").then((ref) => ref.length > 0), true);
    assert.deepEqual(rig.shown(), ["cut behind the text", "well again"]);
    // Many mails, one login.
    const before = rig.smtp.logins();
    await Promise.all(Array.from({ length: 10 }, (_, index) => connection.send(rig.to, { text: `n${index}` }, `n${index}`)));
    assert.equal(rig.smtp.logins() - before, 1);
    assert.deepEqual(rig.shown().slice(2), Array.from({ length: 10 }, (_, index) => `n${index}`));
  });

  it("finds no file of a mail that is gone, and none of another account", async () => {
    const connection = await start();
    for (const reference of ["1/1/0", "x", "../../etc/passwd", "1/1", `${((await context.storage.get("cursor")) as { validity: string }).validity}/4000/0`]) {
      const error = await fault(Promise.resolve().then(() => connection.media?.(reference, new AbortController().signal)));
      assert.deepEqual([error.code, error.retry], ["MSG_002", "no"], reference);
    }
  });

  it("trusts no certificate that nobody vouches for", async () => {
    const { key, cert } = selfSigned("127.0.0.1");
    const server = createServer({ key, cert }, (socket) => { socket.on("error", () => undefined); socket.write("* OK ready\r\n"); });
    server.on("tlsClientError", () => undefined);
    await new Promise<void>((done) => { server.listen(0, "127.0.0.1", done); });
    const { port } = server.address() as AddressInfo;
    rig = await emailRig();
    context = recordingContext(rig.context);
    const imap = await fault(rig.channel.open({ ...rig.account, settings: { ...rig.account.settings, imapPort: port, imapSecurity: "tls" } }, context));
    assert.deepEqual([imap.code, imap.retry], ["CONN_001", "later"]);
    assert.match(imap.message, /SELF_SIGNED|self.signed/i);
    const smtp = await fault(rig.channel.open({ ...rig.account, settings: { ...rig.account.settings, smtpPort: port, smtpSecurity: "tls" } }, context));
    assert.equal(smtp.code, "CONN_001");
    assert.match(smtp.message, /SELF_SIGNED|self.signed|ESOCKET/i);
    const starttls = await fault(rig.channel.open({ ...rig.account, settings: { ...rig.account.settings, smtpSecurity: "starttls" } }, context));
    assert.equal(starttls.code, "CONN_001", starttls.message);
    await new Promise((done) => { server.close(done); });
  });
});

describe("settings of a mailbox", () => {
  const good = { imapHost: "imap.example.org", smtpHost: "smtp.example.org", user: "claw@example.net", password: "x" };
  const problems = (settings: Record<string, unknown>) => email.check({ id: "a", channel: "email", name: "A", settings: { ...good, ...settings } });
  it("send no password in the open unless that was chosen", () => {
    assert.deepEqual(problems({}), []);
    assert.match(problems({ imapSecurity: "none" })[0] ?? "", /without encryption/);
    assert.match(problems({ smtpSecurity: "none" })[0] ?? "", /without encryption/);
    for (const settings of [{ imapSecurity: "none", plain: true }, { imapSecurity: "none", imapHost: "127.0.0.1" }, { imapSecurity: "none", imapHost: "localhost" }, { smtpSecurity: "starttls" }]) assert.deepEqual(problems(settings), []);
    assert.match(problems({ imapSecurity: "none", imapHost: "localhost.evil.example" })[0] ?? "", /without encryption/);
    for (const settings of [{ imapPort: 0 }, { imapPort: "x" }, { everySeconds: 0 }, { user: "claw" }, { imapHost: "a b" }, { smtpSecurity: "ssl" }, { sent: "x" }, { proxy: "ftp://x" }]) assert.equal(problems(settings).length, 1, JSON.stringify(settings));
  });
});

describe("what mail servers say", () => {
  it("is what it is", () => {
    const rows: readonly [reply: string, code: string, retry: string, afterMs?: number][] = [
      ["421 4.7.0 Too many connections, try again later", "CONN_003", "later", 60_000], ["421 4.3.2 Service shutting down", "CONN_001", "later", 60_000], ["450 4.2.1 The user is receiving mail too quickly, rate limited", "CONN_003", "later", 60_000],
      ["450 4.2.0 <ada@example.org>: Recipient address rejected: Greylisted", "CONN_003", "later", 300_000], ["451 4.7.1 Please try again in 120 seconds", "CONN_003", "later", 120_000], ["451 4.3.0 Error", "CONN_001", "later", 60_000], ["452 4.3.1 Insufficient storage", "CONN_001", "later", 60_000],
      ["452 4.5.3 Too many recipients", "CONN_003", "later", 60_000], ["535 5.7.8 Bad credentials", "CONN_002", "no"], ["534 5.7.9 Application-specific password required", "CONN_002", "no"], ["530 5.7.0 Must issue a STARTTLS command first", "CONN_002", "no"], ["550 5.1.1 User unknown", "MSG_002", "no"],
      ["550 5.7.1 Blocked", "MSG_002", "no"], ["550 5.4.5 Daily user sending limit exceeded", "CONN_003", "later", 3_600_000], ["552 5.3.4 Message too big", "MSG_003", "no"], ["552-5.7.0 Blocked attachment\n552 5.2.3 size", "MSG_003", "no"], ["553 5.1.8 Sender refused", "MSG_002", "no"], ["554 5.7.1 Spam", "MSG_002", "no"], ["554 Message size too large", "MSG_003", "no"], ["571 no", "MSG_002", "no"],
    ];
    for (const [reply, code, retry, afterMs] of rows) {
      const error = fromReply(reply, "the mail", 0);
      assert.deepEqual([error.code, error.retry, error.afterMs, error.answered, error.unsent], [code, retry, afterMs, true, false], reply);
    }
    console.log(`      ${rows.length} replies`);
    const imap: readonly [thrown: object, code: string, retry: string][] = [
      [{ authenticationFailed: true, responseText: "Authentication failed." }, "CONN_002", "no"], [{ authenticationFailed: true, serverResponseCode: "UNAVAILABLE" }, "CONN_001", "later"], [{ authenticationFailed: true, serverResponseCode: "LIMIT" }, "CONN_003", "later"],
      [{ serverResponseCode: "NONEXISTENT", responseText: "No such mailbox" }, "CONF_001", "no"], [{ responseText: "Too many simultaneous connections" }, "CONN_003", "later"], [{ code: "NoConnection" }, "CONN_001", "later"], [{ code: "ECONNREFUSED" }, "CONN_001", "later"],
    ];
    for (const [thrown, code, retry] of imap) assert.deepEqual([fromImap(thrown, "x").code, fromImap(thrown, "x").retry], [code, retry], JSON.stringify(thrown));
    assert.equal(fromImap({ code: "ECONNREFUSED" }, "x").unsent, true);
  });
});
