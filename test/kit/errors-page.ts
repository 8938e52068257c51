/** docs/errors.md, made of the table of errors. */
import { type ErrorRow, ERRORS, type Place } from "../../engine/error-table.ts";

const PLACES: Readonly<Record<Place, string>> = {
  status: "status of the node", catch: "Catch", receipt: "receipt", account: "state of the account", log: "log", "dead letters": "dead letters",
  "http answer": "HTTP answer", model: "what the model reads", form: "editor",
};
const FAMILIES: Readonly<Record<string, string>> = {
  CONN: "Connections", MSG: "Messages", SEC: "Who may", MODEL: "Models", TOOL: "Tools", MCP: "MCP servers", SKILL: "Skills", DOC: "Documents", MEM: "Long-term memory", AGENT: "Agents", STORE: "The store", CONF: "Settings", CORE: "ClawFlow itself",
};

const HEAD = `# Errors

Every fault has a code that stays the same. Search for it here.

| Where | What it looks like |
|---|---|
| Status of the node | \`CONN_001: Could not reach …\` under the node |
| State of the account | in the gateway, and under the nodes of the account |
| Catch | \`msg.error.message\` begins with \`[CODE]\` and ends with the remedy; \`msg.error.code\` is the code |
| Receipt | \`msg.receipt.code\` and \`msg.receipt.text\` behind channel out |
| Dead letters | the reason for which a message or a delivery was given up |
| HTTP answer | what the sender of a request reads; who has no valid signature is told the title only |
| What the model reads | result of a tool call, \`[CODE] text\` |
| Log | Node-RED's log, \`[clawflow] [CODE] text\` |
| Editor | Test buttons and previews |

No text of an error holds a token, a key or a password.

## All codes

| Code | Meaning | Typical causes | What to do | Where it appears | Tried again by itself? |
|---|---|---|---|---|---|
`;

/** The whole page, with a line end at its end. */
export function errorsPage(table: Readonly<Record<string, ErrorRow>> = ERRORS): string {
  let family = "";
  const lines = Object.entries(table).flatMap(([code, row]) => {
    const own = code.split("_")[0] ?? "";
    const heading = own === family ? [] : [cells([`**${FAMILIES[own] ?? own}**`, "", "", "", "", ""])];
    family = own;
    return [...heading, cells([`<a id="${code.toLowerCase()}"></a>\`${code}\``, `**${row.title}.** ${row.meaning}`, `${capital(row.causes.join("; "))}.`, row.remedy, capital(row.where.map((place) => PLACES[place]).join(", ")), row.again])];
  });
  return `${HEAD}${lines.join("\n")}\n`;
}

const cells = (texts: readonly string[]): string => `| ${texts.map((text) => text.replaceAll("|", "\\|")).join(" | ")} |`;
const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
