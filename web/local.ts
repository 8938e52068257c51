/** What the browser keeps for this one chat: the visitor's secret, its name, and what was written but not confirmed. */

export interface Local {
  readonly token: string;
  get(key: string): unknown;
  /** `undefined` removes. */
  set(key: string, value: unknown): void;
  /** Entries whose key begins with `prefix`. */
  list(prefix: string): [key: string, value: unknown][];
}

/** `scope` keeps the chats of one server apart. Without storage (private mode, a locked frame) all is kept until the page closes. */
export function createLocal(scope: string, storage: Storage | undefined = storageOf()): Local {
  const memory = new Map<string, string>();
  const prefix = `clawflow:${scope}:`;
  const read = (key: string): string | undefined => storage?.getItem(prefix + key) ?? memory.get(key);
  function get(key: string): unknown {
    try {
      return JSON.parse(read(key) ?? "null") ?? undefined;
    } catch {
      return undefined;
    }
  }
  function set(key: string, value: unknown): void {
    memory.delete(key);
    try {
      if (value === undefined) storage?.removeItem(prefix + key);
      else if (storage === undefined) memory.set(key, JSON.stringify(value));
      else storage.setItem(prefix + key, JSON.stringify(value));
    } catch {
      // Full: this one lives as long as the page.
      memory.set(key, JSON.stringify(value));
    }
  }
  function list(start: string): [string, unknown][] {
    const keys = new Set(memory.keys());
    for (let at = 0; at < (storage?.length ?? 0); at++) {
      const key = storage?.key(at) ?? "";
      if (key.startsWith(prefix)) keys.add(key.slice(prefix.length));
    }
    return [...keys].filter((key) => key.startsWith(start)).map((key) => [key, get(key)]);
  }
  let token = get("token");
  if (typeof token !== "string" || !/^[A-Za-z0-9_-]{22,128}$/.test(token)) {
    set("token", randomId());
    // Two tabs that begin at once both read what was written last.
    token = get("token");
  }
  return { token: String(token), get, set, list };
}

/** Where in the browser a chat keeps its own: apart for each room, and for each person the site around it vouches for. The token's claims are read, not believed. */
export function scopeOf(path: string, room: string | undefined, identity: string | undefined): string {
  return `${path}${room === undefined ? "" : `?${room}`}${identity === undefined ? "" : `#${subjectOf(identity)}`}`;
}
function subjectOf(identity: string): string {
  try {
    const { id } = JSON.parse(atob((identity.split(".")[0] ?? "").replace(/-/g, "+").replace(/_/g, "/"))) as { id?: unknown };
    return String(id);
  } catch {
    return "?";
  }
}

/** 128 random bits as 32 hexadecimal digits. */
export function randomId(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function storageOf(): Storage | undefined {
  try {
    return window.localStorage;
  } catch {
    return undefined;
  }
}
