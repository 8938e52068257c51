/** Small helpers to make DOM nodes. Text is always text: nothing here, or anywhere in the page, parses HTML. */

type Attributes = Readonly<Record<string, string | boolean | undefined>>;
export type Child = Node | string | undefined;

/** `class` and all other names are attributes; true: an empty one, false and undefined: none. */
export function make<K extends keyof HTMLElementTagNameMap>(name: K, attributes: Attributes = {}, ...children: readonly Child[]): HTMLElementTagNameMap[K] {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
  for (const child of children) if (child !== undefined) node.append(child);
  return node;
}

/** Lines of a 24 by 24 picture. */
const ICONS = {
  send: "M12 19V5M5.5 11.5 12 5l6.5 6.5",
  attach: "m20 11-8.5 8.5a5 5 0 0 1-7-7l9-9a3.3 3.3 0 0 1 4.7 4.7l-9 9a1.7 1.7 0 0 1-2.4-2.4L15 7",
  record: "M12 3.5a3 3 0 0 1 3 3V12a3 3 0 0 1-6 0V6.5a3 3 0 0 1 3-3ZM5.5 11.5a6.5 6.5 0 0 0 13 0M12 18v3",
  stop: "M7 7h10v10H7Z",
  person: "M12 12.5a4 4 0 1 0 0-8 4 4 0 0 0 0 8ZM4.5 20c.7-3.4 3.7-5 7.5-5s6.8 1.6 7.5 5",
  down: "M12 5v14M5.5 12.5 12 19l6.5-6.5",
  close: "M6 6l12 12M18 6 6 18",
  reply: "M9.5 7 5 11.5 9.5 16M5.5 11.5H14a5 5 0 0 1 5 5V18",
  copy: "M9 9h10v11H9ZM5 15V4h10",
  retry: "M19 12a7 7 0 1 1-2.2-5.1M19 3.5v4h-4",
  lock: "M6.5 11h11v9h-11zM8.5 11V8a3.5 3.5 0 0 1 7 0v3",
  done: "m5 12.5 4.5 4.5L19 7.5",
  file: "M7 3.5h7l4 4V20.5H7ZM14 3.5V8h4",
  picture: "M4 5h16v14H4ZM4 16l4.5-4.5L13 16l3-3 4 4M15.5 9.5h.01",
  place: "M12 21s6.5-6 6.5-11.5a6.5 6.5 0 0 0-13 0C5.5 15 12 21 12 21ZM12 12a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5Z",
} as const;
export type IconName = keyof typeof ICONS;
const SVG = "http://www.w3.org/2000/svg";

export function icon(name: IconName): SVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", "glyph");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}
/** A button that shows only a picture; `label` is for screen readers and as a tip. */
export function iconButton(name: IconName, label: string, attributes: Attributes, act: () => void): HTMLButtonElement {
  const button = make("button", { type: "button", "aria-label": label, title: label, ...attributes }, icon(name));
  button.addEventListener("click", act);
  return button;
}
export function textButton(label: string, attributes: Attributes, act: () => void): HTMLButtonElement {
  const button = make("button", { type: "button", ...attributes }, label);
  button.addEventListener("click", act);
  return button;
}

/** The clipboard, also on plain http addresses, where browsers hide the newer way. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = make("textarea", { class: "hidden", "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    const before = document.activeElement;
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (before instanceof HTMLElement) before.focus();
    return done;
  }
}

/** "3.4 MB" as the reader writes numbers. */
export function sizeText(bytes: number, language: string): string {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"];
  const step = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log(bytes) / Math.log(1024)));
  return new Intl.NumberFormat(language, { style: "unit", unit: units[step] ?? "byte", unitDisplay: "short", maximumFractionDigits: step > 1 ? 1 : 0 }).format(bytes / 1024 ** step);
}

/** Child nodes become exactly `wanted`, in this order; a node that stands right is not moved, so that it keeps focus and scroll. */
export function arrange(parent: Node, wanted: readonly Node[]): void {
  const keep = new Set(wanted);
  for (const child of [...parent.childNodes]) if (!keep.has(child)) child.remove();
  let at = parent.firstChild;
  for (const node of wanted) {
    if (node === at) at = at.nextSibling;
    else parent.insertBefore(node, at);
  }
}
