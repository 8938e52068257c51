import assert from "node:assert/strict";
import { reportOf } from "../../engine/channels/mail/automatic.ts";
import { type Author, compose, messageId } from "../../engine/channels/mail/compose.ts";
import { htmlToText } from "../../engine/channels/mail/html.ts";
import { ids, isAddress, parseMail } from "../../engine/channels/mail/parse.ts";
import { createTeller } from "../../engine/channels/mail/replay.ts";
import { replyOf } from "../../engine/channels/mail/reply.ts";
import { openThreads, type Thread } from "../../engine/channels/mail/threads.ts";
import { type Self, selfOf, toMessage } from "../../engine/channels/mail/to-message.ts";
import { verdict } from "../../engine/channels/mail/verified.ts";
import type { ChannelError } from "../../engine/errors.ts";
import type { Address, Draft } from "../../engine/message.ts";
import { parseMessage } from "../../engine/message-schema.ts";
import { memoryStorage } from "../contracts/channel.ts";
import { systemClock } from "../../engine/clock.ts";
import { bytesOf, mail, type Sample, samples, SELF } from "../platforms/email-rig.ts";

const PLACE = { reference: "1/1", receivedAt: 1_795_860_000_000 };
const read = async (sample: Pick<Sample, "eml">) => toMessage(await parseMail(bytesOf(sample)), SELF, PLACE);

