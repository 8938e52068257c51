/** The guarded fetch of what others name: nothing of the own network is ever reached. A canary on loopback is the judge. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { ChannelError } from "../../engine/errors.ts";
import { createFetch, type Fetch } from "../../engine/http.ts";
import { addressIn, isInternalName, isPrivate } from "../../engine/media/addresses.ts";
import { checkedLookup, createDownload, type DownloadOptions, type Resolve } from "../../engine/media/download.ts";

const URLS = path.join(process.env["CLAWFLOW_SPECS"] ?? "../shared/data/specs", "../badinputs/ssrf-urls.json");
interface Case { readonly url: string; readonly verdict: "block" | "resolve" | "allow-ip"; readonly host?: string }

const closing: (() => Promise<unknown>)[] = [];
async function serve(listener: RequestListener): Promise<{ origin: string; port: string; hits: IncomingMessage[] }> {
  const hits: IncomingMessage[] = [];
  const server: Server = createServer((request, response) => { hits.push(request); listener(request, response); });
  await new Promise<void>((done) => { server.listen(0, "127.0.0.1", done); });
  closing.push(() => new Promise((done) => { server.closeAllConnections(); server.close(done); }));
  const port = String((server.address() as AddressInfo).port);
  return { origin: `http://127.0.0.1:${port}`, port, hits };
}
function own(options: Parameters<typeof createFetch>[0] = {}): Fetch {
  const made = createFetch(options);
  closing.push(() => made.destroy());
  return made;
}
const download = (more: Partial<DownloadOptions> = {}) => createDownload({ fetch: own(), ...more });
const says = (...addresses: string[]): Resolve => async () => addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));
const nobody: Resolve = async (host) => { throw Object.assign(new Error(`queryA ENOTFOUND ${host}`), { code: "ENOTFOUND" }); };
/** The addresses a connection would be given. */
function looked(resolve: Resolve): Promise<string[]> {
  return new Promise((done, fail) => { checkedLookup(resolve)("rebind.example", { all: true }, (error, found) => { if (error) fail(error); else done((found as { address: string }[]).map(({ address }) => address)); }); });
}
async function text(body: Promise<ReadableStream<Uint8Array>>): Promise<string> { return new Response(await body).text(); }
async function fails(act: Promise<unknown>): Promise<ChannelError> {
  const error = await act.then(() => assert.fail("expected it to be refused"), (thrown: unknown) => thrown);
  assert.ok(error instanceof ChannelError, String(error));
  assert.equal(error.unsent, true, "nothing has left for the chat by then");
  return error;
}

