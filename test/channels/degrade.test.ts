/** What a platform cannot show is told in words: each part against platforms that show it, show it in part, or not at all. */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { Shows } from "../../engine/channels/channel.ts";
import { degrade } from "../../engine/channels/degrade.ts";
import { render } from "../../engine/channels/dialects.ts";
import type { Draft } from "../../engine/message.ts";

const NOTHING: Shows = {};
const EVERYTHING: Shows = { files: ["image", "video", "audio", "voice", "document", "sticker"], buttons: 100, links: true, choices: 100, cards: true, poll: true, location: true, contact: true, form: true, subject: true, only: true };

interface Row { readonly name: string; readonly part: Omit<Draft, "text">; /** As a reader sees it where nothing is shown. */ readonly told: string; /** Platforms that show a bit less than is needed. */ readonly short: readonly Shows[] }
const ROWS: readonly Row[] = [
  { name: "buttons", part: { buttons: [[{ label: "Yes", value: "y" }], [{ label: "No" }]] }, told: "Hi\n\n1. Yes\n2. No", short: [{ buttons: 1 }, { buttons: 2, buttonLabel: 2 }] },
  { name: "buttons and links", part: { buttons: [[{ label: "Map", url: "https://a.example/m" }, { label: "Yes" }], [{ label: "Later" }]] }, told: "Hi\n\n1. Yes\n2. Later\n\nMap: https://a.example/m", short: [{ buttons: 3 }, { buttons: 2, links: true }] },
  { name: "a menu", part: { choices: { name: "room", hint: "Which room?", options: [{ label: "Kitchen", about: "warm" }, { label: "Cellar" }] } }, told: "Hi\n\nWhich room?\n\n1. Kitchen: warm\n2. Cellar", short: [{ choices: 1 }] },
  { name: "a card", part: { cards: [{ title: "Weather", text: "*Rain* until noon", url: "https://a.example/w", fields: [{ name: "Wind", value: "12" }], footer: "DWD", color: "#0f766e" }] }, told: "Hi\n\nWeather\nRain until noon\nWind: 12\nhttps://a.example/w\nDWD", short: [{ poll: true }] },
  { name: "a card with a picture", part: { cards: [{ title: "Cat", image: "https://a.example/c.png" }] }, told: "Hi\n\nCat\n\nCat: https://a.example/c.png", short: [{ files: ["video"] }] },
  { name: "a poll", part: { poll: { question: "Pizza?", options: ["Gladly", "Never"] } }, told: "Hi\n\nPizza?\n\n1. Gladly\n2. Never", short: [{ buttons: 9 }] },
  { name: "a place", part: { location: { latitude: 52.5, longitude: 13.4, title: "Here", address: "Street 1" } }, told: "Hi\n\nHere\nStreet 1\nhttps://www.openstreetmap.org/?mlat=52.5&mlon=13.4#map=16/52.5/13.4", short: [{ contact: true }] },
  { name: "a contact", part: { contact: { name: "Ada", phone: "+49301" } }, told: "Hi\n\nAda: +49301", short: [{ location: true }] },
  { name: "a form", part: { form: { name: "f", title: "Order", fields: [{ key: "n", label: "Name", type: "text" }, { key: "s", label: "Size", type: "choice", options: [{ label: "S" }, { label: "L" }] }] } }, told: "Hi\n\nOrder\n• Name\n• Size: S / L", short: [{ choices: 9 }] },
  { name: "a subject", part: { subject: "News" }, told: "News\n\nHi", short: [{ cards: true }] },
  { name: "a file with an address", part: { attachments: [{ kind: "document", media: "https://a.example/r.pdf", name: "r.pdf", alt: "the report" }] }, told: "Hi\n\nr.pdf: the report: https://a.example/r.pdf", short: [{ files: ["image"] }] },
  { name: "a file of the media folder", part: { attachments: [{ kind: "voice", media: "spool:x" }] }, told: "Hi\n\n(voice)", short: [{ files: ["audio"] }] },
];

