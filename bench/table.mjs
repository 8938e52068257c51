/** Small helpers of the measurements. */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";

export function median(numbers) {
  const sorted = numbers.filter((number) => Number.isFinite(number)).sort((a, b) => a - b);
  return sorted.length === 0 ? Number.NaN : (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
}

/** Medians of the named fields over several results. */
export const medians = (results, fields) => Object.fromEntries(fields.map((field) => [field, median(results.map((result) => result[field]))]));

/** `--name=value` as a number. */
export function option(name, otherwise) {
  const given = process.argv.find((word) => word.startsWith(`--${name}=`));
  return given === undefined ? otherwise : Number(given.slice(name.length + 3));
}

/** A Markdown table; the first row holds the headings. */
export function table(title, rows) {
  const texts = rows.map((row) => row.map((cell) => (typeof cell === "number" ? (Number.isNaN(cell) ? "–" : String(Number(cell.toPrecision(cell >= 100 ? 4 : 3)))) : String(cell))));
  const widths = texts[0].map((_, column) => Math.max(...texts.map((row) => row[column].length)));
  const line = (row) => `| ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]))).join(" | ")} |`;
  console.log(`\n### ${title}\n\n${line(texts[0])}\n|${widths.map((width, column) => (column === 0 ? "-".repeat(width + 2) : `${"-".repeat(width + 1)}:`)).join("|")}|\n${texts.slice(1).map(line).join("\n")}`);
}

/** Resident memory of a process in MB (Linux). */
export const residentMb = (pid) => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1]) / 1024;
/** Time of the processor that a process has used, in ms (Linux: in steps of 10). */
export function cpuMs(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}
