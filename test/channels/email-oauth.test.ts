/** E-mail by access tokens (XOAUTH2): Dovecot and smtp-server ask an OAuth server about each; that one gives another refresh token each time, as Microsoft's does. */
import assert from "node:assert/strict";
import { inspect } from "node:util";
import type { Account } from "../../engine/channels/channel.ts";
import { email } from "../../engine/channels/email/email.ts";
import { createLogin } from "../../engine/channels/email/login.ts";
import type { ChannelError } from "../../engine/errors.ts";
import { memoryStorage, recordingContext, type RecordingContext } from "../contracts/channel-rig.ts";
import { manualClock, until } from "../kit/scripted.ts";
import { type Dovecot, dovecot, hasDovecot } from "../platforms/dovecot.ts";
import { ADA, mail, ROOT } from "../platforms/email-rig.ts";
import { type OauthStub, startOauth } from "../platforms/oauth.ts";
import { type SmtpStub, startSmtp } from "../platforms/smtp.ts";
import { skip } from "../rigs/skip.ts";

const USER = "claw@example.net";
const to = { channel: "email", account: "post", chat: ADA, thread: ROOT, kind: "direct" } as const;

describe("a mailbox that is opened by OAuth", function () {
  this.timeout(60_000);
  let oauth: OauthStub;
  let imap: Dovecot;
  let smtp: SmtpStub;
  let account: Account;
  let context: RecordingContext;
  before(function () { if (!hasDovecot()) skip(this, "Dovecot is not installed (apt-get install dovecot-imapd)"); });
  beforeEach(async () => {
    oauth = await startOauth(USER);
    imap = await dovecot({ tokens: oauth.about });
    smtp = await startSmtp({ token: oauth.isGood });
    account = { id: "post", channel: "email", name: "Post", settings: {
      imapHost: "127.0.0.1", imapPort: imap.port, imapSecurity: "none", smtpHost: "127.0.0.1", smtpPort: smtp.port, smtpSecurity: "none",
      user: USER, login: "oauth", clientId: oauth.clientId, secret: oauth.secret, token: oauth.token, authUrl: oauth.url, authserv: "mx.example.net", everySeconds: 1,
    } };
    context = recordingContext({ storage: memoryStorage() });
  });
  afterEach(async () => {
    context.abort();
    await smtp.close();
    await oauth.close();
  });
  const faultOf = async (work: Promise<unknown>): Promise<ChannelError> => {
    const error = await work.then(() => assert.fail("expected an error"), (thrown: unknown) => thrown as ChannelError);
    assert.doesNotMatch(inspect([error, context.logs, context.states], { depth: 8 }), /canary/);
    return error;
  };

  it("receives and sends with one token for both servers, and with a new one where it was revoked", async () => {
    assert.deepEqual(email.check(account), []);
    const connection = await email.open(account, context);
    imap.deliver(USER, mail("hello by token"));
    await until(() => context.received.length === 1, "the mail");
    await connection.send(to, { text: "hello back" }, "key-1");
    assert.deepEqual([smtp.taken.map(({ email: { text = "" } }) => text.trim()), oauth.issued.length], [["hello back"], 1]);
    oauth.revoke();
    await connection.send(to, { text: "once more" }, "key-2");
    assert.deepEqual([smtp.taken.length, oauth.issued.length], [2, 2]);
    assert.equal(await connection.find?.(to, { key: "key-never", draft: { text: "x" }, startedAt: 0 }), undefined);
    oauth.revoke();
    assert.equal(await connection.find?.(to, { key: "key-never", draft: { text: "x" }, startedAt: 0 }), undefined);
    assert.equal(oauth.issued.length, 3);
    await connection.close();
  });

  it("goes on with the refresh token it was given last, after a restart too, until the settings have another", async () => {
    await (await email.open(account, context)).close();
    assert.deepEqual(await email.try?.(account, context), { id: USER, name: USER });
    assert.deepEqual(oauth.grants.map((form) => form.get("refresh_token")), [oauth.token, "canary-refresh-token-2"]);
    const other = { ...account, settings: { ...account.settings, token: "canary-refresh-token-3" } };
    await (await email.open(other, context)).close();
    assert.equal(oauth.grants.at(-1)?.get("refresh_token"), "canary-refresh-token-3");
    assert.deepEqual([...oauth.grants[0] as URLSearchParams].sort(), [["client_id", oauth.clientId], ["client_secret", oauth.secret], ["grant_type", "refresh_token"], ["refresh_token", oauth.token]]);
  });

  it("renews a token five minutes before its end, once for all who ask", async () => {
    const clock = manualClock();
    const login = createLogin(account, { fetch, clock, signal: context.signal, storage: context.storage });
    const tokenOf = async (): Promise<string> => ((await login.get()) as { accessToken: string }).accessToken;
    assert.deepEqual(await Promise.all([tokenOf(), tokenOf()]), ["canary-access-token-1", "canary-access-token-1"]);
    await clock.advance(3_599_000 - 300_000 - 1);
    assert.equal(await tokenOf(), "canary-access-token-1");
    await clock.advance(2);
    assert.deepEqual([await tokenOf(), oauth.grants.length], ["canary-access-token-2", 2]);
  });

  it("says what the OAuth server or the mail server refuses, and tells no secret", async () => {
    const open = (settings: Record<string, unknown>) => email.open({ ...account, settings: { ...account.settings, ...settings } }, context);
    const refused = await faultOf(open({ token: "canary-wrong" }));
    assert.deepEqual([refused.code, refused.retry, /Get a new refresh token/.test(refused.message)], ["CONN_002", "no", true], refused.message);
    const client = await faultOf(open({ secret: "canary-wrong" }));
    assert.deepEqual([client.code, /client secret/.test(client.message)], ["CONN_002", true], client.message);
    for (const [status, code] of [[503, "CONN_001"], [429, "CONN_003"]] as const) {
      oauth.fault(status, { error: "temporarily_unavailable" });
      const later = await faultOf(open({}));
      assert.deepEqual([later.code, later.retry, later.unsent, (later.afterMs ?? 0) > 0], [code, "later", true, true], later.message);
    }
    const away = await faultOf(open({ authUrl: "http://127.0.0.1:9/token" }));
    assert.deepEqual([away.code, away.retry, away.unsent], ["CONN_001", "later", true]);
    // A good token of somebody else.
    const stranger = await faultOf(open({ user: "eve@example.net" }));
    assert.deepEqual([stranger.code, stranger.retry], ["CONN_002", "no"], stranger.message);
    const readOnly = await startSmtp({ token: () => false });
    const unsent = await faultOf(open({ smtpPort: readOnly.port }));
    await readOnly.close();
    assert.deepEqual([unsent.code, unsent.retry, /refused the access token/.test(unsent.message)], ["CONN_002", "no", true], unsent.message);
    const password = await faultOf(open({ login: "password", password: "canary-password" }));
    assert.deepEqual([password.code, password.retry], ["CONN_002", "no"], password.message);
  });

  it("checks its settings", () => {
    const problems = (settings: Record<string, unknown>) => email.check({ ...account, settings: { ...account.settings, ...settings } }).length;
    for (const [wrong, count] of [[{ clientId: "" }, 1], [{ token: "" }, 1], [{ secret: "" }, 0], [{ authUrl: "" }, 0], [{ authUrl: "http://login.example.org/token" }, 1], [{ authUrl: "canary" }, 1], [{ login: "magic" }, 1], [{ login: "password" }, 1], [{ login: "" }, 1]] as const) assert.equal(problems(wrong), count, JSON.stringify(wrong));
  });
});
