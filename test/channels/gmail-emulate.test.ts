/** Gmail's channel against an emulator of Google's API that somebody else wrote. It knows neither the profile nor our refresh token: a door before it answers those two. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createEmulator } from "emulate";
import type { Account, Connection } from "../../engine/channels/channel.ts";
import { gmail } from "../../engine/channels/gmail/gmail.ts";
import { systemClock } from "../../engine/clock.ts";
import { createFetch, type Fetch } from "../../engine/http.ts";
import { recordingContext, type RecordingContext } from "../contracts/channel.ts";
import { until } from "../kit/scripted.ts";
import { ADA } from "../platforms/email-rig.ts";
import { letter } from "../platforms/gmail-rig.ts";

const ADDRESS = "claw@gmail.com";
const TOKEN = "ya29.emulated";
interface Mail { readonly id: string; readonly threadId: string; readonly labelIds: readonly string[]; readonly payload: { readonly headers: readonly { name: string; value: string }[] } }

describe("Gmail against an emulator", function () {
  this.timeout(60_000);
  let emulator: Awaited<ReturnType<typeof createEmulator>> & { url: string };
  let fetch: Fetch;
  let context: RecordingContext;
  let connection: Connection;
  const asked: string[] = [];

  const api = async <T>(method: string, path: string, body?: unknown): Promise<T> => {
    const answer = await fetch(`${emulator.url}/gmail/v1/users/me/${path}`, { method, headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" }, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
    assert.ok(answer.ok, `${method} ${path}: ${answer.status}`);
    return (await answer.json()) as T;
  };
  const door = createServer((request, response) => void (async () => {
    const { pathname } = new URL(request.url ?? "/", "http://door");
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const tell = (body: unknown): void => { response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body)); };
    if (pathname === "/token") return tell({ access_token: TOKEN, expires_in: 3_599 });
    if (pathname.endsWith("/profile")) return tell({ emailAddress: ADDRESS, historyId: (await api<{ historyId: string }>("GET", "history?startHistoryId=1")).historyId });
    asked.push(`${request.method} ${pathname}`);
    const answer = await fetch(`${emulator.url}${request.url}`, { method: request.method ?? "GET", headers: { authorization: request.headers.authorization ?? "", ...(request.headers["content-type"] === undefined ? {} : { "content-type": request.headers["content-type"] }) }, ...(chunks.length === 0 ? {} : { body: new Uint8Array(Buffer.concat(chunks)) }) });
    response.writeHead(answer.status, { "content-type": "application/json" }).end(await answer.text());
  })().catch((error: unknown) => response.writeHead(500).end(String(error))));

  before(async () => {
    emulator = await createEmulator({ service: "google", port: 0, seed: { google: { users: [{ email: ADDRESS, name: "Claw" }] }, tokens: { [TOKEN]: { login: ADDRESS, scopes: ["https://www.googleapis.com/auth/gmail.modify"] } } } }) as typeof emulator;
    fetch = createFetch();
    await new Promise<void>((done) => { door.listen(0, "127.0.0.1", done); });
    const root = `http://127.0.0.1:${(door.address() as AddressInfo).port}`;
    // So that there is a history to begin with.
    await api("POST", "messages/import", { raw: letter("long ago").toString("base64url"), labelIds: ["INBOX"] });
    context = recordingContext({ fetch, clock: { ...systemClock, after: (ms, act) => systemClock.after(ms / 20, act) } });
    const account: Account = { id: "google", channel: "gmail", name: "G", settings: { clientId: "123-abc.apps.googleusercontent.com", secret: "s", token: "1//t", apiRoot: root, authRoot: root, everySeconds: 1 } };
    connection = await gmail.open(account, context);
  });
  after(async () => {
    context.abort();
    await connection.close();
    door.closeAllConnections();
    await new Promise((done) => { door.close(done); });
    await fetch.destroy();
    await emulator.close();
  });

  it("is told of a mail by the history, reads it whole, marks it as read, and answers in its conversation", async () => {
    const { id, threadId } = await api<Mail>("POST", "messages/import", { raw: letter("how are you?", { Subject: "The engine", "In-Reply-To": undefined, References: undefined, "Message-ID": "<emulated-1@example.org>" }).toString("base64url"), labelIds: ["INBOX", "UNREAD"] });
    await until(() => context.received.length === 1, "the mail", 20_000);
    const [question] = context.received;
    assert.ok(question !== undefined);
    assert.deepEqual([question.text, question.sender.id, question.ref, question.tags?.includes("verified")], ["how are you?", ADA, "emulated-1@example.org", true]);
    const startedAt = Date.now();
    const ref = await connection.send(question.at, { text: "**fine**" }, "emulated-1");
    const { messages } = await api<{ messages: Mail[] }>("GET", "messages?labelIds=SENT");
    const sent = await api<Mail>("GET", `messages/${messages[0]?.id}?format=full`);
    const header = (name: string): string | undefined => sent.payload.headers.find((each) => each.name.toLowerCase() === name)?.value;
    assert.deepEqual([sent.threadId, header("message-id"), header("in-reply-to"), header("subject"), header("to")], [threadId, `<${ref}>`, "<emulated-1@example.org>", "Re: The engine", ADA]);
    // Without its own memory, and by an API that knows no search by Message-ID.
    for (const [key] of await context.storage.list("sent/")) await context.storage.set({ [key]: undefined });
    assert.equal(await connection.find?.(question.at, { key: "emulated-1", draft: { text: "" }, startedAt }), ref);
    assert.ok((await api<Mail>("GET", `messages/${id}`)).labelIds.includes("UNREAD"));
    await connection.call?.(`POST messages/${id}/modify`, { removeLabelIds: ["UNREAD"] });
    assert.ok(!(await api<Mail>("GET", `messages/${id}`)).labelIds.includes("UNREAD"));
    assert.ok(asked.includes("POST /gmail/v1/users/me/messages/send"));
  });

  it("says what it refuses", async () => {
    const error = await Promise.resolve(connection.call?.("GET messages/none", {})).then(() => assert.fail("expected an error"), (thrown: { code: string; retry: string }) => thrown);
    assert.deepEqual([error.code, error.retry], ["MSG_002", "no"]);
  });
});
