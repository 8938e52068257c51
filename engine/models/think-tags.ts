/** Reasoning inside the text, as local models write it. */

export interface Part { readonly type: "text" | "thought"; readonly text: string }
const OPEN = "<think>";
const CLOSE = "</think>";
/** Local models write their reasoning at the beginning of the text between `<think>` tags; it must not reach a chat. */
export function thinkTags(): { add(text: string): Part[]; end(): Part[] } {
  let state: "start" | "inside" | "after" | "text" = "start";
  let held = "";
  function add(piece: string): Part[] {
    if (state === "text") return [{ type: "text", text: piece }];
    held += piece;
    if (state === "start") {
      const bare = held.trimStart();
      if (OPEN.startsWith(bare.slice(0, OPEN.length)) && bare.length < OPEN.length) return [];
      if (!bare.startsWith(OPEN)) return flush("text");
      state = "inside";
      held = bare.slice(OPEN.length);
    }
    if (state === "inside") {
      const at = held.indexOf(CLOSE);
      if (at < 0) {
        // The last characters may be the beginning of the closing tag.
        const sure = held.slice(0, Math.max(0, held.length - CLOSE.length + 1));
        held = held.slice(sure.length);
        return sure === "" ? [] : [{ type: "thought", text: sure }];
      }
      const thought = held.slice(0, at);
      held = held.slice(at + CLOSE.length);
      state = "after";
      return [{ type: "thought", text: thought }, ...after()];
    }
    return after();
  }
  function after(): Part[] {
    held = held.trimStart();
    return held === "" ? [] : flush("text");
  }
  function flush(next: "text"): Part[] {
    state = next;
    const text = held;
    held = "";
    return text === "" ? [] : [{ type: "text", text }];
  }
  return { add, end: () => (held === "" ? [] : [{ type: state === "inside" ? "thought" : "text", text: held }]) };
}
