/** Contract of a channel, continued: what beside text is shown as what it is, told in words, sent as a file, fetched. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Connection, Shows } from "../../engine/channels/channel.ts";
import { degrade } from "../../engine/channels/degrade.ts";
import { splitDraft } from "../../engine/channels/split.ts";
import type { Draft, FileAttachment, FileKind } from "../../engine/message.ts";
import { until } from "../kit/scripted.ts";
import { type Bench, faultOf } from "./channel.ts";
import type { Seen } from "./channel-rig.ts";

/** One of each part, the words that must be read where it is not shown, and how it is seen where it is. */
interface Part { readonly name: string; readonly draft: Draft; readonly words: readonly string[]; shown(shows: Shows): boolean; seen?(seen: readonly Seen[]): void }
const flat = <T>(seen: readonly Seen[], of: (one: Seen) => readonly T[] | undefined): T[] => seen.flatMap((one) => [...(of(one) ?? [])]);
const PARTS: readonly Part[] = [
  {
    name: "buttons", draft: { text: "Shall I open it?", buttons: [[{ label: "Yes", value: "y" }, { label: "No", value: "n" }]] }, words: ["Shall I open it?", "Yes", "No"],
    shown: ({ buttons = 0 }) => buttons >= 2, seen: (seen) => assert.deepEqual(flat(seen, ({ buttons }) => buttons), ["Yes", "No"]),
  },
  {
    name: "a button that opens an address", draft: { text: "Look", buttons: [[{ label: "Open", url: "https://example.org/a" }]] }, words: ["Look", "Open"],
    shown: ({ buttons = 0, links }) => buttons >= 1 && links === true, seen: (seen) => assert.deepEqual(flat(seen, ({ buttons }) => buttons), ["Open"]),
  },
  {
    name: "a menu", draft: { text: "Which room?", choices: { name: "room", options: [{ label: "Kitchen", value: "k" }, { label: "Cellar" }] } }, words: ["Which room?", "Kitchen", "Cellar"],
    shown: ({ choices = 0 }) => choices >= 2, seen: (seen) => assert.deepEqual(flat(seen, ({ choices }) => choices), ["Kitchen", "Cellar"]),
  },
  {
    name: "a card", draft: { text: "Today", cards: [{ title: "Weather", text: "Rain until noon", fields: [{ name: "Wind", value: "12" }] }] }, words: ["Today", "Weather", "Rain until noon", "Wind"],
    shown: ({ cards }) => cards === true, seen: (seen) => assert.deepEqual(flat(seen, ({ cards }) => cards), ["Weather"]),
  },
  {
    name: "a poll", draft: { text: "", poll: { question: "Pizza?", options: ["Gladly", "Never"] } }, words: ["Pizza?", "Gladly", "Never"],
    shown: ({ poll }) => poll === true, seen: (seen) => assert.deepEqual(seen.flatMap(({ poll }) => (poll === undefined ? [] : [poll.question, ...poll.options])), ["Pizza?", "Gladly", "Never"]),
  },
  {
    name: "a place", draft: { text: "", location: { latitude: 52.5, longitude: 13.4 } }, words: ["52.5", "13.4"],
    shown: ({ location }) => location === true, seen: (seen) => assert.deepEqual(seen.flatMap(({ location }) => location ?? []), [{ latitude: 52.5, longitude: 13.4 }]),
  },
  {
    name: "a contact", draft: { text: "", contact: { name: "Ada Lovelace", phone: "+4930123456" } }, words: ["Ada Lovelace", "+4930123456"],
    shown: ({ contact }) => contact === true, seen: (seen) => assert.deepEqual(seen.flatMap(({ contact }) => contact ?? []), ["+4930123456"]),
  },
];

const PNG = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==", "base64");
/** A file of each kind that every platform can know by its bytes. */
const FILES: Readonly<Partial<Record<FileKind, { readonly name: string; readonly mime: string; readonly bytes: Buffer }>>> = {
  image: { name: "cat.png", mime: "image/png", bytes: PNG },
  document: { name: "report.pdf", mime: "application/pdf", bytes: Buffer.from("%PDF-1.7\n%%EOF\n") },
};

let keys = 0;

