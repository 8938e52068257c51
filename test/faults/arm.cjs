/**
 * Loaded into Node-RED before anything else (--require): acts at the points of engine/points.ts.
 * What to do stands in `<CLAWFLOW_FAULT_DIR>/order.json`, { serial, act, point, n }, read anew at each point, so that one process takes many orders:
 *
 *     crash   the n-th passage ends the process by SIGKILL; nothing runs after it
 *     hold    the n-th passage waits (where the point can wait) until the file holds another serial
 *     tell    the n-th passage is written down, and that is all
 *
 * CLAWFLOW_CRASH_AT="<point>:<n>" is the same as a first order to crash. What happened is appended to points.log; so is the first passage of each point.
 */
const fs = require("node:fs");
const path = require("node:path");

const folder = process.env.CLAWFLOW_FAULT_DIR;
const crashAt = /^(.+):(\d+)$/.exec(process.env.CLAWFLOW_CRASH_AT ?? "");
const file = (name) => path.join(folder, name);
const seen = new Set();
let order = { serial: 0, act: crashAt ? "crash" : "none", point: crashAt?.[1] ?? "", n: Number(crashAt?.[2] ?? 1) };
let passed = 0;

function write(what, point, id) {
  fs.appendFileSync(file("points.log"), `${JSON.stringify({ t: Number(process.hrtime.bigint()) / 1e6, what, point, id, pid: process.pid })}\n`);
}
function read() {
  try {
    const next = JSON.parse(fs.readFileSync(file("order.json"), "utf8"));
    if (next.serial !== order.serial) { order = next; passed = 0; }
  } catch { /* no order yet */ }
}
/** True when it is this passage that the order is about. */
function isIt(point, id) {
  if (!seen.has(point)) { seen.add(point); write("passed", point, id); }
  read();
  if (order.point !== point || ++passed !== order.n) return false;
  if (order.act === "crash") {
    write("crash", point, id);
    process.kill(process.pid, "SIGKILL");
    for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  }
  write(order.act === "hold" ? "held" : "told", point, id);
  return true;
}

if (folder !== undefined) globalThis.clawflowFaults = {
  at(point, id) { isIt(point, id); },
  async reached(point, id) {
    if (!isIt(point, id) || order.act !== "hold") return;
    const { serial } = order;
    while (order.serial === serial) { await new Promise((resolve) => { setTimeout(resolve, 5); }); read(); }
    write("released", point, id);
  },
};
