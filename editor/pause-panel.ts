/** The kill switch in a gateway's dialog: what is paused, and the buttons that pause all agents or let them go on. */
import { button, h, state } from "./dom.ts";
import { t } from "./red.ts";

export interface PauseAnswer { scope: string; by: string; at: number; until?: number }

export function pauseRows(pauses: readonly PauseAnswer[] | undefined, act: (path: string, body: object) => void): HTMLElement[] {
  if (pauses === undefined) return [h("p", { class: "cf-muted" }, t("gateway.afterDeploy"))];
  const all = pauses.find(({ scope }) => scope === "");
  const chats = pauses.filter(({ scope }) => scope !== "");
  const until = ({ until: end }: PauseAnswer): string => (end === undefined ? "" : ` · ${t("gateway.pausedUntil", { time: new Date(end).toLocaleString() })}`);
  return [
    h("div", { class: "cf-line cf-pause" }, all === undefined ? state("ok", t("gateway.working")) : state("wait", `${t("gateway.pausedBy", { by: all.by })}${until(all)}`),
      all === undefined ? button(t("gateway.pauseAll"), () => act("pause", { scope: "" }), { icon: "pause" }) : button(t("gateway.resumeAll"), () => act("resume", { scope: "" }), { icon: "play" })),
    ...chats.map((pause) => h("div", { class: "cf-line cf-pause" }, state("wait", `${pause.scope.split("/").map(decodeURIComponent).join(" · ")}: ${t("gateway.pausedBy", { by: pause.by })}${until(pause)}`),
      button(t("gateway.resumeChat"), () => act("resume", { scope: pause.scope }), { icon: "play" }))),
  ];
}
