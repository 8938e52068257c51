/** The chat page: puts the link, the model, the queue, the conversation and the text field together. */
import type { Hello, ServerEvent } from "../engine/channels/webchat/protocol.ts";
import { createComposer } from "./composer.ts";
import { copyText, icon, iconButton, make, textButton } from "./dom.ts";
import { createFiles } from "./files.ts";
import { openFrame, takeAddress } from "./frame.ts";
import { type LinkState, openLink } from "./link.ts";
import { createLocal, randomId, scopeOf } from "./local.ts";
import { createLog } from "./log.ts";
import { createMarkdown } from "./markdown.ts";
import { createModel } from "./model.ts";
import { createQueue } from "./outgoing.ts";
import { createServer, ServerFault } from "./server.ts";
import { pickLanguage, sayIn } from "./strings.ts";

const spoken = pickLanguage(navigator.languages);
/** Numbers and times as in the browser's own settings, where they are of the page's language. */
const language = navigator.languages.find((tag) => tag.toLowerCase().startsWith(spoken)) ?? spoken;
const say = sayIn(spoken);
const byId = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;

const base = new URL(".", location.href).href;
const path = new URL(base).pathname;
const { host, identity } = takeAddress();
const room = new URLSearchParams(location.search).get("room") ?? undefined;
const local = createLocal(scopeOf(path, room, identity));
// One visitor in all rooms of this browser.
const server = createServer(base, { token: createLocal(path).token, identity, room }, say("network"));
const frame = openFrame(host, identity, () => news(0));
const model = createModel(() => Date.now());
const nameOf = () => String(local.get("name") ?? "");
const botName = () => model.hello?.title ?? say("title");

/** Entries that come between "hello" and "ready" were there before: they are no news, and are drawn at once. */
let catchingUp = true;
let unseen = 0;
let drawTimer: ReturnType<typeof setTimeout> | undefined;
const previewTimers = new Map<string, ReturnType<typeof setTimeout>>();
/** A preview that nobody continues or ends belongs to a run that died. */
const PREVIEW_MS = 120_000;

const log = createLog({ log: byId("log"), live: byId("live"), scroll: byId("scroll"), latest: byId("latest") }, {
  say, language, files: createFiles(server), botName, fault,
  entry: (ref) => model.entry(ref),
  async press(entry, { label, value = label }) {
    const answer = await patiently((clientId) => server.press({ clientId, ref: String(entry.seq), value, name: nameOf() }));
    if (answer.state === "refused") throw new Error(say("notDelivered"));
  },
  async choose(entry, values) {
    const answer = await patiently((clientId) => server.choose({ clientId, ref: String(entry.seq), values, name: nameOf() }));
    if (answer.state === "refused") throw new Error(say("notDelivered"));
  },
  async vote(entry, options) {
    const before = local.get(`vote/${entry.seq}`);
    // Before the answer: the counts come by the stream, perhaps earlier.
    local.set(`vote/${entry.seq}`, options.length === 0 ? undefined : options);
    const answer = await patiently((clientId) => server.vote({ clientId, ref: String(entry.seq), options, name: nameOf() })).catch((error: unknown) => { local.set(`vote/${entry.seq}`, before); throw error; });
    if (answer.state === "refused") { local.set(`vote/${entry.seq}`, before); throw new Error(say("notDelivered")); }
    draw();
  },
  votes(entry) {
    const own = local.get(`vote/${entry.seq}`);
    if (Array.isArray(own)) return own.map(Number);
    // Nobody else votes in a chat of one's own: from another device the counts tell.
    return model.hello?.me === undefined ? (entry.poll?.counts ?? []).flatMap((count, index) => (count > 0 ? [index] : [])) : [];
  },
  mine: (entry) => entry.author === undefined || entry.author.tag === model.hello?.me,
  reply(ref) { const entry = model.entry(ref); if (entry !== undefined) composer.reply(entry); },
  goTo: (ref) => log.goTo(ref),
  retry: (clientId) => queue.retry(clientId),
  remove: (clientId) => queue.remove(clientId),
});
const queue = createQueue(local, server, say, nameOf, (message, clientId) => {
  if (message === undefined) model.drop(clientId);
  else model.put(message);
  draw();
});
const composer = createComposer({
  form: byId("composer"), text: byId("text"), send: byId("send"), attach: byId("attach"), pick: byId("pick"), record: byId("record"), files: byId("files"), quoting: byId("quoting"), drop: byId("drop"),
  say, language, server, botName, fault,
  draft: String(local.get("draft") ?? ""),
  keepDraft: (text) => local.set("draft", text === "" ? undefined : text),
  onSend: send,
});

function send(text: string, files: Parameters<typeof queue.add>[1] = [], replyTo?: string): void {
  queue.add(text, files, replyTo);
  log.toEnd();
}

