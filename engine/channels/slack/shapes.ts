/** What we read of Slack's payloads. Everything is optional: it comes from outside. Shapes: @slack/types (events/*.d.ts), @slack/bolt (types/*). */

export interface SlackFile {
  readonly id?: string; readonly name?: string | null; readonly title?: string | null; readonly mimetype?: string; readonly subtype?: string; readonly size?: number; readonly mode?: string; readonly is_external?: boolean;
  readonly url_private?: string; readonly url_private_download?: string; readonly permalink?: string; readonly duration_ms?: number; readonly alt_txt?: string; readonly file_access?: string;
}
/** A secondary attachment: of an integration, of a link, or of a message that was shared. */
export interface SlackAttachment { readonly title?: string; readonly title_link?: string; readonly text?: string; readonly fallback?: string; readonly from_url?: string; readonly image_url?: string; readonly author_name?: string; readonly author_id?: string; readonly is_share?: boolean; readonly is_msg_unfurl?: boolean; readonly blocks?: readonly unknown[] }

export interface SlackMessage {
  readonly type?: string; readonly subtype?: string; readonly ts?: string; readonly thread_ts?: string; readonly user?: string; readonly bot_id?: string; readonly username?: string; readonly text?: string;
  readonly bot_profile?: { readonly name?: string }; readonly blocks?: readonly unknown[]; readonly attachments?: readonly SlackAttachment[]; readonly files?: readonly SlackFile[];
  readonly edited?: { readonly ts?: string }; readonly parent_user_id?: string; readonly metadata?: { readonly event_type?: string; readonly event_payload?: Readonly<Record<string, unknown>> };
}
export interface SlackEvent extends SlackMessage {
  readonly channel?: string | { readonly id?: string }; readonly channel_id?: string; readonly channel_type?: string; readonly event_ts?: string; readonly hidden?: boolean; readonly deleted_ts?: string;
  readonly message?: SlackMessage; readonly previous_message?: SlackMessage;
  readonly reaction?: string; readonly item?: { readonly type?: string; readonly channel?: string; readonly ts?: string }; readonly item_user?: string; readonly inviter?: string;
}
export interface Envelope {
  readonly type?: string; readonly team_id?: string; readonly context_team_id?: string; readonly enterprise_id?: string; readonly context_enterprise_id?: string | null; readonly event_id?: string; readonly event_time?: number; readonly event?: SlackEvent;
  readonly authorizations?: readonly { readonly team_id?: string | null; readonly enterprise_id?: string | null; readonly is_enterprise_install?: boolean }[];
}

interface Option { readonly value?: string; readonly text?: { readonly text?: string } }
/** An element's state, in block_actions and in a submitted view alike. */
export interface ElementState {
  readonly type?: string; readonly action_id?: string; readonly block_id?: string; readonly action_ts?: string; readonly text?: { readonly text?: string }; readonly url?: string; readonly value?: string | null;
  readonly selected_option?: Option | null; readonly selected_options?: readonly Option[]; readonly selected_user?: string | null; readonly selected_users?: readonly string[]; readonly selected_channel?: string | null; readonly selected_channels?: readonly string[];
  readonly selected_conversation?: string | null; readonly selected_conversations?: readonly string[]; readonly selected_date?: string | null; readonly selected_time?: string | null; readonly selected_date_time?: number | null; readonly rich_text_value?: { readonly elements?: readonly unknown[] };
}
export interface Interaction {
  readonly type?: string; readonly team?: { readonly id?: string; readonly enterprise_id?: string } | null; readonly enterprise?: { readonly id?: string } | null; readonly is_enterprise_install?: boolean | string; readonly user?: { readonly id?: string; readonly name?: string; readonly username?: string; readonly team_id?: string };
  readonly trigger_id?: string; readonly response_url?: string; readonly callback_id?: string; readonly action_ts?: string; readonly message_ts?: string; readonly actions?: readonly ElementState[];
  readonly channel?: { readonly id?: string; readonly name?: string }; readonly message?: SlackMessage; readonly container?: { readonly type?: string; readonly message_ts?: string; readonly channel_id?: string; readonly thread_ts?: string; readonly is_ephemeral?: boolean };
  readonly view?: { readonly id?: string; readonly hash?: string; readonly callback_id?: string; readonly private_metadata?: string; readonly app_installed_team_id?: string; readonly state?: { readonly values?: Readonly<Record<string, Readonly<Record<string, ElementState>>>> } };
}
export interface SlashCommand { readonly command?: string; readonly text?: string; readonly response_url?: string; readonly trigger_id?: string; readonly user_id?: string; readonly user_name?: string; readonly team_id?: string; readonly channel_id?: string; readonly channel_name?: string; readonly enterprise_id?: string }
