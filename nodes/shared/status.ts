/** What stands under a node. Every fault is shown by one function, with its code; under load the newest status counts, and a tenth of a second is soon enough. */
import type { RedNode, Status } from "./red.ts";
import { redact } from "./secrets.ts";

/** Setting a status costs more than a small message does. */
const EVERY_MS = 100;

export function short(text: string, length = 40): string {
  return text.length > length ? `${text.slice(0, length - 1)}…` : text;
}
/** `CODE: text`, as docs/errors.md says. A dot: it came to an end here; a ring: it is tried again, or waits. */
export function faultStatus(code: string, text: string, shape: "dot" | "ring" = "dot", fill: "red" | "yellow" = "red"): Status {
  return { fill, shape, text: `${code}: ${short(redact(text))}` };
}

/** What each node's throttle showed last must not be taken for what stands there, once a fault was shown past it. */
const throttles = new WeakMap<RedNode, () => void>();
export function showFault(node: RedNode, code: string, text: string, shape: "dot" | "ring" = "dot"): void {
  throttles.get(node)?.();
  node.status(faultStatus(code, text, shape));
}

export function createStatus(node: RedNode): (make: () => Status) => void {
  let next: (() => Status) | undefined;
  let timer: NodeJS.Timeout | undefined;
  let shown = "";
  const show = (make: () => Status): void => {
    const status = make();
    const print = `${status.fill} ${status.shape} ${status.text}`;
    if (print === shown) return;
    shown = print;
    node.status(status);
  };
  throttles.set(node, () => { shown = ""; next = undefined; });
  node.on("close", () => clearTimeout(timer));
  return (make) => {
    if (timer !== undefined) { next = make; return; }
    show(make);
    timer = setTimeout(() => {
      timer = undefined;
      if (next !== undefined) show(next);
      next = undefined;
    }, EVERY_MS);
    timer.unref();
  };
}
