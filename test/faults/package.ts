/** What a build of the package contains of engine/points.ts. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { POINTS, type Point } from "../../engine/points.ts";

function* code(folder: string): Iterable<string> {
  const dist = path.join(folder, "dist");
  for (const name of readdirSync(dist, { recursive: true }) as string[]) if (name.endsWith(".js") && !name.startsWith("web")) yield readFileSync(path.join(dist, name), "utf8");
}

/** Points that code in this package passes. */
export function pointsOf(folder: string): Set<Point> {
  const texts = [...code(folder)];
  return new Set(POINTS.filter((point) => texts.some((text) => new RegExp(`\\b(?:at|reached)\\d*\\(\\s*"${point}"`).test(text))));
}
/** Whether anything of the mechanism itself is in the package. */
export function hasMechanism(folder: string): boolean {
  return [...code(folder)].some((text) => text.includes("clawflowFaults"));
}