/** The same act with the same id until an answer came: it happens once. */
async function patiently<T>(act: (clientId: string) => Promise<T>): Promise<T> {
  const clientId = randomId();
  for (let tries = 1; ; tries++) {
    try {
      return await act(clientId);
    } catch (error) {
      if (!(error instanceof ServerFault) || (error.status > 0 && error.status < 500 && error.status !== 429) || tries >= 6) throw error;
      await new Promise((resolve) => { setTimeout(resolve, error.afterMs ?? 500 * 2 ** (tries - 1)); });
    }
  }
}

function draw(): void {
  if (catchingUp && model.hello?.fresh === true) return;
  if (drawTimer !== undefined) return;
  drawTimer = setTimeout(() => {
    drawTimer = undefined;
    const items = model.items();
    log.draw(items);
    byId("empty").hidden = items.length > 0 || model.hello === undefined || catchingUp;
    byId("earlier").hidden = !model.more;
    byId("stranger").hidden = !items.some((item) => item.type === "outgoing" && item.outgoing.state === "refused");
  }, 0);
}

function onEvent(event: ServerEvent): void {
  const isNew = event.type === "entry" && model.entry(String(event.entry.seq)) === undefined;
  model.apply(event);
  switch (event.type) {
    case "hello":
      catchingUp = true;
      byId("log").setAttribute("aria-busy", "true");
      showHello(event.hello);
      break;
    case "entry":
      if (isNew && event.entry.from === "bot") log.stopTyping();
      if (isNew && !catchingUp && (event.entry.from === "bot" || event.entry.author !== undefined && event.entry.author.tag !== model.hello?.me)) news(1);
      break;
    case "ready":
      catchingUp = false;
      byId("log").setAttribute("aria-busy", "false");
      queue.wake();
      break;
    case "typing": log.typing(); return;
    case "preview":
      log.stopTyping();
      clearTimeout(previewTimers.get(event.key));
      previewTimers.set(event.key, setTimeout(() => { previewTimers.delete(event.key); model.dropPreview(event.key); draw(); }, PREVIEW_MS));
      break;
    case "trust":
      if (model.hello !== undefined) showTrust(model.hello);
      if (event.trust === "known") for (const item of model.items()) if (item.type === "outgoing" && item.outgoing.state === "refused") queue.retry(item.outgoing.clientId);
      break;
    case "change": break;
  }
  draw();
}

/** So many came; 0: the reader looks again, or not any more. */
function news(count: number): void {
  if (count > 0) log.news(count);
  unseen = document.visibilityState === "visible" && frame.seen ? 0 : unseen + count;
  showTitle();
  frame.tell({ clawflow: "unread", count: unseen });
}
function showTitle(): void { document.title = unseen === 0 ? botName() : `(${unseen}) ${botName()}`; }

const welcome = createMarkdown(byId("welcome"), say);
function showHello(hello: Hello): void {
  showTitle();
  byId("title").textContent = hello.title;
  byId("empty-title").textContent = hello.title;
  welcome(hello.welcome || say("hello"));
  byId("notice").textContent = hello.notice;
  byId("notice").hidden = hello.notice === "";
  byId("suggestions").replaceChildren(...hello.suggestions.map((text) => textButton(text, { class: "chip" }, () => { send(text); composer.focus(); })));
  const style = document.documentElement.style;
  if (hello.accent === "") for (const name of ["--accent", "--on-accent"]) style.removeProperty(name);
  else { style.setProperty("--accent", hello.accent); style.setProperty("--on-accent", isLight(hello.accent) ? "#10201c" : "#ffffff"); }
  showTrust(hello);
}
function showTrust({ trust, maxUploadBytes, visitor }: Hello): void {
  composer.allowFiles(maxUploadBytes === 0 ? 0 : trust === "known" ? maxUploadBytes : undefined);
  const copy = textButton(say("copy"), { class: "link" }, async () => { if (await copyText(visitor)) copy.textContent = say("copied"); });
  byId("stranger").replaceChildren(icon("lock"), make("div", {}, make("h2", {}, say("strangerTitle")), make("p", {}, say("strangerText")), make("p", { class: "number" }, make("span", { class: "hidden" }, `${say("yourNumber")}: `), make("code", {}, visitor), copy)));
}
/** Perceived brightness by the usual weights of red, green and blue. */
function isLight(colour: string): boolean {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16));
  return red * 0.299 + green * 0.587 + blue * 0.114 > 150;
}

