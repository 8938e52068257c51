/** Discord's channel against its stub, for the contract suite and for tests of its own. */
import type { Account } from "../../engine/channels/channel.ts";
import { discord } from "../../engine/channels/discord/discord.ts";
import { createPlaces } from "../../engine/channels/discord/places.ts";
import { type Self, toMessages } from "../../engine/channels/discord/to-message.ts";
import { createFetch, type Fetch } from "../../engine/http.ts";
import { type ChannelRig, memoryStorage, type Refusal, type SendFault } from "../contracts/channel.ts";
import { BOT, DM, type DiscordStub, type Fault, GUILD, type Json, ROLE, ROOM, startDiscord, THREAD, TOKEN } from "./discord.ts";

export const FAULTS: Readonly<Partial<Record<SendFault, Fault>>> = {
  rate: { status: 429, body: { message: "You are being rate limited.", retry_after: 2.5, global: false }, headers: { "x-ratelimit-limit": "5", "x-ratelimit-remaining": "0", "x-ratelimit-reset-after": "2.5" } },
  refused: { status: 403, body: { message: "Missing Permissions", code: 50013 } },
  server: { status: 502, body: "<html>bad gateway</html>" },
  reset: { reset: "after" },
};
export const REFUSALS: Readonly<Record<Refusal, Fault>> = {
  gone: { status: 404, body: { message: "Unknown Channel", code: 10003 } },
  kicked: { status: 403, body: { message: "Missing Access", code: 50001 } },
  long: { status: 400, body: { message: "Invalid Form Body", code: 50035, errors: { content: { _errors: [{ code: "BASE_TYPE_MAX_LENGTH", message: "Must be 2000 or fewer in length." }] } } } },
};
export const MESSAGES = "/channels/{channel_id}/messages";

export interface DiscordRig extends ChannelRig { readonly stub: DiscordStub; readonly fetch: Fetch }

/** A bot that has been told of one server, and has heard Ada there; `now` is just after the samples. */
export function selfOf(more: Partial<Self> = {}): Self {
  const known = createPlaces(BOT.id);
  known.learn({ t: "GUILD_CREATE", d: {
    id: GUILD, system_channel_id: ROOM, roles: [{ id: ROLE, name: "Scientists" }, { id: "500000000000000002", name: "Home bot", tags: { bot_id: BOT.id } }],
    channels: [{ id: ROOM, type: 0 }], threads: [{ id: THREAD, type: 11, parent_id: ROOM }],
  } } as never);
  known.met("800000000000000007", { name: "Ada Lovelace", handle: "ada", bot: false });
  known.wrote("1420000000000000001", "800000000000000007");
  return { id: BOT.id, account: "home", now: Date.parse("2026-09-18T12:02:00Z"), event: "session:1", members: true, known, ...more };
}

interface Component { type: number; label?: string; components?: Component[]; options?: { label: string }[] }
function seenOf({ content, body, files }: ReturnType<DiscordStub["shown"]>[number]) {
  const parts = ((body["components"] ?? []) as Component[]).flatMap((row) => row.components ?? []);
  const poll = body["poll"] as { question: { text: string }; answers: { poll_media: { text: string } }[] } | undefined;
  return {
    text: content, files, buttons: parts.filter(({ type }) => type === 2).map(({ label }) => label ?? ""), choices: parts.flatMap(({ options }) => (options ?? []).map(({ label }) => label)),
    cards: ((body["embeds"] ?? []) as { title?: string }[]).map(({ title }) => title ?? ""),
    ...(poll === undefined ? {} : { poll: { question: poll.question.text, options: poll.answers.map((answer) => answer.poll_media.text) } }),
  };
}

export async function discordRig(settings: Record<string, unknown> = {}, options: Parameters<typeof startDiscord>[0] = {}): Promise<DiscordRig> {
  const stub = await startDiscord(options);
  const fetch = createFetch();
  const storage = memoryStorage();
  // A person began this chat some day; Discord lists the direct chats of a bot nowhere.
  await storage.set({ [`direct:${DM}`]: true });
  const account: Account = { id: "home", channel: "discord", name: "Home bot", settings: { token: TOKEN, mode: "gateway", content: true, members: false, apiRoot: stub.url, ...settings } };
  const wrong = "OTAwMDAwMDAwMDAwMDAwMDAx.Wrong1.WRONGwrongWRONGwrongWRONGwrongWRONGwrong";
  return {
    channel: discord, account, stub, fetch,
    wrong: { ...account, settings: { ...account.settings, token: wrong } },
    away: { ...account, settings: { ...account.settings, apiRoot: "http://127.0.0.1:9/api" } },
    secrets: [TOKEN, wrong, TOKEN.split(".")[2] as string],
    context: { fetch, storage },
    to: { channel: "discord", account: "home", chat: DM, kind: "direct" },
    say(text) { stub.say(DM, text); },
    shown: () => stub.shown(DM).map(({ content }) => content),
    fail(fault) {
      const made = FAULTS[fault];
      if (made === undefined) return false;
      stub.fault("POST", MESSAGES, made);
      return true;
    },
    refuse(how) { stub.fault("POST", MESSAGES, REFUSALS[how]); return true; },
    seen: () => stub.shown(DM).map(seenOf),
    read: (sample) => toMessages(sample as never, selfOf()),
    attach({ name, mime, bytes }) {
      stub.cdn.set(`/cdn/${name}`, bytes);
      stub.say(DM, "", { attachments: [{ id: "1", filename: name, content_type: mime, size: bytes.length, url: `${new URL(stub.url).origin}/cdn/${name}`, proxy_url: "https://media.discordapp.net/x" }] } satisfies Json);
    },
    drop() { stub.drop(); },
    host: new URL(stub.url).host,
    call: { method: `GET /channels/${ROOM}`, parameters: {} },
    async close() { await stub.close(); await fetch.close(); },
  };
}
