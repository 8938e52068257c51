import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { buffer } from "node:stream/consumers";
import { cleanName, createSpool, fileKind, sniff, type SpoolOptions } from "../engine/media.ts";
import { fakeClock } from "./schedule/fake-clock.ts";

const NAMES = path.join(process.env["CLAWFLOW_SPECS"] ?? "../shared/data/specs", "../badinputs/media-names.json");
const START = Date.UTC(2026, 5, 1);
const HOUR = 3_600_000;

describe("media spool", () => {
  let folder = "";
  beforeEach(async () => { folder = await mkdtemp(path.join(tmpdir(), "clawflow-media-")); });
  afterEach(() => rm(folder, { recursive: true, force: true }));
  const spool = (options: SpoolOptions = {}) => createSpool(path.join(folder, "media"), options);
  const kept = async (): Promise<string[]> => (await readdir(path.join(folder, "media"))).sort();

  async function* pieces(count: number, bytes: number): AsyncGenerator<Uint8Array> {
    for (let n = 0; n < count; n++) yield Buffer.alloc(bytes, n);
  }

  it("keeps bytes and streams, and gives them back after a restart", async () => {
    const first = spool();
    const text = await first.save(Buffer.from("héllo"), { name: "note.txt", mime: "text/plain" });
    const big = await first.save(pieces(30, 10_000), { name: "dump" });
    assert.deepEqual([text.bytes, text.mime, text.name, big.bytes, big.mime, big.name], [6, "text/plain", "note.txt", 300_000, "application/octet-stream", "dump"]);
    const again = spool();
    const opened = await again.open(`spool:${text.id}`);
    assert.deepEqual({ ...opened, stream: undefined }, { ...text, stream: undefined });
    assert.equal((await buffer(opened?.stream() as NodeJS.ReadableStream)).toString(), "héllo");
    assert.equal((await buffer((await again.open(big.id))?.stream() as NodeJS.ReadableStream)).length, 300_000);
  });

  it("takes the body of a real HTTP answer", async () => {
    const server = createServer((_, response) => response.end(Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), Buffer.alloc(200_000)])));
    await new Promise<void>((resolve) => { server.listen(0, "127.0.0.1", resolve); });
    try {
      const answer = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
      const saved = await spool().save(answer.body as ReadableStream<Uint8Array>, { mime: "text/html" });
      assert.deepEqual([saved.mime, saved.bytes], ["image/png", 200_008]);
    } finally {
      server.close();
    }
  });

  it("lets only its user read", async function () {
    if (process.platform === "win32") this.skip();
    const { path: file } = await spool().save(Buffer.from("x"));
    assert.equal((await stat(path.join(folder, "media"))).mode & 0o777, 0o700);
    for (const entry of await kept()) assert.equal((await stat(path.join(folder, "media", entry))).mode & 0o777, 0o600, entry);
    assert.equal(path.dirname(file), path.join(folder, "media"));
  });

  it("refuses what is too large and leaves nothing behind", async () => {
    const small = spool({ maxBytes: 1000 });
    await assert.rejects(small.save(pieces(5, 300)), { code: "MSG_003", retry: "no" });
    await assert.rejects(small.save(Buffer.alloc(1001)), { code: "MSG_003" });
    assert.deepEqual(await kept(), []);
    assert.equal((await small.save(Buffer.alloc(1000))).bytes, 1000);
  });

  it("reads no further than the limit of an endless source, and ends it", async () => {
    let produced = 0;
    let ended = false;
    async function* endless(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) { produced++; yield Buffer.alloc(100); }
      } finally { ended = true; }
    }
    await assert.rejects(spool({ maxBytes: 1000 }).save(endless()), { code: "MSG_003" });
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual([produced, ended], [11, true]);
  });

  it("gives up on a source that stalls, breaks off or is aborted", async () => {
    const time = fakeClock(START);
    const clocked = spool({ clock: time.clock, timeoutMs: 5000 });
    async function* stalls(): AsyncGenerator<Uint8Array> { yield Buffer.alloc(10); await new Promise(() => undefined); }
    const stalled = assert.rejects(clocked.save(stalls()), { code: "CONN_001", retry: "later" });
    while (time.timers() === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    await time.pass(5001);
    await stalled;
    async function* breaks(): AsyncGenerator<Uint8Array> { yield Buffer.alloc(10); throw new Error("socket hang up"); }
    await assert.rejects(clocked.save(breaks()), { code: "CONN_001", message: /socket hang up/ });
    const aborted = new AbortController();
    const waiting = clocked.save(stalls(), { signal: aborted.signal });
    setTimeout(() => aborted.abort(new Error("closed")), 10);
    await assert.rejects(waiting, /closed/);
    assert.deepEqual(await kept(), []);
    assert.equal(time.timers(), 0);
  });

  it("forgets old files, and makes room for new ones by the oldest", async () => {
    const time = fakeClock(START);
    const media = spool({ clock: time.clock, keepMs: 24 * HOUR, maxTotalBytes: 1000 });
    const first = await media.save(Buffer.alloc(400));
    time.jump(START + 2 * HOUR);
    const second = await media.save(Buffer.alloc(400));
    const third = await media.save(Buffer.alloc(400));
    assert.equal(await media.open(first.id), undefined);
    assert.ok(await media.open(second.id));
    await assert.rejects(media.save(Buffer.alloc(400)), { code: "MSG_003", message: /folder is full/ }, "files of the last hour may still be needed");
    assert.equal(await media.sweep(), 0);
    time.jump(START + 27 * HOUR);
    assert.equal(await media.sweep(), 2);
    assert.deepEqual([await media.open(third.id), await kept()], [undefined, []]);
    assert.equal((await media.save(Buffer.alloc(1000))).bytes, 1000);
  });

  it("removes by id, and only by id", async () => {
    const media = spool();
    const { id } = await media.save(Buffer.from("x"));
    await writeFile(path.join(folder, "precious"), "x");
    for (const reference of ["../precious", "spool:../precious", "", "..", `${id}.json`, `${id}/../../precious`, "__proto__"]) {
      await media.remove(reference);
      assert.equal(await media.open(reference), undefined);
    }
    assert.equal(await readFile(path.join(folder, "precious"), "utf8"), "x");
    await media.remove(`spool:${id}`);
    assert.deepEqual(await kept(), []);
  });

  it("clears what a crash left", async () => {
    const { id } = await spool().save(Buffer.from("whole"));
    const half = "0".repeat(32);
    await writeFile(path.join(folder, "media", `${half}.part`), "half");
    await writeFile(path.join(folder, "media", `${half}.json`), "{}");
    await writeFile(path.join(folder, "media", "mine.txt"), "not ours");
    const again = spool();
    assert.ok(await again.open(id));
    assert.deepEqual(await kept(), [id, `${id}.json`, "mine.txt"].sort());
    await writeFile(path.join(folder, "media", `${id}.json`), "{ not json");
    assert.equal(await again.open(id), undefined);
  });

  it("names a folder that cannot be used, and works once it can", async () => {
    await writeFile(path.join(folder, "media"), "a file stands here");
    const media = spool();
    await assert.rejects(media.save(Buffer.from("x")), { code: "STORE_001", retry: "later" });
    await rm(path.join(folder, "media"));
    assert.equal((await media.save(Buffer.from("x"))).bytes, 1);
  });

  describe("hostile names", () => {
    if (!existsSync(NAMES)) {
      it.skip(`${NAMES} is not here`);
      return;
    }
    const names = (JSON.parse(readFileSync(NAMES, "utf8")) as { cases: string[] }).cases;
    it(`${names.length} of them stay inside the folder under made names`, async () => {
      const media = spool();
      for (const name of names) {
        const saved = await media.save(Buffer.from("x"), { name });
        assert.match(path.relative(path.join(folder, "media"), saved.path), /^[0-9a-f]{32}$/);
        const clean = saved.name ?? "";
        assert.ok(Buffer.byteLength(clean) <= 255, name);
        assert.doesNotMatch(clean, /[/\\:<>"|?*;$`\p{C}]|^[-.~\s]|[.\s]$/u, JSON.stringify(name));
        assert.doesNotMatch(clean, /^(con|aux|lpt1)(\.|$)/i);
        assert.deepEqual((await media.open(saved.id))?.name, saved.name);
      }
      assert.equal((await kept()).length, 2 * names.length);
      assert.deepEqual(await readdir(folder), ["media"]);
    });
  });

  it("cleans names without harming honest ones", () => {
    const honest = ["Rechnung März 2026.pdf", "写真 (1).jpg", "v1.2_final-3.tar.gz", "naïve=[a,b]+c@d.txt", "ملف.pdf"];
    for (const name of honest) assert.equal(cleanName(name), name);
    assert.equal(cleanName("../../etc/passwd"), "passwd");
    assert.equal(cleanName("x\u202egnp.js"), "xgnp.js");
    assert.equal(cleanName("．．／x"), "x");
    assert.equal(cleanName("con.png"), "_con.png");
    assert.equal(cleanName(".npmrc"), "npmrc");
    assert.equal(cleanName("."), "");
    const long = cleanName(`${"é".repeat(300)}.jpeg`);
    assert.ok(Buffer.byteLength(long) <= 255 && long.endsWith("é.jpeg"), long);
  });
});

describe("sniffing", () => {
  const bytes = (text: string): Buffer => Buffer.concat([Buffer.from(text, "latin1"), Buffer.alloc(64, 1)]);
  const told: [string, Buffer, string | undefined, string][] = [
    ["png called html", bytes("\x89PNG\r\n\x1a\n"), "text/html", "image/png"],
    ["jpeg", bytes("\xff\xd8\xff\xe0"), undefined, "image/jpeg"],
    ["gif", bytes("GIF89a"), undefined, "image/gif"],
    ["webp", bytes("RIFF\x10\0\0\0WEBP"), undefined, "image/webp"],
    ["wav", bytes("RIFF\x10\0\0\0WAVE"), undefined, "audio/wav"],
    ["mp4", bytes("\0\0\0\x18ftypisom"), undefined, "video/mp4"],
    ["voice in mp4", bytes("\0\0\0\x18ftypisom"), "audio/mp4", "audio/mp4"],
    ["m4a", bytes("\0\0\0\x18ftypM4A "), undefined, "audio/mp4"],
    ["heic", bytes("\0\0\0\x18ftypheic"), undefined, "image/heic"],
    ["avif", bytes("\0\0\0\x18ftypavif"), undefined, "image/avif"],
    ["quicktime", bytes("\0\0\0\x14ftypqt  "), undefined, "video/quicktime"],
    ["webm", bytes("\x1a\x45\xdf\xa3"), undefined, "video/webm"],
    ["ogg voice", bytes(`OggS${"\0".repeat(24)}OpusHead`), "audio/ogg; codecs=opus", "audio/ogg"],
    ["mp3 with tag", bytes("ID3\x04"), undefined, "audio/mpeg"],
    ["mp3", bytes("\xff\xfb\x90"), undefined, "audio/mpeg"],
    ["flac", bytes("fLaC"), undefined, "audio/flac"],
    ["pdf", bytes("%PDF-1.7"), "image/png", "application/pdf"],
    ["zip", bytes("PK\x03\x04"), undefined, "application/zip"],
    ["docx", bytes("PK\x03\x04"), "application/vnd.openxmlformats-officedocument.wordprocessingml.document", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"],
    ["zip called html", bytes("PK\x03\x04"), "text/html", "application/zip"],
    ["animated sticker", bytes("\x1f\x8b\x08"), "application/x-tgsticker", "application/x-tgsticker"],
    ["7z", bytes("7z\xbc\xaf\x27\x1c"), undefined, "application/x-7z-compressed"],
    ["tiff", bytes("II*\0"), undefined, "image/tiff"],
    ["html called png", Buffer.from("<html><script>alert(1)</script>"), "image/png", "text/plain"],
    ["html", Buffer.from("<!doctype html>"), "text/html", "text/plain"],
    ["svg", Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>'), "image/svg+xml", "text/plain"],
    ["script", Buffer.from("alert(1)"), "text/javascript", "text/plain"],
    ["csv", Buffer.from("a;b\n1;2"), "text/csv; charset=utf-8", "text/csv"],
    ["json", Buffer.from("{}"), "application/json", "application/json"],
    ["text cut inside a character", Buffer.from(`a${"é".repeat(400)}`).subarray(0, 512), undefined, "text/plain"],
    ["sound of an unknown make", Buffer.alloc(64, 0), "audio/x-strange", "audio/x-strange"],
    ["a program called jpeg", bytes("\x7fELF\x02\x01\x01\0"), "image/jpeg", "application/octet-stream"],
    ["a type that is no type", Buffer.alloc(64, 0), "audio/<script>", "application/octet-stream"],
    ["nothing", Buffer.alloc(0), "image/png", "application/octet-stream"],
  ];
  for (const [name, head, declared, expected] of told) it(`tells ${name}`, () => assert.equal(sniff(head, declared), expected));
  it("knows kinds", () => assert.deepEqual(["image/png", "video/mp4", "audio/ogg", "application/pdf"].map(fileKind), ["image", "video", "audio", "document"]));
});
