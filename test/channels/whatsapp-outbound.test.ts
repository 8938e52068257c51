import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Connection } from "../../engine/channels/channel.ts";
import { splitDraft } from "../../engine/channels/split.ts";
import { degrade } from "../../engine/channels/degrade.ts";
import { recipient, sendRequest, type Uploaded } from "../../engine/channels/whatsapp/send.ts";
import { whatsapp } from "../../engine/channels/whatsapp/whatsapp.ts";
import { ChannelError } from "../../engine/errors.ts";
import { createSpool, type Spool } from "../../engine/media.ts";
import { createDownload } from "../../engine/media/download.ts";
import { createReady } from "../../engine/media/ready.ts";
import type { Address, Draft, FileKind } from "../../engine/message.ts";
import { recordingContext, type RecordingContext } from "../contracts/channel.ts";
import { messageBody, type Seen } from "../platforms/whatsapp.ts";
import { ADA, whatsappRig, type WhatsappRig } from "../platforms/whatsapp-rig.ts";
import { dataFolder } from "../spec/telegram-schema.ts";
import { loadWhatsappSpec } from "../spec/whatsapp-schema.ts";
import { skip } from "../rigs/skip.ts";

type Json = Record<string, unknown>;
const DIRECT: Address = { channel: "whatsapp", account: "shop", chat: ADA, kind: "direct" };
const GROUP: Address = { ...DIRECT, chat: "Y2FwaV9ncm91cDox", kind: "group" };

/** Smallest files that are told by their first bytes. */
const PNG = Buffer.from("89504e470d0a1a0a0000000d49484452", "hex");
const JPEG = Buffer.from("ffd8ffe000104a464946", "hex");
const GIF = Buffer.from("474946383961", "hex");
const WEBP = Buffer.from("524946460000000057454250", "hex");
const OGG = Buffer.concat([Buffer.from("OggS"), Buffer.alloc(24), Buffer.from("OpusHead")]);
const MP4 = Buffer.concat([Buffer.alloc(4), Buffer.from("ftypisom")]);
const MP3 = Buffer.from("ID3\u0003");
const PDF = Buffer.from("%PDF-1.7\n");

