/** The parts of Node-RED's editor and of jQuery that the forms use. Both are globals of the page. */

export interface EditorNode {
  id: string;
  type: string;
  z?: string;
  d?: boolean;
  name?: string;
  users?: EditorNode[];
  credentials?: Record<string, unknown>;
  wires?: string[][];
  changed?: boolean;
  valid?: boolean;
  _def: { defaults: Record<string, { value?: unknown; type?: string }>; label?: unknown };
  [property: string]: unknown;
}
export interface HistoryEvent { t: string; nodes?: string[]; events?: HistoryEvent[] }

/** A jQuery collection, as far as Node-RED's own widgets need one. */
export interface Query {
  readonly [index: number]: HTMLElement;
  readonly length: number;
  val(): string;
  val(value: unknown): Query;
  on(event: string, act: (...args: never[]) => void): Query;
  off(event: string, act?: (...args: never[]) => void): Query;
  trigger(event: string): Query;
  typedInput(options: object): Query;
  typedInput(read: "value" | "type"): string;
  typedInput(write: "value" | "type" | "types" | "width" | "enable" | "disable", value?: unknown): Query;
  editableList(options: object): Query;
  editableList(act: string, value?: unknown): Query;
}

interface Editor {
  _(key: string, options?: object): string;
  nodes: {
    id(): string;
    node(id: string): EditorNode | null;
    add(node: object, context?: object): EditorNode;
    dirty(state?: boolean): boolean;
    updateConfigNodeUsers(node: EditorNode, options: { action: "add" | "remove" }): void;
    eachNode(visit: (node: EditorNode) => boolean | undefined): void;
    eachConfig(visit: (node: EditorNode) => boolean | undefined): void;
    getType(type: string): EditorNode["_def"] & { _?: (key: string) => string };
  };
  editor: {
    editConfig(name: string, type: string, id: string, prefix: string | null, context?: EditorNode): void;
    editText(options: object): void;
    validateNode(node: EditorNode): void;
  };
  events: { on(event: string, act: (...args: never[]) => void): void; off(event: string, act: (...args: never[]) => void): void };
  history: { peek(): HistoryEvent | undefined; push(event: object): void };
  plugins: { registerPlugin(id: string, plugin: object): void };
  popover: { tooltip(target: Query, text: string): unknown };
  i18n: { lang(): string };
  notify(text: string, options?: string | object): void;
  utils: { getNodeLabel(node: EditorNode, fallback?: string): string };
  view: { redraw(all?: boolean): void };
}

declare const RED: Editor;
declare const $: ((target: Element | string) => Query) & { ajax(options: object): Promise<unknown> & { fail(act: (request: { status: number; responseText: string }) => void): void } };

export const red: Editor = RED;
export const query: typeof $ = $;

const CATALOGUE = "@clawflow/node-red/clawflow-editor";

/** A string of locales/<language>/editor.json; `fallback` is what the runtime calls the thing where the catalogue has no name for it. */
export function t(key: string, values: Readonly<Record<string, string | number>> = {}, fallback?: string): string {
  const full = `${CATALOGUE}:${key}`;
  const text = red._(full, values);
  return text === full || text === key ? fallback ?? key : text;
}
