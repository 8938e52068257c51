/** Which workspace something came from, and who in this process talks for it. Pure, but for the one list of open accounts. */
import type { Envelope, Interaction, SlashCommand } from "./shapes.ts";

export interface Workspace { readonly team?: string; readonly enterprise?: string }

/** The workspace the app is installed in and got this through; in a channel shared with others, `team_id` alone is the author's. */
export function workspaceOf(body: Envelope | Interaction | SlashCommand): Workspace {
  const { context_team_id, authorizations, team_id, context_enterprise_id, enterprise_id } = body as Envelope;
  const { view, team, enterprise, user } = body as Interaction;
  const first = Array.isArray(authorizations) ? (authorizations[0] as NonNullable<typeof authorizations>[number] | undefined) : undefined;
  const inTeam = view?.app_installed_team_id ?? context_team_id ?? first?.team_id ?? team_id ?? team?.id ?? user?.team_id;
  const inEnterprise = context_enterprise_id ?? first?.enterprise_id ?? enterprise_id ?? enterprise?.id ?? team?.enterprise_id;
  return { ...(typeof inTeam === "string" ? { team: inTeam } : {}), ...(typeof inEnterprise === "string" ? { enterprise: inEnterprise } : {}) };
}

export type Take = (body: unknown) => Promise<void>;
/**
 * Open accounts of this process by app and workspace. One Slack app has one Request URL, and Slack spreads its events over the app's sockets: what
 * belongs to another workspace of the same app arrives at any of its accounts. `app` is what only that app's accounts know: its app-level token or signing secret.
 */
const open = new Map<string, Set<Take>>();
const keyOf = (app: string, place: string) => `${app}\n${place}`;

/** Takes what comes for this place from now on, until the returned function is called. `place`: a team, or an enterprise the app is installed in as a whole. */
export function register(app: string, place: string, take: Take): () => void {
  const key = keyOf(app, place);
  const own = open.get(key) ?? new Set();
  open.set(key, own.add(take));
  return () => {
    own.delete(take);
    if (own.size === 0) open.delete(key);
  };
}

/** Who takes it: the account of the workspace, else of the whole enterprise. Several accounts of one workspace each get it. */
export function takersOf(app: string, { team, enterprise }: Workspace): readonly Take[] {
  for (const place of [team, enterprise]) {
    const own = place === undefined ? undefined : open.get(keyOf(app, place));
    if (own !== undefined) return [...own];
  }
  return [];
}
