/** Server-sent events as an async stream that ends with the page, the account, or the process. */
import type { Push } from "./rooms.ts";

const KEEP_ALIVE_MS = 15_000;
/** A page that reads this little is gone. */
const MAX_WAITING = 2_000;

export async function* serverSentEvents(page: AbortSignal, account: AbortSignal, begin: (push: Push) => Promise<() => void>): AsyncGenerator<string> {
  const waiting: string[] = [];
  let ended = false;
  let wake: () => void = () => undefined;
  const end = () => { ended = true; wake(); };
  const write = (text: string) => {
    if (waiting.length >= MAX_WAITING) return end();
    waiting.push(text);
    wake();
  };
  const push: Push = (event, data) => (event === "close" ? end() : write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`));
  page.addEventListener("abort", end);
  account.addEventListener("abort", end);
  const beat = setInterval(() => write(": still here\n\n"), KEEP_ALIVE_MS);
  beat.unref();
  let leave: (() => void) | undefined;
  try {
    leave = await begin(push);
    while (!ended && !page.aborted && !account.aborted) {
      const batch = waiting.splice(0);
      if (batch.length > 0) yield batch.join("");
      else await new Promise<void>((resolve) => { wake = resolve; });
    }
  } finally {
    clearInterval(beat);
    leave?.();
    page.removeEventListener("abort", end);
    account.removeEventListener("abort", end);
  }
}
