/**
 * `npm run new-channel <id> ["Label"]`: a channel that runs and passes the contract suite, talking to a stub of its own; fill in the platform where it says TODO.
 * It writes engine/channels/<id>/, test/platforms/<id>.ts, test/channels/<id>.test.ts, one line in engine/channels/index.ts, and the words of the form.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.resolve(here, "..");

const FILES = {
  "channel.ts.txt": (id) => `engine/channels/${id}/${id}.ts`,
  "api.ts.txt": (id) => `engine/channels/${id}/api.ts`,
  "connect.ts.txt": (id) => `engine/channels/${id}/connect.ts`,
  "to-message.ts.txt": (id) => `engine/channels/${id}/to-message.ts`,
  "README.md.txt": (id) => `engine/channels/${id}/README.md`,
  "sample.json.txt": (id) => `engine/channels/${id}/samples/text.json`,
  "platform.ts.txt": (id) => `test/platforms/${id}.ts`,
  "test.ts.txt": (id) => `test/channels/${id}.test.ts`,
};
/** As `settingsTable` of the contract suite prints it. */
const settingsTable = (id) => `| Setting | Type | Required | Default | About |
| --- | --- | --- | --- | --- |
| Bot token | secret | yes | – | From the platform's page for bots |
| API address | url | no | https://api.${id}.example | Only for a server of your own |
| Proxy | secret | no | – | http://, https:// or socks5://, with user:password@ where needed |`;
const WORDS = {
  "en-US": { token: { label: "Bot token", hint: "From the platform's page for bots." }, apiRoot: { label: "API address", hint: "Only for a server of your own." }, proxy: { label: "Proxy", hint: "http://, https:// or socks5://, with user:password@ where needed." } },
  de: { token: { label: "Bot-Token", hint: "Von der Seite der Plattform für Bots." }, apiRoot: { label: "API-Adresse", hint: "Nur für einen eigenen Server." }, proxy: { label: "Proxy", hint: "http://, https:// oder socks5://, bei Bedarf mit Name:Passwort@." } },
};

const [id = "", label = id.split("-").map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join(" ")] = process.argv.slice(2);
const problem = !/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(id) ? `Expected an id of small letters, digits and hyphens, such as "my-chat", got "${id}".`
  : !/^[\p{L}\p{N}][\p{L}\p{N} .'&+-]{0,40}$/u.test(label) || /["'`\\]/.test(label) ? `Expected a label of at most 41 letters, digits and spaces, got "${label}".`
  : Object.values(FILES).map((place) => place(id)).filter((file) => existsSync(path.join(root, file))).map((file) => `${file} is there already.`)[0];
if (problem !== undefined) {
  console.error(`${problem}\nUse: npm run new-channel <id> ["Label"]`);
  process.exit(1);
}

const camel = id.replace(/-([a-z0-9])/g, (_, letter) => letter.toUpperCase());
const filled = (text) => text.replaceAll("__settings__", settingsTable(id)).replaceAll("__camel__", camel).replaceAll("__Label__", label).replaceAll("__id__", id);
for (const [template, place] of Object.entries(FILES)) {
  const file = path.join(root, place(id));
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, filled(readFileSync(path.join(here, "new-channel", template), "utf8")));
  console.log(place(id));
}
change("engine/channels/index.ts", (text) => {
  const line = `import { ${camel} } from "./${id}/${id}.ts";`;
  const lines = text.split("\n");
  const last = lines.findLastIndex((each) => each.startsWith("import {"));
  const before = lines.findIndex((each) => each.startsWith("import {") && each.split(" from ")[1] > line.split(" from ")[1]);
  lines.splice(before < 0 ? last + 1 : before, 0, line);
  return lines.join("\n").replace(/(export const channels: readonly Channel\[\] = \[[^\]]*?)(,?\s*)\];/, `$1, ${camel}$2];`);
});
for (const [language, words] of Object.entries(WORDS)) {
  change(`locales/${language}/editor.json`, (text) => {
    // Written into the text, so that the rest of the file stays as it stands.
    const opening = /\n( *)"channels": \{\n/.exec(text);
    if (opening === null) throw new Error(`Expected "channels" in locales/${language}/editor.json.`);
    const indent = `${opening[1]}  `;
    const entry = JSON.stringify({ [id]: words }, null, 2).split("\n").slice(1, -1).map((each) => `${indent}${each.slice(2)}`).join("\n");
    const at = opening.index + opening[0].length;
    return `${text.slice(0, at)}${entry},\n${text.slice(at)}`;
  });
}
console.log(`
${label} is there, and passes the contract suite against a stub that was written with it:

  npx mocha test/channels/${id}.test.ts

Fill in the platform where it says TODO, the stub first (by the platform's own specification): the suite then says what the channel still has to learn.
See docs/adding-a-channel.md. docs/channels.md is written anew with CLAWFLOW_WRITE=1 npx mocha test/channels-page.test.ts`);

function change(file, how) {
  const place = path.join(root, file);
  writeFileSync(place, how(readFileSync(place, "utf8")));
  console.log(`${file} (changed)`);
}