/** kind, text, sender, thread, attachments, tags without the results of the server. */
type Reading = readonly [kind: string, text: string, sender: string, thread: string, attachments: string, tags: string];
const ADA = "ada@example.org";
const nobody = /^unverified:ada@example\.org#[0-9a-f]{16}$/;
const READINGS: Readonly<Record<string, Reading>> = {
  "Gmail, a new mail in text and HTML": ["message", "Turn on the kitchen light, please.", ADA, "CAF=abc1@mail.gmail.com", "subject: Kitchen light", "verified"],
  "Gmail, an answer above the quoted mail": ["message", "Yes, do it.", ADA, "root-7@example.org", "", "verified"],
  "Gmail, the line above the quote is broken in two": ["message", "No.", ADA, "claw-7@example.net", "", "verified"],
  "Outlook, HTML only, with its header block": ["message", "Set it to 21 degrees.", ADA, "root-8@example.org", "", "verified"],
  "Outlook, German, plain text": ["message", "Auf 21 Grad, bitte schön.\n\nViele Grüße\nAda", ADA, "claw-8@example.net", "", "verified"],
  "Outlook for iOS": ["message", "Warmer.", ADA, "AS8PR03@prod.outlook.com", "subject: Re: Heating", "verified"],
  "Apple Mail, with a signature of the phone": ["message", "Water the roses 🌹 at six", ADA, "claw-9@example.net", "", "verified"],
  "Apple Mail, German": ["message", "Um sechs.", ADA, "5A1F0F1C-2@example.org", "subject: Re: Garten", "verified"],
  "Thunderbird, answers between the quotes": ["message", "On 28.11.26 10:00, Claw wrote:\n> Shall I turn on the light?\nYes.\n> And the heating?\nNo.", ADA, "claw-10@example.net", "", "verified"],
  "Thunderbird, a signature and flowed lines": ["message", "This is a long line that the program broke into two.", ADA, "d1b1c2@example.org", "subject: Note", "verified"],
  "out of office": ["event", "I am away until Monday.", ADA, "root-8@example.org", "", "automatic auto-reply verified"],
  "an old vacation program": ["event", "Away.", ADA, "vac1@example.org", "subject: Vacation", "automatic auto-reply verified"],
  "a bounce with its report": ["event", "I'm sorry to have to inform you that your message could not be delivered.", "unverified:mailer-daemon@mx.example.net", "dsn1@mx.example.net", "subject: Undelivered Mail Returned to Sender", "automatic bounce unverified"],
  "a mailing list": ["event", "Version 2 is out.", ADA, "list1@lists.example.org", "subject: [engines] New release", "automatic list verified"],
  "a shop that reads no answers": ["event", "It is on its way.", "no-reply@shop.example", "order1@shop.example", "subject: Your order", "automatic no-reply verified"],
  "an invitation of a calendar": ["message", "Ada invites you to tea.", ADA, "cal1@example.org", "subject: Invitation: Tea|event: Tea, with cake (2026-11-30 15:00 UTC – 2026-11-30 16:00 UTC; Garden; request)|document invite.ics text/calendar", "verified"],
  "a mail passed on by Gmail": ["message", "What do you say to this?\n\n---------- Forwarded message ---------\nFrom: Bob Builder <bob@example.com>\nDate: Fri, Nov 27, 2026 at 9:00 AM\nSubject: Invoice 12\nTo: <ada@example.org>\n\nPlease pay 12 EUR.", ADA, "fwd1@mail.gmail.com", "subject: Fwd: Invoice 12", "verified"],
  "a mail passed on as a file": ["message", "See inside.", ADA, "fwd2@example.org", "subject: Fwd: Invoice 13|document Invoice 13.eml message/rfc822", "verified"],
  "HTML only, with hidden text and a link": ["message", "Hello\n\nRead the page (https://example.org/a?b=1&c=2) & https://example.org.\n\n- one\n- two\n\n[a cat]", ADA, "html1@example.org", "subject: News", "verified"],
  "Windows-1252 without a declared encoding": ["message", "It costs 5 € – “cheap”.", ADA, "w1252@example.org", "subject: Prices", "verified"],
  "Japanese in ISO-2022-JP": ["message", "こんにちは", ADA, "jp1@example.org", "subject: こんにちは", "verified"],
  "Cyrillic in KOI8-R, base64": ["message", "Привет, как дела?", ADA, "ru1@example.org", "subject: Kitchen light", "verified"],
  "names in RFC 2047 and RFC 2231": ["message", "Anbei.", "juergen@example.org", "names1@example.org", "subject: Grüße aus München|document Übersicht 2026.pdf application/pdf|image Kätzchen.png image/png", "verified"],
  "parts within parts, with an inline picture": ["message", "Look: [cid]", ADA, "nest1@example.org", "subject: Picture|image cat.jpg image/jpeg|document list.csv text/csv", "verified"],
  "signed by S/MIME": ["message", "I signed this.", ADA, "smime1@example.org", "subject: Signed", "verified"],
  "encrypted by PGP": ["message", "", ADA, "pgp1@example.org", "subject: ...|document encrypted.asc application/octet-stream", "verified encrypted"],
  "headers without end": ["message", "Still here.", ADA, "r0@example.org", "", "verified"],
  "nothing in it": ["message", "", ADA, "empty1@example.org", "", "verified"],
  "all said in the subject": ["message", "Turn off the lights", ADA, "subj1@example.org", "subject: Turn off the lights", "verified"],
  "a command": ["message", "/status kitchen now", ADA, "cmd1@example.org", "subject: x", "verified"],
  "broken: a part that never ends, no charset, no blank line": ["message", "Half a mail, \ufffd\ufffd and then", ADA, "broken1@example.org", "subject: Kitchen light|document x.pdf application/pdf", "verified"],
  "no headers but From": ["message", "naked", "unverified:ada@example.org#…", "none-e5af797bbf3abfdf4b491faae46c74dd", "", "unverified"],
  "somebody else writes as Ada": ["message", "Open the door.", "unverified:ada@example.org#…", "forged1@evil.example", "subject: Urgent", "unverified"],
  "verified by a server that is not ours": ["message", "Open the door.", "unverified:ada@example.org#…", "forged2@evil.example", "subject: Urgent", "unverified"],
  "signed by another domain": ["message", "Buy.", "unverified:ada@example.org#…", "forged3@bulk.example", "subject: Offer", "unverified"],
  "our own copy": ["message", "It was me.", "unverified:claw@example.net#…", "claw-12@example.net", "subject: Hi", "unverified"],
};

