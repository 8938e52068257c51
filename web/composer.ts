/** Where the visitor writes: a field that grows, files by button, drop and paste, and what is being answered. */
import type { Entry, FileCard } from "../engine/channels/webchat/protocol.ts";
import { icon, iconButton, make, sizeText } from "./dom.ts";
import { isPicture } from "./files.ts";
import { excerpt } from "./message.ts";
import { createRecorder } from "./recorder.ts";
import { type Server, ServerFault } from "./server.ts";
import type { Say } from "./strings.ts";

export interface ComposerParts {
  readonly form: HTMLFormElement;
  readonly text: HTMLTextAreaElement;
  readonly send: HTMLButtonElement;
  readonly attach: HTMLButtonElement;
  readonly pick: HTMLInputElement;
  readonly record: HTMLButtonElement;
  readonly files: HTMLElement;
  readonly quoting: HTMLElement;
  readonly drop: HTMLElement;
}
export interface ComposerOptions extends ComposerParts {
  readonly say: Say;
  readonly language: string;
  readonly server: Pick<Server, "upload">;
  readonly draft: string;
  keepDraft(text: string): void;
  botName(): string;
  onSend(text: string, files: readonly FileCard[], replyTo: string | undefined): void;
  fault(text: string): void;
}
export interface Composer {
  reply(entry: Entry): void;
  focus(): void;
  /** Files up to so many bytes, 0: none; undefined: not yet. */
  allowFiles(maxBytes: number | undefined): void;
}

/** The server takes so many with one message. */
const MAX_FILES = 10;
const UPLOAD_TRIES = 4;

interface Attached { readonly file: File; readonly voice: boolean; readonly node: HTMLElement; readonly stop: AbortController; card?: FileCard; failed?: boolean; address?: string }

