/** What Meta posts, as far as it is read: https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference. Nothing of it is taken for granted. */

export interface Media { readonly id?: string; readonly mime_type?: string; readonly caption?: string; readonly filename?: string; readonly voice?: boolean; readonly animated?: boolean }
export interface WaError { readonly code?: number; readonly title?: string; readonly message?: string; readonly error_data?: { readonly details?: string } }
export interface SharedContact {
  readonly name?: { readonly formatted_name?: string };
  readonly phones?: readonly { readonly phone?: string; readonly wa_id?: string }[];
  readonly emails?: readonly { readonly email?: string }[];
}
export interface Content {
  readonly type?: string;
  readonly text?: { readonly body?: string };
  readonly image?: Media; readonly video?: Media; readonly audio?: Media; readonly document?: Media; readonly sticker?: Media;
  readonly location?: { readonly latitude?: number; readonly longitude?: number; readonly name?: string; readonly address?: string };
  readonly contacts?: readonly SharedContact[];
  readonly reaction?: { readonly message_id?: string; readonly emoji?: string };
  readonly button?: { readonly payload?: string; readonly text?: string };
  readonly interactive?: {
    readonly type?: string;
    readonly button_reply?: { readonly id?: string; readonly title?: string };
    readonly list_reply?: { readonly id?: string; readonly title?: string; readonly description?: string };
    readonly nfm_reply?: { readonly name?: string; readonly body?: string; readonly response_json?: string };
  };
  readonly order?: { readonly catalog_id?: string; readonly text?: string; readonly product_items?: readonly { readonly product_retailer_id?: string; readonly quantity?: number; readonly item_price?: number; readonly currency?: string }[] };
  readonly system?: { readonly type?: string; readonly body?: string; readonly wa_id?: string };
  readonly unsupported?: { readonly type?: string };
  readonly errors?: readonly WaError[];
  readonly context?: {
    readonly id?: string; readonly from?: string; readonly forwarded?: boolean; readonly frequently_forwarded?: boolean;
    readonly referred_product?: { readonly catalog_id?: string; readonly product_retailer_id?: string };
  };
  readonly referral?: { readonly source_url?: string; readonly headline?: string; readonly body?: string };
}
export interface WaMessage extends Content {
  readonly id?: string;
  /** Phone number; left out for people who hide it behind a user name: then `from_user_id` alone says who it is. */
  readonly from?: string;
  readonly from_user_id?: string;
  readonly group_id?: string;
  /** Of an echo: whom the business wrote to from its own app. */
  readonly to?: string;
  readonly to_user_id?: string;
  /** Unix seconds, as text. */
  readonly timestamp?: string;
  readonly edit?: { readonly original_message_id?: string; readonly message?: Content };
  readonly revoke?: { readonly original_message_id?: string };
}
export interface WaStatus {
  readonly id?: string;
  readonly status?: string;
  readonly timestamp?: string;
  /** Phone number, or the id of the group. */
  readonly recipient_id?: string;
  readonly recipient_user_id?: string;
  readonly recipient_type?: string;
  readonly recipient_participant_id?: string;
  readonly recipient_participant_user_id?: string;
  /** What we gave with the send. */
  readonly biz_opaque_callback_data?: string;
  readonly errors?: readonly WaError[];
}
export interface WaCall { readonly id?: string; readonly from?: string; readonly to?: string; readonly event?: string; readonly direction?: string; readonly timestamp?: string; readonly duration?: number }
export interface WaContact { readonly wa_id?: string; readonly user_id?: string; readonly profile?: { readonly name?: string; readonly username?: string } }
export interface Value {
  readonly metadata?: { readonly phone_number_id?: string; readonly display_phone_number?: string };
  readonly contacts?: readonly WaContact[];
  readonly messages?: readonly WaMessage[];
  readonly message_echoes?: readonly WaMessage[];
  readonly statuses?: readonly WaStatus[];
  readonly calls?: readonly WaCall[];
  readonly errors?: readonly WaError[];
}

export type Item = { readonly value: Value } & (
  | { readonly kind: "message"; readonly one: WaMessage }
  | { readonly kind: "echo"; readonly one: WaMessage }
  | { readonly kind: "status"; readonly one: WaStatus }
  | { readonly kind: "call"; readonly one: WaCall }
);

/** The lists of a value that hold things that happened, in the order they are read. */
const LISTS = { messages: "message", message_echoes: "echo", calls: "call", statuses: "status" } as const;

/** Everything that happened in one POST, oldest first. What is no list of objects counts as empty. */
export function itemsOf(payload: unknown): Item[] {
  return objects((payload as { entry?: unknown } | null)?.entry).flatMap((entry) => objects(entry["changes"]).flatMap((change) => {
    const value = change["value"] as Value | undefined;
    if (typeof value !== "object" || value === null) return [];
    return Object.entries(LISTS).flatMap(([list, kind]) => objects(value[list as keyof Value]).map((one) => ({ kind, value, one }) as Item));
  }));
}

/** The fields of the changes of a POST, for the log. */
export function fieldsOf(payload: unknown): string[] {
  return [...new Set(objects((payload as { entry?: unknown } | null)?.entry).flatMap((entry) => objects(entry["changes"]).map((change) => typeof change["field"] === "string" ? change["field"].slice(0, 64) : "no name")))];
}

function objects(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter((each): each is Record<string, unknown> => typeof each === "object" && each !== null) : [];
}
