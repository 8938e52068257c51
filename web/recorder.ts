/** A voice note by the microphone, from one press of its button to the next. Browsers have none where the page came by plain http from another machine. */
import { icon } from "./dom.ts";
import type { Say } from "./strings.ts";

export interface RecorderActs {
  /** Every second of a recording, as `0:07`; undefined when it has ended. */
  tick(time: string | undefined): void;
  done(note: File): void;
  fault(text: string): void;
}
export interface Recorder {
  readonly active: boolean;
  stop(): void;
  show(allowed: boolean): void;
}

/** What speech-to-text servers take; the first that the browser makes. */
const TYPES = ["audio/webm;codecs=opus", "audio/ogg;codecs=opus", "audio/mp4"];
const ENDINGS: Readonly<Record<string, string>> = { "audio/webm": "webm", "audio/ogg": "ogg", "audio/mp4": "m4a" };
/** The step that writes voice notes down takes so long a one by default. */
const LONGEST_MS = 300_000;
/** More than speech needs. A webm does not tell its length, so the server bounds its bytes: browsers of themselves may make too many. */
const BITS_PER_SECOND = 64_000;

export function createRecorder(button: HTMLButtonElement, say: Say, { tick, done, fault }: RecorderActs): Recorder {
  let running: MediaRecorder | undefined;
  let asking = false;
  let timer: ReturnType<typeof setInterval> | undefined;
  const can = typeof MediaRecorder === "function" && navigator.mediaDevices?.getUserMedia !== undefined;

  function draw(): void {
    const label = say(running === undefined ? "record" : "recordStop");
    button.title = label;
    button.setAttribute("aria-label", label);
    button.classList.toggle("recording", running !== undefined);
    button.replaceChildren(icon(running === undefined ? "record" : "stop"));
  }
  function time(since: number): string {
    const seconds = Math.round((Date.now() - since) / 1000);
    return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  }
  const stop = (): void => { if (running?.state === "recording") running.stop(); };

  async function start(): Promise<void> {
    if (asking) return;
    asking = true;
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      const mimeType = TYPES.find((type) => MediaRecorder.isTypeSupported(type));
      const recorder = new MediaRecorder(stream, { audioBitsPerSecond: BITS_PER_SECOND, ...(mimeType === undefined ? {} : { mimeType }) });
      const parts: Blob[] = [];
      const since = Date.now();
      recorder.ondataavailable = ({ data }) => { parts.push(data); };
      recorder.onstop = () => {
        for (const track of stream.getTracks()) track.stop();
        clearInterval(timer);
        running = undefined;
        draw();
        tick(undefined);
        const type = recorder.mimeType.split(";", 1)[0] ?? "";
        done(new File(parts, `${say("voiceNote")}.${ENDINGS[type] ?? "webm"}`, { type }));
      };
      recorder.start();
      running = recorder;
      timer = setInterval(() => { if (Date.now() - since >= LONGEST_MS) stop(); else tick(time(since)); }, 1_000);
      draw();
      tick(time(since));
    } catch (error) {
      fault(say("noMicrophone", { text: (error as Error).message.replace(/\.$/, "") }));
    } finally {
      asking = false;
    }
  }

  button.addEventListener("click", () => { if (running === undefined) void start(); else stop(); });
  draw();
  return {
    get active() { return running !== undefined; },
    stop,
    show(allowed) { button.hidden = !can || !allowed; },
  };
}
