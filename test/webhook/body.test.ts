import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { buffer } from "node:stream/consumers";
import { createSpool } from "../../engine/media.ts";
import { type Body, BodyError, type BodyOptions, clean, parseBody } from "../../engine/webhook/body.ts";

const POLLUTION = path.join(process.env["CLAWFLOW_SPECS"] ?? "../shared/data/specs", "../badinputs/proto-pollution.json");
const parse = (type: string, body: string | Uint8Array, options?: BodyOptions): Promise<Body> => parseBody({ "content-type": type }, Buffer.from(body), options);
const data = async (type: string, body: string | Uint8Array): Promise<unknown> => (await parse(type, body)).data;
const refused = (status: number, text?: RegExp) => (error: unknown): boolean => {
  assert.ok(error instanceof BodyError, String(error));
  assert.equal(error.status, status, error.message);
  assert.equal(error.code, status === 413 ? "MSG_003" : "MSG_001");
  if (text) assert.match(error.message, text);
  return true;
};
const JSON_TYPE = "application/json";

describe("webhook body", () => {
  describe("JSON", () => {
    it("is read by any of its types", async () => {
      for (const type of [JSON_TYPE, "application/json; charset=utf-8", "APPLICATION/JSON;charset=\"UTF-8\"", "application/cloudevents+json", "text/json"]) assert.deepEqual(await data(type, '{"a":[1,"é"]}'), { a: [1, "é"] });
      assert.deepEqual(await data(JSON_TYPE, "\ufeff[]"), []);
      assert.deepEqual(await parse(JSON_TYPE, ""), { kind: "empty", data: {}, files: [] });
    });
    it("keeps ids that a number cannot hold", async () => {
      assert.deepEqual(await data(JSON_TYPE, '{"id":9007199254740993,"n":-12345678901234567890,"small":9007199254740991,"text":"12345678901234567890","half":1.50000000000000001}'),
        { id: "9007199254740993", n: "-12345678901234567890", small: 9007199254740991, text: "12345678901234567890", half: 1.5 });
    });
    const faults: [string, string | Uint8Array, number, RegExp][] = [
      ["broken", '{"a":', 400, /Expected JSON/],
      ["not JSON at all", "a=1", 400, /Expected JSON/],
      ["null", "null", 400, /object or list/],
      ["true", "true", 400, /object or list/],
      ["a number", "1", 400, /object or list/],
      ["a string", '"x"', 400, /object or list/],
      ["a number too large for a double", '{"a":[1e400]}', 400, /double/],
      ["nested 65 deep", "[".repeat(65) + "]".repeat(65), 400, /64 deep/],
      ["nested 10,000 deep", '{"a":'.repeat(10_000), 400, /64 deep/],
      ["one byte over 1 MiB", `"${"a".repeat(1_048_575)}"`, 413, /1048576 bytes/],
      ["bytes c3 28", Buffer.from([0x22, 0xc3, 0x28, 0x22]), 400, /utf-8/],
      ["bytes f0 28 8c bc", Buffer.from([0x22, 0xf0, 0x28, 0x8c, 0xbc, 0x22]), 400, /utf-8/],
      ["UTF-16 with its mark", Buffer.from("\ufeff{}", "utf16le"), 400, /utf-8/],
    ];
    for (const [name, body, status, text] of faults) it(`refuses ${name} with ${status}`, () => assert.rejects(parse(JSON_TYPE, body), refused(status, text)));
    it("counts depth outside strings only", async () => {
      assert.deepEqual(await data(JSON_TYPE, JSON.stringify({ a: `${"[".repeat(200)}"\\` })), { a: `${"[".repeat(200)}"\\` });
      assert.equal(JSON.stringify(await data(JSON_TYPE, "[".repeat(64) + "]".repeat(64))).length, 128);
    });
    it("takes many keys", async () => {
      const many = JSON.stringify(Object.fromEntries(Array.from({ length: 90_000 }, (_, n) => [`k${n}`, 1])));
      assert.equal(Object.keys(await data(JSON_TYPE, many) as object).length, 90_000);
    });
    it("refuses charsets that do not exist and packed bodies", async () => {
      await assert.rejects(parse("application/json;charset=x", "{}"), refused(415, /charset/));
      for (const packing of ["gzip", "deflate", "br", "gzip, gzip, gzip"]) await assert.rejects(parseBody({ "content-type": JSON_TYPE, "content-encoding": packing }, Buffer.from("{}")), refused(415, /Content-Encoding/));
      assert.equal((await parseBody({ "content-type": JSON_TYPE, "content-encoding": "identity" }, Buffer.from("{}"))).kind, "json");
    });
  });

  describe("prototypes", () => {
    const readable = (value: unknown): unknown => typeof value !== "object" || value === null ? undefined
      : ["isOwner", "trust", "role", "approved", "x", "polluted"].map((key) => Object.hasOwn(value, key) ? undefined : (value as Record<string, unknown>)[key]).find((found) => found !== undefined)
        ?? Object.values(value).map(readable).find((found) => found !== undefined);
    /** As Node-RED's cloneMessage does: key by key, by assignment. */
    const copy = (value: unknown): unknown => {
      if (typeof value !== "object" || value === null) return value;
      const made: Record<string, unknown> = Array.isArray(value) ? [] as unknown as Record<string, unknown> : {};
      for (const key of Object.getOwnPropertyNames(value)) if (key !== "length") made[key] = copy((value as Record<string, unknown>)[key]);
      return made;
    };
    if (!existsSync(POLLUTION)) it.skip(`${POLLUTION} is not here`);
    else {
      const bad = JSON.parse(readFileSync(POLLUTION, "utf8")) as { cases: string[]; querystrings: string[] };
      for (const body of bad.cases) {
        it(`of ${body} reach nobody`, async () => {
          const got = await data(JSON_TYPE, body);
          assert.equal(readable(copy(got)), undefined);
          assert.equal(readable({}), undefined);
          assert.ok(!JSON.stringify(got).includes("__proto__\":"));
        });
      }
      for (const query of bad.querystrings) {
        it(`of the form ${query.slice(0, 40)} reach nobody`, async () => {
          const got = await data("application/x-www-form-urlencoded", query.slice(1));
          assert.equal(readable(copy(got)), undefined);
        });
      }
    }
    it("of forms, XML and multipart reach nobody", async () => {
      assert.deepEqual(await data("application/x-www-form-urlencoded", "__proto__=1&constructor=2&a=3&toString=4&toString=5"), { a: "3", toString: ["4", "5"] });
      const xml = await data("text/xml", "<m><__proto__><isOwner>1</isOwner></__proto__><constructor><prototype>1</prototype></constructor><a>1</a></m>").catch((error: unknown) => error);
      assert.equal(xml instanceof BodyError || readable(copy(xml)) === undefined, true);
      const form = '--b\r\ncontent-disposition: form-data; name="__proto__"\r\n\r\n1\r\n--b\r\ncontent-disposition: form-data; name="a"\r\n\r\n2\r\n--b--\r\n';
      assert.deepEqual(await data("multipart/form-data; boundary=b", form), { a: "2" });
    });
    it("are cut out of data that nests", () => assert.deepEqual(clean(JSON.parse('[{"a":{"__proto__":1,"b":[{"__proto__":{}}]},"constructor":{"prototype":{}},"c":{"constructor":"x"}}]')), [{ a: { b: [{}] }, c: { constructor: "x" } }]));
  });

  describe("forms", () => {
    const FORM = "application/x-www-form-urlencoded";
    it("give strings, and lists where a name comes twice", async () => {
      assert.deepEqual(await data(FORM, "a=1&b=x+y%26&b=%C3%A9&c&=e&&d="), { a: "1", b: ["x y&", "é"], c: "", "": "e", d: "" });
    });
    it("that are not UTF-8, or endless, are refused", async () => {
      await assert.rejects(parse(FORM, "a=%c3%28"), refused(400, /percent-encoded/));
      await assert.rejects(parse(FORM, "a=%"), refused(400, /percent-encoded/));
      await assert.rejects(parse(FORM, "a=1&".repeat(1001)), refused(400, /1000 form fields/));
    });
  });

  describe("XML", () => {
    it("gives elements, attributes and text", async () => {
      assert.deepEqual(await data("application/xml", '<?xml version="1.0"?><m a="1"><t>hi &lt;b&gt; &amp; &quot;</t><n>007</n><i>1</i><i>2</i><c><![CDATA[<raw>&]]></c><e/></m>'),
        { m: { "@a": "1", t: 'hi <b> & "', n: "007", i: ["1", "2"], c: "<raw>&", e: "" } });
      assert.deepEqual(await data("application/rss+xml", '<a x="1">t</a>'), { a: { "#text": "t", "@x": "1" } });
    });
    it("is read in the charset it names", async () => {
      assert.deepEqual(await data("text/xml", Buffer.from('<?xml version="1.0" encoding="ISO-8859-1"?><a>é</a>', "latin1")), { a: "é" });
      assert.deepEqual(await data("text/xml; charset=utf-8", '<?xml version="1.0" encoding="ISO-8859-1"?><a>é</a>'), { a: "é" });
    });
    const faults: [string, string, RegExp][] = [
      ["entities that expand", `<!DOCTYPE x [<!ENTITY a "${"a".repeat(50)}"><!ENTITY b "&a;&a;&a;">]><x>&b;</x>`, /document type/],
      ["entities from a file", '<!doctype x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>', /document type/],
      ["an element that does not close", "<a><b></a>", /Expected XML/],
      ["no XML", "hello", /Expected XML/],
      ["nesting of 100", "<a>".repeat(100) + "</a>".repeat(100), /Expected XML|deep/],
      ["nesting of 10,000", "<a>".repeat(10_000) + "</a>".repeat(10_000), /Expected XML|deep/],
    ];
    for (const [name, body, text] of faults) it(`refuses ${name}`, () => assert.rejects(parse("text/xml", body), refused(400, text)));
  });

  it("text is text", async () => {
    assert.deepEqual(await parse("text/plain", "héllo\n"), { kind: "text", data: "héllo\n", files: [] });
    assert.equal(await data("text/plain; charset=iso-8859-1", Buffer.from("é", "latin1")), "é");
    assert.equal(await data("text/plain; charset=utf-16le", Buffer.from("é", "utf16le")), "é");
    await assert.rejects(parse("text/plain", Buffer.from([0xff])), refused(400, /utf-8/));
  });

  it("a type that is missing or unknown is refused", async () => {
    await assert.rejects(parseBody({}, Buffer.from("{}")), refused(415, /Content-Type/));
    await assert.rejects(parse("image/png", "x"), refused(415, /image\/png/));
    await assert.rejects(parse("nonsense", "x"), refused(415));
  });

  describe("multipart", () => {
    let folder = "";
    before(async () => { folder = await mkdtemp(path.join(tmpdir(), "clawflow-body-")); });
    after(() => rm(folder, { recursive: true, force: true }));
    beforeEach(() => rm(folder, { recursive: true, force: true }));
    const keeping = (maxBytes = 1_000_000): BodyOptions => {
      const spool = createSpool(folder, { maxBytes });
      return { keep: (content, file) => spool.save(content, file), discard: (id) => spool.remove(id) };
    };
    /** As a real client writes it. */
    async function real(form: FormData): Promise<[string, Uint8Array]> {
      const request = new Request("http://x/", { method: "POST", body: form });
      return [request.headers.get("content-type") ?? "", await request.bytes()];
    }

    it("gives fields and spooled files", async () => {
      const form = new FormData();
      form.append("text", "hällo");
      form.append("tag", "a");
      form.append("tag", "b");
      form.append("photo", new File([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), new Uint8Array(100_000)], "../Bild ü.png", { type: "text/html" }));
      form.append("note", new File(["<script>"], "n.html", { type: "text/html" }));
      const body = await parse(...await real(form), keeping());
      assert.deepEqual([body.kind, body.data], ["multipart", { text: "hällo", tag: ["a", "b"] }]);
      assert.deepEqual(body.files.map(({ field, name, mime, bytes }) => ({ field, name, mime, bytes })), [
        { field: "photo", name: "Bild ü.png", mime: "image/png", bytes: 100_008 }, { field: "note", name: "n.html", mime: "text/plain", bytes: 8 },
      ]);
      const kept = await createSpool(folder).open(body.files[0]?.id ?? "");
      assert.equal((await buffer(kept?.stream() as NodeJS.ReadableStream)).length, 100_008);
    });
    it("takes a lone file of any type where files are wanted", async () => {
      const { kind, files } = await parse("image/jpeg", Buffer.from([0xff, 0xd8, 0xff, 1]), keeping());
      assert.deepEqual([kind, files.map(({ field, mime }) => [field, mime])], ["file", [["", "image/jpeg"]]]);
    });
    it("refuses files that are not wanted or too large, too many parts, and broken forms", async () => {
      const one = new FormData();
      one.append("f", new File([new Uint8Array(2000)], "x"));
      await assert.rejects(parse(...await real(one)), refused(415, /without files/));
      await assert.rejects(parse(...await real(one), keeping(1000)), { code: "MSG_003" });
      const many = new FormData();
      for (let n = 0; n < 25; n++) many.append(`f${n}`, new File(["x"], "x"));
      await assert.rejects(parse(...await real(many), keeping()), refused(413, /20 files/));
      const fields = new FormData();
      for (let n = 0; n < 1001; n++) fields.append("a", "1");
      await assert.rejects(parse(...await real(fields), keeping()), refused(413, /1000 form fields/));
      const long = new FormData();
      long.append("a", "x".repeat(2_000_000));
      await assert.rejects(parse(...await real(long), keeping()), refused(413));
      await assert.rejects(parse("multipart/form-data", "x", keeping()), refused(400, /multipart/));
      const [type, whole] = await real(one);
      await assert.rejects(parse(type, whole.subarray(0, 1000), keeping()), refused(400, /multipart/));
      await assert.rejects(parse("multipart/form-data; boundary=b", "no form", keeping()), refused(400, /multipart/));
      const latin = Buffer.from('--b\r\ncontent-disposition: form-data; name="a"\r\n\r\n\xff\xfe\r\n--b--\r\n', "latin1");
      await assert.rejects(parse("multipart/form-data; boundary=b", latin, keeping()), refused(400, /charset/));
      await assert.rejects(parse(...await real(one), { ...keeping(), maxFileBytes: 100 }), refused(413, /100 bytes/));
      assert.deepEqual(await readdir(folder), [], "files of a refused form were kept");
    });
  });
});
