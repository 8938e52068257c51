import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import { type AddressInfo, connect, createServer as createTcp, type Server as TcpServer } from "node:net";
import { Readable } from "node:stream";
import { gzipSync } from "node:zlib";
import { inspect } from "node:util";
import { ClawError } from "../engine/errors.ts";
import { createFetch, type Fetch, type FetchOptions, HttpError, neverSent } from "../engine/http.ts";

const open: (() => Promise<unknown>)[] = [];
async function listen<T extends Server | TcpServer>(server: T): Promise<string> {
  await new Promise<void>((done) => { server.listen(0, "127.0.0.1", done); });
  open.push(() => new Promise((done) => { if ("closeAllConnections" in server) server.closeAllConnections(); server.close(done); }));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
const serve = (listener: RequestListener): Promise<string> => listen(createServer(listener));
function make(options?: FetchOptions): Fetch {
  const made = createFetch(options);
  open.push(() => made.destroy());
  return made;
}
async function bytesOf(request: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}
async function fails(act: Promise<unknown>): Promise<Error> {
  try { await act; } catch (thrown) { return thrown as Error; }
  throw new assert.AssertionError({ message: "expected it to fail" });
}
/** A port nobody listens on. */
async function deadPort(): Promise<number> {
  const server = createTcp();
  await new Promise<void>((done) => { server.listen(0, "127.0.0.1", done); });
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => { server.close(done); });
  return port;
}

