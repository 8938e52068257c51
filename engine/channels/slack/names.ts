/** Names of people by users.info, remembered. A name is a courtesy: whatever goes wrong, the message goes on with the id. */
import type { ChannelContext } from "../channel.ts";
import type { ChannelError } from "../../errors.ts";
import type { Api } from "./api.ts";
import type { NameOf } from "./mrkdwn.ts";

const PEOPLE = 1_000;
const FRESH_MS = 3_600_000;
/** Until a name that was not found is asked for again. */
const FAILED_MS = 300_000;
/** A message waits this long for the names in it: Slack wants its confirmation within 3 s. */
const WAIT_MS = 700;
const AT_ONCE = 10;

export interface Names {
  readonly nameOf: NameOf;
  /** Resolves when these are known, or after some time. Never rejects. */
  prepare(ids: readonly string[]): Promise<void>;
}

export function createNames(api: Pick<Api, "call">, context: Pick<ChannelContext, "clock" | "log">): Names {
  const { clock } = context;
  const known = new Map<string, { readonly name: string | undefined; readonly until: number }>();
  const asking = new Map<string, Promise<void>>();
  /** Monotonic; nothing is asked before. */
  let silentUntil = 0;

  async function ask(id: string): Promise<void> {
    let name: string | undefined;
    try {
      const { user } = await api.call("users.info", { user: id });
      name = user?.profile?.display_name || user?.profile?.real_name || user?.real_name || user?.name;
    } catch (thrown) {
      const { code, afterMs, message } = thrown as ChannelError;
      context.log("debug", message);
      // Without the scope, or asked too often: the next will fare no better.
      if (code !== "MSG_002") silentUntil = clock.monotonic() + (afterMs ?? (code === "MSG_005" ? FRESH_MS : 10_000));
    }
    known.delete(id);
    known.set(id, { name: name ?? known.get(id)?.name, until: clock.monotonic() + (name === undefined ? FAILED_MS : FRESH_MS) });
    if (known.size > PEOPLE) known.delete(known.keys().next().value as string);
  }

  return {
    nameOf: (id) => known.get(id)?.name,
    async prepare(ids) {
      const now = clock.monotonic();
      const wanted = [...new Set(ids)].filter((id) => /^[UW]/.test(id) && (known.get(id)?.until ?? 0) <= now).slice(0, AT_ONCE);
      if (wanted.length === 0 || now < silentUntil) return;
      const asked = Promise.all(wanted.map((id) => {
        const running = asking.get(id) ?? ask(id).finally(() => asking.delete(id));
        asking.set(id, running);
        return running;
      }));
      let cancel: (() => void) | undefined;
      await Promise.race([asked, new Promise<void>((resolve) => { cancel = clock.after(WAIT_MS, resolve); })]);
      cancel?.();
    },
  };
}
