/** A small form of a message to try rules and steps on; or the same as JSON, pasted from a debug sidebar. */
import { button, check, debounce, h, row, select } from "./dom.ts";
import { t } from "./red.ts";

export interface Sample { read(): Record<string, unknown>; /** Words of the fault where the JSON cannot be read. */ fault(): string | undefined; trust(): string }
const KINDS = ["message", "edit", "delete", "reaction", "action", "member", "call", "tick", "event"];
const TRUST = ["owner", "paired", "allowed", "stranger"];

export function sampleMessage(container: HTMLElement, channels: readonly { id: string; label: string }[], changed: () => void, options: { trust?: boolean; text?: string } = {}): Sample {
  const text = h("input", { type: "text", value: options.text ?? t("sample.text") });
  const channel = select(channels.map(({ id, label }) => ({ value: id, label })), channels[0]?.id ?? "");
  const where = select([{ value: "direct", label: t("sample.direct") }, { value: "group", label: t("sample.group") }], "direct");
  const kind = select(KINDS.map((one) => ({ value: one, label: t(`kinds.${one}`) })), "message");
  const chat = h("input", { type: "text", value: "42" });
  const sender = h("input", { type: "text", value: "42" });
  const account = h("input", { type: "text", value: "" });
  const roles = h("input", { type: "text", value: "" });
  const trust = select(TRUST.map((one) => ({ value: one, label: t(`trust.${one}`) })), "owner");
  let addressed = true;
  const simple = h("div", {},
    row(t("sample.words"), text), row(t("sample.channel"), channel), row(t("sample.where"), where),
    h("details", {}, h("summary", {}, t("more")),
      row(t("sample.kind"), kind), row(t("sample.account"), account), row(t("sample.chat"), chat), row(t("sample.sender"), sender), row(t("sample.roles"), roles),
      options.trust ? row(t("sample.trust"), trust) : undefined,
      h("div", { class: "form-row cf-indent" }, check(t("sample.addressed"), true, (on) => { addressed = on; changed(); }))));
  const json = h("textarea", { rows: 8, class: "cf-code", spellcheck: false, "aria-label": t("sample.json"), hidden: true });
  const toggle = button(t("sample.asJson"), () => {
    const open = json.hidden;
    if (open) json.value = JSON.stringify(fromForm(), null, 2);
    json.hidden = !open;
    simple.hidden = open;
    toggle.textContent = t(open ? "sample.asForm" : "sample.asJson");
    changed();
  }, { bare: true });
  container.append(simple, json, h("div", { class: "cf-line" }, toggle));
  const soon = debounce(changed);
  container.addEventListener("input", soon);

  function fromForm(): Record<string, unknown> {
    const words = text.value;
    const command = /^\/([A-Za-z0-9_-]+)(?:\s+([\s\S]*))?$/.exec(words);
    return {
      kind: kind.value, text: words, addressed,
      at: { channel: channel.value, ...account.value === "" ? {} : { account: account.value }, chat: chat.value || "42", kind: where.value },
      sender: { id: sender.value || "42", name: sender.value || "42", bot: false, self: false, roles: roles.value.split(",").map((role) => role.trim()).filter((role) => role !== "") },
      ...command ? { action: { type: "command", name: command[1], args: command[2] ?? "" } } : {},
    };
  }
  const parse = (): unknown => JSON.parse(json.value);
  const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);
  return {
    trust: () => trust.value,
    fault() {
      if (json.hidden) return undefined;
      try {
        return isObject(parse()) ? undefined : t("sample.notObject");
      } catch (error) {
        return `${t("params.notJson")} ${error instanceof Error ? error.message : ""}`;
      }
    },
    read() {
      if (json.hidden) return fromForm();
      const value = parse();
      // A whole msg from the debug sidebar holds the message inside.
      return isObject(value) && isObject(value.message) ? value.message : value as Record<string, unknown>;
    },
  };
}