describe("createFetch", () => {
  afterEach(async () => { for (const close of open.splice(0).reverse()) await close(); });

  it("uses one connection for requests that follow each other", async () => {
    const ports = new Set<number | undefined>();
    const url = await serve((request, response) => { ports.add(request.socket.remotePort); response.end("ok"); });
    const own = make();
    for (let i = 0; i < 10; i++) assert.equal(await (await own(url)).text(), "ok");
    // The pool may open a second one while the first is just becoming free.
    assert.ok(ports.size <= 2, `${ports.size} connections for 10 requests`);
  });

  it("gives status, headers in any case, json, bytes, url", async () => {
    const url = await serve((_, response) => {
      response.writeHead(418, { "Content-Type": "application/json", "Set-Cookie": ["a=1", "b=2"], "X-Two": "2" });
      response.end('{"tea":"ö"}');
    });
    const own = make();
    const response = await own(`${url}/pot?x=1`);
    assert.equal(response.status, 418);
    assert.equal(response.ok, false);
    assert.equal(response.url, `${url}/pot?x=1`);
    assert.equal(response.headers.get("X-TWO"), "2");
    assert.equal(response.headers.has("nothing"), false);
    assert.equal(response.headers.get("nothing"), null);
    assert.deepEqual(response.headers.getSetCookie(), ["a=1", "b=2"]);
    assert.ok([...response.headers.entries()].some(([name, value]) => name === "content-type" && value === "application/json"));
    assert.deepEqual(await response.json(), { tea: "ö" });
    assert.equal(response.bodyUsed, true);
    await assert.rejects(response.text(), /read already/);
    assert.equal(Buffer.from(await (await own(url)).arrayBuffer()).toString(), '{"tea":"ö"}');
    const twice = await own(url);
    const copy = twice.clone();
    assert.deepEqual(await Promise.all([twice.text(), copy.text()]), ['{"tea":"ö"}', '{"tea":"ö"}']);
    const touched = await own(url);
    assert.ok(touched.body instanceof ReadableStream);
    assert.equal(await touched.text(), '{"tea":"ö"}');
  });

  it("sends every kind of body, with type and length", async () => {
    const url = await serve(async (request, response) => {
      const body = await bytesOf(request);
      response.end(JSON.stringify({ method: request.method, type: request.headers["content-type"], length: request.headers["content-length"], body: body.toString() }));
    });
    const own = make();
    const send = async (body: unknown, headers?: HeadersInit) =>
      (await (await own(url, { method: "post", body: body as BodyInit, ...(headers ? { headers } : {}) })).json()) as Record<string, string>;
    assert.deepEqual(await send("täxt"), { method: "POST", type: "text/plain;charset=UTF-8", length: "5", body: "täxt" });
    assert.equal((await send("{}", { "Content-Type": "application/json" })).type, "application/json");
    assert.equal((await send("{}", [["content-type", "a/b"]])).type, "a/b");
    assert.equal((await send(new Uint8Array([97, 98]))).body, "ab");
    assert.equal((await send(Buffer.from("buffer"))).length, "6");
    assert.equal((await send(new Uint8Array([120, 121]).buffer)).body, "xy");
    const form = await send(new URLSearchParams({ a: "1 2", b: "ü" }));
    assert.equal(form.body, "a=1+2&b=%C3%BC");
    assert.match(form.type ?? "", /^application\/x-www-form-urlencoded/);
    assert.deepEqual(await send(new Blob(["blob"], { type: "image/png" })), { method: "POST", type: "image/png", length: "4", body: "blob" });
    const stream = await send(new Blob(["streamed"]).stream());
    assert.deepEqual([stream.body, stream.length], ["streamed", undefined]);
    assert.equal((await send(Readable.from([Buffer.from("it"), Buffer.from("er")]))).body, "iter");
    const error = await fails(send(Symbol("no")));
    assert.match(error.message, /Expected a request body/);
  });

  it("sends a form that another parser reads back", async () => {
    const url = await serve(async (request, response) => {
      const raw = await bytesOf(request);
      assert.equal(Number(request.headers["content-length"]), raw.length);
      const form = await new Response(new Uint8Array(raw), { headers: { "content-type": request.headers["content-type"] ?? "" } }).formData();
      const file = form.get("file") as File;
      response.end(JSON.stringify({ text: form.get("te\"xt"), name: file.name, type: file.type, size: file.size, content: Buffer.from(await file.arrayBuffer()).toString("base64") }));
    });
    const bytes = randomBytes(200_000);
    const form = new FormData();
    form.set('te"xt', "one\ntwo ü");
    form.set("file", new File([new Uint8Array(bytes)], "größe.bin", { type: "image/png" }));
    const got = (await (await make()(url, { method: "POST", body: form })).json()) as Record<string, unknown>;
    assert.equal(got.text, "one\r\ntwo ü");
    assert.deepEqual([got.type, got.size, got.content], ["image/png", bytes.length, bytes.toString("base64")]);
  });

  it("streams a big body without keeping it, and stops when cancelled", async () => {
    let sent = 0;
    let closed!: () => void;
    const ended = new Promise<void>((done) => { closed = done; });
    const piece = randomBytes(64 * 1024);
    const url = await serve((request, response) => {
      response.on("close", closed);
      const total = request.url === "/endless" ? Number.POSITIVE_INFINITY : 32 * 1024 * 1024;
      Readable.from((function* () { while (sent < total) { sent += piece.length; yield piece; } })()).pipe(response);
    });
    const own = make();
    let size = 0;
    const body = (await own(url)).body;
    assert.ok(body instanceof ReadableStream);
    for await (const chunk of body) size += chunk.length;
    assert.equal(size, 32 * 1024 * 1024);

    sent = 0;
    const reader = ((await own(`${url}/endless`)).body as ReadableStream<Uint8Array>).getReader();
    assert.ok(((await reader.read()).value?.length ?? 0) > 0);
    await reader.cancel();
    await ended;
    assert.ok(sent < 16 * 1024 * 1024, `the server stopped after ${sent} bytes`);
  });

  it("unpacks a body that comes compressed", async () => {
    const url = await serve((_, response) => { response.writeHead(200, { "content-encoding": "gzip" }); response.end(gzipSync("packed".repeat(1000))); });
    assert.equal(await (await make()(url, { headers: { "accept-encoding": "gzip" } })).text(), "packed".repeat(1000));
  });

  it("aborts before, while waiting and while reading, with the signal's reason", async () => {
    const url = await serve((request, response) => {
      if (request.url === "/slow") return;
      response.write("begin");
    });
    const own = make();
    const early = await fails(own(url, { signal: AbortSignal.abort() }));
    assert.equal(early.name, "AbortError");
    const waiting = new AbortController();
    const waited = fails(own(`${url}/slow`, { signal: waiting.signal }));
    setTimeout(() => { waiting.abort(); }, 20);
    assert.equal((await waited).name, "AbortError");
    const timed = await fails(own(`${url}/slow`, { signal: AbortSignal.timeout(20) }));
    assert.equal(timed.name, "TimeoutError");
    for (const read of [(response: Response) => response.text(), async (response: Response) => { for await (const _ of response.body as ReadableStream) { /* until it breaks */ } }]) {
      const reading = new AbortController();
      const response = await own(url, { signal: reading.signal });
      setTimeout(() => { reading.abort(new Error("enough")); }, 20);
      assert.equal((await fails(read(response))).message, "enough");
    }
  });

  it("tells a body that breaks off", async () => {
    const url = await serve((_, response) => { response.writeHead(200, { "content-length": "100" }); response.write("part"); setTimeout(() => { response.destroy(); }, 10); });
    const error = await fails((await make()(url)).text());
    assert.ok(error instanceof HttpError);
    assert.equal(error.unsent, false);
    assert.match(error.message, /127\.0\.0\.1.*(cut|UND_ERR|ECONN)/);
  });

  it("gives up on a silent server after silenceMs", async () => {
    const url = await serve(() => undefined);
    const error = (await fails(make({ silenceMs: 1000 })(url))) as HttpError;
    assert.equal(error.code, "UND_ERR_HEADERS_TIMEOUT");
    assert.equal(error.unsent, false);
  }).timeout(5000);

  it("follows redirects as fetch does", async () => {
    const seen: string[] = [];
    const url = await serve(async (request, response) => {
      const body = (await bytesOf(request)).toString();
      seen.push(`${request.method} ${request.url} ${body} ${request.headers["content-type"] ?? "-"}`);
      const to = /^\/(\d{3})$/.exec(request.url ?? "")?.[1];
      if (to) response.writeHead(Number(to), { location: "/end" }).end("moved");
      else if (request.url === "/loop") response.writeHead(302, { location: "/loop" }).end();
      else if (request.url === "/odd") response.writeHead(302, { location: "ftp://x/" }).end();
      else response.end("end");
    });
    const own = make();
    for (const [status, expected] of [
      [301, "GET /end  -"], [302, "GET /end  -"], [303, "GET /end  -"], [307, "POST /end body text/plain;charset=UTF-8"], [308, "POST /end body text/plain;charset=UTF-8"],
    ] as const) {
      seen.length = 0;
      const response = await own(`${url}/${status}`, { method: "POST", body: "body" });
      assert.deepEqual([response.redirected, response.url, await response.text(), seen[1]], [true, `${url}/end`, "end", expected]);
    }
    const manual = await own(`${url}/302`, { redirect: "manual" });
    assert.deepEqual([manual.status, manual.headers.get("location")], [302, "/end"]);
    await manual.body?.cancel();
    assert.match((await fails(own(`${url}/302`, { redirect: "error" }))).message, /redirect/);
    assert.match((await fails(own(`${url}/loop`))).message, /more than 20/);
    assert.match((await fails(own(`${url}/odd`))).message, /no http address/);
    const once = new Blob(["x"]).stream();
    assert.match((await fails(own(`${url}/307`, { method: "POST", body: once }))).message, /cannot be sent twice/);
  });

  it("does not carry keys to another origin, and does not call a later hop unsent", async () => {
    let got: IncomingMessage["headers"] | undefined;
    const other = await serve((request, response) => { got = request.headers; response.end(); });
    const dead = await deadPort();
    const first = await serve((request, response) => { response.writeHead(307, { location: request.url === "/dead" ? `http://127.0.0.1:${dead}/` : other }).end(); });
    const own = make();
    await (await own(first, { headers: { Authorization: "Bearer k", "X-Api-Key": "k", Cookie: "k", "X-Free": "f" } })).text();
    assert.deepEqual([got?.authorization, got?.["x-api-key"], got?.cookie, got?.["x-free"]], [undefined, undefined, undefined, "f"]);
    assert.equal(neverSent(await fails(own(`${first}/dead`))), false);
    assert.equal(neverSent(await fails(own(`http://127.0.0.1:${dead}/`))), true);
  });

  it("turns a user name in the address into a header and never tells it", async () => {
    const url = await serve((request, response) => { response.end(request.headers.authorization ?? ""); });
    const address = url.replace("http://", "http://ann:s%20cret@");
    assert.equal(await (await make()(address)).text(), `Basic ${Buffer.from("ann:s cret").toString("base64")}`);
    const dead = await deadPort();
    const error = await fails(make()(`http://ann:s3cret@127.0.0.1:${dead}/botTOKEN/send?key=TOKEN`));
    assert.doesNotMatch(inspect(error, { depth: 9, showHidden: true }), /s3cret|TOKEN/);
    const invalid = await fails(make()("http://[TOKEN"));
    assert.doesNotMatch(inspect(invalid, { depth: 9 }), /TOKEN/);
  });

  describe("through a proxy", () => {
    /** A CONNECT proxy that wants `user:pass word`. */
    async function proxy(): Promise<{ port: number; log: string[] }> {
      const log: string[] = [];
      const server = createServer();
      server.on("connect", (request: IncomingMessage, socket) => {
        log.push(request.url ?? "");
        if (request.headers["proxy-authorization"] !== `Basic ${Buffer.from("user:pass word").toString("base64")}`) {
          socket.end("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
          return;
        }
        const [host = "", port = ""] = (request.url ?? "").split(":");
        const upstream = connect(Number(port), host, () => { socket.write("HTTP/1.1 200 OK\r\n\r\n"); upstream.pipe(socket); socket.pipe(upstream); });
        upstream.on("error", () => socket.destroy());
        socket.on("error", () => upstream.destroy());
        open.push(async () => { upstream.destroy(); socket.destroy(); });
      });
      return { port: Number(new URL(await listen(server)).port), log };
    }

    it("reaches the other side with the credentials of its address", async () => {
      const url = await serve((request, response) => { response.end(`hello ${request.headers.host}`); });
      const { port, log } = await proxy();
      const own = make({ proxy: `http://user:pass%20word@127.0.0.1:${port}` });
      assert.equal(await (await own(url)).text(), `hello ${new URL(url).host}`);
      assert.deepEqual(log, [new URL(url).host]);
    });

    it("names refused credentials without showing them", async () => {
      const url = await serve((_, response) => { response.end(); });
      const { port } = await proxy();
      const error = await fails(make({ proxy: `http://user:CANARY@127.0.0.1:${port}` })(url));
      assert.match(error.message, /proxy did not connect.*user name and password/);
      assert.equal(neverSent(error), true);
      assert.doesNotMatch(inspect(error, { depth: 9 }), /CANARY|VTVNBUlk/);
      const dead = await fails(make({ proxy: `http://user:CANARY@127.0.0.1:${await deadPort()}` })(url));
      assert.equal(neverSent(dead), true);
      assert.doesNotMatch(inspect(dead, { depth: 9 }), /CANARY/);
    });

    it("refuses an address that is none, without showing it", () => {
      for (const address of ["http//user:CANARY@x", "ftp://user:CANARY@x", "user:CANARY@x:1"]) {
        assert.throws(() => createFetch({ proxy: address }), (error: unknown) => {
          assert.ok(error instanceof ClawError);
          assert.equal(error.code, "CONF_001");
          assert.doesNotMatch(inspect(error, { depth: 9 }), /CANARY/);
          return true;
        });
      }
    });
  });

  it("serves grammY: a call, an upload, an error without the token", async () => {
    const seen: { url: string | undefined; type: string | undefined; body: Buffer }[] = [];
    const url = await serve(async (request, response) => {
      seen.push({ url: request.url, type: request.headers["content-type"], body: await bytesOf(request) });
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify({ ok: true, result: { message_id: 7 } }));
    });
    const { Api, InputFile } = await import("grammy");
    const api = new Api("123:TOKEN", { apiRoot: url, fetch: make() as never });
    assert.equal((await api.sendMessage(1, "Grüße")).message_id, 7);
    assert.deepEqual([seen[0]?.url, JSON.parse(String(seen[0]?.body))], ["/bot123:TOKEN/sendMessage", { chat_id: 1, text: "Grüße" }]);
    const bytes = randomBytes(300_000);
    assert.equal((await api.sendPhoto(1, new InputFile(bytes, "a.png"))).message_id, 7);
    const form = await new Response(new Uint8Array(seen[1]?.body ?? []), { headers: { "content-type": seen[1]?.type ?? "" } }).formData();
    const file = [...form.values()].find((value): value is File => typeof value !== "string");
    assert.deepEqual(Buffer.from(await (file as File).arrayBuffer()), bytes);
    const error = await fails(new Api("123:TOKEN", { apiRoot: `http://127.0.0.1:${await deadPort()}`, fetch: make() as never }).getMe());
    assert.equal(neverSent(error), true);
    assert.doesNotMatch(inspect(error, { depth: 9 }), /TOKEN/);
  });

  it("closes after what is running has ended", async () => {
    const url = await serve((_, response) => { setTimeout(() => { response.end("late"); }, 30); });
    const own = createFetch();
    const running = own(url).then((response) => response.text());
    await new Promise((done) => { setTimeout(done, 10); });
    await own.close();
    assert.equal(await running, "late");
    await assert.rejects(own(url));
  });
});

