/** Preloaded into node-red-dev: answers its questions to the network from what is installed here. D02 and D03 are left out, they are about the registry's state of the day. */
const Module = require("node:module");
const path = require("node:path");
const root = path.resolve(__dirname, "../..");
const nodeRed = require(path.join(root, "node_modules/node-red/package.json"));

/** By the end of the address. */
const answers = {
  "/catalogue.json": { modules: [{ id: "node-red-contrib-telegrambot", types: ["telegram bot"] }, { id: "some-agents", types: ["agent", "tool", "cron", "webhook"] }] },
  "/node-red": { "dist-tags": { latest: nodeRed.version }, versions: { [nodeRed.version]: nodeRed } },
};
async function get(url) {
  const found = Object.entries(answers).find(([end]) => url.endsWith(end));
  if (!found) throw new Error(`Unexpected request: ${url}`);
  return { data: found[1] };
}
const stubs = {
  axios: { get },
  "npm-remote-ls": { ls: (_name, _version, _flat, done) => done([]), config() {} },
  "npm-check": async () => ({ get: () => [] }),
};
const load = Module._load;
Module._load = function (request, ...rest) {
  return Object.hasOwn(stubs, request) ? stubs[request] : load.call(this, request, ...rest);
};
