/** The built-in web chat: a page served by Node-RED, server-sent events down, POST up. */
import type { Channel, Connection } from "../channel.ts";
import { assetOf, type Assets } from "./assets.ts";
import { createRooms } from "./rooms.ts";
import { createRoutes } from "./routes.ts";

/** `assets`: where the page's files come from; tests give their own. */
export function createWebchat(assets: Assets = assetOf): Channel {
  return {
    id: "webchat",
    label: "Web chat",
    settings: [
      { key: "title", type: "text", label: "Title", initial: "Home" },
      { key: "welcome", type: "text", label: "Welcome text", hint: "Shown while the conversation is empty" },
      { key: "suggestions", type: "list", label: "Suggestions", hint: "Shown under the welcome text" },
      { key: "origins", type: "list", label: "Other websites that may embed it", hint: "https://example.org; the own address is always allowed" },
      { key: "maxUploadMb", type: "number", label: "Largest file (MB)", initial: 10 },
    ],
    limits: { text: 20_000, unit: "utf16", editEveryMs: 60, upload: 25 * 1024 * 1024 },
    // The transcript is ours: a key is honoured as long as the transcript is kept.
    delivery: { keyMs: 30 * 24 * 3_600_000, edit: true },
    check({ settings }) {
      const problems: string[] = [];
      const mb = Number(settings.maxUploadMb ?? 10);
      if (!(mb > 0 && mb <= 25)) problems.push(`Expected the largest file to be 1 to 25 MB, got "${settings.maxUploadMb}".`);
      for (const origin of listOf(settings.origins)) if (!URL.canParse(origin) || new URL(origin).origin !== origin) problems.push(`Expected a website as https://example.org without a path, got "${origin}".`);
      return problems;
    },
    async try() { return { id: "webchat", name: "Web chat" }; },
    async open(account, context): Promise<Connection> {
      const rooms = createRooms(account.id, context);
      const routes = createRoutes({
        account: account.id, context, rooms, assets,
        page: {
          title: String(account.settings.title ?? account.name), welcome: String(account.settings.welcome ?? ""), suggestions: listOf(account.settings.suggestions),
          maxUploadBytes: Number(account.settings.maxUploadMb ?? 10) * 1024 * 1024,
        },
        origins: listOf(account.settings.origins),
      });
      return {
        self: { id: "webchat", name: "Web chat" },
        send: (to, draft, key) => rooms.say(to.chat, draft, key),
        edit: (to, ref, draft) => rooms.change(to.chat, ref, { text: draft.text, edited: true, ...(draft.buttons === undefined ? {} : { buttons: draft.buttons }) }),
        remove: (to, ref) => rooms.change(to.chat, ref, { text: "", removed: true }),
        react: (to, ref, emoji) => rooms.change(to.chat, ref, { reactions: [emoji] }),
        async typing(to) { rooms.tell(to.chat, "typing", {}); },
        async preview(to, draft, key) { rooms.tell(to.chat, "preview", { key, text: draft.text }); },
        media: (reference) => rooms.media(reference),
        webhook: (request) => routes(request),
        async close() { rooms.close(); },
      };
    },
  };
}

export const webchat: Channel = createWebchat();

function listOf(value: unknown): string[] {
  const list = Array.isArray(value) ? value : String(value ?? "").split(/[\n,]/);
  return list.map((item) => String(item).trim()).filter((item) => item !== "");
}