describe("degrade", () => {
  for (const { name, part, told, short } of ROWS) {
    it(`${name}: whole where it is shown, in words where it is not`, () => {
      assert.deepEqual(degrade({ text: "Hi", ...part }, EVERYTHING), { text: "Hi", ...part });
      for (const shows of [NOTHING, ...short]) {
        const draft = degrade({ text: "Hi", ...part }, shows);
        assert.equal(render(draft.text, "plain").replace(/^ {2}/gm, ""), told, JSON.stringify(shows));
        for (const key of Object.keys(part)) assert.ok(!(key in draft), `${key} is left`);
      }
    });
    it(`${name}: beside all others, nothing else is touched`, () => {
      const others = ROWS.filter((row) => !Object.keys(part).some((key) => key in row.part)).reduce<Draft>((all, row) => Object.assign(all, row.part), { text: "Hi" });
      const key = Object.keys(part)[0] as keyof Draft;
      const lacks: Partial<Record<keyof Draft, Shows>> = { buttons: { ...EVERYTHING, buttons: 0 }, choices: { ...EVERYTHING, choices: 0 }, attachments: { ...EVERYTHING, files: [] } };
      const { [key as keyof Shows]: _, ...without } = EVERYTHING;
      const draft = degrade({ ...others, ...part }, lacks[key] ?? without);
      for (const [kept, value] of Object.entries(others)) if (kept !== "text" && !(kept === "attachments" && key === "cards")) assert.deepEqual(draft[kept as keyof Draft], value, kept);
      assert.ok(!(key in draft));
    });
  }

  it("keeps what has no words: replies, silence, templates, who alone may see it, native fields", () => {
    const rest: Omit<Draft, "text"> = { replyTo: "5", silent: true, only: "u1", template: { name: "t", language: "en" }, native: { telegram: { x: 1 } }, plain: true };
    assert.deepEqual(degrade({ text: "Hi", ...rest }, NOTHING), { text: "Hi", ...rest });
  });

  it("sends the picture of a card where pictures are shown", () => {
    assert.deepEqual(degrade({ text: "", cards: [{ title: "Cat", image: "spool:c" }] }, { files: ["image"] }), { text: "**Cat**", attachments: [{ kind: "image", media: "spool:c", alt: "Cat" }] });
  });

  it("marks nothing in a plain draft, and lets no label become markup in another", () => {
    const part: Omit<Draft, "text"> = { subject: "A*B*", buttons: [[{ label: "*yes*" }, { label: "[x](https://evil.example)" }]], poll: { question: "2*3*4?", options: ["_6_", "24"] }, contact: { name: "<b>Ada</b>", phone: "1" }, attachments: [{ kind: "image", media: "spool:x", name: "a_b_c.png" }] };
    const wanted = "A*B*\n\nHi\n\n(a_b_c.png)\n\n1. *yes*\n2. [x](https://evil.example)\n\n2*3*4?\n1. _6_\n2. 24\n\n<b>Ada</b>: 1";
    assert.equal(degrade({ text: "Hi", plain: true, ...part }, NOTHING).text, wanted);
    // A list begins a paragraph of its own where Markdown is rendered.
    assert.equal(render(degrade({ text: "Hi", ...part }, NOTHING).text, "plain").replace("?\n\n1.", "?\n1."), wanted);
    assert.ok(!/<(?!b>|\/b>)/.test(render(degrade({ text: "Hi", ...part }, NOTHING).text, "telegram")));
  });

  it("loses no word, whatever a platform shows", () => {
    const shows = fc.record({ buttons: fc.constantFrom(0, 2, 100), links: fc.constant(true), choices: fc.constantFrom(0, 1, 100), cards: fc.boolean(), poll: fc.boolean(), location: fc.boolean(), contact: fc.boolean(), form: fc.boolean(), subject: fc.boolean(), files: fc.subarray(["image", "document", "voice"] as const) }, { requiredKeys: [] });
    const whole = ROWS.reduce<Draft>((all, row) => Object.assign(all, row.part), { text: "Hi" });
    fc.assert(fc.property(shows, (some) => {
      const draft = degrade(whole, Object.fromEntries(Object.entries(some).filter(([, value]) => value !== false)) as Shows);
      const all = JSON.stringify(draft);
      for (const word of ["Hi", "Yes", "Map", "Later", "Kitchen", "Cellar", "Cat", "Pizza?", "Gladly", "52.5", "Ada", "Order", "Size", "News"]) assert.ok(all.includes(word) || render(draft.text, "plain").includes(word), word);
    }), { numRuns: 300 });
  });
});
