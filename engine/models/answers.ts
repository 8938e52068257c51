/** What all wires say of answers that are none. */
import { ModelFault } from "./faults.ts";

/** `length`: the token limit ended the answer, which trying again does not change. */
export function emptyAnswer(name: string, length: boolean): ModelFault {
  return length
    ? new ModelFault("bad answer", `${name} used up the token limit before it said anything; raise the limit.`, { retry: "no" })
    : new ModelFault("bad answer", `Expected a text or a tool call from ${name}, got an empty answer.`);
}

/** An answer that came as text: JSON under another content type, or not what was asked for. */
export function parseAnswer(text: string, name: string): unknown {
  if (/^\s*</.test(text)) throw new ModelFault("wrong address", `Expected JSON from ${name}, got a web page; check the base URL.`);
  if (text.trim() === "") return undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw new ModelFault("bad answer", `${name} answered with broken JSON.`);
  }
}
