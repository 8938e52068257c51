import assert from "node:assert/strict";
import { twilioSms } from "../../engine/channels/twilio-sms/twilio-sms.ts";
import { twilioVoice } from "../../engine/channels/twilio-voice/twilio-voice.ts";
import { twilioWhatsapp } from "../../engine/channels/twilio-whatsapp/twilio-whatsapp.ts";
import { channelContract } from "../contracts/channel.ts";
import { twilioRig, type TwilioRig } from "../platforms/twilio-rig.ts";

const CHANNELS = { sms: twilioSms, whatsapp: twilioWhatsapp, voice: twilioVoice };
const TEXT = { "fault markup": "texts are plain" };
const LACKS = { sms: TEXT, whatsapp: TEXT, voice: { ...TEXT, seen: "a caller hears words and files, and sees nothing" } };

for (const kind of ["sms", "whatsapp", "voice"] as const) {
  describe(`Twilio, ${kind}`, () => {
    let rig: TwilioRig | undefined;
    // Whatever a test made the channel send, the stub held it against the specification.
    afterEach(() => {
      const problems = rig?.stub.problems() ?? [];
      rig = undefined;
      assert.deepEqual(problems, []);
    });
    channelContract(`Twilio ${kind}`, { channel: CHANNELS[kind], lacks: LACKS[kind], make: async () => { rig = await twilioRig(kind); return rig; } });
  });
}