describe("WhatsApp's requests", () => {
  const request = (draft: Partial<Draft>, to = DIRECT, file?: Uploaded) => sendRequest(to, { text: "", ...draft }, "key-1", file);
  const row = (label: string, more: Json = {}) => ({ label, ...more });

  it("address people by number or id, and groups", () => {
    assert.deepEqual(recipient(DIRECT), { recipient_type: "individual", to: ADA });
    assert.deepEqual(recipient({ ...DIRECT, chat: "+49 (151) 123-45.67/8" }), { recipient_type: "individual", to: "49151123456" + "78" });
    assert.deepEqual(recipient({ ...DIRECT, chat: "US.13491208655302741918" }), { recipient_type: "individual", recipient: "US.13491208655302741918" });
    assert.deepEqual(recipient({ ...DIRECT, chat: "US.ENT.11815799212886844830" }), { recipient_type: "individual", recipient: "US.ENT.11815799212886844830" });
    assert.deepEqual(recipient(GROUP), { recipient_type: "group", to: GROUP.chat });
    for (const chat of ["ada", "", "12", "+", "us.1", "1".repeat(30)]) assert.throws(() => recipient({ ...DIRECT, chat }), { code: "MSG_002" });
  });

  it("hold what is to be shown, each kind as the platform has it", () => {
    const common = { messaging_product: "whatsapp", recipient_type: "individual", to: ADA, biz_opaque_callback_data: "key-1" };
    const rows: [Partial<Draft>, Json, Uploaded?][] = [
      [{ text: "a **bold** [link](https://example.com)" }, { type: "text", text: { body: "a *bold* link (https://example.com)", preview_url: false } }],
      [{ text: "a **bold**", plain: true, replyTo: "wamid.x" }, { type: "text", text: { body: "a **bold**", preview_url: false }, context: { message_id: "wamid.x" } }],
      [{ text: "**look**" }, { type: "image", image: { id: "7", caption: "*look*" } }, { id: "7", kind: "image" }],
      [{}, { type: "video", video: { id: "7" } }, { id: "7", kind: "video", name: "a.mp4" }],
      [{ text: "the bill" }, { type: "document", document: { id: "7", caption: "the bill", filename: "bill.pdf" } }, { id: "7", kind: "document", name: "bill.pdf" }],
      [{}, { type: "audio", audio: { id: "7" } }, { id: "7", kind: "audio", name: "a.mp3" }],
      [{}, { type: "audio", audio: { id: "7", voice: true } }, { id: "7", kind: "voice" }],
      [{}, { type: "sticker", sticker: { id: "7" } }, { id: "7", kind: "sticker" }],
      [{ location: { latitude: 52.5, longitude: -13, title: "Here", address: "There" } }, { type: "location", location: { latitude: "52.5", longitude: "-13", name: "Here", address: "There" } }],
      [{ contact: { name: "Grace", phone: "+1 555 0100" } }, { type: "contacts", contacts: [{ name: { formatted_name: "Grace", first_name: "Grace" }, phones: [{ phone: "+1 555 0100", wa_id: "15550100" }] }] }],
      [{ template: { name: "hello_world", language: "en_US" } }, { type: "template", template: { name: "hello_world", language: { policy: "deterministic", code: "en_US" } } }],
      [{ text: "Sure?", buttons: [[{ label: "Yes", value: "y" }], [{ label: "No" }]] }, { type: "interactive", interactive: { type: "button", body: { text: "Sure?" }, action: { buttons: [{ type: "reply", reply: { id: "y", title: "Yes" } }, { type: "reply", reply: { id: "No", title: "No" } }] } } }],
      [{ text: "Read it", buttons: [[{ label: "Open", url: "https://example.com" }]] }, { type: "interactive", interactive: { type: "cta_url", body: { text: "Read it" }, action: { name: "cta_url", parameters: { display_text: "Open", url: "https://example.com" } } } }],
      [{ text: "This one?", buttons: [[{ label: "Yes" }]] }, { type: "interactive", interactive: { type: "button", header: { type: "image", image: { id: "7" } }, body: { text: "This one?" }, action: { buttons: [{ type: "reply", reply: { id: "Yes", title: "Yes" } }] } } }, { id: "7", kind: "image" }],
      [{ text: "Which room?", choices: { hint: "Rooms", options: [row("One", { value: "1", about: "small" }), row("The very long name of a room")] } }, { type: "interactive", interactive: { type: "list", body: { text: "Which room?" }, action: { button: "Rooms", sections: [{ rows: [{ id: "1", title: "One", description: "small" }, { id: "The very long name of a room", title: "The very long name of a…", description: "The very long name of a room" }] }] } } } ],
      [{ text: "x", native: { whatsapp: { text: { body: "mine" } } } }, { type: "text", text: { body: "mine" } }],
    ];
    for (const [draft, wanted, file] of rows) assert.deepEqual(request(draft, DIRECT, file), { ...common, ...wanted }, JSON.stringify(draft));
  });

  it("tell in words what cannot stand together, and lose none of it", () => {
    const textOf = (body: Json) => JSON.stringify(body["text"] ?? body["image"] ?? (body["interactive"] as Json)?.["body"]);
    const mixed = request({ text: "Choose", buttons: [[{ label: "Yes", value: "y" }, { label: "Site", url: "https://example.com" }]] });
    assert.equal(mixed["type"], "text");
    assert.match(textOf(mixed), /Choose.*1\. Yes.*Site: https:\/\/example\.com/);
    const both = request({ text: "Choose", buttons: [[{ label: "Help" }]], choices: { options: [row("A"), row("B")] } });
    assert.equal((both["interactive"] as Json)["type"], "button");
    assert.match(textOf(both), /Choose.*1\. A.*2\. B/);
    const under = request({ text: "Which?", choices: { options: [row("A"), row("B")] } }, DIRECT, { id: "7", kind: "image" });
    assert.equal(under["type"], "image");
    assert.match(textOf(under), /Which\?.*1\. A.*2\. B/);
  });

  it("are refused where WhatsApp cannot show them as one message, with what to do", () => {
    const refused: [Partial<Draft>, string, Uploaded?][] = [
      [{ text: "x".repeat(4097) }, "MSG_003"],
      [{ text: "x".repeat(1025), buttons: [[{ label: "b" }]] }, "MSG_003"],
      [{ text: "x".repeat(1025) }, "MSG_003", { id: "7", kind: "image" }],
      [{ text: "x", buttons: [[{ label: "b", value: "v".repeat(257) }]] }, "MSG_003"],
      [{ text: "x", buttons: [[{ label: "b", value: "  " }]] }, "MSG_003"],
      [{ text: "x", buttons: [[{ label: "a label of more than twenty" }]] }, "MSG_003"],
      [{ text: "x", choices: { options: [{ label: "a", value: "v".repeat(201) }] } }, "MSG_003"],
      [{ text: "x" }, "MSG_005", { id: "7", kind: "voice" }],
      [{ text: "x" }, "MSG_005", { id: "7", kind: "sticker" }],
    ];
    for (const [draft, code, file] of refused) assert.throws(() => request(draft, DIRECT, file), (error: unknown) => error instanceof ChannelError && error.code === code && error.retry === "no", JSON.stringify(draft).slice(0, 80));
  });
});