describe("mails of real programs", () => {
  it("are read as a person reads them", async () => {
    const all = samples();
    assert.deepEqual(all.map(({ about }) => about).sort(), Object.keys(READINGS).sort());
    for (const sample of all) {
      const message = await read(sample);
      const attachments = message.attachments.map((each) => (each.kind === "embed" ? `${each.type}: ${each.title}${each.text === undefined ? "" : ` (${each.text})`}` : "mime" in each ? `${each.kind} ${each.name} ${each.mime}` : each.kind)).join("|");
      const tags = (message.tags ?? []).filter((tag) => !tag.includes(":")).join(" ");
      const got: Reading = [message.kind, message.text, message.sender.id.replace(/#[0-9a-f]{16}$/, "#…"), message.at.thread ?? "", attachments, tags];
      assert.deepEqual(got, READINGS[sample.about], sample.about);
      assert.deepEqual(parseMessage(structuredClone(message)), message);
      assert.equal(message.addressed, message.kind === "message" && !message.sender.self, sample.about);
    }
    console.log(`      ${all.length} mails read`);
  });

  it("a name that nobody vouches for fits no rule, and is another with each mail", async () => {
    const forged = await Promise.all(["<a@x>", "<b@x>"].map(async (id) => toMessage(await parseMail(mail("I am Ada, open the door", { "Authentication-Results": undefined, "Message-ID": id })), SELF, PLACE)));
    for (const { sender, at, id } of forged) {
      assert.match(sender.id, nobody);
      assert.equal(at.chat, ADA);
      assert.match(id, /^unverified:/);
    }
    assert.notEqual(forged[0]?.sender.id, forged[1]?.sender.id);
    const believed = toMessage(await parseMail(mail("x", { "Authentication-Results": undefined })), { ...SELF, verify: false }, PLACE);
    assert.equal(believed.sender.id, ADA);
  });

  it("a bounce names the mail that did not arrive; the own copy is the bot's own", async () => {
    const bounce = await read(samples().find(({ about }) => about.startsWith("a bounce")) as Sample);
    assert.deepEqual(bounce.action, { type: "status", ref: "claw-11@example.net", state: "failed", text: "bob@example.com: 550 5.1.1 <bob@example.com>: no such user here" });
    assert.equal((await read(samples().find(({ about }) => about === "our own copy") as Sample)).sender.self, true);
    assert.equal(reportOf(await parseMail(mail("x"))).state, undefined);
  });

  it("machines are known by each of their marks", async () => {
    const marks: readonly [header: string, value: string, as: string][] = [
      ["Auto-Submitted", "auto-generated", "auto-reply"], ["Auto-Submitted", "auto-replied; owner-email=x", "auto-reply"], ["X-Autoreply", "yes", "auto-reply"], ["X-Autorespond", "", "auto-reply"], ["Precedence", "auto_reply", "auto-reply"],
      ["Precedence", "bulk", "bulk"], ["Precedence", "junk", "bulk"], ["Precedence", "list", "list"], ["List-Id", "<x.example.org>", "list"], ["List-Unsubscribe", "<mailto:u@example.org>", "list"], ["Return-Path", "<>", "bounce"],
      ["X-Auto-Response-Suppress", "DR, OOF, AutoReply", "auto-reply"], ["From", "MAILER-DAEMON@example.org", "bounce"], ["From", "no-reply@example.org", "no-reply"], ["From", "donotreply@example.org", "no-reply"], ["From", "list-bounces@example.org", "no-reply"],
      ["Content-Type", "multipart/report; report-type=disposition-notification; boundary=x", "bounce"], ["X-Failed-Recipients", "bob@example.com", "bounce"],
    ];
    for (const [header, value, as] of marks) {
      const message = toMessage(await parseMail(mail("x", { [header]: value })), SELF, PLACE);
      assert.deepEqual([message.kind, message.addressed, message.tags?.slice(0, 2)], ["event", false, ["automatic", as]], `${header}: ${value}`);
    }
    for (const [header, value] of [["Auto-Submitted", "no"], ["Precedence", "normal"], ["Return-Path", "<ada@example.org>"], ["From", "reply@example.org"], ["From", "norely.smith@example.org"]] as const) {
      assert.equal(toMessage(await parseMail(mail("x", { [header]: value })), SELF, PLACE).kind, "message", `${header}: ${value}`);
    }
    console.log(`      ${marks.length} marks of machines`);
  });
});

describe("who vouches for a mail", () => {
  const check = async (value: string | undefined, headers: Record<string, string> = {}, trusted: readonly string[] = ["mx.example.net"]) => verdict(await parseMail(mail("x", { "Authentication-Results": value, ...headers })), trusted).verified;
  it("is the domain of From alone, in the words of the own server", async () => {
    const rows: readonly [about: string, header: string | undefined, wanted: boolean, trusted?: readonly string[]][] = [
      ["dmarc", "mx.example.net; dmarc=pass header.from=example.org", true], ["dkim by d", "mx.example.net; dkim=pass header.d=example.org", true], ["dkim by i", "mx.example.net; dkim=pass header.i=@example.org", true],
      ["spf", "mx.example.net; spf=pass smtp.mailfrom=bounce@example.org", true], ["a version", "mx.example.net 1; dkim=pass header.d=example.org", true], ["big letters", "MX.example.NET; DKIM=PASS header.d=EXAMPLE.org", true],
      ["no header", undefined, false], ["nothing", "mx.example.net; none", false], ["another server", "mx.other.net; dmarc=pass header.from=example.org", false], ["a name that only ends so", "evil-mx.example.net; dmarc=pass header.from=example.org", false],
      ["dkim of another", "mx.example.net; dkim=pass header.d=evil.example", false], ["dkim of a domain that ends so", "mx.example.net; dkim=pass header.d=notexample.org", false], ["dkim of a domain below", "mx.example.net; dkim=pass header.d=evil.example.org", false],
      ["a whole top level", "mx.example.net; dkim=pass header.d=org", false], ["spf of another", "mx.example.net; spf=pass smtp.mailfrom=x@evil.example", false], ["spf by helo alone", "mx.example.net; spf=pass smtp.helo=example.org", false],
      ["dmarc fails, dkim passes", "mx.example.net; dmarc=fail header.from=example.org; dkim=pass header.d=example.org", false], ["dmarc of another From", "mx.example.net; dmarc=pass header.from=evil.example", false],
      ["dkim fails", "mx.example.net; dkim=fail header.d=example.org", false], ["within a comment", "mx.example.net; dkim=none (dkim=pass header.d=example.org)", false], ["within a comment with a semicolon", "mx.example.net; spf=fail (x; dmarc=pass header.from=example.org)", false],
      ["within quotes", 'mx.example.net; spf=fail smtp.mailfrom="x; dmarc=pass header.from=example.org"@evil.example', false], ["a property twice", "mx.example.net; dkim=pass header.d=evil.example header.d=example.org", false],
      ["Exchange Online, no name", "spf=pass (sender IP is 203.0.113.9) smtp.mailfrom=example.org; dkim=pass (signature was verified) header.d=example.org;dmarc=pass action=none header.from=example.org;compauth=pass reason=100", true, ["-"]],
      ["no name where one is wanted", "dmarc=pass header.from=example.org", false], ["one of many servers", "mx6.messagingengine.com; dmarc=pass header.from=example.org", true, ["*.messagingengine.com"]], ["no server is trusted", "mx.example.net; dmarc=pass header.from=example.org", false, []],
    ];
    for (const [about, header, wanted, trusted] of rows) assert.equal(await check(header, {}, trusted), wanted, about);
    console.log(`      ${rows.length} headers judged`);
  });

  it("counts only the topmost header of the server, and only one From", async () => {
    const source = (...lines: string[]) => parseMail(Buffer.from([...lines, "Message-ID: <x@y>", "", "x"].join("\r\n")));
    const forged = "Authentication-Results: mx.example.net; dmarc=pass header.from=example.org";
    assert.equal(verdict(await source("Authentication-Results: mx.example.net; dmarc=none", forged, "From: ada@example.org"), ["mx.example.net"]).verified, false);
    assert.equal(verdict(await source("Authentication-Results: mx.example.net; dmarc=none", "Received: by x", forged, "From: ada@example.org"), ["mx.example.net"]).verified, false);
    assert.equal(verdict(await source(forged, "From: ada@example.org"), ["mx.example.net"]).verified, true);
    assert.equal(verdict(await source(forged, "From: ada@example.org", "From: mallory@evil.example"), ["mx.example.net"]).verified, false);
  });
});

describe("a mail that is sent again", () => {
  const DAY = 86_400_000;
  const receivedAt = PLACE.receivedAt;
  const at = (days: number): string => new Date(receivedAt - days * DAY).toUTCString();
  const self: Self = { ...SELF, inboxes: ["claw@example.net", "box+bot@example.net", "claw.bot@gmail.com"] };
  async function judge(headers: Record<string, string | undefined>, ...more: string[]): Promise<string> {
    const doubts: string[] = [];
    const source = Buffer.concat([...more.map((line) => Buffer.from(`${line}\r\n`)), mail("open the door", { Date: at(0), ...headers })]);
    const message = toMessage(await parseMail(source), self, { ...PLACE, doubted: (sender, doubt) => doubts.push(`${sender} ${doubt}`) });
    assert.equal(nobody.test(message.sender.id), doubts.length === 1, message.sender.id);
    assert.equal(message.id.startsWith("unverified:"), doubts.length === 1);
    assert.equal(message.tags?.includes("verified"), doubts.length === 0);
    return doubts.join();
  }
  it("counts for its author only where it was written to the account, and within days", async () => {
    const rows: readonly [about: string, headers: Record<string, string | undefined>, doubt: string][] = [
      ["to us", {}, ""], ["among others", { To: "Bob <bob@example.com>, Claw <CLAW@Example.NET>" }, ""], ["in Cc", { To: "bob@example.com", Cc: "claw@example.net" }, ""], ["in a group", { To: "Bots: claw@example.net, x@example.net;" }, ""],
      ["with a tag", { To: "claw+door@example.net" }, ""], ["an own address that has a tag", { To: "box+bot@example.net" }, ""], ["Gmail without the dot", { To: "clawbot@googlemail.com" }, ""], ["Gmail with more dots and a tag", { To: "c.lawbot+x@gmail.com" }, ""], ["dots elsewhere", { To: "c.law@example.net" }, "recipient"], ["seven days old", { Date: at(7) }, ""], ["a clock that is ahead", { Date: at(-0.9) }, ""], ["a zone with its name", { Date: "Sat, 28 Nov 2026 11:00:00 +0100 (CET)" }, ""],
      ["to somebody else", { To: "bob@example.com" }, "recipient"], ["to nobody, as by Bcc", { To: undefined }, "recipient"], ["undisclosed", { To: "undisclosed-recipients:;" }, "recipient"], ["the address as a name", { To: '"claw@example.net" <bob@example.com>' }, "recipient"],
      ["a longer name", { To: "myclaw@example.net" }, "recipient"], ["a longer domain", { To: "claw@example.net.evil.example" }, "recipient"], ["a tag in another domain", { To: "claw+x@evil.example" }, "recipient"], ["the mailbox without the bot's tag", { To: "box@example.net" }, "recipient"], ["another tag", { To: "box+ads@example.net" }, "recipient"],
      ["what a server wrote of the envelope", { To: "bob@example.com", "Delivered-To": "claw@example.net", "X-Original-To": "claw@example.net" }, "recipient"],
      ["old", { Date: at(7.01) }, "date"], ["of last year", { Date: at(365) }, "date"], ["of tomorrow's tomorrow", { Date: at(-1.01) }, "date"], ["without a date", { Date: undefined }, "date"], ["no date", { Date: "soon" }, "date"],
    ];
    for (const [about, headers, doubt] of rows) assert.equal(await judge(headers), doubt === "" ? "" : `${ADA} ${doubt}`, about);
    assert.equal(await judge({ To: "bob@example.com" }, "To: claw@example.net"), `${ADA} recipient`);
    assert.equal(await judge({ To: "bob@example.com", Cc: "bob@example.com" }, "Cc: claw@example.net"), `${ADA} recipient`);
    assert.equal(await judge({ Date: at(30) }, `Date: ${at(0)}`), `${ADA} date`);
    assert.equal((await parseMail(mail("x"))).date !== undefined, true);
    console.log(`      ${rows.length} ways to address and date a mail`);
  });
  it("is not believed where the server tells no time, nor doubted where nothing is verified", async () => {
    const heard: string[] = [];
    const place = { reference: "1/1", receivedAt: undefined, doubted: (sender: string) => heard.push(sender) };
    assert.match(toMessage(await parseMail(mail("x")), self, place).sender.id, nobody);
    assert.deepEqual(heard, [ADA]);
    await parseMail(mail("x", { To: "bob@example.com", "Authentication-Results": undefined })).then((one) => toMessage(one, self, place));
    assert.equal(toMessage(await parseMail(mail("x", { To: "bob@example.com" })), { ...self, verify: false }, place).sender.id, ADA);
    assert.deepEqual(heard, [ADA]);
  });
  it("is told of once for each sender and reason, not without end", () => {
    const logs: string[] = [];
    const tell = createTeller((level, text) => logs.push(`${level} ${text}`), self.inboxes);
    for (let round = 0; round < 3; round++) for (const doubt of ["recipient", "date"] as const) tell(ADA, doubt);
    assert.deepEqual(logs.map((line) => [line.includes(ADA), /^warn .*(To or Cc|7 days)/.exec(line)?.[1]]), [[true, "To or Cc"], [true, "7 days"]]);
    for (let index = 0; index < 500; index++) tell(`s${index}@example.org`, "date");
    assert.equal(logs.length, 100);
  });
  it("is looked for at the address and at the login, where that is an address", () => {
    const of = (user: string) => selfOf({ id: "post", channel: "email", name: "P", settings: { user } }, "Claw@example.net", "imap.example.net").inboxes;
    assert.deepEqual(of("box5"), ["claw@example.net"]);
    assert.deepEqual(of("Box@example.net"), ["claw@example.net", "box@example.net"]);
  });
});

describe("text of a mail", () => {
  it("keeps what a person wrote that only looks like a quote", () => {
    for (const text of ["On Monday I wrote:\nnothing at all", "From: here to there\nit is far", "> cite\nmy answer", "a\n-----\nb", "She wrote: hi", "2 > 1"]) {
      assert.ok(replyOf(text).text.length > 0, text);
    }
    assert.equal(replyOf("> quoted\n\nmy answer").text, "> quoted\n\nmy answer");
    assert.equal(replyOf("From: here to there\nit is far").text, "From: here to there\nit is far");
    assert.equal(replyOf("> only a quote").text, "> only a quote");
    assert.equal(replyOf("Le 28 nov. 2026 à 10:00, Claw <claw@example.net> a écrit :\n> x").text, "");
  });

  it("is cut in time that grows with its length alone", () => {
    const hard = ["<".repeat(200_000), "<div>".repeat(60_000), "<a href='".repeat(40_000), "&#x".repeat(100_000), "<blockquote>".repeat(20_000), "<div style=\"".repeat(30_000), `<p ${"a ".repeat(100_000)}`, "<!--".repeat(60_000)];
    for (const html of hard) assert.equal(typeof htmlToText(html), "string");
    for (const text of ["On ".repeat(100_000), "> ".repeat(200_000), "_".repeat(300_000), "On a\n".repeat(60_000), "From: x\n".repeat(60_000), " ".repeat(300_000), "\n>\n".repeat(60_000)]) assert.equal(typeof replyOf(text).text, "string");
  });

  it("lets no markup and nothing hidden through", () => {
    const rows: readonly [html: string, text: string][] = [
      ["a<br>b", "a\nb"], ["<p>a</p><p>b</p>", "a\n\nb"], ["<b>a</b>&nbsp;&lt;b&gt;", "a <b>"], ["<script>x</script>a", "a"], ["<div hidden>x</div>a", "a"], ["<span style='display: none'>x<span>y</span>z</span>a", "a"],
      ["<p style=\"mso-hide:all\">x</p>a", "a"], ["<div style=\"font-size:0.9em\">a</div>", "a"], ["<div style=\"opacity:0\">x</div>a", "a"], ["<blockquote>q</blockquote>a", "> q\n\na"], ["<a href=\"javascript:x\">a</a>", "a"], ["<!-- x -->a<![if mso]>", "a"],
      ["<a href='mailto:a@b.c'>a@b.c</a>", "a@b.c"], ["&#128512;&#0;&#xD800;", "😀"], ["<img alt='x>y' src=z>", "[x>y]"], ["a <", "a <"], ["<td>a</td><td>b</td>", "a b"],
    ];
    for (const [html, text] of rows) assert.equal(htmlToText(html), text, html);
  });

  it("reads ids and addresses", () => {
    assert.deepEqual(ids("<a@b> <c@d>\r\n <e@f>"), ["a@b", "c@d", "e@f"]);
    assert.deepEqual(ids("a@b"), ["a@b"]);
    assert.deepEqual(ids(""), []);
    for (const good of ["a@b.c", "jürgen@example.org", "a+b.c@d-e.f"]) assert.ok(isAddress(good), good);
    for (const bad of ["", "a", "@b", "a@", "a b@c", "a@b\r\nBcc: x@y", "a@b,c@d", "<a@b>", "a@@b", "a;b@c"]) assert.ok(!isAddress(bad), bad);
  });
});

describe("a draft as a mail", () => {
  const author: Author = { address: "claw@example.net", name: "Claw", account: "post" };
  const to: Address = { channel: "email", account: "post", chat: ADA, thread: "root-1@example.org", kind: "direct" };
  const thread: Thread = { chat: ADA, root: "root-1@example.org", subject: "AW: Re: The engine", ids: ["root-1@example.org", "m2@example.org"], at: 1 };
  const none = { clock: systemClock, file: () => assert.fail("no file was asked for") };
  async function made(draft: Draft, ...[at, known]: [] | [Address, Thread | undefined]) {
    const mailed = await compose(at ?? to, draft, "key-1", author, at === undefined ? thread : known, none, "email");
    const pieces: Buffer[] = [];
    for await (const piece of mailed.stream()) pieces.push(piece as Buffer);
    return { mailed, source: Buffer.concat(pieces).toString(), parsed: await parseMail(Buffer.concat(pieces)) };
  }

  it("joins its conversation, in text and HTML, under an id made of the key", async () => {
    const { mailed, parsed, source } = await made({ text: "a **bold** word" });
    assert.equal(parsed.id, messageId(author, "key-1"));
    assert.match(parsed.id, /^[0-9a-f]{40}@example\.net$/);
    assert.deepEqual([parsed.inReplyTo, parsed.references, parsed.subject, mailed.root], ["m2@example.org", ["root-1@example.org", "m2@example.org"], "Re: The engine", "root-1@example.org"]);
    assert.deepEqual(parsed.headers("auto-submitted"), ["auto-replied"]);
    assert.equal(parsed.text.trim(), "a bold word");
    assert.match(parsed.html, /<strong>bold<\/strong>/);
    assert.match(source, /\r\n\r\n/);
    assert.doesNotMatch(source, /[^\r]\n/);
    const replied = await made({ text: "x", replyTo: "m1@example.org", plain: true });
    assert.deepEqual([replied.parsed.inReplyTo, replied.parsed.references.at(-1), replied.parsed.html], ["m1@example.org", "m1@example.org", ""]);
  });

  it("begins a conversation with a subject of its own", async () => {
    const { chat, channel, account, kind } = to;
    const at: Address = { chat, channel, account, kind };
    const { parsed, mailed } = await made({ text: "The washing machine is done.\nIt took long." }, at, undefined);
    assert.deepEqual([parsed.subject, parsed.inReplyTo, parsed.references, mailed.root, parsed.headers("auto-submitted")], ["The washing machine is done.", undefined, [], mailed.id, ["auto-generated"]]);
    assert.equal((await made({ text: "x", subject: "Own" }, at, undefined)).parsed.subject, "Own");
  });

  it("lets no line end into a header, whatever brings it", async () => {
    const evil = "x\r\nBcc: mallory@evil.example\r\n\r\nbody";
    const { source, parsed } = await made({ text: "t", subject: evil, replyTo: evil, native: { email: { headers: { "X-Own": evil, "Bad\r\nBcc": "x", Bcc: "mallory@evil.example", "X-Good": "yes" } } } }, to, { ...thread, ids: [evil, "m2@example.org"], subject: evil });
    const head = source.slice(0, source.indexOf("\r\n\r\n"));
    assert.doesNotMatch(head, /^(?:Bcc|Bad)/im);
    assert.doesNotMatch(head.replace(/\r\n[ \t]+/g, " "), /^body/m);
    assert.deepEqual([parsed.headers("x-good"), parsed.to.map(({ address }) => address)], [["yes"], [ADA]]);
    const named = await compose(to, { text: "t" }, "k", { ...author, name: `Claw"\r\nBcc: a@b.c` }, thread, none, "email");
    const pieces: Buffer[] = [];
    for await (const piece of named.stream()) pieces.push(piece as Buffer);
    assert.doesNotMatch(Buffer.concat(pieces).toString(), /^Bcc/im);
  });

  it("goes to no machine, and to no address that is none", async () => {
    const refused = (at: Address, known?: Thread) => compose(at, { text: "x" }, "k", author, known, none, "email").then(() => "sent", (error: ChannelError) => `${error.code} ${error.retry}`);
    for (const chat of ["mailer-daemon@example.org", "no-reply@shop.example", "noreply@x.y", "list-request@x.y", "bounces+1@x.y"]) assert.equal(await refused({ ...to, chat }), "MSG_002 no", chat);
    for (const chat of ["", "unknown", "a@b\r\nRCPT TO:<c@d>", "a@b, c@d"]) assert.equal(await refused({ ...to, chat }), "MSG_001 no", chat);
    assert.equal(await refused(to, { ...thread, machine: true }), "MSG_002 no");
    assert.equal(await refused(to, thread), "sent");
  });
});

describe("conversations", () => {
  it("are remembered over a restart, the newest of them, by each of their ids", async () => {
    const storage = memoryStorage();
    const threads = await openThreads(storage);
    const put = async (root: string, id: string, at: number, machine = false) => { const { changes, apply } = threads.change(ADA, root, { id, subject: `about ${root}`, at, machine }); await storage.set(changes); apply(); };
    for (let index = 0; index < 2_050; index++) await put(`r${index}@x`, `r${index}@x`, index);
    for (let index = 0; index < 30; index++) await put("r2049@x", `m${index}@x`, 3_000 + index, index === 29);
    const again = await openThreads(storage);
    for (const each of [threads, again]) {
      assert.equal(each.get(ADA, "r0@x"), undefined);
      assert.equal(each.get("mallory@evil.example", "r2049@x"), undefined);
      assert.equal(each.rootOf("m29@x"), "r2049@x");
      assert.equal(each.rootOf("m5@x"), undefined);
      assert.deepEqual([each.get(ADA, "r2049@x")?.ids.length, each.get(ADA, "r2049@x")?.machine, each.get(ADA, "r2049@x")?.subject], [20, true, "about r2049@x"]);
    }
    assert.equal((await storage.list("thread/", { limit: 10_000 })).length, 2_000);
    await put("r2049@x", "m30@x", 4_000);
    assert.equal(threads.get(ADA, "r2049@x")?.machine, undefined);
  });
});

describe("bent mails", () => {
  it("crash nothing, change no prototype, and are messages that parse", async function () {
    this.timeout(600_000);
    const rounds = Number(process.env.CLAWFLOW_FUZZ ?? 1_000);
    let seed = 42;
    const random = (below: number): number => { seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0; return Math.floor((seed / 0x1_0000_0000) * below); };
    const all = samples().filter(({ eml }) => eml.length < 80);
    const odd = ["__proto__", "constructor", "=?UTF-8?B?", "--b--", "\r\n\r\n", "Content-Type: multipart/mixed; boundary=", "<", ">", "\0", "\xff\xfe", "(((((", '"', "; charset=utf-7", "\r\nReferences: <", "message/rfc822"].map((text) => Buffer.from(text, "latin1"));
    const before = Object.getOwnPropertyNames(Object.prototype).length;
    let messages = 0;
    for (let round = 0; round < rounds; round++) {
      let bytes = bytesOf(all[random(all.length)] as Sample);
      for (let turn = 0; turn <= random(4); turn++) {
        const at = random(bytes.length);
        const how = random(4);
        if (how === 0) bytes = Buffer.concat([bytes.subarray(0, at), odd[random(odd.length)] as Buffer, bytes.subarray(at)]);
        else if (how === 1) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.min(bytes.length, at + random(200)))]);
        else if (how === 2) { bytes = Buffer.from(bytes); bytes[at] = random(256); }
        else bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(random(bytes.length))]);
      }
      const message = await parseMail(bytes).then((parsed) => toMessage(parsed, SELF, PLACE), (error: ChannelError) => { assert.equal(error.code, "MSG_001"); return undefined; });
      if (message === undefined) continue;
      messages++;
      assert.deepEqual(parseMessage(structuredClone(message)), message);
    }
    assert.equal(Object.getOwnPropertyNames(Object.prototype).length, before);
    assert.ok(messages > rounds / 2);
    console.log(`      ${rounds} bent mails, ${messages} of them messages`);
  });
});
