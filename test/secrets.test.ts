import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { inspect } from "node:util";
import { createRedactor, createSecretBox, SecretError, secretInAddress } from "../engine/secrets.ts";

const CANARIES = path.join(process.env["CLAWFLOW_SPECS"] ?? "../shared/data/specs", "../badinputs/secrets-canaries.json");

describe("secret box", () => {
  const box = createSecretBox(() => "a credential secret of Node-RED");
  const reason = (wanted: SecretError["reason"], text: RegExp) => (error: unknown): boolean => {
    assert.ok(error instanceof SecretError, String(error));
    assert.deepEqual([error.code, error.reason, error.name], ["CONF_001", wanted, "SecretError"]);
    assert.match(error.message, text);
    return true;
  };

  it("gives back what was sealed, text or data", () => {
    for (const value of ["s3cret ü", "", { refresh: "r", expires: 5, list: [1, null] }, null, 0]) assert.deepEqual(box.open("account/x", box.seal("account/x", value)), value);
  });
  it("is text without the secret, never the same twice", () => {
    const seals = new Set(Array.from({ length: 1000 }, () => box.seal("n", "CANARY")));
    assert.equal(seals.size, 1000);
    for (const sealed of seals) {
      assert.match(sealed, /^cf1\.[0-9a-f]{16}\.[\w-]{16}\.[\w-]+$/);
      assert.ok(!sealed.includes("CANARY") && !Buffer.from(sealed.split(".")[3] ?? "", "base64url").includes("CANARY"));
    }
    assert.equal(new Set([...seals].map((sealed) => sealed.split(".")[2])).size, 1000, "a nonce came twice");
  });
  it("opens nothing that was changed, anywhere", () => {
    const sealed = box.seal("n", { token: "t" });
    let refused = 0;
    for (let n = 0; n < sealed.length; n++) {
      for (const other of ["A", "b", "0", "."]) {
        if (sealed[n] === other) continue;
        const changed = sealed.slice(0, n) + other + sealed.slice(n + 1);
        // The last character of base64 may hold bits that mean nothing.
        if (n === sealed.length - 1 && Buffer.from(changed.split(".").at(-1) ?? "", "base64url").equals(Buffer.from(sealed.split(".").at(-1) ?? "", "base64url"))) continue;
        assert.throws(() => box.open("n", changed), SecretError);
        refused++;
      }
    }
    for (let n = 0; n < sealed.length; n++) assert.throws(() => box.open("n", sealed.slice(0, n)), SecretError);
    assert.ok(refused > 200);
  });
  it("binds a secret to its name", () => assert.throws(() => box.open("other", box.seal("n", "x")), reason("damaged", /"other" was changed or belongs to another name/)));
  it("names a secret that is no seal", () => {
    for (const text of ["", "plain text", '{"token":"x"}', "cf1.x.y.z", "cf2.0123456789abcdef.AAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAAAA"]) assert.throws(() => box.open("n", text), reason("damaged", /Enter it again/));
  });
  it("names a credential secret that is off, and writes nothing in clear", () => {
    for (const off of [undefined, "", new Uint8Array()]) {
      const none = createSecretBox(() => off);
      assert.throws(() => none.seal("n", "x"), reason("off", /credentialSecret/));
      assert.throws(() => none.open("n", box.seal("n", "x")), reason("off", /credentialSecret/));
    }
  });
  it("names a credential secret that was changed, and opens again once it is back", () => {
    let secret: string | Uint8Array | undefined;
    const lazy = createSecretBox(() => secret);
    secret = "first";
    const sealed = lazy.seal("n", "x");
    secret = "second";
    assert.throws(() => lazy.open("n", sealed), reason("changed", /another credential secret/));
    assert.equal(lazy.open("n", lazy.seal("n", "y")), "y");
    secret = Buffer.from("first");
    assert.equal(lazy.open("n", sealed), "x");
  });
});

