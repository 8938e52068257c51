/**
 * Channels of the stub platform (test/faults/stubs/platform.ts), which differ in what it offers against a doubled send.
 * Messages come in by webhook, or by polling (setting "inbound"); either way the platform sends them again until they are confirmed.
 */
const fault = (code, retry, text, more = {}) => Object.assign(new Error(text), { name: "ChannelError", code, retry, markup: false, unsent: false, ...more });

const { retryAfter } = require("../../../engine/retry-after.ts");
/** What the platform says when it answers that it did nothing. */
function answered({ headers }) {
  const afterMs = retryAfter({ header: (name) => headers.get(name) }, Date.now());
  return { answered: true, ...(afterMs === undefined ? {} : { afterMs }) };
}

async function call(context, url, body) {
  let response;
  let text;
  try {
    response = await context.fetch(url, { signal: context.signal, ...(body === undefined ? {} : { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) }) });
    text = await response.text();
  } catch (error) {
    throw fault("CONN_001", "later", `the platform cannot be reached: ${error.message}`, { unsent: error.unsent === true });
  }
  if (response.status === 429) throw fault("CONN_003", "later", "too many requests", answered(response));
  if (response.status >= 500) throw fault("CONN_001", "later", `the platform answered ${response.status}`, answered(response));
  if (response.status >= 400) throw fault(response.status === 413 ? "MSG_003" : "MSG_002", "no", `the platform answered ${response.status}: ${text.slice(0, 100)}`, { answered: true, markup: text.includes("markup") });
  try {
    return JSON.parse(text);
  } catch {
    throw fault("CONN_001", "later", "the platform's answer was cut off");
  }
}

const asMessage = (account, { id, chat, from, text, sentAt }) => ({
  version: 1, id, ref: id, kind: "message", at: { channel: account.channel, account: account.id, chat, kind: "direct" },
  sender: { id: from, name: from, bot: false, self: false }, sentAt, text, attachments: [], addressed: true,
});

async function poll(account, context, api) {
  while (!context.signal.aborted) {
    try {
      for (const update of await call(context, `${api}/updates?wait=2000`)) {
        await context.receive(asMessage(account, update));
        await call(context, `${api}/ack`, { id: update.id });
      }
    } catch (error) {
      if (context.signal.aborted) return;
      await new Promise((resolve) => { context.clock.after(error.afterMs ?? 50, resolve); });
    }
  }
}

const channel = (id, label, delivery, more = () => ({})) => ({
  id, label, delivery, limits: { text: 200, unit: "utf16" },
  settings: [{ key: "api", type: "url", label: "API", required: true }, { key: "sendApi", type: "url", label: "API for sends alone" }, { key: "inbound", type: "choice", label: "Inbound", initial: "webhook", choices: [{ value: "webhook", label: "Webhook" }, { value: "poll", label: "Polling" }] }],
  check: (account) => (account.settings.api ? [] : ['Expected "api" to be an address, got nothing.']),
  async open(account, context) {
    const { api, inbound, sendApi = api } = account.settings;
    await call(context, `${api}/me`);
    if (inbound === "poll") void poll(account, context, api);
    return {
      self: { id: `${id}-bot`, name: label },
      async send(to, draft, key) { return (await call(context, `${sendApi}/send`, { chat: to.chat, text: draft.text, key, ...(draft.plain === true ? { plain: true } : {}) })).ref; },
      async webhook(request) {
        await context.receive(asMessage(account, JSON.parse(Buffer.from(request.body).toString())));
        return { status: 200, body: "ok" };
      },
      async close() {},
      ...more(context, api),
    };
  },
});

const channels = [
  channel("fault-key", "A platform that honours a key", { keyMs: 86_400_000 }),
  channel("fault-evidence", "A platform where one can look", { evidence: true }, (context, api) => ({
    async find(to, { key }) { return (await call(context, `${api}/find?chat=${encodeURIComponent(to.chat)}&key=${encodeURIComponent(key)}`)).ref; },
  })),
  channel("fault-none", "A platform that offers nothing", {}),
  channel("fault-edit", "A platform that offers edits alone", { edit: true }, (context, api) => ({
    async edit(to, ref, { text }) { await call(context, `${api}/edit`, { chat: to.chat, ref, text }); },
    async remove(to, ref) { await call(context, `${api}/remove`, { chat: to.chat, ref }); },
  })),
];

module.exports = (RED) => { for (const one of channels) RED.plugins.registerPlugin(one.id, { type: "clawflow-channel", channel: one }); };