export function createComposer(options: ComposerOptions): Composer {
  const { form, text, send, attach, pick, record, files, quoting, drop, say, language, fault } = options;
  let attached: Attached[] = [];
  let replyTo: string | undefined;
  let maxBytes: number | undefined;
  let sendWhenReady = false;
  const recorder = createRecorder(record, say, {
    fault,
    tick(time) { text.placeholder = time === undefined ? say("placeholder") : say("recording", { time }); refresh(); },
    done(note) { add([note], true); text.focus(); },
  });

  const uploading = () => attached.some(({ card, failed }) => card === undefined && failed !== true);
  const ready = () => attached.every(({ card }) => card !== undefined) && (text.value.trim() !== "" || attached.length > 0);

  function refresh(): void {
    send.disabled = !recorder.active && !ready() && !(uploading() && !attached.some(({ failed }) => failed));
    files.hidden = attached.length === 0;
    text.style.setProperty("height", "auto");
    text.style.setProperty("height", `${text.scrollHeight}px`);
  }

  function submit(): void {
    if (recorder.active) { sendWhenReady = true; recorder.stop(); return; }
    if (uploading()) { sendWhenReady = true; return; }
    sendWhenReady = false;
    if (!ready()) return;
    options.onSend(text.value.trim() === "" ? "" : text.value.replace(/\s+$/, ""), attached.flatMap(({ card }) => card ?? []), replyTo);
    for (const item of [...attached]) discard(item);
    text.value = "";
    options.keepDraft("");
    quote(undefined);
    refresh();
  }
  function discard(item: Attached): void {
    item.stop.abort();
    if (item.address !== undefined) URL.revokeObjectURL(item.address);
    item.node.remove();
    attached = attached.filter((other) => other !== item);
  }

  function quote(entry: Entry | undefined): void {
    replyTo = entry === undefined ? undefined : String(entry.seq);
    quoting.hidden = entry === undefined;
    if (entry === undefined) { quoting.replaceChildren(); return; }
    quoting.replaceChildren(icon("reply"), make("div", { class: "quoting-words" }, make("strong", {}, say("replyTo", { who: entry.from === "bot" ? options.botName() : say("you") })), make("span", { dir: "auto" }, excerpt(entry))), iconButton("close", say("cancelReply"), { class: "act" }, () => { quote(undefined); text.focus(); }));
  }

  function add(list: Iterable<File>, voice = false): void {
    if (maxBytes === undefined || maxBytes === 0) { if (maxBytes === undefined) fault(say("attachLater")); return; }
    for (const file of list) {
      if (attached.length >= MAX_FILES) { fault(say("tooManyFiles", { n: MAX_FILES })); break; }
      if (file.size === 0) { fault(say("fileEmpty", { name: file.name })); continue; }
      if (file.size > maxBytes) { fault(say("fileTooLarge", { name: file.name, size: sizeText(maxBytes, language) })); continue; }
      const item: Attached = { file, voice, node: make("li", {}), stop: new AbortController() };
      if (isPicture(file.type)) item.address = URL.createObjectURL(file);
      attached.push(item);
      files.append(item.node);
      void upload(item);
    }
    pick.value = "";
    refresh();
  }
  async function upload(item: Attached): Promise<void> {
    delete item.failed;
    for (let tries = 1; ; tries++) {
      draw(item, say("uploading", { name: item.file.name }));
      try {
        item.card = await options.server.upload(item.file, { name: item.file.name, voice: item.voice }, item.stop.signal);
        draw(item, sizeText(item.file.size, language));
        break;
      } catch (error) {
        if (item.stop.signal.aborted) return;
        const passing = error instanceof ServerFault && (error.status === 0 || error.status === 429 || error.status >= 500);
        if (passing && tries < UPLOAD_TRIES) {
          await new Promise((resolve) => { setTimeout(resolve, error.afterMs ?? 500 * 2 ** tries); });
          if (item.stop.signal.aborted) return;
          continue;
        }
        item.failed = true;
        sendWhenReady = false;
        draw(item, say("fileFailed", { name: item.file.name, text: (error as Error).message }));
        break;
      }
    }
    refresh();
    if (sendWhenReady) submit();
  }
  function draw(item: Attached, words: string): void {
    const { file, node, address } = item;
    node.className = `attached${item.failed === true ? " failed" : item.card === undefined ? " busy" : ""}`;
    const again = item.failed === true ? iconButton("retry", say("retry"), { class: "act" }, () => { void upload(item); refresh(); }) : "";
    const away = iconButton("close", say("removeFile", { name: file.name }), { class: "act" }, () => { discard(item); refresh(); text.focus(); });
    node.replaceChildren(address === undefined ? icon("file") : make("img", { src: address, alt: "" }), make("span", { class: "attached-words" }, make("span", { class: "file-name", dir: "auto" }, file.name), make("span", { class: "file-size" }, words)), again, away);
  }

  form.addEventListener("submit", (event) => { event.preventDefault(); submit(); text.focus(); });
  text.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && replyTo !== undefined) { quote(undefined); return; }
    // 229: the key belongs to an input method, also in browsers that report the end of a composition first.
    if (event.key !== "Enter" || event.shiftKey || event.altKey || event.ctrlKey || event.metaKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    submit();
  });
  text.addEventListener("input", () => { options.keepDraft(text.value); refresh(); });
  text.addEventListener("paste", (event) => {
    const pasted = [...(event.clipboardData?.files ?? [])];
    if (pasted.length === 0 || event.clipboardData?.types.includes("text/plain") === true) return;
    event.preventDefault();
    add(pasted);
  });
  attach.addEventListener("click", () => { if (maxBytes === undefined) fault(say("attachLater")); else pick.click(); });
  pick.addEventListener("change", () => { add([...(pick.files ?? [])]); text.focus(); });

  const carriesFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") === true && maxBytes !== 0;
  let leaving: ReturnType<typeof setTimeout> | undefined;
  addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    drop.hidden = false;
    clearTimeout(leaving);
    // "dragover" repeats while the files are over the page; there is no sure sign of the end.
    leaving = setTimeout(() => { drop.hidden = true; }, 400);
  });
  addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    drop.hidden = true;
    add(event.dataTransfer?.files ?? []);
    text.focus();
  });
  addEventListener("resize", refresh);

  text.value = options.draft;
  refresh();
  return {
    reply(entry) { quote(entry); text.focus(); },
    focus: () => text.focus(),
    allowFiles(bytes) {
      maxBytes = bytes;
      attach.hidden = bytes === 0;
      recorder.show(bytes !== undefined && bytes > 0);
      attach.setAttribute("aria-disabled", String(bytes === undefined));
      const label = say(bytes === undefined ? "attachLater" : "attach");
      attach.title = label;
      attach.setAttribute("aria-label", label);
    },
  };
}
