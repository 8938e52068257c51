import assert from "node:assert/strict";
import { discord } from "../../engine/channels/discord/discord.ts";
import { channelContract } from "../contracts/channel.ts";
import { discordRig, type DiscordRig } from "../platforms/discord-rig.ts";

const WEBHOOK = "Discord speaks by its gateway alone";
describe("Discord", function () {
  this.timeout(60_000);
  let rig: DiscordRig | undefined;
  // Whatever a test made the channel send, the stub held it against the specification.
  afterEach(() => {
    const problems = rig?.stub.problems() ?? [];
    rig = undefined;
    assert.deepEqual(problems, []);
  });
  channelContract("Discord by its gateway", { channel: discord, lacks: { signed: WEBHOOK, unsecured: WEBHOOK, "fault markup": "it shows whatever markup there is" }, make: async () => (rig = await discordRig()) });
});