describe("fetching what others name", () => {
  afterEach(async () => { for (const close of closing.splice(0).reverse()) await close(); });

  describe("addresses", () => {
    it("judges the first, the last and the neighbours of each range", () => {
      const closed = [
        "0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.100.100.200", "100.127.255.255", "127.0.0.1", "127.255.255.255", "168.63.129.16", "169.254.0.0", "169.254.169.254", "172.16.0.0", "172.31.255.255",
        "192.0.0.0", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.0.0", "192.168.255.255", "198.18.0.0", "198.19.255.255", "198.51.100.1", "203.0.113.255", "224.0.0.0", "239.255.255.255", "240.0.0.0", "255.255.255.255",
        "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:10.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::a00:1", "100::1", "2001::1", "2001:0:7f00:1::", "2001:db8::1", "2002:7f00:1::", "2002:a9fe:a9fe::",
        "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fdff::1", "fe80::1", "fe80::1%eth0", "febf::1", "fec0::1", "ff02::1", "", "localhost", "127.1", "1.2.3", "nonsense",
      ];
      const open = [
        "1.0.0.1", "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0", "168.63.129.15", "168.63.129.17", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.167.255.255",
        "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "::ffff:8.8.8.8", "::ffff:808:808", "2606:4700:4700::1111", "2a00:1450:4001::1", "2001:4860:4860::8888", "2003::1", "64:ff9a::1",
      ];
      assert.deepEqual(closed.filter((each) => !isPrivate(each)), []);
      assert.deepEqual(open.filter((each) => isPrivate(each)), []);
    });

    it("knows names of the own network", () => {
      const closed = ["localhost", "LOCALHOST", "localhost.", "foo.localhost", "localhost.localdomain", "printer.local", "metadata", "metadata.google.internal", "nas.lan", "router.home.arpa", "intranet", "1.0.0.127.in-addr.arpa"];
      assert.deepEqual(closed.filter((each) => !isInternalName(each)), []);
      assert.deepEqual(["example.org", "localhost.example.org", "local.example", "127.0.0.1.nip.io", "internal.example.com"].filter(isInternalName), []);
    });

    if (!existsSync(URLS)) it.skip(`${URLS} is not here`);
    else it("gets every address of the list right, and the canary sees none of them", async () => {
      const { cases } = JSON.parse(readFileSync(URLS, "utf8")) as { cases: Case[] };
      const canary = await serve((_, response) => { response.end("canary"); });
      const resolver: string[] = [];
      // Whatever is looked up leads to the canary: only a refusal keeps it from being hit. Its port is open to all of them.
      const guarded = download({ ports: new Set(["", "80", "443", "8080", "8443", canary.port]), resolve: async (host) => { resolver.push(host); return [{ address: "127.0.0.1", family: 4 }]; } });
      const count = { block: 0, resolve: 0, "allow-ip": 0 };
      for (const { url, verdict, host } of cases) {
        count[verdict]++;
        const parsed = URL.parse(url);
        if (verdict === "allow-ip") {
          assert.equal(isPrivate(addressIn(parsed as URL) ?? ""), false, url);
          continue;
        }
        const asked = resolver.length;
        for (const form of new Set([url, withPort(url, canary.port)])) {
          const error = await fails(guarded(form));
          assert.ok(["SEC_003", "MSG_002"].includes(error.code) && error.retry === "no", `${url}: ${error.code} ${error.message}`);
        }
        assert.equal(resolver.length > asked, verdict === "resolve", `${url} asks the resolver`);
        if (verdict === "resolve") assert.equal(resolver.at(-1), host, url);
      }
      assert.equal(canary.hits.length, 0);
      // The canary is alive, and reached by who may.
      assert.equal(await text(guarded(`${canary.origin}/`, { trust: [canary.origin] })), "canary");
      console.log(`      ${cases.length} addresses: ${JSON.stringify(count)}, canary hits 0`);
    });

    it("takes the usual ports alone, and every port of a trusted origin", async () => {
      const canary = await serve((_, response) => { response.end("x"); });
      for (const port of ["22", "25", "53", "81", "1880", "2375", "6379", "11434", "65535"]) {
        assert.equal((await fails(download({ resolve: says("1.1.1.1") })(`http://files.example:${port}/`))).code, "SEC_003", port);
      }
      assert.equal(await text(download()(canary.origin, { trust: [canary.origin] })), "x");
      assert.equal((await fails(download()(canary.origin.replace("127.0.0.1", "user:secret@127.0.0.1"), { trust: [canary.origin] }))).code, "SEC_003");
    });
  });

  describe("redirects", () => {
    /** From a trusted server on loopback: what follows is judged like anything a stranger names. */
    const chains: readonly (readonly [name: string, hops: readonly (readonly [status: number, to: string])[], code: string | undefined])[] = [
      ...[301, 302, 303, 307, 308].flatMap((status) => [
        [`${status} to loopback`, [[status, "CANARY"]], "SEC_003"], [`${status} to the own server`, [[status, "/file"]], undefined], [`${status} to metadata`, [[status, "http://169.254.169.254/latest/meta-data/"]], "SEC_003"],
      ] as const),
      ["two steps home", [[302, "/a"], [302, "/file"]], undefined],
      ["three steps home", [[302, "/a"], [302, "/b"], [302, "/file"]], undefined],
      ["four steps", [[302, "/a"], [302, "/b"], [302, "/c"], [302, "/file"]], "MSG_002"],
      ["a loop", [[302, "/0"]], "MSG_002"],
      ["to itself for ever", Array.from({ length: 100 }, (_, n) => [302, `/${n + 1}`] as const), "MSG_002"],
      ["home, then away to loopback", [[302, "/a"], [307, "CANARY"]], "SEC_003"],
      ["to file:", [[302, "file:///etc/passwd"]], "MSG_002"],
      ["to ftp:", [[302, "ftp://127.0.0.1/x"]], "MSG_002"],
      ["to data:", [[302, "data:text/plain,x"]], "MSG_002"],
      ["to javascript:", [[302, "javascript:alert(1)"]], "MSG_002"],
      ["to gopher:", [[302, "gopher://127.0.0.1:6379/_INFO"]], "MSG_002"],
      ["with a user name", [[302, "USER"]], "SEC_003"],
      ["by name to loopback", [[302, "NAME"]], "SEC_003"],
      ["by localhost", [[302, "http://localhost:PORT/"]], "SEC_003"],
      ["by decimal address", [[302, "http://2130706433:PORT/"]], "SEC_003"],
      ["by octal address", [[302, "http://0177.0.0.1:PORT/"]], "SEC_003"],
      ["by hexadecimal address", [[302, "http://0x7f.1:PORT/"]], "SEC_003"],
      ["by full-width address", [[302, encodeURI("http://１２７.0.0.1:PORT/")]], "SEC_003"],
      ["by mapped address", [[302, "http://[::ffff:127.0.0.1]:PORT/"]], "SEC_003"],
      ["by IPv6 loopback", [[302, "http://[::1]:PORT/"]], "SEC_003"],
      ["by NAT64", [[302, "http://[64:ff9b::7f00:1]:PORT/"]], "SEC_003"],
      ["by 6to4", [[302, "http://[2002:7f00:1::]:PORT/"]], "SEC_003"],
      ["by Teredo", [[302, "http://[2001:0:7f00:1::]:PORT/"]], "SEC_003"],
      ["by link-local", [[302, "http://[fe80::1]:PORT/"]], "SEC_003"],
      ["without a scheme", [[302, "//127.0.0.1:PORT/"]], "SEC_003"],
      ["with a backslash", [[302, "http:\\\\127.0.0.1:PORT\\"]], "SEC_003"],
      ["to an unusual port", [[302, "http://files.example:6379/"]], "SEC_003"],
      ["to https of loopback", [[302, "https://127.0.0.1/"]], "SEC_003"],
      ["to nowhere", [[302, "http://"]], "MSG_002"],
      ["an empty Location is the same address again", [[302, ""]], "MSG_002"],
    ];

    for (const [name, hops, code] of chains) it(name, async () => {
      const canary = await serve((_, response) => { response.end("canary"); });
      const server = await serve((request, response) => {
        if (request.url === "/file") return response.end("the file");
        const [status, to] = hops[["/0", "/a", "/b", "/c"].indexOf(request.url ?? "")] ?? hops[Number(request.url?.slice(1))] ?? hops[0] ?? [200, ""];
        response.writeHead(status, { location: to.replace("CANARY", canary.origin).replace("PORT", canary.port).replace("USER", canary.origin.replace("//", "//evil@")).replace("NAME", `http://rebind.example:${canary.port}/`) }).end();
      });
      const guarded = download({ resolve: says("127.0.0.1"), ports: new Set(["", "443", canary.port]) });
      const got = guarded(`${server.origin}/0`, { trust: [server.origin] });
      if (code === undefined) assert.equal(await text(got), "the file");
      else assert.equal((await fails(got)).code, code);
      assert.equal(canary.hits.length, 0);
      assert.ok(server.hits.length <= 4, `${server.hits.length} requests`);
    });
    it("are more than thirty chains", () => { assert.ok(chains.length >= 30, String(chains.length)); });

    it("keep the headers at home, and give them to nobody else, also not on the way back", async () => {
      const back: string[] = [];
      const other = await serve((_, response) => { response.writeHead(302, { location: `${back[0]}/file` }).end(); });
      const home = await serve((request, response) => {
        if (request.url === "/file") response.end("ok");
        else response.writeHead(307, { location: request.url === "/0" ? "/1" : `${other.origin}/x` }).end();
      });
      back.push(home.origin);
      assert.equal(await text(download()(`${home.origin}/0`, { headers: { authorization: "Bearer s3cret", "x-key": "k" }, trust: [home.origin, other.origin] })), "ok");
      assert.deepEqual([...home.hits, ...other.hits].map(({ url, headers }) => [url, headers.authorization, headers["x-key"]]), [
        ["/0", "Bearer s3cret", "k"], ["/1", "Bearer s3cret", "k"], ["/file", undefined, undefined], ["/x", undefined, undefined],
      ]);
    });
  });

  describe("names with two faces", () => {
    const PUBLIC = "93.184.215.14";
    const faces: readonly (readonly [name: string, answers: readonly (readonly string[])[]])[] = [
      ["public, then loopback", [[PUBLIC], ["127.0.0.1"]]],
      ["public and loopback at once", [[PUBLIC, "127.0.0.1"]]],
      ["loopback first", [["127.0.0.1", PUBLIC]]],
      ["public IPv4, loopback IPv6", [[PUBLIC, "::1"]]],
      ["mapped loopback", [["::ffff:127.0.0.1"]]],
      ["mapped loopback in hexadecimal", [["::ffff:7f00:1"]]],
      ["NAT64 of loopback", [["64:ff9b::7f00:1"]]],
      ["6to4 of loopback", [["2002:7f00:1::1"]]],
      ["Teredo", [["2001:0:7f00:1::1"]]],
      ["unspecified", [["0.0.0.0"]]],
      ["link-local with a zone", [["fe80::1%lo"]]],
      ["metadata", [["169.254.169.254"]]],
      ["carrier NAT", [["100.64.0.1"]]],
      ["home network", [["192.168.1.1"]]],
      ["an answer that is no address", [["localhost"]]],
    ];
    for (const [name, answers] of faces) it(name, async () => {
      const canary = await serve((_, response) => { response.end("canary"); });
      let asked = 0;
      const resolve: Resolve = async () => (answers[Math.min(asked++, answers.length - 1)] ?? []).map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));
      // The first of several looks is an honest one: a connection would go there. Nobody is bothered for that; it is asked what a connection asks.
      for (const [first] of answers.slice(1)) { assert.ok(first); assert.deepEqual(await looked(resolve), [PUBLIC]); }
      const guarded = download({ resolve, ports: new Set([canary.port]) });
      for (let turn = 0; turn < 2; turn++) assert.equal((await fails(guarded(`http://rebind.example:${canary.port}/`))).code, "SEC_003");
      assert.equal(canary.hits.length, 0);
      assert.equal(asked, answers.length + 1);
    });
    it("are at least ten", () => { assert.ok(faces.length >= 10); });

    it("a connection asks once, and goes to what it was told: there is no second look", async () => {
      const canary = await serve((_, response) => { response.end("pinned"); });
      const asked: string[] = [];
      const fetcher = own({ lookup: (host, options, done) => { asked.push(host); if (options.all === true) done(null, [{ address: "127.0.0.1", family: 4 }]); else done(null, "127.0.0.1", 4); } });
      assert.equal(await (await fetcher(`http://rebind.example:${canary.port}/`)).text(), "pinned");
      assert.deepEqual(asked, ["rebind.example"]);
      assert.equal(canary.hits[0]?.headers.host, `rebind.example:${canary.port}`);
    });

    it("a name that nobody knows is a fault that may pass", async () => {
      const error = await fails(download({ resolve: nobody })("http://no-such.example/"));
      assert.deepEqual([error.code, error.retry], ["CONN_001", "later"]);
    });
  });

  describe("through a proxy", () => {
    /** A proxy that connects wherever it is asked to. */
    async function proxy(): Promise<{ url: string; asked: string[] }> {
      const asked: string[] = [];
      const server = createServer((_, response) => { response.writeHead(405).end(); });
      server.on("connect", (request, socket) => {
        asked.push(request.url ?? "");
        const [, port] = (request.url ?? "").split(":");
        const to = connect(Number(port), "127.0.0.1", () => { socket.write("HTTP/1.1 200 OK\r\n\r\n"); to.pipe(socket); socket.pipe(to); });
        to.on("error", () => socket.destroy());
        socket.on("error", () => to.destroy());
      });
      await new Promise<void>((done) => { server.listen(0, "127.0.0.1", done); });
      closing.push(() => new Promise((done) => { server.closeAllConnections(); server.close(done); }));
      return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
    }

    it("names are the proxy's to look up; what is known here is refused here", async () => {
      const canary = await serve((_, response) => { response.end("by proxy"); });
      const { url, asked } = await proxy();
      const through = (resolve: Resolve) => createDownload({ fetch: own({ proxy: url }), proxied: true, resolve, ports: new Set([canary.port]) });
      const address = `http://files.example:${canary.port}/`;
      assert.equal(await text(through(nobody)(address)), "by proxy");
      assert.equal(await text(through(says("93.184.215.14"))(address)), "by proxy");
      assert.deepEqual(asked.every((each) => each === `files.example:${canary.port}`), true, String(asked));
      const before = canary.hits.length;
      for (const bad of [`http://127.0.0.1:${canary.port}/`, `http://localhost:${canary.port}/`, `http://[::1]:${canary.port}/`, `http://nas.local:${canary.port}/`]) assert.equal((await fails(through(nobody)(bad))).code, "SEC_003", bad);
      assert.equal((await fails(through(says("93.184.215.14", "10.0.0.1"))(address))).code, "SEC_003");
      assert.equal(canary.hits.length, before);
    });
  });

  describe("limits", () => {
    it("of size: what is declared too large is not read, and what grows too large is cut", async () => {
      let closed = 0;
      const server = await serve((request, response) => {
        response.on("close", () => { closed++; });
        if (request.url === "/declared") { response.writeHead(200, { "content-length": 10_000_000 }); response.write("x"); return; }
        const more = (): void => { while (response.write(Buffer.alloc(65_536))) { /* until it is full */ } };
        response.on("drain", more);
        more();
      });
      const trust = [server.origin];
      assert.equal((await fails(download()(`${server.origin}/declared`, { trust, bytes: 1000 }))).code, "MSG_003");
      const endless = await download()(`${server.origin}/endless`, { trust, bytes: 1_000_000 });
      assert.equal((await fails(new Response(endless).arrayBuffer())).code, "MSG_003");
      while (closed < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    });

    it("count bytes after unpacking: a packed bomb is cut as well", async () => {
      const bomb = gzipSync(Buffer.alloc(50_000_000));
      const server = await serve((_, response) => { response.writeHead(200, { "content-encoding": "gzip" }).end(bomb); });
      const body = await download()(server.origin, { trust: [server.origin], bytes: 1_000_000 });
      assert.equal((await fails(new Response(body).arrayBuffer())).code, "MSG_003");
      assert.equal(server.hits[0]?.headers["accept-encoding"], undefined);
    });

    it("of time: a server that drips is left", async () => {
      const server = await serve((_, response) => {
        response.writeHead(200);
        const timer = setInterval(() => { response.write("."); }, 20);
        response.on("close", () => clearInterval(timer));
      });
      const error = await fails(download({ timeoutMs: 300 })(server.origin, { trust: [server.origin] }).then((body) => new Response(body).text()));
      assert.deepEqual([error.code, error.retry], ["CONN_001", "later"]);
      assert.match(error.message, /did not come in time/);
    });

    it("of the caller: an abort passes as its own reason", async () => {
      const server = await serve(() => undefined);
      const abort = new AbortController();
      const got = download()(server.origin, { trust: [server.origin], signal: abort.signal });
      abort.abort(new Error("closed"));
      await assert.rejects(got, /closed/);
    });
  });

  it("tells what the server answered, without the address", async () => {
    const server = await serve((request, response) => { response.writeHead(Number(request.url?.slice(1, 4))).end(); });
    for (const [status, retry] of [[404, "no"], [403, "no"], [410, "no"], [429, "later"], [500, "later"], [503, "later"]] as const) {
      const error = await fails(download()(`${server.origin}/${status}?token=s3cret`, { trust: [server.origin] }));
      assert.deepEqual([error.code, error.retry], ["MSG_002", retry], String(status));
      assert.ok(!error.message.includes("s3cret"));
    }
    const refusedNow = await fails(download()("http://127.0.0.1:9/?token=s3cret", { trust: ["http://127.0.0.1:9"] }));
    assert.deepEqual([refusedNow.code, refusedNow.retry], ["CONN_001", "later"]);
    assert.ok(!refusedNow.message.includes("s3cret"));
  });
});

function withPort(url: string, port: string): string {
  const parsed = URL.parse(url);
  if (parsed === null || !/^https?:$/.test(parsed.protocol)) return url;
  parsed.port = port;
  parsed.protocol = "http:";
  return parsed.href;
}
