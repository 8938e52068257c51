/** Rooms, people whom a site vouches for, menus and polls of the web chat, over HTTP. */
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { chatOfUser, identityOf } from "../../engine/channels/webchat/identity.ts";
import { FILE_NAME_HEADER, IDENTITY_HEADER, ROOM_HEADER } from "../../engine/channels/webchat/protocol.ts";
import { mentions } from "../../engine/channels/webchat/rooms.ts";
import { createWebchat } from "../../engine/channels/webchat/webchat.ts";
import { ChannelError } from "../../engine/errors.ts";
import type { Address, Message } from "../../engine/message.ts";
import type { Received } from "../../engine/channels/channel.ts";
import { parseMessage } from "../../engine/message-schema.ts";
import { createStorage, type Host, openHost } from "../platforms/host.ts";
import { visitor } from "../platforms/webchat-client.ts";

const SECRET = "an-account-secret-of-more-than-32-characters";
const channel = createWebchat(async (name) => new TextEncoder().encode(`the bytes of ${name}`));
const inAnHour = (): number => Math.floor(Date.now() / 1_000) + 3_600;
const sign = (claims: unknown, secret = SECRET): string => {
  const body = Buffer.from(typeof claims === "string" ? claims : JSON.stringify(claims)).toString("base64url");
  return `${body}.${createHmac("sha256", secret).update(body).digest("base64url")}`;
};
const token = (letter: string): string => letter.repeat(32);
const ROOM: Address = { channel: "webchat", account: "chat", chat: "room-help", kind: "group" };

