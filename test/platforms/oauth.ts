/** An OAuth server of mailboxes, as Microsoft's and Google's are: access tokens by a refresh token, which a new one takes the place of each time; and what a mail server asks it about a token. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface OauthStub {
  /** Where tokens are renewed; and where a mail server asks about one, which is put behind it. */
  readonly url: string;
  readonly about: string;
  readonly clientId: string;
  readonly secret: string;
  /** The refresh token it was set up with. */
  readonly token: string;
  /** Requests for a token, oldest first. */
  readonly grants: readonly URLSearchParams[];
  readonly issued: readonly string[];
  /** Seconds that tokens are good for. */
  expiresIn: number;
  isGood(token: string): boolean;
  /** No token given until now is good any more. */
  revoke(): void;
  /** The next request for a token is answered so. */
  fault(status: number, body: object): void;
  close(): Promise<void>;
}

export async function startOauth(user: string): Promise<OauthStub> {
  const [clientId, secret, token] = ["11111111-2222-3333-4444-555555555555", "canary-client-secret", "canary-refresh-token-1"];
  const grants: URLSearchParams[] = [];
  const issued: string[] = [];
  const good = new Set<string>();
  let refresh = token;
  let next: { readonly status: number; readonly body: object } | undefined;
  const say = (response: ServerResponse, status: number, body: object): void => void response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  async function grant(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const form = new URLSearchParams(String(Buffer.concat(chunks)));
    grants.push(form);
    const fault = next;
    next = undefined;
    if (fault !== undefined) return say(response, fault.status, fault.body);
    if (form.get("client_id") !== clientId || form.get("client_secret") !== secret) return say(response, 401, { error: "invalid_client", error_description: "AADSTS7000215: Invalid client secret provided." });
    if (form.get("grant_type") !== "refresh_token" || form.get("refresh_token") !== refresh) return say(response, 400, { error: "invalid_grant", error_description: "AADSTS70008: The provided authorization code or refresh token has expired due to inactivity." });
    const made = `canary-access-token-${issued.length + 1}`;
    refresh = `canary-refresh-token-${issued.length + 2}`;
    issued.push(made);
    good.add(made);
    say(response, 200, { token_type: "Bearer", expires_in: stub.expiresIn, access_token: made, refresh_token: refresh });
  }
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://oauth");
    if (pathname === "/token" && request.method === "POST") return void grant(request, response);
    const asked = searchParams.get("access_token") ?? "";
    if (good.has(asked)) say(response, 200, { username: user, active: true });
    else say(response, 401, { error: "invalid_token" });
  });
  await new Promise<void>((resolve) => { server.listen(0, "127.0.0.1", resolve); });
  const root = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const stub: OauthStub = {
    url: `${root}/token`, about: `${root}/about?access_token=`, clientId, secret, token, grants, issued, expiresIn: 3_599,
    isGood: (asked) => good.has(asked),
    revoke() { good.clear(); },
    fault(status, body) { next = { status, body }; },
    close: () => new Promise((resolve) => { server.close(() => resolve()); server.closeAllConnections(); }),
  };
  return stub;
}