describe("redactor", () => {
  const encodings: Record<string, (secret: string) => string> = {
    plain: (s) => s,
    base64: (s) => Buffer.from(s).toString("base64"),
    base64url: (s) => Buffer.from(s).toString("base64url"),
    hex: (s) => Buffer.from(s).toString("hex"),
    "url-encoded": encodeURIComponent,
    "JSON-escaped": (s) => JSON.stringify(s).slice(1, -1),
    "split over two log lines": (s) => `${s.slice(0, s.length / 2)}\n    ${s.slice(s.length / 2)}`,
    "upper-case": (s) => s.toUpperCase(),
    "inside a stack trace": (s) => new Error(s).stack ?? "",
    "inside a URL query": (s) => `https://x.example/?a=1&q=${new URLSearchParams([["t", s]])}&z=2`,
    "inside an Error.cause chain": (s) => inspect(new Error("a", { cause: new Error("b", { cause: new Error(s) }) })),
    "inside a Buffer dump": (s) => inspect(Buffer.from(s)),
    "in axios/undici error.config.headers": (s) => inspect(Object.assign(new Error("Request failed"), { config: { headers: { Authorization: `Bearer ${s}` }, auth: { username: "u", password: s } } }), { depth: 5 }),
    "basic authorization": (s) => `Authorization: Basic ${Buffer.from(`user:${s}`).toString("base64")}`,
    "base64 of a text around it": (s) => Buffer.from(`{"token":"${s}"}, and more`).toString("base64"),
    "JSON in JSON": (s) => JSON.stringify(JSON.stringify({ s })),
    "JSON of a Buffer": (s) => JSON.stringify({ b: Buffer.from(s) }),
    "base64 in lines of 20": (s) => Buffer.from(s).toString("base64").replace(/.{20}/g, "$&\r\n"),
  };

  /** The judge, apart from the redactor: undoes every encoding it can find in a text and looks for a piece of the secret. */
  function givesAway(written: string, secret: string): boolean {
    const core = /CANARY[\w-]+|Q0FOQVJZ\w+|eyJDQU5B\w+/.exec(secret)?.[0].toLowerCase() ?? "";
    const pieces = [core.slice(0, 10), core.slice(-10)];
    const squeezed = written.replace(/\\[nrt"\\]|\s+/g, "");
    const views = [squeezed, squeezed.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))];
    for (const [run] of squeezed.matchAll(/[\w+/-]{10,}/g)) for (const skip of [0, 1, 2, 3]) views.push(Buffer.from(run.slice(skip), "base64").toString("latin1"));
    for (const [run] of squeezed.matchAll(/[0-9a-f]{16,}/gi)) for (const skip of [0, 1]) views.push(Buffer.from(run.slice(skip), "hex").toString("latin1"));
    for (const [run] of squeezed.matchAll(/(\d{1,3},){6,}\d{1,3}/g)) views.push(Buffer.from(run.split(",").map(Number)).toString("latin1"));
    return views.some((view) => pieces.some((piece) => view.toLowerCase().includes(piece)));
  }

  describe("canaries", () => {
    if (!existsSync(CANARIES)) {
      it.skip(`${CANARIES} is not here`);
      return;
    }
    const file = JSON.parse(readFileSync(CANARIES, "utf8")) as { cases: Record<string, string>; encodings: string[] };
    const secrets = Object.values(file.cases);
    const { redact } = createRedactor(() => secrets);
    it("cover every listed encoding", () => assert.deepEqual(file.encodings.filter((name) => !encodings[name]), []));
    for (const [name, encode] of Object.entries(encodings)) {
      it(`${secrets.length} of them: ${name}`, () => {
        for (const [kind, secret] of Object.entries(file.cases)) {
          const written = redact(`before ${encode(secret)} after`);
          assert.ok(givesAway(encode(secret), secret), `${kind}: the judge does not see it`);
          assert.ok(!givesAway(written, secret), `${kind}: ${written}`);
          assert.ok(written.startsWith("before ") && written.endsWith(" after"), `${kind}: ${written}`);
        }
      });
    }
    it("split over two writes", () => {
      for (const secret of secrets.filter((s) => s.length >= 32)) {
        for (let cut = 8; cut <= secret.length - 8; cut++) {
          const written = redact(`a line ${secret.slice(0, cut)}`) + redact(`${secret.slice(cut)} more`);
          assert.ok(!written.includes(secret.slice(0, cut)) && !written.includes(secret.slice(cut)), written);
        }
      }
    });
    it("in errors with causes, parts and properties of their own", () => {
      const { redactError } = createRedactor(() => secrets);
      for (const [kind, secret] of Object.entries(file.cases)) {
        const response = { status: 401, headers: new Headers({ "x-request": "r1", "set-cookie": secret.replaceAll("\n", "") }), data: Buffer.from(secret), nested: [{ [secret.replaceAll("\n", "")]: secret }] };
        const error = Object.assign(new TypeError(`failed with ${secret}`, { cause: new AggregateError([new Error(secret), secret], "inner") }), {
          code: "E_AUTH", status: 401, config: { headers: { Authorization: "short" }, url: `https://x/?key=${encodeURIComponent(secret)}` }, response,
        });
        const before = inspect(error, { depth: 9 });
        const shown = redactError(error);
        const written = inspect(shown, { depth: 9, showHidden: true }) + JSON.stringify(shown) + shown.stack + shown.message;
        assert.ok(!written.includes("CANARY") && !written.includes(secret), `${kind}: ${written}`);
        assert.ok(!written.includes("short") && written.includes("r1") && written.includes("E_AUTH"), written);
        assert.deepEqual([shown.name, (shown as typeof error).status, shown instanceof Error], ["TypeError", 401, true]);
        assert.equal(inspect(error, { depth: 9 }), before, "the original was changed");
      }
    });
    it("that nobody told of, where their make is known", () => {
      const { redact: unknowing } = createRedactor(() => []);
      for (const kind of ["openai", "anthropic", "telegram", "slackBot", "slackApp", "discord", "github", "google", "aws", "jwt", "pem", "webhookSecret", "basicUrl", "bearer"]) {
        const written = unknowing(`token=${file.cases[kind]} end`);
        assert.ok(!/CANARY[a-zA-Z]+|Q0FOQVJZ/.test(written), `${kind}: ${written}`);
      }
    });
  });

  it("returns the very same text where there is nothing to hide", () => {
    const { redact } = createRedactor(() => ["a-long-secret-value", "ab"]);
    for (const text of ["", "GET /flows 200 12 ms", "about abs\nand cab\n", '{"id":"0123456789abcdef0123456789abcdef"}', "[redacted]", "\n\n", "10:15:00 tick 12:30"]) assert.equal(redact(text), text);
  });
  it("takes a passphrase out as a whole, not its words wherever they stand", () => {
    const { redact } = createRedactor(() => ["correct horse battery staple", "no secret at all xk-3141592"]);
    assert.equal(redact("a battery, correct horse battery staple, a secret, xk-3141592"), "a battery, [redacted], a secret, [redacted]");
  });
  it("keeps what stands around, keeps lines", () => {
    const { redact } = createRedactor(() => ["geheim-123"]);
    assert.equal(redact("a geheim-123 b\nc geheim-123"), "a [redacted] b\nc [redacted]");
    assert.equal(redact("x\ngeheim\n  -123\ny"), "x\n[redacted]\ny");
    assert.equal(redact("postgres://me:pässw@db/x"), "postgres://[redacted]@db/x");
  });
  it("sees the beginning of a secret where a text was shortened", () => {
    const { redact } = createRedactor(() => ["geheim-1234567890-abc"]);
    assert.equal(redact("refused: key geheim-123456… (401)"), "refused: key [redacted]… (401)");
    assert.equal(redact("refused: key geh… (401)"), "refused: key geh… (401)");
  });
  it("hides known values alone in a text that is used further, and no words", () => {
    const { hide } = createRedactor(() => ["kitchen", "geheim-1234567890"], 10);
    const token = "sk-proj-0123456789abcdefghij";
    assert.equal(hide(`the kitchen: geheim-1234567890, ${Buffer.from("geheim-1234567890").toString("base64")}, ${token}`), `the kitchen: [redacted], [redacted], ${token}`);
  });
  it("takes a word after Basic, Bot or Token for a word", () => {
    const { redact } = createRedactor(() => []);
    for (const text of ["a bot understanding it", "Basic authentication", "Token verification failed"]) assert.equal(redact(text), text);
    for (const text of ["Bot MTk4NjIyNDgzNDcx", "Basic dXNlcjpwYXNzd29yZA", "Bearer abcdefghijklmnop"]) assert.match(redact(text), /^B\w+ \[redacted\]$/);
  });
  it("knows a secret from the moment it is entered", () => {
    const secrets: string[] = [];
    const { redact } = createRedactor(() => secrets);
    assert.equal(redact("hunter22"), "hunter22");
    secrets.push("hunter22");
    assert.equal(redact("hunter22"), "[redacted]");
    secrets[0] = "other-secret";
    assert.equal(redact("hunter22 other-secret"), "hunter22 [redacted]");
  });
  it("reads secrets as text, never as patterns", () => {
    const odd = ["a.*b+(c", "$&$1\\d[x]", "^|$|()|", "{{{}}}-/"];
    const { redact } = createRedactor(() => odd);
    for (const secret of odd) assert.equal(redact(`<${secret}> axxbbbc`), "<[redacted]> axxbbbc");
  });
  it("takes lone halves of characters, huge and hostile texts", () => {
    const { redact } = createRedactor(() => ["\ud800secret\udfff", "aaaaaaaaaaaaaaaaaaaaaaab"]);
    assert.equal(redact("x \ud800secret\udfff"), "x [redacted]");
    for (const text of ["a".repeat(200_000), "sk-".repeat(60_000), "1234567890:".repeat(20_000), "a.".repeat(100_000), "-----BEGIN PRIVATE KEY-----".repeat(5000), "\n".repeat(100_000), "a://b:c".repeat(20_000)]) assert.ok(redact(text).length >= 0);
  });
  it("shows errors that are none, and circles", () => {
    const { redactError, redactData } = createRedactor(() => ["hunter22"]);
    assert.equal(redactError("no hunter22").message, "no [redacted]");
    assert.equal(redactError({ why: "hunter22" }).message, '{"why":"[redacted]"}');
    assert.equal(redactError(undefined).message, "undefined");
    const circle: Record<string, unknown> = { a: 1, token: "x", tokens: 5 };
    circle["self"] = circle;
    assert.deepEqual(redactData(circle), { a: 1, token: "[redacted]", tokens: 5, self: "[…]" });
    const error = new Error("e");
    error.cause = error;
    assert.equal(redactError(error).message, "e");
    assert.deepEqual(redactData(JSON.parse('{"__proto__":{"x":1},"y":[true,null]}')), { y: [true, null] });
    assert.deepEqual(redactData(new Map([["cookie", "c"], ["a", "hunter22"]])), { cookie: "[redacted]", a: "[redacted]" });
  });
});

