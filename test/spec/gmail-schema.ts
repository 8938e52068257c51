/**
 * What requests to Gmail's REST API may hold, written down from its reference (developers.google.com/gmail/api/reference/rest): only the methods that we use.
 * A judge of our own: Google's description of the API is not among the specifications here.
 */
type Type = "text" | "number" | "texts" | "boolean" | "base64url";
interface Method { readonly query?: Readonly<Record<string, Type>>; readonly needsQuery?: readonly string[]; readonly body?: Readonly<Record<string, Type>>; readonly needs?: readonly string[] }
const METHODS: readonly (readonly [pattern: RegExp, method: Method])[] = [
  [/^GET \/gmail\/v1\/users\/me\/profile$/, {}],
  [/^GET \/gmail\/v1\/users\/me\/labels$/, {}],
  [/^GET \/gmail\/v1\/users\/me\/history$/, { query: { startHistoryId: "number", historyTypes: "texts", labelId: "text", maxResults: "number", pageToken: "text" }, needsQuery: ["startHistoryId"] }],
  [/^GET \/gmail\/v1\/users\/me\/messages$/, { query: { q: "text", labelIds: "texts", maxResults: "number", pageToken: "text", includeSpamTrash: "boolean" } }],
  [/^GET \/gmail\/v1\/users\/me\/messages\/[\w-]+$/, { query: { format: "text", metadataHeaders: "texts" } }],
  [/^POST \/gmail\/v1\/users\/me\/messages\/send$/, { body: { raw: "base64url", threadId: "text" }, needs: ["raw"] }],
  [/^POST \/upload\/gmail\/v1\/users\/me\/messages\/send$/, { query: { uploadType: "text" }, needsQuery: ["uploadType"] }],
  [/^POST \/gmail\/v1\/users\/me\/messages\/[\w-]+\/modify$/, { body: { addLabelIds: "texts", removeLabelIds: "texts" } }],
];
const CHOICES: Readonly<Record<string, readonly string[]>> = { format: ["minimal", "full", "raw", "metadata"], historyTypes: ["messageAdded", "messageDeleted", "labelAdded", "labelRemoved"], uploadType: ["media", "multipart", "resumable"] };
const MOST: Readonly<Record<string, number>> = { maxResults: 500 };

/** Problems with a request; "no such method" alone where it is none of ours. */
export function gmailProblems(method: string, path: string, query: URLSearchParams, body?: Readonly<Record<string, unknown>>): string[] {
  const found = METHODS.find(([pattern]) => pattern.test(`${method} ${path}`))?.[1];
  if (found === undefined) return ["no such method"];
  const problems: string[] = [];
  for (const [key, value] of query) {
    const type = found.query?.[key];
    if (type === undefined) problems.push(`query ${key} is unknown`);
    else if ((type === "number" && !/^\d+$/.test(value)) || value === "" || CHOICES[key]?.includes(value) === false || Number(value) > (MOST[key] ?? Number.POSITIVE_INFINITY)) problems.push(`query ${key} is wrong: ${value}`);
    if (type !== "texts" && query.getAll(key).length > 1) problems.push(`query ${key} comes twice`);
  }
  for (const key of found.needsQuery ?? []) if (!query.has(key)) problems.push(`query ${key} is missing`);
  for (const [key, value] of Object.entries(body ?? {})) {
    const type = found.body?.[key];
    const right = type === "texts" ? Array.isArray(value) && value.every((each) => typeof each === "string") : type === "base64url" ? typeof value === "string" && /^[\w-]+$/.test(value) : typeof value === "string" && value !== "";
    if (type === undefined) problems.push(`field ${key} is unknown`);
    else if (!right) problems.push(`field ${key} is wrong`);
  }
  for (const key of found.needs ?? []) if (body?.[key] === undefined) problems.push(`field ${key} is missing`);
  if (found.body === undefined && body !== undefined) problems.push("a body is not wanted");
  return problems;
}
