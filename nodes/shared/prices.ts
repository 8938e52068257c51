/** The user's own price list: `<userDir>/clawflow/prices.json`, read anew whenever a model is opened. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parsePrices, type PriceList } from "../../engine/models/prices.ts";
import { codeOf } from "../../engine/http-error.ts";
import type { Red } from "./red.ts";

/** None where there is no file. Throws SettingError (CONF_001) where it cannot be understood: a wrong price is worse than a model that stands still. */
export async function ownPrices({ settings }: Pick<Red, "settings">): Promise<PriceList[]> {
  if (settings.userDir === undefined) return [];
  const file = join(settings.userDir, "clawflow", "prices.json");
  try {
    return [parsePrices(await readFile(file, "utf8"), file)];
  } catch (error) {
    if (codeOf(error) === "ENOENT") return [];
    throw error;
  }
}