describe("neverSent", () => {
  it("is true only before a byte has left", async () => {
    const own = createFetch({ connectTimeoutMs: 300 });
    try {
      assert.equal(neverSent(await fails(own(`http://127.0.0.1:${await deadPort()}/`))), true);
      assert.equal(neverSent(await fails(fetch(`http://127.0.0.1:${await deadPort()}/`))), true, "also of the built-in fetch");
      const tcp = createTcp((socket) => { socket.once("data", () => { socket.destroy(); }); });
      const cutting = await listen(tcp);
      assert.equal(neverSent(await fails(own(cutting))), false);
      assert.equal(neverSent(await fails(fetch(cutting))), false);
    } finally {
      await own.destroy();
      for (const close of open.splice(0)) await close();
    }
  });

  it("reads codes through causes, wrappers and lists", () => {
    const coded = (code: string, more: object = {}) => Object.assign(new Error(code), { code, ...more });
    for (const code of ["ENOTFOUND", "ECONNREFUSED", "EAI_AGAIN", "UND_ERR_CONNECT_TIMEOUT", "CERT_HAS_EXPIRED"]) {
      assert.equal(neverSent(new TypeError("fetch failed", { cause: coded(code) })), true, code);
      assert.equal(neverSent({ error: coded(code) }), true, `${code} in grammY's wrapper`);
    }
    for (const code of ["ECONNRESET", "EPIPE", "UND_ERR_SOCKET", "UND_ERR_HEADERS_TIMEOUT", "ETIMEDOUT"]) assert.equal(neverSent(coded(code)), false, code);
    assert.equal(neverSent(coded("ETIMEDOUT", { syscall: "connect" })), true);
    assert.equal(neverSent(new AggregateError([coded("ECONNREFUSED"), coded("ENETUNREACH")])), true);
    assert.equal(neverSent(new AggregateError([coded("ECONNREFUSED"), coded("ECONNRESET")])), false);
    for (const nothing of [undefined, null, "ECONNREFUSED", {}, new Error("x")]) assert.equal(neverSent(nothing), false);
  });
});
