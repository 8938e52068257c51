/** What strangers can make us hold is limited over all requests; judged over real HTTP by what they are answered. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request, type ClientRequest, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { HttpFault } from "../engine/http-fault.ts";
import { createBodyReader } from "../nodes/shared/raw-body.ts";
import { until } from "./kit/scripted.ts";

describe("raw bodies", () => {
  let server: Server;
  let read = createBodyReader();
  /** Requests whose body is here and that are not answered yet. */
  let open: ServerResponse[] = [];
  before((done) => {
    server = createServer((req, res) => {
      read(req, res).then(() => open.push(res), ({ status, code, headers }: HttpFault) => res.writeHead(status, { ...headers, connection: "close" }).end(code));
    }).listen(0, "127.0.0.1", done);
  });
  beforeEach(() => { open = []; });
  after(() => { server.close(); });

  const begin = (): ClientRequest => request({ port: (server.address() as AddressInfo).port, method: "POST", agent: false }).on("error", () => { /* Cut off by the test. */ });
  async function send(bytes: number): Promise<{ status: number; text: string; retryAfter: string | undefined }> {
    const req = begin();
    req.end(Buffer.alloc(bytes));
    const [res] = await once(req, "response");
    let text = "";
    for await (const chunk of res) text += chunk;
    return { status: res.statusCode, text, retryAfter: res.headers["retry-after"] };
  }

  it("are refused when one is too large, and when it comes too slowly", async () => {
    read = createBodyReader({ most: 1_000, withinMs: 100 });
    assert.deepEqual(await send(1_001), { status: 413, text: "MSG_003", retryAfter: undefined });
    const slow = begin();
    slow.write("x");
    const [res] = await once(slow, "response");
    assert.equal(res.statusCode, 408);
    slow.destroy();
  });

  it("are held up to a limit over all requests: large ones are told to come again, small ones are taken, and room is free when they are answered or gone", async () => {
    read = createBodyReader({ most: 1_000, small: 10, mostAtOnce: 1_500 });
    const held = [send(800), begin()] as const;
    held[1].write(Buffer.alloc(700));
    await until(() => open.length === 1, "the first");
    await until(async () => (await send(600)).status === 503, "no room");
    assert.deepEqual(await send(600), { status: 503, text: "CONN_003", retryAfter: "5" });
    const small = send(10);
    await until(() => open.length === 2, "the small one");
    for (const res of open.splice(0)) res.end("ok");
    assert.deepEqual([(await held[0]).status, (await small).status], [200, 200]);
    const next = send(800);
    await until(() => open.length === 1, "the next");
    assert.equal((await send(600)).status, 503);
    held[1].destroy();
    open.splice(0)[0]?.end("ok");
    await next;
    const both = [send(800), send(700)];
    await until(() => open.length === 2, "both, where nothing is held any more");
    for (const res of open.splice(0)) res.end("ok");
    assert.deepEqual((await Promise.all(both)).map(({ status }) => status), [200, 200]);
  });
});
