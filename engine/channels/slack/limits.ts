/**
 * Figures of Slack that more than one file needs. Block Kit's stand in the types of @slack/types (block-kit/*.d.ts) and on
 * https://docs.slack.dev/reference/block-kit; text: https://docs.slack.dev/changelog/2018-truncating-really-long-messages (4,000 recommended, cut at
 * 40,000) and chat.update, which refuses more than 4,000 (msg_too_long).
 */
export const DEFAULT_API_URL = "https://slack.com/api/";
export const TEXT_LIMIT = 4000;
export const SECTION_LIMIT = 3000;
export const FIELD_LIMIT = 2000;
export const BLOCKS_LIMIT = 50;
export const ROW_LIMIT = 25;
export const BUTTONS_LIMIT = 100;
export const LABEL_LIMIT = 75;
export const BUTTON_VALUE_LIMIT = 2000;
export const BUTTON_URL_LIMIT = 3000;
export const OPTIONS_LIMIT = 100;
export const OPTION_VALUE_LIMIT = 150;
export const PLACEHOLDER_LIMIT = 150;
export const ID_LIMIT = 255;
export const MODAL_TITLE_LIMIT = 24;
export const MODAL_FIELDS_LIMIT = 90;
export const INPUT_LIMIT = 3000;
/** One file: https://slack.com/help/articles/201330736. */
export const FILE_LIMIT = 1_000_000_000;
export const FILES_LIMIT = 10;
/** chat.startStream, chat.appendStream: https://docs.slack.dev/reference/methods/chat.appendStream. */
export const STREAM_LIMIT = 12_000;
/** A trigger_id opens one modal within 3 s, a response_url takes 5 answers within 30 minutes: https://docs.slack.dev/interactivity/handling-user-interaction. */
export const TRIGGER_MS = 3_000;
export const RESPONSE_MS = 1_800_000;
export const RESPONSES_LIMIT = 5;
