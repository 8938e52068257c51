/** The settings of an account, drawn from its channel's table. Secrets are Node-RED credentials: their inputs stand in the template. */
import type { ChannelInfo, Setting } from "./api.ts";
import { byId, h, newId, problems, row, select } from "./dom.ts";
import { t } from "./red.ts";

/** Names of the credentials that an account declares; the key of a secret setting is one of them. */
export const SECRETS = ["token", "secret", "password", "key", "proxy", "extra"] as const;
type Values = Record<string, unknown>;
export interface Settings { values(): Values; secrets(): Record<string, string> }

export const labelOf = (channel: string, setting: Setting): string => t(`channels.${channel}.${setting.key}.label`, {}, setting.label);
const hintOf = (channel: string, setting: Setting): string | undefined => {
  const hint = t(`channels.${channel}.${setting.key}.hint`, {}, setting.hint ?? "");
  return hint === "" ? undefined : hint;
};

/** Draws the settings of `channel` with `saved` values. Secret inputs are moved out of `store` (a hidden part of the form) and back. */
export function settings(container: HTMLElement, store: HTMLElement, channel: ChannelInfo | undefined, saved: Values, changed: () => void): Settings {
  for (const name of SECRETS) store.append(byId(`node-config-input-${name}`));
  container.replaceChildren();
  const parts = (channel?.settings ?? []).map((setting) => {
    const part = draw(channel?.id ?? "", setting, saved[setting.key] ?? setting.initial);
    container.append(part.element);
    part.element.addEventListener("input", update);
    part.element.addEventListener("change", update);
    return { setting, ...part };
  });
  function update(): void {
    for (const { setting, element } of parts) {
      if (!setting.when) continue;
      const other = parts.find((part) => part.setting.key === setting.when?.key);
      element.hidden = other?.read() !== setting.when.value;
    }
    changed();
  }
  update();
  const isSecret = (setting: Setting): boolean => setting.type === "secret";
  return {
    // A field that was never set and shows its default is not saved: a better default later reaches it.
    values: () => Object.fromEntries(parts.filter(({ setting, read }) => !isSecret(setting) && (setting.key in saved || !isDefault(setting, read()))).map((part) => [part.setting.key, part.read()])),
    secrets: () => Object.fromEntries(parts.filter((part) => isSecret(part.setting)).map((part) => [part.setting.key, String(part.read())])),
  };
}

const isDefault = (setting: Setting, value: unknown): boolean =>
  value === (setting.initial ?? (setting.type === "boolean" ? false : "")) || (Array.isArray(value) && value.length === 0) || (setting.type === "choice" && setting.initial === undefined && value === setting.choices?.[0]?.value);

function draw(channel: string, setting: Setting, value: unknown): { element: HTMLElement; read(): unknown } {
  const label = labelOf(channel, setting);
  const hint = hintOf(channel, setting);
  const text = value === undefined || value === null ? "" : String(value);
  switch (setting.type) {
    case "secret": {
      if (!(SECRETS as readonly string[]).includes(setting.key)) return { element: problems([t("account.undeclaredSecret", { key: setting.key })]), read: () => "" };
      const input = byId(`node-config-input-${setting.key}`) as HTMLInputElement;
      input.autocomplete = "new-password";
      return { element: row(label, input, hint), read: () => input.value };
    }
    case "boolean": {
      const box = h("input", { type: "checkbox", checked: value === true, id: newId() });
      const line = h("div", { class: "form-row cf-indent" }, h("label", { class: "cf-check" }, box, label), hint ? h("div", { class: "cf-hint" }, hint) : undefined);
      return { element: line, read: () => box.checked };
    }
    case "choice": {
      const options = (setting.choices ?? []).map((choice) => ({ value: choice.value, label: t(`channels.${channel}.${setting.key}.${choice.value}`, {}, choice.label) }));
      const field = select(options, text || options[0]?.value || "");
      return { element: row(label, field, hint), read: () => field.value };
    }
    case "list": {
      const area = h("textarea", { rows: 3, value: Array.isArray(value) ? value.join("\n") : text, placeholder: t("onePerLine") });
      return { element: row(label, area, hint), read: () => area.value.split("\n").map((line) => line.trim()).filter((line) => line !== "") };
    }
    case "number": {
      const input = h("input", { type: "number", value: text, class: "cf-short" });
      return { element: row(label, input, hint), read: () => (input.value === "" ? "" : Number(input.value)) };
    }
    default: {
      const input = h("input", { type: "text", value: text, ...setting.type === "url" ? { inputMode: "url", placeholder: "https://" } : {} });
      return { element: row(label, input, hint), read: () => input.value.trim() };
    }
  }
}

/** Labels of required settings that are empty. A secret counts as missing only where it is known to be: the editor learns it when the form is opened. */
export function missingSettings(channel: ChannelInfo, values: Values, credentials: Values | undefined): string[] {
  const current = (setting: Setting): unknown => values[setting.key] ?? setting.initial;
  const shown = channel.settings.filter(({ when }) => {
    const other = when && channel.settings.find((setting) => setting.key === when.key);
    return !when || (other && current(other) === when.value);
  });
  return shown.filter((setting) => {
    if (!setting.required) return false;
    if (setting.type !== "secret") return current(setting) === undefined || current(setting) === "";
    return credentials?.[`has_${setting.key}`] === false;
  }).map((setting) => labelOf(channel.id, setting));
}
