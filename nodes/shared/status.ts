/** A node's status under load: the newest counts, and a tenth of a second is soon enough. Setting a status costs more than a small message does. */
import type { RedNode, Status } from "./red.ts";

const EVERY_MS = 100;

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