describe("the web chat's rooms and people", () => {
  let host: Host;
  let answer: (message: Message) => Received = () => "saved";
  let removed: string | undefined;
  const storage = { current: createStorage() };
  async function start(settings: Record<string, unknown> = {}): Promise<void> {
    host = await openHost({ channel, storage: storage.current, settings: { title: "Home", rooms: ["help: Help desk", "tea"], secret: SECRET, ...settings }, receive: async (message) => answer(message), context: { mayTalk: (_at, { id }) => id !== removed } });
  }
  beforeEach(() => { storage.current = createStorage(); });
  afterEach(async () => { await host.close(); answer = () => "saved"; removed = undefined; });
  const said = (): string[] => host.received.map(({ text }) => text);
  const room = (letter: string, id = "help", more: Record<string, string> = {}) => visitor(host.url, token(letter), { [ROOM_HEADER]: id, ...more });

  describe("a room", () => {
    it("is one chat for several visitors, with their names, a group to the flow", async () => {
      await start();
      const [ada, bob] = [room("a"), room("b")];
      await ada.say("hello", "client-a1", { name: "Ada" });
      await bob.say("hello Ada", "client-b1", { name: "Bob" });
      const feed = await ada.feed();
      assert.deepEqual(feed.entries().map(({ text, author }) => [text, author?.name]), [["hello", "Ada"], ["hello Ada", "Bob"]]);
      assert.equal(feed.entries()[0]?.author?.tag, feed.hello().me);
      assert.notEqual(feed.entries()[1]?.author?.tag, feed.hello().me);
      assert.equal(feed.hello().title, "Help desk");
      await host.connection.send(ROOM, { text: "Welcome, both" }, "k1");
      await bob.say("thanks", "client-b2", { name: "Bob" });
      await feed.until((events) => events.some((event) => event.type === "entry" && event.entry.text === "thanks"));
      assert.deepEqual(feed.entries().map(({ text }) => text), ["hello", "hello Ada", "Welcome, both", "thanks"]);
      assert.deepEqual(host.received.map(({ at, sender }) => [at, sender.name]), [[ROOM, "Ada"], [ROOM, "Bob"], [ROOM, "Bob"]]);
      for (const message of host.received) assert.deepEqual(parseMessage(message), message);
      assert.equal(new Set(host.received.map(({ sender }) => sender.id)).size, 2);
      feed.close();
    });

    it("addresses the bot by its name, a reply, a command or a button, and by nothing else", async () => {
      await start();
      const ada = room("a");
      const ref = await host.connection.send(ROOM, { text: "Yes?", buttons: [[{ label: "OK" }]] }, "k1");
      const say = async (text: string, more: object = {}) => { await ada.say(text, `client-${host.received.length}-x`, more); return host.received.at(-1)?.addressed; };
      assert.equal(await say("good morning all"), false);
      assert.equal(await say("@Home good morning"), true);
      assert.equal(await say("hi @bot, are you there"), true);
      assert.equal(await say("@help desk, please"), true);
      assert.equal(await say("/help"), true);
      assert.equal(await say("that one", { replyTo: ref }), true);
      assert.equal(await say("mail me@home.example"), false);
      await ada.post("press", { clientId: "client-press", ref, value: "OK" });
      assert.equal(host.received.at(-1)?.addressed, true);
      assert.deepEqual([mentions("@Homestead", "Home"), mentions("(@home)", "Home"), mentions("@a.c", "a.b"), mentions("@", "")], [false, true, false, false]);
    });

    it("shows nothing to whom the gateway took no message from, and nothing of what was refused to anybody", async () => {
      await start();
      const [ada, eve] = [room("a"), room("e")];
      await ada.say("our secret", "client-a1", { name: "Ada" });
      const adas = await ada.feed();
      answer = ({ sender }) => (sender.name === "Eve" ? "refused" : "saved");
      const eves = await eve.feed();
      assert.deepEqual([eves.entries(), eves.hello().trust], [[], "unknown"]);
      assert.deepEqual(await (await eve.get("history")).json(), []);
      assert.deepEqual((await eve.say("let me see", "client-e1", { name: "Eve" })).body, { state: "refused" });
      await host.connection.send(ROOM, { text: "for members" }, "k1");
      await adas.until((events) => events.some((event) => event.type === "entry" && event.entry.text === "for members"));
      assert.deepEqual(adas.entries().map(({ text }) => text), ["our secret", "for members"]);
      assert.deepEqual((await eve.feed()).entries(), []);
      assert.deepEqual(eves.entries(), []);
      for (const path of ["press", "choose", "vote"]) assert.equal((await eve.post(path, { clientId: "client-e2", ref: String(adas.entries()[1]?.seq), value: "x", values: ["x"], options: [0] })).status, 404, path);
      // Who is put out hears nothing more from then on, over a restart too.
      answer = ({ sender }) => (sender.name === "Ada" ? "refused" : "saved");
      assert.deepEqual((await ada.say("still here?", "client-a2", { name: "Ada" })).body, { state: "refused" });
      assert.deepEqual((await ada.feed()).entries(), []);
      await host.close();
      await start();
      assert.deepEqual((await room("a").feed()).entries(), []);
      adas.close();
      eves.close();
    });

    it("shows nothing more to who was removed, however silent, over a restart too, and takes no files of theirs", async () => {
      await start();
      const [ada, eve] = [room("a"), room("e")];
      await ada.say("before", "client-a1");
      await eve.say("let me listen", "client-e1");
      const id = host.received.at(-1)?.sender.id;
      const upload = async (who: typeof eve) => who.post("file", new TextEncoder().encode("a note"), { "content-type": "text/plain", [FILE_NAME_HEADER]: "note.txt" });
      const kept = await upload(eve);
      assert.equal(kept.status, 200);
      assert.equal((await room("e").get(`file/${kept.body.id}`)).status, 200);
      await visitor(host.url, token("e")).say("alone", "client-e2");
      const [adas, eves] = [await ada.feed(), await eve.feed()];
      assert.equal(eves.entries().length, 2);
      removed = id;
      await host.connection.typing?.(ROOM);
      await host.connection.preview?.(ROOM, { text: "for mem" }, "k1");
      await host.connection.send(ROOM, { text: "for members" }, "k1");
      await eves.ended;
      await adas.until((events) => events.some((event) => event.type === "entry" && event.entry.text === "for members"));
      assert.deepEqual(eves.events.map(({ type }) => type), ["hello", "entry", "entry", "ready"]);
      const nothing = async (): Promise<void> => {
        const again = await room("e").feed();
        assert.deepEqual([again.entries(), again.hello().trust], [[], "refused"]);
        again.close();
        assert.deepEqual(await (await room("e").get("history")).json(), []);
        assert.equal((await room("e").get(`file/${kept.body.id}`)).status, 404);
        for (const who of [room("e"), visitor(host.url, token("e"))]) assert.equal((await upload(who)).status, 403);
      };
      await nothing();
      await host.close();
      await start();
      await nothing();
      // Let in again before another word of hers: she is known as before.
      removed = undefined;
      assert.deepEqual((await room("e").feed()).entries().map(({ text }) => text), ["before", "let me listen", "for members"]);
      adas.close();
    });

    it("lets a page hear the room as soon as its first message was taken", async () => {
      await start();
      await room("a").say("before", "client-a1");
      const bob = room("b");
      const waiting = await bob.feed();
      assert.deepEqual(waiting.entries(), []);
      assert.deepEqual((await bob.say("may I?", "client-b1")).body.state, "saved");
      assert.deepEqual((await bob.feed()).entries().map(({ text }) => text), ["before", "may I?"]);
      await host.close();
      await start();
      assert.deepEqual((await room("b").feed()).entries().map(({ text }) => text), ["before", "may I?"]);
    });

    it("is none where none is configured, and each is apart from the others and from the own chat", async () => {
      await start();
      for (const id of ["none", "HELP", "help/", "__proto__", "constructor", ""]) {
        const answers = [await room("a", id).say("x", "client-01"), await room("a", id).get("events"), await room("a", id).get("history")];
        assert.deepEqual(answers.map(({ status }) => status), [404, 404, 404], id);
      }
      await assert.rejects(host.connection.send({ ...ROOM, chat: "room-none" }, { text: "x" }, "k"), (error: unknown) => error instanceof ChannelError && error.code === "MSG_002");
      await room("a").say("in help", "client-01");
      await room("a", "tea").say("in tea", "client-01");
      await visitor(host.url, token("a")).say("alone", "client-01");
      assert.deepEqual(said(), ["in help", "in tea", "alone"]);
      assert.deepEqual((await room("a", "tea").feed()).entries().map(({ text }) => text), ["in tea"]);
      assert.deepEqual(host.received.map(({ at }) => at.chat.slice(0, 9)), ["room-help", "room-tea", host.received[2]?.sender.id.slice(0, 9)]);
    });

    it("keeps a message once, whoever sends its id again", async () => {
      await start();
      await room("a").say("mine", "client-same", { name: "Ada" });
      await room("a").say("mine", "client-same", { name: "Ada" });
      await room("b").say("theirs", "client-same", { name: "Bob" });
      assert.deepEqual((await room("a").feed()).entries().map(({ text }) => text), ["mine"]);
    });
  });

  describe("a signed identity", () => {
    const as = (identity: string, letter = "a", more: Record<string, string> = {}) => visitor(host.url, token(letter), { [IDENTITY_HEADER]: identity, ...more });

    it("is the same person on every device, by the id and name of the site", async () => {
      await start();
      const identity = sign({ id: "42", name: "Ada Lovelace", exp: inAnHour() });
      await as(identity, "a").say("from the phone", "client-01", { name: "Somebody Else" });
      const laptop = await as(sign({ id: "42", name: "Ada Lovelace", exp: inAnHour() + 5 }), "b").feed();
      assert.deepEqual(laptop.entries().map(({ text }) => text), ["from the phone"]);
      assert.deepEqual([laptop.hello().name, laptop.hello().visitor], ["Ada Lovelace", "user:42"]);
      assert.deepEqual([host.received[0]?.sender.id, host.received[0]?.sender.name, host.received[0]?.at.chat], ["user:42", "Ada Lovelace", chatOfUser("42")]);
      await host.connection.send({ channel: "webchat", account: "chat", chat: "user:42", kind: "direct" }, { text: "by its id" }, "k1");
      await laptop.until((events) => events.some((event) => event.type === "entry" && event.entry.text === "by its id"));
      laptop.close();
      assert.deepEqual((await visitor(host.url, token("a")).feed()).entries(), [], "the anonymous visitor of the same browser is somebody else");
      await as(identity, "a", { [ROOM_HEADER]: "help" }).say("in the room", "client-02");
      assert.deepEqual([host.received[1]?.sender.id, host.received[1]?.at], ["user:42", ROOM]);
    });

    it("that is forged, over, or of nobody is refused everywhere, and nothing of it is heard", async () => {
      await start();
      const good = sign({ id: "42", name: "Ada", exp: inAnHour() });
      const [body = "", signature = ""] = good.split(".");
      const forged: [about: string, token: string][] = [
        ["another secret", sign({ id: "42", exp: inAnHour() }, "x".repeat(40))], ["over", sign({ id: "42", exp: Math.floor(Date.now() / 1_000) - 1 })], ["no end", sign({ id: "42" })], ["an end in words", sign({ id: "42", exp: "2099" })],
        ["no id", sign({ exp: inAnHour() })], ["an empty id", sign({ id: "", exp: inAnHour() })], ["an id with a line", sign({ id: "a\nb", exp: inAnHour() })], ["a long id", sign({ id: "x".repeat(257), exp: inAnHour() })], ["an id that is a list", sign({ id: ["42"], exp: inAnHour() })],
        ["other claims", `${Buffer.from(JSON.stringify({ id: "1", exp: inAnHour() })).toString("base64url")}.${signature}`], ["no signature", `${body}.`], ["half a signature", `${body}.${signature.slice(0, 20)}`], ["claims alone", body], ["a third part", `${good}.x`], ["nothing", ""],
        ["no JSON", sign("{")], ["null", sign("null")], ["very long", sign({ id: "42", exp: inAnHour(), more: "x".repeat(5_000) })],
      ];
      for (const [about, identity] of forged) {
        const answers = [await as(identity).say("x", "client-01"), await as(identity).get("events"), await as(identity).get("history"), await as(identity).post("claim", { code: "x" })];
        assert.deepEqual(answers.map(({ status }) => status), [401, 401, 401, 401], about);
        assert.equal(answers[1]?.headers.get("x-clawflow-refused"), "identity");
      }
      assert.deepEqual(host.received, []);
      assert.ok(identityOf(good, SECRET, Date.now()) !== undefined);
      assert.equal(identityOf(good, SECRET, (inAnHour() + 1) * 1_000), undefined);
    });

    it("is believed by nobody without a secret, and by nobody with a short one", async () => {
      await start({ secret: "" });
      assert.equal((await as(sign({ id: "42", exp: inAnHour() }, "")).say("x", "client-01")).status, 401);
      assert.equal(identityOf(sign({ id: "42", exp: inAnHour() }, "short"), "short", Date.now()), undefined);
      const problems = channel.check({ id: "chat", channel: "webchat", name: "Home", settings: { secret: "short-canary", rooms: ["Not good", "fine: yes"] } });
      assert.equal(problems.length, 2);
      assert.ok(!problems.join().includes("short-canary"));
    });
  });

  describe("menus, polls, cards and contacts", () => {
    it("come back as what they are, once, and only with what is there", async () => {
      await start();
      const me = visitor(host.url, token("a"));
      await me.say("hello", "client-00");
      const to = host.received[0]?.at as Address;
      const menu = await host.connection.send(to, { text: "Which?", choices: { name: "room", options: [{ label: "Kitchen", value: "k" }, { label: "Cellar" }] } }, "k1");
      const many = await host.connection.send(to, { text: "", choices: { multiple: true, options: [{ label: "A" }, { label: "B" }] } }, "k2");
      const poll = await host.connection.send(to, { text: "", poll: { question: "Pizza?", options: ["Yes", "No"] } }, "k3");
      const card = await host.connection.send(to, { text: "", cards: [{ title: "Rain", fields: [{ name: "mm", value: "3" }] }], contact: { name: "Ada", phone: "+49 30" } }, "k4");
      const status = async (path: string, body: object) => (await me.post(path, { clientId: `client-${Math.random().toString(36).slice(2)}`, ...body })).status;
      for (const [ref, values] of [[menu, ["x"]], [menu, []], [menu, ["k", "Cellar"]], [many, ["A", "C"]], [poll, ["Yes"]], [card, ["Rain"]], ["1", ["k"]], [menu, "k"]] as const) assert.equal(await status("choose", { ref, values }), 404);
      for (const [ref, options] of [[poll, [2]], [poll, [0, 1]], [poll, [-1]], [poll, ["__proto__"]], [menu, [0]]] as const) assert.equal(await status("vote", { ref, options }), 404);
      assert.equal(host.received.length, 1);
      assert.equal(await status("choose", { ref: menu, values: ["k"] }), 200);
      assert.equal(await status("choose", { ref: many, values: ["B", "A", "B"] }), 200);
      assert.equal(await status("vote", { ref: poll, options: [1] }), 200);
      assert.equal(await status("vote", { ref: poll, options: [] }), 200);
      assert.deepEqual(host.received.slice(1).map(({ action }) => action), [
        { type: "choice", values: ["k"], name: "room" }, { type: "choice", values: ["B", "A"] }, { type: "vote", poll, options: ["1"] }, { type: "vote", poll, options: [] },
      ]);
      for (const message of host.received) assert.deepEqual(parseMessage(message), message);
      const entries = (await me.feed()).entries();
      assert.deepEqual(entries.slice(1).map(({ chosen, poll: shown, cards, contact }) => chosen ?? shown?.counts ?? [cards?.[0]?.title, contact?.phone]), [["k"], ["B", "A"], [0, 0], ["Rain", "+49 30"]]);
    });

    it("count the votes of a room by person, keep them over an edit of the words, and forget them with the message", async () => {
      await start();
      for (const letter of ["a", "b", "c"]) await room(letter).say("here", `client-${letter}0`);
      const poll = { question: "Pizza?", options: ["Yes", "No"], multiple: true };
      const ref = await host.connection.send(ROOM, { text: "", poll }, "k1");
      await Promise.all(["a", "b", "c"].map((letter) => room(letter).post("vote", { clientId: `client-${letter}1`, ref, options: letter === "c" ? [0, 1] : [0] })));
      await room("a").post("vote", { clientId: "client-a2", ref, options: [1] });
      const counts = async () => (await room("b").feed()).entries().at(-1)?.poll?.counts;
      assert.deepEqual(await counts(), [2, 2]);
      assert.deepEqual(new Set(host.received.filter(({ action }) => action?.type === "vote").map(({ sender }) => sender.id)).size, 3);
      await host.connection.edit?.(ROOM, ref, { text: "Last call", poll });
      assert.deepEqual(await counts(), [2, 2]);
      await host.connection.edit?.(ROOM, ref, { text: "", poll: { ...poll, question: "Pasta?" } });
      assert.deepEqual(await counts(), [0, 0]);
      await room("a").post("vote", { clientId: "client-a3", ref, options: [0] });
      assert.deepEqual(await counts(), [1, 0]);
      await host.connection.remove?.(ROOM, ref);
      assert.deepEqual([...storage.current.all.keys()].filter((key) => key.startsWith("votes/")), []);
    });
  });
});
