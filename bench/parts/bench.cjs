/** Bare nodes: `bench-in` is where a message enters, `bench-hop` passes it on, `bench-answer` puts a fixed answer into it, `bench-out` ends its run. */
const bench = (globalThis.clawflowBench ??= { enter: undefined, left: undefined });
const ANSWER = "This is the fixed answer: about two hundred characters of plain text, so that every run carries the same payload from its beginning to its end, as a short answer of a model would.";

module.exports = (RED) => {
  function node(type, act) {
    RED.nodes.registerType(type, function Bench(config) {
      RED.nodes.createNode(this, config);
      if (type === "bench-in") bench.enter = (chat, text) => this.send({ payload: text, chat });
      else this.on("input", (msg, send, done) => { act(msg, send); done(); });
    });
  }
  node("bench-in");
  node("bench-hop", (msg, send) => send(msg));
  node("bench-answer", (msg, send) => { msg.payload = ANSWER; send(msg); });
  node("bench-out", (msg) => bench.left(msg.chat));
};
