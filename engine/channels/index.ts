/** The one list of channels. */
import type { Channel } from "./channel.ts";
import { telegram } from "./telegram/telegram.ts";
import { webchat } from "./webchat/webchat.ts";

export const channels: readonly Channel[] = [webchat, telegram];
