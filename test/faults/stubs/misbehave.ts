/** How a stub's answer goes wrong, by order of the test. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { wait } from "./http.ts";

export interface Fault {
  /** Answers this instead. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Cuts the connection: before anything is done with the request, after it is done and before the answer, or in the middle of the answer. */
  readonly reset?: "before" | "after" | "middle";
  /** Sends the right answer one byte each so many milliseconds. */
  readonly slowMs?: number;
}
/**
 * The next `times` requests for `op` meet `fault`; with a `chance` below 1 each request throws the dice, without end where `times` is left out.
 * `chat`: only those about this chat; `skip`: so many of them go well before.
 */
export interface Order { readonly op: string; readonly fault: Fault; times?: number; readonly chance?: number; readonly chat?: string; skip?: number }

export function createMisbehaviour(random: () => number = Math.random): { order(order: Order): void; clear(): void; next(op: string, chat?: string): Fault | undefined } {
  let orders: Order[] = [];
  return {
    order(order) { orders.push({ ...order, ...(order.times === undefined && order.chance === undefined ? { times: 1 } : {}) }); },
    clear() { orders = []; },
    next(op, chat) {
      for (const order of orders) {
        if (order.op !== op || (order.chat !== undefined && order.chat !== chat) || (order.chance !== undefined && random() >= order.chance)) continue;
        if (order.skip !== undefined && order.skip-- > 0) return undefined;
        if (order.times !== undefined && --order.times <= 0) orders = orders.filter((other) => other !== order);
        return order.fault;
      }
      return undefined;
    },
  };
}

/** The connection ends with an RST, as when a host goes away. */
export function cut(request: IncomingMessage): void { request.socket.resetAndDestroy(); }

/** Writes the answer as the fault wants it. */
export async function answerWith(fault: Fault, right: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (fault.reset === "before" || fault.reset === "after") return cut(request);
  const text = fault.body ?? right;
  response.writeHead(fault.status ?? 200, { "content-type": "application/json", ...fault.headers, ...(fault.reset === "middle" ? { "content-length": String(text.length) } : {}) });
  if (fault.reset === "middle") {
    response.write(text.slice(0, text.length / 2));
    await wait(5);
    return cut(request);
  }
  if (fault.slowMs === undefined) return void response.end(text);
  for (const byte of text) {
    if (response.destroyed) return;
    response.write(byte);
    await wait(fault.slowMs);
  }
  response.end();
}
