/**
 * One script tag puts a launcher and the chat, in a frame, on any page that the account's "Other sites" name:
 *
 *     <script src="https://…/clawflow/<gateway>/<account>/embed.js" data-room="help" data-identity="…" data-side="left" data-accent="#0f766e" data-label="Help" data-language="de" data-open></script>
 *
 * Without cookies, inline styles or HTML: the page's policy needs `script-src` and `frame-src` for the chat's origin, nothing else.
 * `document.querySelector("clawflow-chat")` then has open(), close() and identify(token); it tells by the events "open", "close", "unread" and "expired".
 */
import type { ChatWord, HostWord } from "./frame.ts";
import { pickLanguage, sayIn } from "./strings.ts";

const CSS = `
:host { all: initial; position: fixed; z-index: 2147483000; inset: 0; pointer-events: none; color-scheme: light dark; font: 16px/1.4 system-ui, sans-serif; }
* { box-sizing: border-box; }
button { all: unset; box-sizing: border-box; pointer-events: auto; position: absolute; bottom: calc(1.25rem + env(safe-area-inset-bottom)); right: 1.25rem; width: 3.6rem; height: 3.6rem; border-radius: 50%; display: grid; place-items: center; cursor: pointer; background: var(--accent, #0f766e); color: var(--on-accent, #fff); box-shadow: 0 6px 24px rgb(0 0 0 / 28%); transition: transform .15s; }
button:hover { transform: translateY(-2px); }
button:focus-visible { outline: 3px solid Canvas; box-shadow: 0 0 0 6px var(--accent, #0f766e); }
svg { width: 1.7rem; height: 1.7rem; fill: none; stroke: currentColor; stroke-width: 2; stroke-linecap: round; stroke-linejoin: round; }
.badge { position: absolute; top: -.2rem; right: -.2rem; min-width: 1.4rem; height: 1.4rem; padding: 0 .35rem; border-radius: 99px; display: grid; place-items: center; background: #c8321f; color: #fff; font: 700 .78rem/1 system-ui, sans-serif; box-shadow: 0 0 0 2px Canvas; }
.badge[hidden], .panel[hidden] { display: none; }
.panel { pointer-events: auto; position: absolute; bottom: calc(5.75rem + env(safe-area-inset-bottom)); right: 1.25rem; width: 25rem; height: min(42rem, calc(100% - 7.25rem)); border-radius: 18px; overflow: hidden; background: Canvas; box-shadow: 0 0 0 1px rgb(127 127 127 / 25%), 0 18px 60px rgb(0 0 0 / 32%); animation: rise .18s ease-out; }
.left button, .left .panel { right: auto; left: 1.25rem; }
iframe { display: block; width: 100%; height: 100%; border: 0; background: Canvas; }
@media (max-width: 32rem), (max-height: 28rem) { .panel, .left .panel { inset: 0; width: 100%; height: 100%; border-radius: 0; } .open > button { display: none; } }
@keyframes rise { from { opacity: 0; transform: translateY(.8rem); } }
@media (prefers-reduced-motion: reduce) { .panel { animation: none; } button { transition: none; } }
@media (forced-colors: active) { button, .panel { border: 2px solid ButtonText; } }
@media print { :host { display: none; } }
`;
const BUBBLE = "M5 5h14a1.5 1.5 0 0 1 1.5 1.5v9A1.5 1.5 0 0 1 19 17h-7l-5 4v-4H5a1.5 1.5 0 0 1-1.5-1.5v-9A1.5 1.5 0 0 1 5 5Z";
const DOWN = "M5.5 9 12 15.5 18.5 9";
const SVG = "http://www.w3.org/2000/svg";

const script = document.currentScript;
if (script instanceof HTMLScriptElement && document.querySelector("clawflow-chat") === null) {
  const start = (): void => put(new URL(script.src), script.dataset);
  if (document.body === null) addEventListener("DOMContentLoaded", start, { once: true });
  else start();
}

