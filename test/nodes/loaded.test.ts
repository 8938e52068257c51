/** What a Node-RED loads: no SDK before an account or a model needs it, and then its own alone. */
import assert from "node:assert/strict";
import { until } from "../kit/scripted.ts";
import { hasDovecot } from "../platforms/dovecot.ts";
import { gateway, on, tab } from "../rigs/home.ts";
import { watchModules } from "../rigs/modules.ts";
import { type FlowNode, startNodeRed } from "../rigs/node-red.ts";
import { ELEVEN, openEmail, OTHER_WAYS } from "../rigs/twelve.ts";

/** Libraries that speak with one platform, and the channels that may load them. */
const SDKS: readonly { readonly of: readonly string[]; readonly packages: RegExp }[] = [
  { of: ["telegram"], packages: /^grammy$/ },
  { of: ["discord"], packages: /^(?:discord\.js|@discordjs\/.+|discord-api-types)$/ },
  { of: ["slack"], packages: /^@slack\// },
  { of: ["email"], packages: /^(?:imapflow|nodemailer|postal-mime)$/ },
  { of: [], packages: /^(?:baileys|@whiskeysockets\/.+|openai|@anthropic-ai\/.+|sharp|node-cron)$/ },
];

describe("what is loaded", function () {
  this.timeout(5 * 60_000);

  it("grows by an account's own SDK when that account opens, and by no other", async () => {
    const watched = watchModules();
    const lines = await Promise.all([...ELEVEN, ...(hasDovecot() ? [openEmail] : []), ...OTHER_WAYS].map((open) => open("http://127.0.0.1:9")));
    const nodes: FlowNode[] = [tab, { ...gateway, webhookBase: "http://127.0.0.1:9" }, on("in", "clawflow-channel-in", { gateway: "gw" }, ["out"], []), on("out", "clawflow-channel-out", { gateway: "gw", action: "reply" })];
    await using red = await startNodeRed({ ...watched.options, flows: nodes });
    try {
      const sdksIn = (packages: ReadonlySet<string>) => [...packages].filter((name) => SDKS.some((sdk) => sdk.packages.test(name))).sort();
      assert.ok(watched.chunks().size > 0, "our own code is seen");
      assert.deepEqual(sdksIn(watched.packages()), [], "before there is an account");
      const told: [string, string][] = [];
      for (const { name, node } of lines) {
        watched.forget();
        nodes.push(node);
        await red.deploy(nodes, "nodes");
        const state = async () => (await red.admin<{ accounts: { slug: string; state: string }[] }>("GET", "/clawflow/gateway/gw")).accounts.find(({ slug }) => slug === node.slug)?.state;
        if (node.type === "clawflow-account") await until(async () => (await state()) === "connected", `${name}\n${red.lines.slice(-10).join("\n")}`, 90_000);
        const grown = sdksIn(watched.packages());
        told.push([name, grown.join(", ")]);
        const own = SDKS.filter(({ of }) => of.includes(String(node.channel)));
        assert.deepEqual(grown.filter((sdk) => !own.some(({ packages }) => packages.test(sdk))), [], `${name} loads what is not its own`);
        const first = lines.find((line) => line.node.channel === node.channel)?.name === name;
        if (own.length > 0 && first) assert.ok(grown.length > 0, `${name} loads its own`);
      }
      for (const [name, grown] of told) console.log(`      ${name.padEnd(22)} ${grown === "" ? "–" : grown}`);
    } finally {
      for (const line of lines) await line.close();
      watched.remove();
    }
  });
});
