/** Faults of HTTP requests, and the one question that decides about a resend: can the other side have seen the request? */

/** Raised while the connection was being made: no byte of the request had left. */
const BEFORE_SENDING: ReadonlySet<string> = new Set([
  "ENOTFOUND", "EAI_AGAIN", "EAI_FAIL", "ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH", "EHOSTDOWN", "EADDRNOTAVAIL",
  "UND_ERR_CONNECT_TIMEOUT", "UND_ERR_PRX_TLS", "ERR_INVALID_URL", "UND_ERR_INVALID_ARG",
  "CERT_HAS_EXPIRED", "CERT_NOT_YET_VALID", "DEPTH_ZERO_SELF_SIGNED_CERT", "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT", "UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "UNABLE_TO_VERIFY_LEAF_SIGNATURE", "ERR_TLS_CERT_ALTNAME_INVALID",
]);

/** What a person reads for a code. */
const PLAIN: Readonly<Record<string, string>> = {
  ENOTFOUND: "its name was not found",
  EAI_AGAIN: "the name service did not answer",
  ECONNREFUSED: "the connection was refused",
  EHOSTUNREACH: "the host is unreachable",
  ENETUNREACH: "the network is unreachable",
  ECONNRESET: "the connection was cut",
  EPIPE: "the connection was cut",
  UND_ERR_SOCKET: "the connection was cut",
  UND_ERR_CONNECT_TIMEOUT: "the connection was not made in time",
  UND_ERR_HEADERS_TIMEOUT: "no answer came in time",
  UND_ERR_BODY_TIMEOUT: "the answer stopped halfway",
  CERT_HAS_EXPIRED: "its certificate has expired",
  DEPTH_ZERO_SELF_SIGNED_CERT: "its certificate is self-signed",
  SELF_SIGNED_CERT_IN_CHAIN: "its certificate is self-signed",
  ERR_TLS_CERT_ALTNAME_INVALID: "its certificate is for another name",
};

/** A request failed. The message names the host at most: addresses hold tokens (Telegram) and passwords (proxies). */
export class HttpError extends TypeError {
  /** System or undici code, where there is one. */
  readonly code: string | undefined;
  /** True when the request certainly never reached the other side. */
  readonly unsent: boolean;
  constructor(message: string, code: string | undefined, unsent: boolean) {
    super(message);
    this.name = "HttpError";
    this.code = code;
    this.unsent = unsent;
  }
}

/** An abort passes as the signal's reason; everything else becomes an HttpError. `redirected`: another server saw the request already. */
export function httpError(thrown: unknown, url: URL, signal: AbortSignal | undefined, redirected: boolean): unknown {
  if (signal?.aborted) return signal.reason ?? new DOMException("This operation was aborted", "AbortError");
  if (thrown instanceof HttpError) return thrown;
  const code = codeOf(thrown);
  const text = (thrown as Error)?.message ?? "";
  const proxyStatus = /^Proxy response \((\d+)\)/.exec(text)?.[1];
  if (proxyStatus !== undefined) {
    const why = proxyStatus === "407" ? "it wants a user name and password, or refuses the given ones" : `it answered ${proxyStatus}`;
    return new HttpError(`The proxy did not connect to ${url.host}: ${why}.`, code, !redirected);
  }
  const why = (code === undefined ? undefined : PLAIN[code]) ?? (code?.startsWith("UND_ERR_INVALID") || code === undefined ? text : "the request failed");
  return new HttpError(`Could not reach ${url.host}: ${why}${code === undefined ? "" : ` (${code})`}.`, code, !redirected && neverSent(thrown));
}

/** The first system or undici code in an error, its causes and its parts. */
export function codeOf(thrown: unknown, depth = 4): string | undefined {
  if (typeof thrown !== "object" || thrown === null || depth === 0) return undefined;
  const { code, cause, errors, error } = thrown as { code?: unknown; cause?: unknown; errors?: unknown; error?: unknown };
  if (typeof code === "string" && code !== "") return code;
  return codeOf(cause, depth - 1) ?? (Array.isArray(errors) ? codeOf(errors[0], depth - 1) : undefined) ?? codeOf(error, depth - 1);
}

/**
 * Whether an error happened certainly before the request reached the other side (name not found, connection refused or not made
 * in time, certificate refused): a resend cannot double. Reads errors of this fetch, of the built-in one, of node:net and node:tls,
 * and what SDKs wrap around them (`cause`, grammY's `error`). In doubt the answer is false.
 */
export function neverSent(error: unknown, depth = 5): boolean {
  if (typeof error !== "object" || error === null || depth === 0) return false;
  if (error instanceof HttpError) return error.unsent;
  const { code, syscall, cause, errors, error: inner } = error as { code?: unknown; syscall?: unknown; cause?: unknown; errors?: unknown; error?: unknown };
  // Happy eyeballs: one error per address that was tried.
  if (Array.isArray(errors) && errors.length > 0) return errors.every((each) => neverSent(each, depth - 1));
  if (typeof code === "string") {
    // A connection that stood may lose its way too: "read EHOSTUNREACH" says nothing of what had left before.
    if (syscall === "read" || syscall === "write") return false;
    if (BEFORE_SENDING.has(code)) return true;
    if ((code === "ETIMEDOUT" || code === "ECONNRESET") && syscall === "connect") return true;
  }
  return neverSent(cause, depth - 1) || neverSent(inner, depth - 1);
}