function put(source: URL, { room, identity = "", side, accent, label, language, open: opened }: DOMStringMap): void {
  const say = sayIn(pickLanguage(language === undefined ? navigator.languages : [language]));
  const host = document.createElement("clawflow-chat");
  const shadow = host.attachShadow({ mode: "closed" });
  const style = new CSSStyleSheet();
  style.replaceSync(CSS);
  shadow.adoptedStyleSheets = [style];
  const root = element("div", side === "left" ? "left" : "");
  const panel = element("div", "panel");
  const launcher = element("button", "");
  const badge = element("span", "badge");
  const glyph = document.createElementNS(SVG, "svg");
  const line = document.createElementNS(SVG, "path");
  glyph.setAttribute("viewBox", "0 0 24 24");
  glyph.setAttribute("aria-hidden", "true");
  glyph.append(line);
  launcher.type = "button";
  launcher.append(glyph, badge);
  panel.hidden = true;
  panel.setAttribute("role", "dialog");
  panel.setAttribute("aria-label", label ?? say("title"));
  root.append(launcher, panel);
  shadow.append(root);
  if (accent !== undefined && /^#[0-9a-f]{6}$/i.test(accent)) {
    host.style.setProperty("--accent", accent);
    host.style.setProperty("--on-accent", isLight(accent) ? "#10201c" : "#fff");
  }

  let token = identity;
  let frame: HTMLIFrameElement | undefined;
  let unread = 0;
  const tell = (word: HostWord): void => frame?.contentWindow?.postMessage(word, source.origin);
  const event = (name: string, detail?: unknown): void => void host.dispatchEvent(new CustomEvent(name, { detail }));

  function load(): void {
    if (frame !== undefined) return;
    frame = document.createElement("iframe");
    const page = new URL(".", source);
    if (room !== undefined) page.searchParams.set("room", room);
    page.hash = new URLSearchParams({ host: location.origin, identity: token }).toString();
    frame.title = label ?? say("title");
    frame.allow = "clipboard-write; microphone";
    frame.setAttribute("sandbox", "allow-scripts allow-same-origin allow-forms allow-popups allow-popups-to-escape-sandbox allow-downloads");
    frame.addEventListener("load", () => tell({ clawflow: "seen", seen: !panel.hidden }));
    frame.src = page.href;
    panel.append(frame);
  }
  function show(open: boolean, byHand: boolean): void {
    if (open === !panel.hidden) return;
    if (open) load();
    panel.hidden = !open;
    root.classList.toggle("open", open);
    if (open) unread = 0;
    tell({ clawflow: "seen", seen: open });
    draw();
    if (byHand) (open ? frame : launcher)?.focus();
    event(open ? "open" : "close");
  }
  function draw(): void {
    line.setAttribute("d", panel.hidden ? BUBBLE : DOWN);
    badge.hidden = unread === 0 || !panel.hidden;
    badge.textContent = unread > 99 ? "99+" : String(unread);
    launcher.setAttribute("aria-expanded", String(!panel.hidden));
    launcher.setAttribute("aria-label", panel.hidden ? (unread === 0 ? say("openChat") : say("openChatNews", { n: unread })) : say("closeChat"));
  }

  launcher.addEventListener("click", () => show(panel.hidden === true, true));
  shadow.addEventListener("keydown", (pressed) => { if ((pressed as KeyboardEvent).key === "Escape") show(false, true); });
  addEventListener("message", ({ source: from, origin, data }: MessageEvent<unknown>) => {
    if (frame === undefined || from !== frame.contentWindow || origin !== source.origin || typeof data !== "object" || data === null) return;
    const word = data as Partial<ChatWord>;
    if (word.clawflow === "close") show(false, true);
    if (word.clawflow === "expired") event("expired");
    if (word.clawflow === "unread" && typeof word.count === "number" && panel.hidden) {
      unread = Math.max(0, Math.floor(word.count));
      draw();
      event("unread", unread);
    }
  });
  Object.assign(host, {
    open: () => show(true, true),
    close: () => show(false, true),
    /** A new token of the site's server; "" for nobody in particular. */
    identify(next: string): void { token = next; tell({ clawflow: "identity", token }); },
  });
  draw();
  document.body.append(host);
  if (opened !== undefined) show(true, false);
}

function element<K extends keyof HTMLElementTagNameMap>(name: K, className: string): HTMLElementTagNameMap[K] {
  const node = document.createElement(name);
  node.className = className;
  return node;
}
/** Perceived brightness by the usual weights of red, green and blue. */
function isLight(colour: string): boolean {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16));
  return red * 0.299 + green * 0.587 + blue * 0.114 > 150;
}