let bannerTimer: ReturnType<typeof setTimeout> | undefined;
function onState(now: LinkState): void {
  const dot = byId("state");
  dot.dataset.state = now.state;
  dot.textContent = now.state === "open" ? say("online") : say("connecting");
  const banner = byId("banner");
  if (now.state !== "lost") {
    if (now.state === "open") { clearTimeout(bannerTimer); bannerTimer = undefined; banner.hidden = true; }
    return;
  }
  model.dropPreviews();
  log.stopTyping();
  draw();
  const over = now.code === "identity";
  if (over) frame.tell({ clawflow: "expired" });
  const words = over ? say("identityOver") : !navigator.onLine ? say("offline") : now.fault === undefined ? say("reconnecting") : say("linkFault", { text: now.fault.replace(/\.$/, "") });
  banner.textContent = words;
  // A short break is nobody's business.
  bannerTimer ??= setTimeout(() => { banner.hidden = false; }, 1_500);
}

function toast(text: string, kind: "fault" | "good"): void {
  const node = make("div", { class: `toast ${kind}` }, make("span", {}, text));
  const close = textButton("×", { class: "act", "aria-label": say("close") }, () => node.remove());
  node.append(close);
  byId("toasts").append(node);
  setTimeout(() => node.remove(), 9_000);
}
function fault(text: string): void { toast(text, "fault"); }

/** `#owner=<code>` makes this visitor the owner, once. The code leaves the address at once and is kept until it was answered. */
async function claim(): Promise<void> {
  const given = /^#owner=(.+)$/.exec(location.hash)?.[1];
  if (given !== undefined) {
    local.set("claim", given);
    history.replaceState(null, "", location.pathname + location.search);
  }
  const code = local.get("claim");
  if (typeof code !== "string") return;
  try {
    const claimed = await patiently(() => server.claim(code, nameOf()));
    toast(say(claimed ? "claimed" : "notClaimed"), claimed ? "good" : "fault");
    local.set("claim", undefined);
    queue.wake();
  } catch (error) {
    fault(say("claimFault", { text: (error as Error).message }));
  }
}

function askName(): void {
  const sheet = byId<HTMLDialogElement>("sheet");
  const vouched = model.hello?.name;
  const input = make("input", { id: "name", maxlength: "64", autocomplete: "name", value: vouched ?? nameOf(), readonly: vouched !== undefined });
  const form = make("form", { method: "dialog" }, make("h2", { id: "sheet-title" }, say("about")), make("label", { for: "name" }, say("yourName")), input, make("p", { class: "hint" }, say("nameHint")),
    model.hello === undefined ? undefined : make("p", { class: "hint" }, `${say("yourNumber")}: `, make("code", {}, model.hello.visitor)),
    make("div", { class: "sheet-acts" }, textButton(say("close"), { class: "quiet" }, () => sheet.close()), make("button", { type: "submit", class: "firm" }, say("save"))));
  // CSP forbids forms to go anywhere; "dialog" is closed here.
  form.addEventListener("submit", (event) => { event.preventDefault(); if (vouched === undefined) local.set("name", input.value.trim() || undefined); sheet.close(); composer.focus(); });
  sheet.setAttribute("aria-labelledby", "sheet-title");
  sheet.replaceChildren(form);
  sheet.showModal();
}

async function showEarlier(): Promise<void> {
  const scroll = byId("scroll");
  const fromEnd = scroll.scrollHeight - scroll.scrollTop;
  try {
    model.addOlder(await server.history());
    log.draw(model.items());
    scroll.scrollTop = scroll.scrollHeight - fromEnd;
    draw();
  } catch (error) {
    fault((error as Error).message);
  }
}

document.documentElement.lang = spoken;
byId("skip").textContent = say("skip");
byId("earlier").textContent = say("earlier");
byId("drop").textContent = say("dropHere");
byId("log").setAttribute("aria-label", say("log"));
byId("scroll").setAttribute("aria-label", say("log"));
byId("text").setAttribute("placeholder", say("placeholder"));
byId("text").setAttribute("aria-label", say("placeholder"));
for (const [id, name, words] of [["send", "send", "send"], ["attach", "attach", "attach"], ["me", "person", "about"]] as const) {
  byId(id).append(icon(name));
  byId(id).setAttribute("aria-label", say(words));
  byId(id).title = say(words);
}
byId("me").addEventListener("click", askName);
if (frame.embedded) {
  document.documentElement.classList.add("embedded");
  byId("me").after(iconButton("close", say("closeChat"), { class: "icon", id: "leave" }, () => frame.tell({ clawflow: "close" })));
  addEventListener("keydown", (event) => { if (event.key === "Escape" && !event.defaultPrevented && !byId<HTMLDialogElement>("sheet").open) frame.tell({ clawflow: "close" }); });
}
byId("earlier").addEventListener("click", () => void showEarlier());

const link = openLink(server, onEvent, onState);
addEventListener("online", () => { link.wake(); queue.wake(); });
addEventListener("hashchange", () => void claim());
addEventListener("pagehide", () => link.close());
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState !== "visible") return;
  news(0);
  link.wake();
});
// On a phone it would open the keyboard over the conversation.
if (matchMedia("(hover: hover)").matches) composer.focus();
void claim();
