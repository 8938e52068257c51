import assert from "node:assert/strict";
import { channelContract } from "../contracts/channel.ts";
import { twilioRig, type TwilioRig } from "../platforms/twilio-rig.ts";

for (const kind of ["sms", "whatsapp", "voice"] as const) {
  describe(`Twilio, ${kind}`, () => {
    let rig: TwilioRig | undefined;
    // Whatever a test made the channel send, the stub held it against the specification.
    afterEach(() => {
      const problems = rig?.stub.problems() ?? [];
      rig = undefined;
      assert.deepEqual(problems, []);
    });
    channelContract(`Twilio ${kind}`, async () => { rig = await twilioRig(kind); return rig; });
  });
}
