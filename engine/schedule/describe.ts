/** A cron expression in plain words, for the form. */
import cronstrue from "cronstrue";
import "cronstrue/locales/de.js";
import { SettingError } from "../errors.ts";

const LANGUAGES = new Set(["en", "de"]);

/** "At 02:30, Monday through Friday". `locale` is BCP 47; what is neither German nor English is told in English. Throws SettingError CONF_001. */
export function describe(expression: string, locale: string): string {
  const language = locale.slice(0, 2).toLowerCase();
  try {
    return cronstrue.toString(expression, {
      locale: LANGUAGES.has(language) ? language : "en",
      use24HourTimeFormat: !/^en-US$/i.test(locale),
    });
  } catch (error) {
    throw new SettingError("CONF_001", { cause: error }, `Expected a cron expression, got "${expression}": ${error instanceof Error ? error.message : String(error)}`);
  }
}
