import assert from "node:assert/strict";
import { channelContract } from "../contracts/channel.ts";
import { discordRig, type DiscordRig } from "../platforms/discord-rig.ts";

describe("Discord", function () {
  this.timeout(60_000);
  let rig: DiscordRig | undefined;
  // Whatever a test made the channel send, the stub held it against the specification.
  afterEach(() => {
    const problems = rig?.stub.problems() ?? [];
    rig = undefined;
    assert.deepEqual(problems, []);
  });
  channelContract("Discord by its gateway", async () => (rig = await discordRig()));
});