describe("The check of WhatsApp's requests", () => {
  it("finds planted faults", function () {
    const folder = dataFolder("specs", "whatsapp");
    if (folder === undefined) return skip(this, "no specification of the Cloud API here (CLAWFLOW_SPECS)");
    const spec = loadWhatsappSpec(folder);
    const base = { messaging_product: "whatsapp", recipient_type: "individual", to: ADA };
    const button = (reply: Json) => ({ ...base, type: "interactive", interactive: { type: "button", body: { text: "?" }, action: { buttons: [{ type: "reply", reply }] } } });
    const list = (rows: Json[], more: Json = {}) => ({ ...base, type: "interactive", interactive: { type: "list", body: { text: "?" }, action: { button: "Open", sections: [{ rows }] }, ...more } });
    const right: Json[] = [
      { ...base, type: "text", text: { body: "x", preview_url: false } }, button({ id: "y", title: "Yes" }), list([{ id: "1", title: "One" }]),
      { messaging_product: "whatsapp", status: "read", message_id: "wamid.x", typing_indicator: { type: "text" } },
    ];
    for (const body of right) assert.deepEqual(spec.message(body), []);
    const wrong: Json[] = [
      { ...base, type: "text" }, { ...base, type: "text", text: {} }, { ...base, type: "text", text: { body: "" } }, { ...base, type: "text", text: { body: "x".repeat(4097) } }, { ...base, type: "text", text: { body: 5 } },
      { ...base, type: "text", text: { body: "x" }, extra: 1 }, { ...base, type: "text", text: { body: "x", preview: false } }, { ...base, messaging_product: "sms", type: "text", text: { body: "x" } },
      { messaging_product: "whatsapp", recipient_type: "individual", type: "text", text: { body: "x" } }, { ...base, recipient: "US.1", type: "text", text: { body: "x" } }, { ...base, recipient_type: "person", type: "text", text: { body: "x" } },
      { ...base, type: "image", image: {} }, { ...base, type: "image", image: { id: "1", link: "https://a.b/c" } }, { ...base, type: "image", image: { id: "1", caption: "x".repeat(1025) } }, { ...base, type: "audio", audio: { id: "1", caption: "x" } },
      button({ id: "y", title: "x".repeat(21) }), button({ id: "y".repeat(257), title: "Yes" }), button({ title: "Yes" }), button({ id: "y", title: "" }), button({ id: " y", title: "Yes" }),
      { ...base, type: "interactive", interactive: { type: "button", action: { buttons: [{ type: "reply", reply: { id: "y", title: "Yes" } }] } } },
      { ...base, type: "interactive", interactive: { type: "button", body: { text: "?" }, action: { buttons: Array.from({ length: 4 }, (_, n) => ({ type: "reply", reply: { id: String(n), title: String(n) } })) } } },
      { ...base, type: "interactive", interactive: { type: "button", body: { text: "x".repeat(1025) }, action: { buttons: [{ type: "reply", reply: { id: "y", title: "Yes" } }] } } },
      list(Array.from({ length: 11 }, (_, n) => ({ id: String(n), title: String(n) }))), list([{ id: "1", title: "x".repeat(25) }]), list([{ id: "1", title: "One", description: "x".repeat(73) }]), list([{ id: "1" }]), list([]),
      list([{ id: "1", title: "One" }], { header: { type: "image", image: { id: "1" } } }),
      { ...base, type: "interactive", interactive: { type: "cta_url", body: { text: "?" }, action: { name: "cta_url", parameters: { display_text: "Open", url: "ftp://x" } } } },
      { ...base, type: "template", template: { name: "x" } }, { ...base, type: "template", template: { name: "x", language: { code: "en" } } },
      { ...base, type: "location", location: { latitude: 1, longitude: "2" } }, { ...base, type: "contacts", contacts: [] }, { ...base, type: "contacts", contacts: [{ phones: [{ wa_id: "1" }] }] },
      { ...base, type: "reaction", reaction: { emoji: "x" } }, { ...base, type: "poll", poll: {} }, { ...base, type: "text", text: { body: "x" }, biz_opaque_callback_data: "x".repeat(513) },
      { messaging_product: "whatsapp", status: "seen", message_id: "x" }, { messaging_product: "whatsapp", status: "read" }, { messaging_product: "whatsapp", status: "read", message_id: "x", typing_indicator: { type: "voice" } },
    ];
    for (const body of wrong) assert.notDeepEqual(spec.message(body), [], JSON.stringify(body).slice(0, 200));
    assert.notDeepEqual(spec.upload({ messaging_product: "whatsapp" }), []);
    assert.notDeepEqual(spec.subscription({ override: 1 }), []);
    console.log(`        ${wrong.length + 2} planted faults`);
  });
});

