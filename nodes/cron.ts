/** Cron: a schedule whose ticks are messages, saved before they are sent into the flow. */
import type { Entry, Run } from "../engine/inbox.ts";
import { MESSAGE_VERSION, type Message } from "../engine/message.ts";
import { checkSpec, createSchedule, type Missed, type Overlap, type Schedule, type Tick } from "../engine/schedule.ts";
import { SettingError } from "../engine/errors.ts";
import type { Gateway } from "../engine/gateway.ts";
import { specOf, type ScheduleFields } from "./shared/schedule.ts";
import { addressOf, type AddressFields } from "./shared/address.ts";
import { withGateway } from "./shared/config.ts";
import { firstMsg, hostOf } from "./shared/gateways.ts";
import { shown } from "./shared/input.ts";
import type { Red, RedNode, Saved } from "./shared/red.ts";
import { versioned } from "./shared/versioned.ts";

type Config = Saved<{ gateway: string; missed?: Missed; overlap?: Overlap; text?: string } & ScheduleFields & AddressFields>;

export default function register(red: Red): void {
  const host = hostOf(red);
  function CronNode(this: RedNode, config: Config): void {
    red.nodes.createNode(this, config);
    let schedule: Schedule | undefined;

    const begin = async (gateway: Gateway, isOver: () => boolean): Promise<void> => {
      const spec = specOf(config);
      const problems = await checkSpec(spec);
      if (problems.length > 0) throw new SettingError("CONF_001", {}, problems.join(" "));
      const to = addressOf(red, config, config.gateway);
      const print = JSON.stringify(spec);
      const mark = (await gateway.store.get("cron", this.id)) as { print: string; fired: number } | undefined;
      const message = (tick: Tick): Message => ({
        version: MESSAGE_VERSION, id: String(tick.scheduledAt), ref: String(tick.scheduledAt), kind: "tick",
        at: { channel: "cron", account: this.id, chat: this.id, kind: "direct" }, sender: { id: "cron", name: config.name || "cron", bot: true, self: false },
        sentAt: tick.scheduledAt, text: config.text ?? "", attachments: [], addressed: true, ...(to === undefined ? {} : { to }),
      });
      /** Heard from before the tick is saved: a quick flow may have ended by then. */
      const watchEnd = (id: string) => {
        const { promise, resolve } = Promise.withResolvers<void>();
        const stop = () => { gateway.events.off("end", hear); resolve(); };
        const hear = (run: Run) => { if (run.entry === this.id && run.receipt.message.id === id) stop(); };
        gateway.events.on("end", hear);
        return { promise, stop };
      };
      if (isOver()) return;
      const opened = await createSchedule({
        spec, clock: gateway.clock, missed: config.missed ?? "once", overlap: config.overlap ?? "queue",
        ...(mark?.print === print ? { lastFired: mark.fired } : {}),
        fire: async (tick) => {
          const end = watchEnd(String(tick.scheduledAt));
          let saved = false;
          try {
            saved = await gateway.accept(message(tick), { trust: "owner", tainted: false }) === "saved";
          } finally {
            if (!saved) end.stop();
          }
          return { done: end.promise };
        },
        save: async (fired) => { await gateway.store.commit([{ do: "set", space: "cron", key: this.id, value: { print, fired } }]); showNext(); },
        failed: (error) => this.error(shown(this, error).message),
        skipped: (at, why) => this.debug(`skipped ${new Date(at).toISOString()}: ${why}`),
      });
      if (isOver()) return opened.close();
      schedule = opened;
      showNext();
    };
    const showNext = () => {
      const next = schedule?.next();
      this.status(next === undefined ? { fill: "grey", shape: "ring", text: host.say("noNext") } : { fill: "green", shape: "ring", text: host.say("next", { time: new Date(next).toLocaleString(red.settings.lang ?? undefined, { dateStyle: "short", timeStyle: "short", ...(config.timeZone ? { timeZone: config.timeZone } : {}) }) }) });
    };

    withGateway(host, this, config.gateway, (gateway) => {
      const mine = (message: Message) => message.at.channel === "cron" && message.at.account === this.id;
      const entry: Entry = {
        id: this.id, covers: mine, matches: mine, gatherMs: 0,
        emit: (run) => { const msg = firstMsg(run, run.messages[0] as Message); host.emit(gateway, run, [msg], () => this.send(msg)); },
      };
      let closed = false;
      gateway.inbox.add(entry);
      host.onceStarted(() => { begin(gateway, () => closed).catch((error: unknown) => this.error(shown(this, error).message)); });
      return () => {
        closed = true;
        gateway.inbox.remove(this.id);
        void schedule?.close();
        schedule = undefined;
      };
    });
  }
  red.nodes.registerType("clawflow-cron", versioned(red, "clawflow-cron", CronNode));
}
