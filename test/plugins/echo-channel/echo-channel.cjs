/** Messages come in by POST to the account's webhook; what is said goes out by POST to `sink`, which may answer with a fault to report. */
const asMessage = (account, body) => ({
  version: 1, id: String(body.id), ref: String(body.ref ?? body.id), kind: body.kind ?? "message",
  at: { channel: account.channel, account: account.id, chat: String(body.chat ?? "c1"), kind: body.where ?? "direct" },
  sender: { id: String(body.from ?? "u1"), name: String(body.name ?? body.from ?? "u1"), bot: body.bot === true, self: false },
  sentAt: Number(body.sentAt ?? 1), text: String(body.text ?? ""), attachments: [], addressed: body.addressed ?? true, ...(body.action ? { action: body.action } : {}), ...(body.forwarded ? { forwarded: body.forwarded } : {}), ...(body.replyTo ? { replyTo: body.replyTo } : {}),
});

function fault(answer) {
  return Object.assign(new Error(answer.text ?? "refused"), { name: "ChannelError", code: answer.code ?? "CONN_001", retry: answer.retry ?? "later", afterMs: answer.afterMs, markup: answer.markup ?? false, unsent: false });
}

const echo = {
  id: "echo", label: "Echo", delivery: { edit: true }, limits: { text: 4000, unit: "utf16", editEveryMs: 20 },
  settings: [{ key: "sink", type: "url", label: "Sink", required: true }, { key: "token", type: "secret", label: "Token" }, { key: "closeMs", type: "number", label: "Time to close" }],
  check: (account) => (account.settings.sink ? [] : ['Expected "sink" to be an address, got nothing.']),
  async open(account, context) {
    const post = async (body) => {
      const response = await context.fetch(account.settings.sink, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body), signal: context.signal })
        .catch((error) => { throw fault({ text: `the sink cannot be reached: ${error.message}` }); });
      const answer = await response.json();
      if (answer.code) throw fault(answer);
      return answer.ref;
    };
    return {
      self: { id: "echo-bot", name: "Echo bot" },
      send: (to, draft, key) => post({ op: "send", to, draft, key }),
      async edit(to, ref, draft) { await post({ op: "edit", to, ref, draft }); },
      async react(to, ref, emoji) { await post({ op: "react", to, ref, emoji }); },
      async remove(to, ref) { await post({ op: "remove", to, ref }); },
      call: (method, parameters) => post({ op: "call", method, parameters }),
      async webhook(request) {
        const received = await context.receive(asMessage(account, JSON.parse(Buffer.from(request.body).toString())));
        return { status: 200, headers: { "content-type": "application/json" }, body: JSON.stringify({ received }) };
      },
      async close() { await new Promise((resolve) => { setTimeout(resolve, Number(account.settings.closeMs ?? 0)); }); },
    };
  },
};

/** The same with files, both ways: `attach` brings some as base64, and what is sent of them reaches the sink as base64. */
const files = {
  ...echo, id: "echo-voice", label: "Echo with voice notes", limits: { ...echo.limits, upload: 20_000_000, caption: 1000 }, shows: { files: ["image", "voice"] },
  async open(account, context) {
    const connection = await echo.open(account, context);
    return {
      ...connection,
      async send(to, draft, key) {
        const sent = [];
        for (const file of draft.attachments ?? []) { const ready = await context.file(file); sent.push({ kind: file.kind, mime: ready.mime, bytes: Buffer.from(await ready.read()).toString("base64") }); }
        return connection.send(to, { ...draft, attachments: sent }, key);
      },
      async webhook(request) {
        const body = JSON.parse(Buffer.from(request.body).toString());
        const attachments = [];
        for (const { kind, base64, mime } of body.attach ?? []) {
          const kept = await context.spool.save(new Blob([Buffer.from(base64, "base64")]).stream(), { mime });
          attachments.push({ kind, media: `spool:${kept.id}`, state: "ready", mime: kept.mime, bytes: kept.bytes });
        }
        const received = await context.receive({ ...asMessage(account, body), attachments });
        return { status: 200, headers: { "content-type": "application/json" }, body: JSON.stringify({ received }) };
      },
    };
  },
};

/** The same with buttons under its messages. */
const buttons = { ...echo, id: "echo-buttons", label: "Echo with buttons", shows: { buttons: 10 } };

module.exports = (RED) => { for (const channel of [echo, buttons, files]) RED.plugins.registerPlugin(`${channel.id}-channel`, { type: "clawflow-channel", channel }); };
