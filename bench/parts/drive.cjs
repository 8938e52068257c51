/**
 * A channel without a platform and a model without a provider, both in this process, and GET /bench/run?runs=&chats= on the admin app:
 * each chat sends its next message when the last is answered. Answers with CPU (all threads of this process) and time of the runs.
 */
const bench = (globalThis.clawflowBench ??= { enter: undefined, left: undefined });
const ANSWER = "This is the fixed answer: about two hundred characters of plain text, so that every run carries the same payload from its beginning to its end, as a short answer of a model would.";

let receive;
let number = 0;
/** Called with the chat whose run has come to its answer. */
bench.left = () => {};

const channel = {
  id: "bench", label: "Bench", delivery: {}, limits: { text: 4000, unit: "utf16" }, settings: [], check: () => [],
  async open(account, context) {
    receive = (chat, text) => {
      const id = String(++number);
      const at = { channel: "bench", account: account.id, chat, kind: "direct" };
      return context.receive({ version: 1, id, ref: id, kind: "message", at, sender: { id: chat, name: "U", bot: false, self: false }, sentAt: Date.now(), text, attachments: [], addressed: true });
    };
    return { self: { id: "bench", name: "bench" }, async send(to) { bench.left(to.chat); return String(number); }, async close() {} };
  },
};
const model = {
  id: "scripted", provider: "bench", contextTokens: 100_000,
  async *stream() {
    yield { type: "text", delta: ANSWER };
    yield { type: "end", reason: "stop", usage: { input: 100, output: 45 } };
  },
};

function drive(runs, chats) {
  const enter = receive ?? bench.enter;
  let begun = 0;
  let ended = 0;
  return new Promise((resolve) => {
    const next = (chat) => { if (begun < runs) { begun++; void enter(chat, `message ${begun}: please tell me something about the lights in the living room today`); } };
    bench.left = (chat) => {
      ended++;
      if (ended === runs) resolve();
      else setImmediate(next, chat);
    };
    for (let chat = 0; chat < chats; chat++) next(String(1000 + chat));
  });
}

module.exports = (RED) => {
  RED.plugins.registerPlugin("bench", { type: "clawflow-channel", channel });
  RED.events.on("flows:started", () => {
    RED.nodes.eachNode(({ id, type }) => { if (type === "clawflow-model") RED.nodes.getNode(id).model = () => Promise.resolve(model); });
  });
  RED.httpAdmin.get("/bench/run", async (req, res) => {
    const [cpu, at] = [process.cpuUsage(), performance.now()];
    await drive(Number(req.query.runs), Number(req.query.chats));
    // What is not on disk yet belongs to these runs.
    await new Promise((resolve) => setTimeout(resolve, 20));
    const { user, system } = process.cpuUsage(cpu);
    res.json({ cpuUs: (user + system) / req.query.runs, runsPerSecond: (req.query.runs / (performance.now() - at - 20)) * 1000 });
  });
};
