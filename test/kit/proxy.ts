/** An HTTP proxy on loopback that writes down whom it was asked for: CONNECT tunnels, and plain requests with a full address. */
import { createServer, request as ask } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";

export interface TestProxy { readonly url: string; /** host:port, once per tunnel or request. */ readonly asked: string[]; close(): Promise<void> }

export async function startProxy(): Promise<TestProxy> {
  const asked: string[] = [];
  const open = new Set<Socket>();
  const server = createServer((request, response) => {
    const to = URL.parse(request.url ?? "");
    if (to === null) { response.writeHead(400).end(); return; }
    asked.push(`${to.hostname}:${to.port || "80"}`);
    const onward = ask(to, { method: request.method ?? "GET", headers: request.headers }, (answer) => { response.writeHead(answer.statusCode ?? 502, answer.headers); answer.pipe(response); });
    onward.on("error", () => response.destroy());
    request.pipe(onward);
  });
  server.on("connection", (socket) => { open.add(socket); socket.on("close", () => open.delete(socket)); });
  server.on("connect", (request, near: Socket, head: Buffer) => {
    const target = request.url ?? "";
    asked.push(target);
    const cut = target.lastIndexOf(":");
    const far = connect(Number(target.slice(cut + 1)), target.slice(0, cut).replace(/^\[|\]$/g, ""), () => { near.write("HTTP/1.1 200 Connection established\r\n\r\n"); far.write(head); far.pipe(near); near.pipe(far); });
    open.add(far);
    far.on("close", () => { open.delete(far); near.destroy(); });
    far.on("error", () => near.destroy());
    near.on("error", () => far.destroy());
    near.on("close", () => far.destroy());
  });
  await new Promise<void>((done) => { server.listen(0, "127.0.0.1", done); });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked,
    async close() {
      for (const socket of open) socket.destroy();
      await new Promise((done) => { server.close(done); });
    },
  };
}
