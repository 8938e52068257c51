/** Every scenario of the conformance suite (npm @modelcontextprotocol/conformance): examined, or why it does not apply. docs/mcp.md has it as a table. */
export const CLIENT = ["initialize", "tools_call", "sse-retry"] as const;
export const SERVER = ["server-initialize", "ping", "tools-list", "tools-call-simple-text", "tools-call-error", "json-schema-2020-12", "dns-rebinding-protection"] as const;

export interface Left { readonly side: "client" | "server"; readonly names: readonly string[]; readonly why: string }
export const LEFT_OUT: readonly Left[] = [
  { side: "client", why: "OAuth: a token or a header is given in the form", names: [
    "auth/metadata-default", "auth/metadata-var1", "auth/metadata-var2", "auth/metadata-var3", "auth/basic-cimd", "auth/scope-from-www-authenticate", "auth/scope-from-scopes-supported", "auth/scope-omitted-when-undefined", "auth/scope-step-up",
    "auth/scope-retry-limit", "auth/token-endpoint-auth-basic", "auth/token-endpoint-auth-post", "auth/token-endpoint-auth-none", "auth/pre-registration", "auth/2025-03-26-oauth-metadata-backcompat", "auth/2025-03-26-oauth-endpoint-fallback",
    "auth/resource-mismatch", "auth/offline-access-scope", "auth/offline-access-not-supported", "auth/client-credentials-jwt", "auth/client-credentials-basic", "auth/cross-app-access-complete-flow",
  ] },
  { side: "client", why: "a server cannot ask our user questions (elicitation)", names: ["elicitation-sep1034-client-defaults"] },
  { side: "server", why: "our tools answer with text alone", names: ["tools-call-image", "tools-call-audio", "tools-call-embedded-resource", "tools-call-mixed-content"] },
  { side: "server", why: "our tools send no log lines and no progress while they run", names: ["logging-set-level", "tools-call-with-logging", "tools-call-with-progress"] },
  { side: "server", why: "we ask a client's model and user nothing", names: ["tools-call-sampling", "tools-call-elicitation", "elicitation-sep1034-defaults", "elicitation-sep1330-enums"] },
  { side: "server", why: "stateless: there is no stream to come back to", names: ["server-sse-polling", "server-sse-multiple-streams"] },
  { side: "server", why: "we offer tools, no resources", names: ["resources-list", "resources-read-text", "resources-read-binary", "resources-templates-read", "resources-subscribe", "resources-unsubscribe"] },
  { side: "server", why: "we offer tools, no prompts", names: ["prompts-list", "prompts-get-simple", "prompts-get-with-args", "prompts-get-embedded-resource", "prompts-get-with-image", "completion-complete"] },
];

/** The section of docs/mcp.md. `version`: of the suite. */
export function conformanceSection(version: string): string {
  const row = (side: string, names: readonly string[], outcome: string): string => `| ${side} | ${names.map((name) => `\`${name}\``).join(", ")} | ${outcome} |`;
  return `## Conformance

The protocol's own suite, [@modelcontextprotocol/conformance](https://www.npmjs.com/package/@modelcontextprotocol/conformance) ${version}, has ${CLIENT.length + SERVER.length + LEFT_OUT.reduce((sum, { names }) => sum + names.length, 0)} scenarios for clients and servers. \`npx mocha test/mcp/conformance.test.ts\` runs the ${CLIENT.length + SERVER.length} that speak of what ClawFlow offers.

| Side | Scenarios | Outcome |
|---|---|---|
${[row("client", CLIENT, "passed"), row("server", SERVER, "passed"), ...LEFT_OUT.map(({ side, names, why }) => row(side, names, `not applicable: ${why}`))].join("\n")}
`;
}
