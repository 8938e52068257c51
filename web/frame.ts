/** The chat's page as seen from the page around it: what that one says in the address, and the few words they exchange. Neither reads anything of the other. */

/** Of the page around: the chat is seen or not; a new word about its visitor. */
export type HostWord = { readonly clawflow: "seen"; readonly seen: boolean } | { readonly clawflow: "identity"; readonly token: string };
/** Of the chat: it wants to be closed; so many messages wait; the word about the visitor is over. */
export type ChatWord = { readonly clawflow: "close" } | { readonly clawflow: "unread"; readonly count: number } | { readonly clawflow: "expired" };

export interface Frame {
  readonly embedded: boolean;
  /** False while the page around hides the chat. */
  readonly seen: boolean;
  tell(word: ChatWord): void;
}
const IDENTITY = "clawflow:identity";
const HOST = "clawflow:host";

/**
 * Takes what is for the chat out of the address: `#host=<origin>&identity=<token>`. An identity stays for this tab, an empty one is forgotten.
 * Only a page around may say it, and the server names those that may stand there: by a link, anybody could make the reader somebody else.
 */
export function takeAddress(): { readonly host: string | undefined; readonly identity: string | undefined } {
  const given = new URLSearchParams(location.hash.startsWith("#host=") || location.hash.startsWith("#identity=") ? location.hash.slice(1) : "");
  if (given.size > 0) history.replaceState(null, "", location.pathname + location.search);
  if (parent === window) return { host: undefined, identity: undefined };
  const identity = given.get("identity");
  if (identity !== null) hold(IDENTITY, identity);
  const host = given.get("host") ?? held(HOST);
  if (host !== undefined) hold(HOST, host);
  return { host, identity: identity === null ? held(IDENTITY) : identity || undefined };
}

/** `identity`: the one this page began with. */
export function openFrame(host: string | undefined, identity: string | undefined, onSeen: (seen: boolean) => void): Frame {
  const embedded = host !== undefined;
  let seen = true;
  if (embedded) {
    addEventListener("message", ({ source, origin, data }: MessageEvent<unknown>) => {
      if (source !== parent || origin !== host || typeof data !== "object" || data === null) return;
      const word = data as Partial<HostWord>;
      if (word.clawflow === "seen") { seen = word.seen === true; onSeen(seen); }
      if (word.clawflow === "identity" && typeof word.token === "string" && word.token !== (identity ?? "")) {
        // By the address: a browser may keep nothing for a frame.
        history.replaceState(null, "", `${location.pathname}${location.search}#${new URLSearchParams({ host, identity: word.token }).toString()}`);
        location.reload();
      }
    });
  }
  return {
    embedded,
    get seen() { return seen; },
    tell(word) { if (embedded) parent.postMessage(word, host); },
  };
}

/** Kept for this tab alone: a token outlives no visit on a shared computer. Browsers that lock the storage of frames keep nothing; the page around says it with each load. */
function held(key: string): string | undefined {
  try {
    return sessionStorage.getItem(key) || undefined;
  } catch {
    return undefined;
  }
}
function hold(key: string, value: string): void {
  try {
    if (value === "") sessionStorage.removeItem(key);
    else sessionStorage.setItem(key, value);
  } catch { /* Locked. */ }
}
