/** Files of drafts made ready for a platform: kept or fetched, named, sniffed, converted. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import sharp from "sharp";
import type { FileNeeds, ReadyFile } from "../../engine/channels/channel.ts";
import { ChannelError } from "../../engine/errors.ts";
import { createSpool, type Spool } from "../../engine/media.ts";
import { createConverters, type Converters } from "../../engine/media/convert.ts";
import type { Download } from "../../engine/media/download.ts";
import { namedAs } from "../../engine/media/endings.ts";
import { createReady } from "../../engine/media/ready.ts";
import { findFfmpeg } from "../../engine/media/sound.ts";
import type { DraftFile } from "../../engine/message.ts";
import { until } from "../kit/scripted.ts";
import { skip } from "../rigs/skip.ts";

const NAMES = path.join(process.env["CLAWFLOW_SPECS"] ?? "../shared/data/specs", "../badinputs/media-names.json");
const PATH = (process.env["PATH"] ?? "").split(path.delimiter);
const nowhere: Download = async () => { throw new Error("not fetched here"); };
const bare: Converters = { sharp: async () => undefined, ffmpeg: async () => undefined };

describe("files made ready", () => {
  let folder = "";
  let spool: Spool;
  let abort: AbortController;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "clawflow-ready-"));
    spool = createSpool(path.join(folder, "media"));
    abort = new AbortController();
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));
  const ready = (converters: Converters = createConverters(PATH), download = nowhere) => createReady({ spool, download, signal: abort.signal, converters });
  async function kept(content: Uint8Array, about: Partial<DraftFile> = {}): Promise<DraftFile> {
    const { id } = await spool.save(content, about.mime === undefined ? {} : { mime: about.mime });
    return { kind: "image", media: `spool:${id}`, ...about };
  }
  async function fails(act: Promise<ReadyFile>, code: string, message: RegExp): Promise<void> {
    const error = await act.then(() => assert.fail("expected an error"), (thrown: unknown) => thrown);
    assert.ok(error instanceof ChannelError, String(error));
    assert.deepEqual([error.code, error.retry, error.unsent], [code, "no", true], error.message);
    assert.match(error.message, message);
  }
  const picture = (width: number, height: number, alpha = false) => sharp({ create: { width, height, channels: alpha ? 4 : 3, background: alpha ? { r: 9, g: 99, b: 200, alpha: 0.5 } : "#3366cc", noise: { type: "gaussian", mean: 128, sigma: 60 } } });

  it("streams a kept file from disk, and gives it whole to who asks", async () => {
    const bytes = Buffer.alloc(300_000, 7);
    const file = await ready()(await kept(bytes, { kind: "document", name: "dump.bin" }));
    assert.deepEqual([file.name, file.mime, file.bytes], ["dump.bin", "application/octet-stream", 300_000]);
    assert.deepEqual(Buffer.from(await file.read()), bytes);
    let pieces = 0;
    for await (const piece of file.stream()) { assert.ok(piece.byteLength <= 65_536); pieces++; }
    assert.ok(pieces >= 5);
  });

  it("fetches an address once, keeps it, and does not fetch it again for another try", async () => {
    let asked = 0;
    const get = ready(bare, async (url) => { assert.equal(url, "https://example.org/cat"); asked++; return new Blob(["\x89PNG\r\n\x1a\n".split("").map((c) => c.charCodeAt(0))].map((codes) => Uint8Array.from(codes))).stream() as ReadableStream<Uint8Array>; });
    const draft: DraftFile = { kind: "image", media: "https://example.org/cat" };
    for (let turn = 0; turn < 3; turn++) assert.deepEqual([(await get(draft)).name, (await get(draft)).mime], ["image.png", "image/png"]);
    assert.equal(asked, 1);
    assert.equal((await readdir(path.join(folder, "media"))).length, 2);
    let failing = 0;
    const flaky = ready(bare, async () => { if (failing++ === 0) throw new ChannelError("CONN_001", { retry: "later", unsent: true }, "away"); return new Blob(["x"]).stream() as ReadableStream<Uint8Array>; });
    const other: DraftFile = { kind: "document", media: "https://example.org/later" };
    await assert.rejects(flaky(other), { code: "CONN_001" });
    assert.equal((await flaky(other)).bytes, 1);
  });

  it("says that a file is gone, and that one is too large", async () => {
    await fails(ready()({ kind: "image", media: `spool:${"0".repeat(32)}` }), "MSG_002", /no longer kept/);
    await fails(ready()({ kind: "image", media: "spool:../../etc/passwd" }), "MSG_002", /no longer kept/);
    await fails(ready()(await kept(Buffer.alloc(2000), { kind: "document" }), { bytes: 1999 }), "MSG_003", /at most 1999 bytes, got 2000/);
    const small = createSpool(path.join(folder, "small"), { maxBytes: 10 });
    await fails(createReady({ spool: small, download: async () => new Blob([Buffer.alloc(20)]).stream() as ReadableStream<Uint8Array> })({ kind: "image", media: "https://example.org/x" }), "MSG_003", /at most 10 bytes/);
  });

  it("believes the bytes, not the declared type or the ending", async () => {
    const get = ready(bare);
    const html = await get(await kept(Buffer.from("<html><script>alert(1)</script>"), { mime: "image/png", name: "cat.png" }));
    assert.deepEqual([html.mime, html.name], ["text/plain", "cat.png"]);
    await fails(get(await kept(Buffer.from("<svg xmlns='http://www.w3.org/2000/svg'/>"), { mime: "image/svg+xml" }), { types: ["image/*"] }), "MSG_005", /image\/\*, got text\/plain/);
    const png = await get(await kept(await picture(2, 2).png().toBuffer(), { mime: "image/jpeg", name: "photo.jpg" }));
    assert.deepEqual([png.mime, png.name], ["image/png", "photo.png"]);
    const sheet = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
    const office = await get({ ...(await kept(Buffer.from("PK\x03\x04zip"), { kind: "document" })), mime: sheet, name: "Zahlen" });
    assert.deepEqual([office.mime, office.name], [sheet, "Zahlen.xlsx"]);
  });

  it("makes names of its own where there are none, and endings that fit", () => {
    const rows: [string, string, string, string][] = [["", "image/png", "image", "image.png"], ["", "application/octet-stream", "document", "document"], ["a.PNG", "image/png", "image", "a.PNG"], ["a.jpeg", "image/jpeg", "image", "a.jpeg"], ["a.b", "image/png", "image", "a.b.png"], ["x.wav", "audio/ogg", "audio", "x.ogg"], ["notes.md", "text/plain", "document", "notes.md"]];
    for (const [base, mime, kind, wanted] of rows) assert.equal(namedAs(base, mime, kind), wanted);
  });

  if (!existsSync(NAMES)) it.skip(`${NAMES} is not here`);
  else it("gives no hostile name on", async () => {
    const { cases } = JSON.parse(readFileSync(NAMES, "utf8")) as { cases: string[] };
    const draft = await kept(await picture(2, 2).png().toBuffer());
    for (const name of cases) {
      const { name: made } = await ready(bare)({ ...draft, name });
      assert.ok(Buffer.byteLength(made) <= 260 && made.endsWith(".png"), JSON.stringify(made));
      assert.doesNotMatch(made, /[/\\:<>"|?*;$`\p{C}]|^[-.~\s]/u, JSON.stringify(name));
    }
    console.log(`      ${cases.length} names`);
  });

  describe("pictures", () => {
    const sized = async (file: ReadyFile) => { const { format, width, height, exif } = await sharp(Buffer.from(await file.read())).metadata(); return { format, width, height, exif }; };

    it("stay as they are where they fit", async () => {
      const draft = await kept(await picture(40, 30).png().toBuffer());
      for (const needs of [{}, { pixels: 40 }, { types: ["image/*"], bytes: 1_000_000, pixels: 4000 }] satisfies FileNeeds[]) assert.equal((await ready()(draft, needs)).bytes, (await ready(bare)(draft)).bytes);
    });

    it("become another type, smaller, lighter, upright and without what the camera wrote", async () => {
      const shot = await picture(400, 200).jpeg({ quality: 95 }).withExif({ IFD0: { Copyright: "me" }, IFD3: { GPSLatitude: "52/1 31/1 0/1" } }).withMetadata({ orientation: 6 }).toBuffer();
      const draft = await kept(shot, { name: "IMG_1.jpg" });
      const small = await ready()(draft, { pixels: 100 });
      assert.deepEqual(await sized(small), { format: "jpeg", width: 50, height: 100, exif: undefined });
      assert.equal(small.name, "IMG_1.jpg");
      const light = await ready()(draft, { bytes: 4_000 });
      assert.ok(light.bytes <= 4_000);
      const other = await ready()(draft, { types: ["image/webp"] });
      assert.deepEqual([other.mime, other.name, (await sized(other)).format], ["image/webp", "IMG_1.webp", "webp"]);
      const clear = await kept(await picture(50, 50, true).webp().toBuffer());
      assert.equal((await ready()(clear, { types: ["image/png", "image/jpeg"] })).mime, "image/png");
      assert.equal((await ready()(clear, { types: ["image/jpeg"] })).mime, "image/jpeg");
      const gif = await kept(await picture(300, 300).gif().toBuffer());
      assert.deepEqual([(await ready()(gif, { pixels: 100, types: ["image/gif", "image/png"] })).mime, (await ready()(gif, { types: ["image/jpeg", "image/png"] })).mime], ["image/gif", "image/jpeg"]);
    });

    it("are converted once for all tries", async () => {
      const draft = await kept(await picture(400, 400).png().toBuffer());
      const get = ready();
      await get(draft, { pixels: 50 });
      const before = (await readdir(path.join(folder, "media"))).length;
      await get(draft, { pixels: 50 });
      assert.equal((await readdir(path.join(folder, "media"))).length, before);
      await get(draft, { pixels: 60 });
      assert.equal((await readdir(path.join(folder, "media"))).length, before + 2);
    });

    it("are left alone when they are sent as documents, and refused where nothing helps", async () => {
      const draft = await kept(await picture(400, 400).png().toBuffer(), { kind: "document" });
      await fails(ready()(draft, { types: ["application/pdf"] }), "MSG_005", /application\/pdf, got image\/png/);
      assert.equal((await ready()(draft, { pixels: 10 })).mime, "image/png");
      await fails(ready()(await kept(await picture(400, 400).png().toBuffer()), { types: ["application/pdf"] }), "MSG_005", /cannot be converted/);
      await fails(ready()(await kept(await picture(400, 400).png().toBuffer()), { bytes: 100 }), "MSG_003", /cannot be made that small/);
    });

    it("that are none, or claim to be enormous, are refused", async () => {
      const broken = Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), Buffer.alloc(500, 3)]);
      await fails(ready()(await kept(broken), { pixels: 100 }), "MSG_005", /could not be read/);
      // A GIF of 65,535 × 65,535 in 26 bytes.
      const flood = Buffer.from("R0lGODlh/////4AAAAAAAP///yH5BAAAAAAALAAAAAD/////AAICRAEAOw==", "base64");
      await fails(ready()(await kept(flood), { pixels: 100 }), "MSG_005", /could not be read|pixel/i);
    });

    it("without sharp: what fits goes, what does not says what would help", async () => {
      const draft = await kept(await picture(400, 400).png().toBuffer());
      assert.equal((await ready(bare)(draft, { pixels: 10, types: ["image/png"] })).mime, "image/png");
      await fails(ready(bare)(draft, { types: ["image/jpeg"] }), "MSG_005", /image\/jpeg, got image\/png\. Install sharp in Node-RED's user folder \(npm install sharp\)/);
      await fails(ready(bare)(draft, { bytes: 100 }), "MSG_003", /npm install sharp/);
    });
  });

  describe("sound", () => {
    let ffmpeg: string | undefined;
    before(async () => { ffmpeg = await findFfmpeg(PATH); });
    /** A second of a tone, as a WAV of 16-bit samples. */
    function tone(seconds = 1): Buffer {
      const rate = 8000;
      const data = Buffer.alloc(rate * seconds * 2);
      for (let n = 0; n < rate * seconds; n++) data.writeInt16LE(Math.round(9000 * Math.sin((n * 2 * Math.PI * 440) / rate)), n * 2);
      const head = Buffer.alloc(44);
      head.write("RIFF", 0); head.writeUInt32LE(36 + data.length, 4); head.write("WAVEfmt ", 8);
      head.writeUInt32LE(16, 16); head.writeUInt16LE(1, 20); head.writeUInt16LE(1, 22); head.writeUInt32LE(rate, 24); head.writeUInt32LE(rate * 2, 28); head.writeUInt16LE(2, 32); head.writeUInt16LE(16, 34);
      head.write("data", 36); head.writeUInt32LE(data.length, 40);
      return Buffer.concat([head, data]);
    }
    const voice = (content = tone()) => kept(content, { kind: "voice", name: "note.wav" });
    const tempFolders = async () => (await readdir(tmpdir())).filter((name) => name.startsWith("clawflow-sound-"));

    it("becomes what the platform takes", async function () {
      this.timeout(60_000);
      if (ffmpeg === undefined) return skip(this, "ffmpeg is not installed here");
      const before = await tempFolders();
      for (const [types, mime, ending] of [[["audio/ogg; codecs=opus"], "audio/ogg", "ogg"], [["audio/mpeg"], "audio/mpeg", "mp3"], [["audio/mp4", "audio/x-m4a"], "audio/mp4", "m4a"]] as const) {
        const file = await ready()(await voice(), { types });
        assert.deepEqual([file.mime, file.name], [mime, `note.${ending}`]);
        assert.ok(file.bytes > 500);
        if (mime === "audio/ogg") assert.ok(Buffer.from(await file.read()).subarray(0, 64).includes("OpusHead"));
        // And back: it is what it says.
        const probe: { status: number | null; stderr: Buffer } = spawnSync(ffmpeg as string, ["-v", "error", "-i", "pipe:0", "-f", "null", "-"], { input: Buffer.from(await file.read()) });
        if (mime !== "audio/mp4") assert.equal(probe.status, 0, String(probe.stderr));
      }
      assert.deepEqual(await tempFolders(), before);
    });

    it("too long for the platform, broken, or no sound at all is refused", async function () {
      this.timeout(60_000);
      if (ffmpeg === undefined) return skip(this, "ffmpeg is not installed here");
      await fails(ready()(await voice(tone(20)), { types: ["audio/mpeg"], bytes: 2_000 }), "MSG_003", /also after it was converted/);
      await fails(ready()(await voice(Buffer.concat([Buffer.from("ID3\x04"), Buffer.alloc(3000, 5)])), { types: ["audio/ogg"] }), "MSG_005", /could not be converted to audio\/ogg/);
      await fails(ready()(await kept(Buffer.from("#EXTM3U\nhttp://127.0.0.1/x.ts\n"), { kind: "voice", mime: "audio/mpeg" }), { types: ["audio/ogg"] }), "MSG_005", /got text\/plain/);
    });

    it("is converted by an argument list, from a path, with no environment; a hanging program is killed in time and on abort", async function () {
      if (process.platform === "win32") return skip(this, "a script stands in for the program");
      const program = path.join(folder, "ffmpeg");
      const log = path.join(folder, "log");
      await writeFile(program, `#!/bin/sh\nfor word in "$@"; do echo "$word" >> ${log}; done\nenv >> ${log}\necho $$ > ${log}.pid\nexec sleep 60\n`);
      await chmod(program, 0o755);
      const get = ready({ sharp: async () => undefined, ffmpeg: async () => program });
      const work = get(await voice(), { types: ["audio/ogg"] });
      const pid = async () => Number((await readFile(`${log}.pid`, "utf8").catch(() => "")).trim());
      await until(async () => (await pid()) > 0, "the program to run");
      const child = await pid();
      abort.abort(new Error("closed"));
      await assert.rejects(work, /closed/);
      assert.throws(() => process.kill(child, 0), { code: "ESRCH" });
      const words = (await readFile(log, "utf8")).split("\n");
      assert.ok(words.includes("-protocol_whitelist") && words.includes("-nostdin") && words.some((word) => word.startsWith(path.join(folder, "media"))));
      // Node itself hands this one on while coverage is measured.
      assert.deepEqual(words.filter((word) => /^(HOME|npm_|NODE_|CLAWFLOW)/.test(word) && !word.startsWith("NODE_V8_COVERAGE=")), []);
    });

    it("without ffmpeg says what would help; what fits goes", async () => {
      await fails(ready(bare)(await voice(), { types: ["audio/ogg"] }), "MSG_005", /audio\/ogg, got audio\/wav\. Install ffmpeg/);
      assert.equal((await ready(bare)(await voice(), { types: ["audio/wav"] })).mime, "audio/wav");
    });
  });
});