describe("WhatsApp's connection", () => {
  let rig: WhatsappRig;
  let context: RecordingContext;
  let connection: Connection;
  let spool: Spool;
  const folder = mkdtempSync(path.join(tmpdir(), "clawflow-whatsapp-"));
  before(() => { spool = createSpool(folder, { maxBytes: 200_000_000 }); });
  after(() => rmSync(folder, { recursive: true, force: true }));
  beforeEach(async () => {
    rig = await whatsappRig();
    const download = createDownload({ fetch: rig.fetch });
    context = recordingContext({ ...rig.context, download, file: createReady({ spool, download }) });
    connection = await whatsapp.open(rig.account, context);
    rig.serve?.(connection);
  });
  afterEach(async () => {
    await connection.close();
    assert.deepEqual(rig.stub.problems(), []);
    await rig.close();
  });
  const last = (): Seen => rig.stub.sends().at(-1) as Seen;
  const kept = async (bytes: Uint8Array, name?: string, mime?: string): Promise<string> => `spool:${(await spool.save(bytes, { ...(name === undefined ? {} : { name }), ...(mime === undefined ? {} : { mime }) })).id}`;

  it("sends each kind of draft as one request that the specification allows, with its key", async () => {
    const drafts: Draft[] = [
      { text: "**hi**", replyTo: "wamid.x" }, { text: "?", buttons: [[{ label: "Yes" }, { label: "No" }]] }, { text: "", buttons: [[{ label: "Yes" }]] }, { text: "go", buttons: [[{ label: "Open", url: "https://example.com/a?b=c" }]] },
      { text: "which", choices: { options: [{ label: "A".repeat(40), about: "b".repeat(90) }, { label: "B", value: "b" }] } }, { text: "", choices: { hint: "a hint that is far too long for a button", options: [{ label: "x" }] } },
      { text: "", location: { latitude: 1.5, longitude: 2 } }, { text: "", contact: { name: "Grace", phone: "0555 0100" } }, { text: "", template: { name: "hello", language: "de", values: ["a", "b"] } },
    ];
    for (const [index, draft] of drafts.entries()) {
      const ref = await connection.send(index % 2 === 0 ? DIRECT : GROUP, draft, `key-${index}`);
      assert.equal(ref, rig.stub.shown.at(-1)?.id);
      assert.equal(last().body["biz_opaque_callback_data"], `key-${index}`);
      assert.equal(last().headers["content-type"], "application/json");
    }
    assert.equal(rig.stub.shown.length, drafts.length);
    await connection.send({ ...DIRECT, chat: "US.13491208655302741918" }, { text: "to a person without a number" }, "k");
    assert.equal(last().body["recipient"], "US.13491208655302741918");
  });

  it("uploads files as streams of known length, each by its own rules, and sends their ids", async () => {
    const files: [FileKind, Uint8Array, string, string][] = [
      ["image", PNG, "a.png", "image"], ["image", JPEG, "a.jpg", "image"], ["video", MP4, "a.mp4", "video"], ["audio", MP3, "a.mp3", "audio"], ["voice", OGG, "a.ogg", "audio"], ["sticker", WEBP, "a.webp", "sticker"], ["document", PDF, "Übersicht \"neu\".pdf", "document"],
    ];
    for (const [kind, bytes, name, type] of files) {
      const media = await kept(bytes, name);
      await connection.send(DIRECT, { text: kind === "image" ? "*look*" : "", attachments: [{ kind, media, name }] }, `file-${name}`);
      const upload = rig.stub.seen.at(-2);
      assert.equal(upload?.path, `${rig.stub.phone}/media`);
      assert.deepEqual(upload?.upload?.bytes, Buffer.from(bytes));
      assert.equal(upload?.upload?.mime, upload?.body["type"]);
      assert.equal(Number(upload?.headers["content-length"]) > bytes.length, true);
      assert.equal(last().body["type"], type);
      assert.ok(rig.stub.uploads.has(String((last().body[type] as Json)["id"])));
    }
    assert.deepEqual(rig.stub.sends().map(({ body }) => (body["document"] as Json | undefined)?.["filename"]).at(-1), "Übersicht _neu_.pdf");
    assert.deepEqual(rig.stub.sends().map(({ body }) => (body["audio"] as Json | undefined)?.["voice"]), [undefined, undefined, undefined, undefined, true, undefined, undefined]);
  });

  it("streams 30 MB without holding them, and they arrive whole", async function () {
    this.timeout(60_000);
    const bytes = randomBytes(30_000_000);
    const media = await kept(bytes, "big.bin");
    await connection.send(DIRECT, { text: "", attachments: [{ kind: "document", media }] }, "big");
    const got = rig.stub.seen.at(-2)?.upload?.bytes ?? Buffer.alloc(0);
    assert.equal(createHash("sha256").update(got).digest("hex"), createHash("sha256").update(bytes).digest("hex"));
  });

  it("sends what is no picture to WhatsApp as a document, and refuses what is too large for that", async () => {
    await connection.send(DIRECT, { text: "", attachments: [{ kind: "image", media: await kept(GIF, "a.gif") }] }, "gif");
    assert.equal(last().body["type"], "document");
    await connection.send(DIRECT, { text: "", attachments: [{ kind: "image", media: await kept(Buffer.concat([PNG, Buffer.alloc(5_100_000)]), "large.png") }] }, "large");
    assert.equal(last().body["type"], "document");
    const before = rig.stub.seen.length;
    await assert.rejects(connection.send(DIRECT, { text: "", attachments: [{ kind: "image", media: "spool:00000000000000000000000000000000" }] }, "gone"), { code: "MSG_002" });
    await assert.rejects(connection.send(DIRECT, { text: "", attachments: [{ kind: "image", media: await kept(PNG) }, { kind: "image", media: await kept(PNG) }] }, "two"), { code: "MSG_005" });
    await assert.rejects(connection.send(DIRECT, { text: "", attachments: [{ kind: "image", media: "http://127.0.0.1:1/private.png" }] }, "ssrf"), { code: "SEC_003" });
    assert.equal(rig.stub.seen.length, before);
  });

  it("passes a file on by WhatsApp's own id, and says when an upload failed that nothing was seen", async () => {
    await connection.send(DIRECT, { text: "again", attachments: [{ kind: "image", media: "1003383421387256" }] }, "own");
    assert.deepEqual(last().body["image"], { id: "1003383421387256", caption: "again" });
    rig.stub.fault("/media", { reset: "before" });
    await assert.rejects(connection.send(DIRECT, { text: "", attachments: [{ kind: "image", media: await kept(PNG) }] }, "lost"), { code: "CONN_001", retry: "later", unsent: true });
  });

  it("reacts, takes a reaction back, reads, and shows that it types under the message that is answered", async () => {
    await connection.react?.(DIRECT, "wamid.x", "👍");
    assert.deepEqual(last().body, { messaging_product: "whatsapp", recipient_type: "individual", to: ADA, type: "reaction", reaction: { message_id: "wamid.x", emoji: "👍" } });
    await connection.react?.(DIRECT, "wamid.x", "");
    assert.deepEqual(last().body["reaction"], { message_id: "wamid.x", emoji: "" });
    await connection.read?.(DIRECT, "wamid.x");
    assert.deepEqual(last().body, { messaging_product: "whatsapp", status: "read", message_id: "wamid.x" });
    await connection.typing?.(DIRECT, "wamid.x");
    assert.deepEqual(last().body, { messaging_product: "whatsapp", status: "read", message_id: "wamid.x", typing_indicator: { type: "text" } });
    const before = rig.stub.sends().length;
    await connection.typing?.(DIRECT);
    assert.equal(rig.stub.sends().length, before, "nothing came in yet that it could be shown under");
    await rig.stub.post(JSON.stringify(messageBody(rig.stub.phone, { from: ADA, id: "wamid.newest", timestamp: "1790000000", type: "text", text: { body: "hi" } })));
    await connection.typing?.(DIRECT);
    assert.equal(last().body["message_id"], "wamid.newest");
    assert.equal(connection.edit, undefined);
    assert.equal(connection.remove, undefined);
  });

  it("fetches a file by an address that is asked for each time, with the token for WhatsApp alone", async () => {
    rig.stub.keep("1003383421387256", { name: "a.png", mime: "image/png", bytes: PNG });
    for (let turn = 0; turn < 2; turn++) {
      const stream = await connection.media?.("1003383421387256", new AbortController().signal);
      assert.deepEqual(Buffer.from(await new Response(stream as ReadableStream<Uint8Array>).arrayBuffer()), PNG);
    }
    assert.equal(rig.stub.seen.filter(({ path: at, query }) => at === "1003383421387256" && query.get("phone_number_id") === rig.stub.phone).length, 2);
    await assert.rejects(async () => connection.media?.("404404", new AbortController().signal), { name: "ChannelError" });
    await assert.rejects(async () => connection.media?.("../me", new AbortController().signal), { code: "MSG_002" });
  });

  it("lets flows use the rest of the API, under the API's root alone", async () => {
    assert.deepEqual(await connection.call?.("GET {phone}/whatsapp_business_profile", { fields: "about" }), { data: [{ about: "hi" }] });
    assert.equal(rig.stub.seen.at(-1)?.query.get("fields"), "about");
    for (const method of ["", "GET https://evil.example/", "PUT x", "GET ../me", "GET {phone}/../me", "GET //evil.example/x"]) await assert.rejects(async () => connection.call?.(method, {}), { name: "ChannelError" }, method);
  });

  it("tells its health by one cheap call, no longer than it is asked to", async () => {
    await connection.health?.(new AbortController().signal);
    assert.deepEqual([rig.stub.seen.at(-1)?.path, rig.stub.seen.at(-1)?.query.get("fields")], [rig.stub.phone, "id"]);
    rig.stub.fault(rig.stub.phone, { code: 190, message: "Error validating access token: Session has expired", status: 401 });
    await assert.rejects(async () => connection.health?.(new AbortController().signal), { code: "CONN_002", retry: "no" });
    rig.stub.fault(rig.stub.phone, { delayMs: 5_000 });
    const limit = new AbortController();
    const asked = assert.rejects(async () => connection.health?.(limit.signal), { code: "CONN_001", retry: "later" });
    setTimeout(() => limit.abort(), 50);
    await asked;
  });

  it("shows long texts in parts, buttons under a short last one, and loses no word", async () => {
    const words = Array.from({ length: 2_000 }, (_, n) => `word${n}`).join(" ");
    const voice = { kind: "voice", media: await kept(OGG) } as const;
    const drafts: Draft[] = [{ text: words, buttons: [[{ label: "Yes" }]] }, { text: words, choices: { options: [{ label: "A" }] } }, { text: "listen", attachments: [voice] }];
    for (const [index, draft] of drafts.entries()) {
      const before = rig.stub.shown.length;
      for (const part of splitDraft(degrade(draft, whatsapp.shows ?? {}), whatsapp.limits, whatsapp.dialect)) await connection.send(DIRECT, part, `part-${index}`);
      const shown = rig.stub.shown.slice(before);
      assert.equal(shown.map(({ text }) => text).join(" ").trim(), draft.text);
      assert.equal(shown.at(-1)?.request["type"], index === 2 ? "audio" : "interactive");
    }
  });
});
