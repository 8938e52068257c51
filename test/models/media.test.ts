/** Sound and pictures over real HTTP: what is sent by OpenAI's description, what comes back, and what goes wrong. */
import assert from "node:assert/strict";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { createFetch, type Fetch } from "../../engine/http.ts";
import { MEDIA, openMedia } from "../../engine/models/media.ts";
import { PROVIDERS } from "../../engine/models/index.ts";
import { openaiJudge } from "../spec/openai-schema.ts";
import { KEY } from "./kit.ts";

const OGG = Buffer.from("OggS\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x13OpusHead\x01\x01", "latin1");
const PNG = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "base64");
type Asked = { readonly path: string; readonly headers: IncomingHttpHeaders; readonly body: Buffer };
type Answer = { readonly status?: number; readonly type?: string; readonly body: string | Buffer } | "silence";

describe("sound and pictures", function () {
  // The description is large.
  this.timeout(120_000);
  const asked: Asked[] = [];
  let answer: Answer = { body: "{}" };
  let fetch: Fetch;
  let url = "";
  const server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on("data", (piece: Buffer) => pieces.push(piece));
    request.on("end", () => {
      asked.push({ path: request.url ?? "", headers: request.headers, body: Buffer.concat(pieces) });
      if (answer === "silence") return;
      response.writeHead(answer.status ?? 200, { "content-type": answer.type ?? "application/json" }).end(answer.body);
    });
  });
  before(async () => {
    fetch = createFetch();
    await new Promise<void>((done) => { server.listen(0, "127.0.0.1", done); });
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  });
  after(async () => { await fetch.destroy(); server.closeAllConnections(); server.close(); });
  const open = (model: string, provider = "openai") => openMedia({ provider, model, key: KEY, baseUrl: url }, fetch as never);
  const signal = new AbortController().signal;
  const last = (): Asked => asked.at(-1) as Asked;

  it("asks for words as OpenAI describes it, and gives them with their language", async () => {
    answer = { body: JSON.stringify({ text: " Mach das Licht an. ", language: "de" }) };
    const heard = await (await open("whisper-1")).hear({ bytes: new Uint8Array(OGG), mime: "audio/ogg", name: "voice.ogg" }, { language: "de-AT", limitMs: 5_000 }, signal);
    assert.deepEqual(heard, { text: "Mach das Licht an.", language: "de" });
    const { path, headers, body } = last();
    assert.deepEqual([path, headers.authorization], ["/v1/audio/transcriptions", `Bearer ${KEY}`]);
    const form = await new Response(new Uint8Array(body), { headers: { "content-type": headers["content-type"] ?? "" } }).formData();
    const file = form.get("file") as File;
    assert.deepEqual([file.name, file.type, Buffer.from(await file.arrayBuffer()).equals(OGG)], ["voice.ogg", "audio/ogg", true]);
    const fields = { ...Object.fromEntries([...form].filter(([name]) => name !== "file")), file: "bytes" };
    assert.deepEqual(openaiJudge("CreateTranscriptionRequest")?.(fields) ?? [], []);
    assert.equal((fields as { language?: string }).language, "de");
  });

  it("asks for speech in opus, or as the provider writes it", async () => {
    answer = { type: "audio/ogg", body: OGG };
    const said = await (await open("gpt-4o-mini-tts")).speak("Good morning", { limitMs: 5_000 }, signal);
    assert.deepEqual([said.mime, Buffer.from(said.bytes).equals(OGG), last().path], ["audio/ogg", true, "/v1/audio/speech"]);
    const body = JSON.parse(last().body.toString()) as { response_format: string; voice: string };
    assert.deepEqual(openaiJudge("CreateSpeechRequest")?.(body) ?? [], []);
    assert.deepEqual([body.response_format, body.voice], ["opus", "alloy"]);
    await (await open("canopylabs/orpheus-v1-english", "groq")).speak("Hi", { voice: "troy", limitMs: 5_000 }, signal);
    assert.deepEqual((({ response_format, voice }) => [response_format, voice])(JSON.parse(last().body.toString()) as typeof body), ["wav", "troy"]);
  });

  it("asks for one picture, and tells its tokens", async () => {
    answer = { body: JSON.stringify({ created: 1, data: [{ b64_json: PNG.toString("base64") }], usage: { input_tokens: 9, output_tokens: 1056, total_tokens: 1065, input_tokens_details: { text_tokens: 9, image_tokens: 0 } } }) };
    const judge = openaiJudge("CreateImageRequest");
    for (const model of ["gpt-image-1", "dall-e-3"]) {
      const picture = await (await open(model)).draw("a red door", { size: "1024x1024", limitMs: 5_000 }, signal);
      assert.deepEqual([picture.mime, picture.usage], ["image/png", { input: 9, output: 1056 }]);
      const body = JSON.parse(last().body.toString()) as { response_format?: string };
      assert.deepEqual(judge?.(body) ?? [], []);
      // gpt-image-1 refuses the parameter, dall-e-3 needs it.
      assert.equal(body.response_format, model === "gpt-image-1" ? undefined : "b64_json");
    }
  });

  it("says what went wrong with the codes of models, tries once, and tells no key", async () => {
    const fault = async (given: Answer, limitMs = 5_000) => {
      answer = given;
      const before = asked.length;
      const media = await open("whisper-1");
      const error = await media.hear({ bytes: new Uint8Array(OGG), mime: "audio/ogg", name: "a.ogg" }, { limitMs }, signal).then(() => assert.fail("expected a fault"), (thrown: unknown) => thrown as { code: string; message: string });
      // One that ran out of time may never have come.
      assert.ok(given === "silence" ? asked.length <= before + 1 : asked.length === before + 1, `${asked.length - before} requests`);
      assert.ok(!error.message.includes(KEY), error.message);
      return error.code;
    };
    const said = (status: number, message: string): Answer => ({ status, body: JSON.stringify({ error: { message, type: "x", code: null, param: null } }) });
    assert.equal(await fault(said(401, `bad key ${KEY}`)), "MODEL_002");
    assert.equal(await fault(said(429, "slow down")), "MODEL_003");
    assert.equal(await fault({ body: "{}" }), "MODEL_007");
    assert.equal(await fault("silence", 50), "MODEL_010");
    answer = { type: "application/json", body: JSON.stringify({ error: "no voice" }) };
    await assert.rejects((await open("tts-1")).speak("x", { limitMs: 5_000 }, signal), { code: "MODEL_007" });
    answer = { body: JSON.stringify({ created: 1, data: [{ url: "http://127.0.0.1/x.png" }] }) };
    await assert.rejects((await open("dall-e-3")).draw("x", { limitMs: 5_000 }, signal), { code: "MODEL_007" });
  });

  it("refuses a provider that has none of it, and what a provider lacks", async () => {
    await assert.rejects(openMedia({ provider: "anthropic", model: "claude", key: KEY }, fetch as never), { code: "CONF_001" });
    await assert.rejects((await open("voxtral-mini-latest", "mistral")).speak("x", { limitMs: 5_000 }, signal), { code: "CONF_001" });
    for (const id of Object.keys(MEDIA)) assert.equal(PROVIDERS.find((provider) => provider.id === id)?.wire, "openai", id);
  });
});