export function partTests(bench: Bench): void {
  const { shows } = bench.channel;
  const kinds = shows?.files ?? [];
  const known = kinds.filter((kind) => FILES[kind] !== undefined);

  // A channel that does not say what it shows gets drafts as they are.
  if (shows !== undefined) describe("showing", () => {
    /** As the engine does: told in words what cannot be shown, cut into parts, sent in order. */
    async function send(connection: Connection, draft: Draft): Promise<string[]> {
      const { channel, to } = bench.rig;
      const refs: string[] = [];
      for (const part of splitDraft(degrade(draft, shows ?? {}), channel.limits, channel.dialect)) refs.push(await connection.send(to, part, `part-${++keys}`));
      for (const ref of refs) assert.match(ref, /\S/);
      return refs;
    }
    const plainly = (text: string): string => text.replace(/\\([^\s\w])/g, "$1");

    for (const part of PARTS) it(`${part.name}: as what it is, or in words`, async () => {
      const { rig } = bench;
      const connection = await bench.connect();
      await send(connection, part.draft);
      if (!part.shown(shows)) {
        const text = plainly(rig.shown().join("\n"));
        for (const word of part.words) assert.ok(text.includes(word), `expected "${word}" in words, got: ${text}`);
      } else if (bench.lacks?.seen === undefined) part.seen?.(bench.hook("seen").call(rig));
      else assert.ok(rig.shown().length > 0 || part.draft.text === "", "expected something to be seen");
    });

    if (known.length > 0) it("files of the media folder, byte by byte, through context.file", async () => {
      const { rig } = bench;
      const connection = await bench.connect();
      for (const kind of known) {
        const file = FILES[kind];
        assert.ok(file !== undefined && bench.context.spool !== undefined);
        const kept = await bench.context.spool.save(new Blob([new Uint8Array(file.bytes)]).stream(), { name: file.name, mime: file.mime });
        const before = rig.seen?.().length ?? 0;
        await send(connection, { text: `here is ${file.name}`, attachments: [{ kind, media: `spool:${kept.id}`, name: file.name, mime: file.mime }] });
        const files = flat(rig.seen?.().slice(before) ?? [], ({ files: some }) => some);
        if (rig.seen !== undefined) assert.deepEqual(files.map((bytes) => Buffer.from(bytes).equals(file.bytes)), [true], kind);
        assert.ok(plainly([...rig.shown(), ...(rig.seen?.().map(({ text }) => text) ?? [])].join("\n")).includes(`here is ${file.name}`), "the text beside the file is gone");
      }
      const error = await faultOf(send(connection, { text: "", attachments: [{ kind: known[0] as FileKind, media: `spool:${"0".repeat(32)}` }] }));
      assert.deepEqual([error.code, error.retry], ["MSG_002", "no"]);
    });

    if (kinds.length > 0) it("reaches no address of the own network that somebody else named", async () => {
      const { rig } = bench;
      const hits: string[] = [];
      const canary = createServer((request, response) => { hits.push(request.url ?? ""); response.end(PNG); });
      await new Promise<void>((done) => { canary.listen(0, "127.0.0.1", done); });
      try {
        const connection = await bench.connect();
        for (const [index, kind] of kinds.entries()) {
          // A platform that fetches it itself may take the address; we must not fetch it.
          await connection.send(rig.to, { text: "", attachments: [{ kind, media: `http://127.0.0.1:${(canary.address() as AddressInfo).port}/${kind}` }] }, `canary-${index}`).catch(async (error: unknown) => {
            assert.equal((await faultOf(Promise.reject(error))).retry, "no");
          });
        }
        assert.deepEqual(hits, []);
      } finally {
        canary.closeAllConnections();
        await new Promise((done) => { canary.close(done); });
      }
    });
  });

  describe("files that people send", () => {
    bench.test("attach", "are named in the message, and their bytes can be had", async () => {
      const { rig } = bench;
      const connection = await bench.connect();
      await rig.say("a file comes");
      await until(() => bench.context.received.length === 1, "the first message");
      await bench.hook("attach").call(rig, { name: "cat.png", mime: "image/png", bytes: PNG });
      await until(() => bench.context.received.length === 2, "the message with the file");
      const file = bench.context.received[1]?.attachments.find((each): each is FileAttachment => "state" in each);
      assert.ok(file !== undefined, "expected a file in the message");
      assert.ok(!file.media.includes(PNG.toString("base64").slice(0, 20)), "a reference, never the bytes");
      const stream = file.state === "ready" ? await bench.context.spool?.open(file.media.replace("spool:", "")) : await connection.media?.(file.media, new AbortController().signal);
      assert.ok(stream !== undefined, "expected the bytes to be had");
      assert.deepEqual(Buffer.from(await new Response(stream).arrayBuffer()), PNG);
    });
  });
}
