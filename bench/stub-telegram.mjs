/** A Bot API that says yes to everything, for measurements that need an open account and no traffic. */
import { createServer } from "node:http";
import { once } from "node:events";

export async function stubTelegram() {
  const me = { id: 123456, is_bot: true, first_name: "Bench", username: "bench_bot" };
  const server = createServer((request, response) => {
    const polls = /getUpdates/i.test(request.url);
    request.resume().on("end", () => {
      // An empty long poll, shorter than Telegram's own.
      setTimeout(() => response.end(JSON.stringify({ ok: true, result: /getMe/i.test(request.url) ? me : polls ? [] : true })), polls ? 5_000 : 0);
      response.setHeader("content-type", "application/json");
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { url: `http://127.0.0.1:${server.address().port}`, close: () => { server.closeAllConnections(); server.close(); } };
}
