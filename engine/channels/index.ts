/** The one list of channels, in the order in which forms and pages show them: what most people look for first. */
import type { Channel } from "./channel.ts";
import { api } from "./api/api.ts";
import { discord } from "./discord/discord.ts";
import { discordWebhook } from "./discord-webhook/discord-webhook.ts";
import { email } from "./email/email.ts";
import { gmail } from "./gmail/gmail.ts";
import { imessage } from "./imessage/imessage.ts";
import { signal } from "./signal/signal.ts";
import { slack } from "./slack/slack.ts";
import { slackWebhook } from "./slack-webhook/slack-webhook.ts";
import { telegram } from "./telegram/telegram.ts";
import { twilioSms } from "./twilio-sms/twilio-sms.ts";
import { twilioVoice } from "./twilio-voice/twilio-voice.ts";
import { twilioWhatsapp } from "./twilio-whatsapp/twilio-whatsapp.ts";
import { webchat } from "./webchat/webchat.ts";
import { whatsapp } from "./whatsapp/whatsapp.ts";
import { whatsappWeb } from "./whatsapp-web/whatsapp-web.ts";

export const channels: readonly Channel[] = [webchat, telegram, discord, slack, whatsapp, twilioWhatsapp, whatsappWeb, signal, imessage, twilioSms, twilioVoice, email, gmail, discordWebhook, slackWebhook, api];
