/** Looks after an open link: asks the platform now and then, where nothing else shows that it is well. */
import type { Clock } from "../clock.ts";
import { asClawError, ChannelError, type ClawError } from "../errors.ts";
import type { Link } from "./link.ts";
import { within } from "./within.ts";

const EVERY_MS = 30_000;
const LIMIT_MS = 10_000;
/** An adapter that connects again by itself says how it goes; one that is silent for this long has given up. */
const SILENT_MS = 180_000;
/** A call under way shows by itself whether the link is well, but not for ever. An upload takes this long. */
const BUSY_MS = 600_000;

export interface WatchOptions {
  readonly clock: Clock;
  readonly link: Link;
  /** Says its adapter so? */
  connected(): boolean;
  /** It was open for a while and is well. */
  onHeld(): void;
  /** Nothing is watched after this. */
  onFault(error: ClawError): void;
}

/** Begins when the link is open, ends with it. */
export function watch({ clock, link, connected, onHeld, onFault }: WatchOptions): void {
  const { signal, facts } = link;
  let checkedAt = clock.monotonic();
  let askAgainAt = 0;
  let cancel = clock.after(EVERY_MS, look);
  signal.addEventListener("abort", () => cancel(), { once: true });

  async function look(): Promise<void> {
    try {
      await check();
    } catch (thrown) {
      if (!signal.aborted) onFault(asClawError(thrown, "CONN_001", "later"));
      return;
    }
    if (signal.aborted) return;
    if (connected()) onHeld();
    cancel = clock.after(EVERY_MS, look);
  }

  async function check(): Promise<void> {
    const now = clock.monotonic();
    const since = checkedAt;
    checkedAt = now;
    if (!connected()) {
      if (now - facts.reportedAt > SILENT_MS + facts.waitMs) throw new ChannelError("CONN_001", { retry: "later" }, `The link was lost, and nothing was heard of it for ${Math.round((now - facts.reportedAt) / 1000)} s. It is opened anew.`);
      return;
    }
    const health = link.connection?.health;
    if (health === undefined || facts.provedAt > since || now < askAgainAt) return;
    if (facts.busy > 0 && now - facts.busySince < BUSY_MS) return;
    try {
      await within({ clock, ms: LIMIT_MS, parent: signal, late: () => new ChannelError("CONN_001", { retry: "later" }, `Expected an answer of the platform within ${LIMIT_MS / 1000} s, got none.`) }, health);
    } catch (thrown) {
      const error = asClawError(thrown, "CONN_001", "later");
      // Who says "too often" is there.
      if (error.code !== "CONN_003") throw error;
      askAgainAt = now + (error.afterMs ?? 0);
    }
  }
}