describe("secrets in addresses", () => {
  const problem = (address: string) => secretInAddress("Server", address, "Use the key.");
  it("are found, named and not repeated", () => {
    for (const [address, what] of [
      ["https://user:CANARY@host/v1", "a user name or password"], ["https://CANARY@host", "a user name or password"], ["https://host/?key=CANARY", 'a secret ("key")'],
      ["https://host/?a=1&api_key=CANARY", 'a secret ("api_key")'], ["https://host/?sig=CANARY", 'a secret ("sig")'], ["https://host/x?code=CANARY", 'a secret ("code")'], ["https://host/?access_token=CANARY", 'a secret ("access_token")'],
      ["https://host/bot123456789:CANARYcccccccccccccccccccccccccccc/", "what looks like a token"], ["https://host/sk-CANARYaaaaaaaaaaaaaaaa/v1", "what looks like a token"],
    ] as const) {
      const text = problem(address) ?? "";
      assert.ok(text.startsWith(`Expected "Server" to be a bare address, got ${what} in it`) && text.endsWith("Use the key."), `${address}: ${text}`);
      assert.doesNotMatch(text, /CANARY/);
    }
  });
  it("are not seen where there are none", () => {
    for (const address of ["", "no address", "http://localhost:11434/v1/", "https://x.openai.azure.com/openai/v1/?api-version=2024-10-21", "https://host/?key=", "https://[::1]:8080/a@b", "https://host/v1?monkeys=3&author_id=5"]) assert.equal(problem(address), undefined, address);
  });
});
