/** Figures of Discord's API that more than one file needs. Source: its OpenAPI description (discord/discord-api-spec) where nothing else is said. */
export const DEFAULT_API_ROOT = "https://discord.com/api";
/** Characters of a message. The description allows 4000, which is for people with Nitro; bots get 2000 (docs, "Create Message"). */
export const TEXT_LIMIT = 2000;
/** Bytes of one upload where nothing else is granted: `attachment_size_limit` of an interaction says 10485760. */
export const UPLOAD_LIMIT = 10_485_760;
/** What people with Nitro may send (https://support.discord.com/hc/en-us/articles/25444343291031). */
export const DOWNLOAD_LIMIT = 524_288_000;
export const FILES_LIMIT = 10;
/** Five rows of five (docs, "Action Row"). */
export const ROWS = 5;
export const ROW_BUTTONS = 5;
export const BUTTON_LABEL = 80;
export const CUSTOM_ID = 100;
export const BUTTON_URL = 512;
export const OPTIONS = 25;
export const OPTION_TEXT = 100;
/** Fields of a modal (docs, "Modal": between 1 and 5 components). */
export const FORM_FIELDS = 5;
export const FORM_LABEL = 45;
/** A nonce is honoured for "the past few minutes" (docs, "Create Message"): two of them are counted on. */
export const NONCE_MS = 120_000;
/** An interaction wants its first answer within 3 s, and takes more for 15 minutes. */
export const HOLD_MS = 2_000;
export const TOKEN_MS = 14 * 60_000;
/** Kinds of channel: threads, and those whose entries are posts. */
export const THREADS: ReadonlySet<number> = new Set([10, 11, 12]);
export const FORUMS: ReadonlySet<number> = new Set([15, 16]);

/** Snowflakes are milliseconds since 2015 in their upper bits. */
const EPOCH = 1_420_070_400_000;
export function snowflakeAt(ms: number): bigint {
  return BigInt(Math.max(0, Math.floor(ms) - EPOCH)) << 22n;
}
/** Unix milliseconds; undefined where it is no snowflake. */
export function timeOf(snowflake: unknown): number | undefined {
  return isSnowflake(snowflake) ? Number(BigInt(snowflake) >> 22n) + EPOCH : undefined;
}
/** Something that can name a thing of Discord: a snowflake, where nobody made it up. */
export function isId(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= 64;
}
export function isSnowflake(value: unknown): value is string {
  return typeof value === "string" && /^\d{1,20}$/.test(value);
}
