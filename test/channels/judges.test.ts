/** Each platform's stub holds what comes against the official description: a request that is wrong in one place is refused, and remembered as a problem. What the descriptions find is in each channel's own tests. */
import assert from "node:assert/strict";
import type { ChannelRig } from "../contracts/channel-rig.ts";
import { recordingContext } from "../contracts/channel-rig.ts";
import { blueBubblesRig } from "../platforms/bluebubbles-rig.ts";
import { DM } from "../platforms/discord.ts";
import { discordRig } from "../platforms/discord-rig.ts";
import { gmailRig } from "../platforms/gmail-rig.ts";
import { signalRig } from "../platforms/signal-rig.ts";
import { slackRig } from "../platforms/slack-rig.ts";
import { telegramRig } from "../platforms/telegram-rig.ts";
import { twilioRig } from "../platforms/twilio-rig.ts";
import { whatsappRig } from "../platforms/whatsapp-rig.ts";
import { skip } from "../rigs/skip.ts";
import { dataFolder } from "../spec/telegram-schema.ts";

type Judged = ChannelRig & { readonly stub: { problems(): string[] } };
interface Case { readonly name: string; /** Folder of the description; left out: it is in the tests. */ readonly spec?: string; make(): Promise<Judged>; readonly method: string; readonly right: Record<string, unknown>; readonly wrong: Record<string, unknown> }

const CASES: readonly Case[] = [
  { name: "Telegram", spec: "telegram", make: () => telegramRig("polling"), method: "sendMessage", right: { chat_id: 1, text: "x" }, wrong: { markdown: true } },
  { name: "Discord", spec: "discord", make: () => discordRig(), method: `POST /channels/${DM}/messages`, right: { content: "x", allowed_mentions: { parse: [] } }, wrong: { content: 5 } },
  { name: "Slack", spec: "slack", make: () => slackRig("socket"), method: "chat.postMessage", right: { channel: "C012AB3CD", text: "x" }, wrong: { parse_mode: "HTML" } },
  { name: "WhatsApp Cloud", spec: "whatsapp", make: () => whatsappRig(), method: "POST {phone}/messages", right: { messaging_product: "whatsapp", recipient_type: "individual", to: "15551234567", type: "text", text: { body: "x" } }, wrong: { messaging_product: "sms" } },
  { name: "Twilio", spec: "twilio", make: () => twilioRig("sms"), method: "Messages.json", right: { To: "+15550002222", From: "+15550001111", Body: "x" }, wrong: { ValidityPeriod: "soon" } },
  { name: "Signal", spec: "signal", make: () => signalRig("polling"), method: "POST /v2/send", right: { number: "+15551230000", recipients: ["+15550002222"], message: "x" }, wrong: { text_mode: "markdown" } },
  { name: "BlueBubbles", make: () => blueBubblesRig("polling"), method: "POST /message/text", right: { chatGuid: "any;-;+15550002222", message: "x", tempGuid: "t", method: "private-api" }, wrong: { method: "telepathy" } },
  { name: "Gmail", make: () => gmailRig(), method: "POST messages/send", right: { raw: Buffer.from("To: ada@example.org\r\nSubject: x\r\n\r\nx").toString("base64url") }, wrong: { to: "ada@example.org" } },
];

describe("The judge of the stub of", function () {
  this.timeout(60_000);
  for (const { name, spec, make, method, right, wrong } of CASES) it(`${name} lets a right request pass, and catches a wrong one`, async function () {
    if (spec !== undefined && dataFolder("specs", spec) === undefined) return skip(this, `no specification of ${name} here (CLAWFLOW_SPECS)`);
    const rig = await make();
    const context = recordingContext(rig.context);
    try {
      const connection = await rig.channel.open(rig.account, context);
      rig.serve?.(connection);
      // Where it goes may be nowhere: that is no fault of its form.
      await connection.call?.(method, right).catch(() => undefined);
      assert.deepEqual(rig.stub.problems(), []);
      await assert.rejects(async () => connection.call?.(method, { ...right, ...wrong }));
      assert.equal(rig.stub.problems().length, 1, rig.stub.problems().join("; "));
      await connection.close();
    } finally {
      context.abort();
      await rig.close();
    }
  });
});
