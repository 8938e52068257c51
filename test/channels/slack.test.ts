import { channelContract } from "../contracts/channel.ts";
import { slackRig } from "../platforms/slack-rig.ts";
channelContract("slack (Socket Mode)", () => slackRig("socket"));
channelContract("slack (Events API)", () => slackRig("events"));
