/** Loaded into Node-RED (--require, with --expose-gc): on SIGWINCH (SIGUSR2 stops Node-RED) writes down, as one line of CLAWFLOW_MEASURE, what the process holds. */
const fs = require("node:fs");
const { monitorEventLoopDelay } = require("node:perf_hooks");
const { getHeapSpaceStatistics } = require("node:v8");

const loop = monitorEventLoopDelay({ resolution: 5 });
loop.enable();
if (process.env.CLAWFLOW_MEASURE !== undefined) process.on("SIGWINCH", () => {
  // Our own collecting is no freeze of theirs.
  const worstTurnMs = loop.max / 1e6;
  globalThis.gc?.();
  globalThis.gc?.();
  const { external, rss } = process.memoryUsage();
  // Compiled code comes and goes as V8 likes.
  const held = getHeapSpaceStatistics().filter(({ space_name: name }) => !/code|trusted/.test(name)).reduce((sum, { space_used_size: size }) => sum + size, 0);
  const timers = process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
  fs.appendFileSync(process.env.CLAWFLOW_MEASURE, `${JSON.stringify({ heap: held + external, rss, fds: fs.existsSync("/proc/self/fd") ? fs.readdirSync("/proc/self/fd").length : 0, timers, waiting: 0, storeBytes: 0, worstTurnMs })}\n`);
  setImmediate(() => loop.reset());
});
