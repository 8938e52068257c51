/** "is typing" in a chat, while somebody thinks. */
import type { Gateway } from "../../engine/gateway.ts";
import type { Address } from "../../engine/message.ts";

/** Platforms show "is typing" for about five seconds; a quick answer needs none. */
const TYPING_AFTER_MS = 500;
const TYPING_EVERY_MS = 4_500;

/** `about`: ref of the message that is answered. The returned function ends it. */
export function keepTyping(gateway: Gateway, run: string, to: Address, about: string | undefined): () => void {
  let cancel = gateway.clock.after(TYPING_AFTER_MS, show);
  function show(): void {
    // Nobody types while a person is asked.
    if (!gateway.inbox.run(run)?.waits) gateway.typing(to, about);
    cancel = gateway.clock.after(TYPING_EVERY_MS, show);
  }
  return () => cancel();
}
