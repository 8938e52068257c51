/**
 * Every fault ClawFlow can name. The code is what a person searches for, `remedy` is what they do about it.
 * docs/errors.md is generated from this table; a test fails on a code that is used and not listed here, or listed and not used.
 */

/** Where a person meets a fault. */
export type Place =
  /** Under the node, as `CODE: text`. */
  | "status"
  /** `msg.error.code` in a Catch node. */
  | "catch"
  /** `msg.receipt.code` behind channel out. */
  | "receipt"
  /** State of the account: in the gateway, under its nodes. */
  | "account"
  | "log"
  | "dead letters"
  /** Body of the answer to an HTTP request. */
  | "http answer"
  /** Result of a tool call. */
  | "model"
  /** Test buttons and previews of the editor. */
  | "form";

export interface ErrorRow {
  readonly title: string;
  /** What it means, in a sentence or two. */
  readonly meaning: string;
  /** What is behind it as a rule, most common first. */
  readonly causes: readonly string[];
  readonly remedy: string;
  readonly where: readonly Place[];
  /** Does ClawFlow try again by itself? Begins with Yes or No. */
  readonly again: string;
}

export const ERRORS = {
  CONN_001: {
    title: "Connection failed",
    meaning: "The platform, or a server a file comes from, could not be reached, or its answer was lost on the way.",
    causes: ["no network", "a wrong address or proxy", "the platform is down", "a firewall"],
    remedy: "Check the network, the proxy and the address; ClawFlow tries again by itself.",
    where: ["account", "status", "receipt", "dead letters", "log", "http answer", "form"],
    again: "Yes: a connection after 1, 2, 4 … 60 s without an end, a delivery 12 times. A wait that the other side names is kept.",
  },
  CONN_002: {
    title: "Credentials refused",
    meaning: "The platform does not accept this token or password.",
    causes: ["a token copied in part", "a token that was revoked", "a bot that was deleted", "the token of another platform"],
    remedy: "Copy the token again from the platform and press Test.",
    where: ["account", "status", "receipt", "dead letters", "form"],
    again: "No: a wrong token stays wrong. The account connects again when it is changed and deployed.",
  },
  CONN_003: {
    title: "Rate limit reached",
    meaning: "More was sent or asked in a short time than the other side allows. Nothing of it was taken.",
    causes: ["many messages into one chat", "a broadcast", "a sender that floods a webhook or the web chat"],
    remedy: "Nothing to do: ClawFlow waits as long as the platform asks.",
    where: ["account", "status", "receipt", "dead letters", "http answer", "form"],
    again: "Yes: after the wait that is asked for, a day at most; other chats go on meanwhile.",
  },
  CONN_004: {
    title: "Webhook verification failed",
    meaning: "A request to a webhook could not be checked, or did not get as far as ClawFlow. It was refused.",
    causes: ["no secret is set in the node", "another secret in the platform than here", "httpNodeAuth or httpNodeMiddleware in settings.js answers before ClawFlow does", "somebody else knocked"],
    remedy: "Use the same secret on both sides; without a secret every request is refused.",
    where: ["status", "log", "http answer", "form"],
    again: "No: the sender gets 401 or 403. Platforms send again by themselves.",
  },
  CONN_005: {
    title: "A second program uses the same bot",
    meaning: "Another program receives the messages of this bot at the same time, so each of the two gets only some of them.",
    causes: ["the same token in a second Node-RED", "a restored backup that runs beside the original", "a webhook that was set elsewhere"],
    remedy: "Stop the other program or Node-RED that polls this bot.",
    where: ["account", "status", "form"],
    again: "Yes: after 1, 2, 4 … 60 s, until the other one stops.",
  },
  CONN_006: {
    title: "Waiting to be linked to a phone",
    meaning: "The account is a device of somebody's phone, and the phone has not let it in yet.",
    causes: ["a new account", "a device that was unlinked on the phone, or was away for two weeks"],
    remedy: "Scan the code that the log names, or enter the one that the account's state shows, on the phone under Linked devices.",
    where: ["account", "status", "log", "receipt"],
    again: "Yes: a new code is shown as soon as the old one has ended.",
  },
  MSG_001: {
    title: "Message could not be understood",
    meaning: "Something that should be a message, an address or a request is not in the form that is needed.",
    causes: ["a mapping that names another property", "a msg that did not come through channel in, cron, webhook or normalize", "a function node that made a new msg", "a request that is no JSON"],
    remedy: "Compare the mapping or the payload with the Message schema in docs/message.md.",
    where: ["catch", "status", "receipt", "log", "http answer", "form"],
    again: "No.",
  },
  MSG_002: {
    title: "Message could not be delivered",
    meaning: "The platform refused the message for good, it expired while it waited, or there is nobody left who waits for it.",
    causes: ["the bot was blocked or removed from the chat", "the chat, thread or message is gone", "the reply became too old", "a file that is not kept any more"],
    remedy: "Read the reason in the receipt; resend from the dead letters.",
    where: ["receipt", "status", "catch", "dead letters", "http answer"],
    again: "No. Only where the markup was refused, the same text goes out once more, plain.",
  },
  MSG_003: {
    title: "Message too large",
    meaning: "A text, a file, a button's value or a request is larger than the platform or the gateway takes.",
    causes: ["a file over the platform's limit", "a button's value of more than 64 bytes on Telegram", "a text under a file that is too long", "a request body over the limit of the webhook node"],
    remedy: "Send less at once, or raise the size limit of the gateway.",
    where: ["receipt", "status", "catch", "dead letters", "http answer"],
    again: "No. Long texts are split beforehand and do not end here.",
  },
  MSG_004: {
    title: "No flow takes this message",
    meaning: "A message of the account waited for a channel in node that takes it, longer than the gateway lets it.",
    causes: ["no channel in for this account", "filters that leave out this chat or kind", "a flow that is disabled"],
    remedy: "Add a channel in node for this account, or widen its filters.",
    where: ["dead letters"],
    again: "Yes: it waits, and is handed out as soon as a deploy brings a fitting node.",
  },
  MSG_005: {
    title: "The platform cannot do this",
    meaning: "The platform has no such thing, or not in this kind of chat.",
    causes: ["buttons with an album", "text with a sticker", "a reaction that is not on the platform's list", "editing where nothing can be edited", "files where no files are kept"],
    remedy: "Choose another action; the channel's page lists what it can do.",
    where: ["receipt", "status", "catch", "dead letters", "http answer", "form"],
    again: "No.",
  },
  MSG_006: {
    title: "Message was given up",
    meaning: "A message that came in did not get through its flow, and is not tried any more. It is kept, with the reason.",
    causes: ["a node that failed before there was an answer, where no Catch node takes the fault", "a flow that ended Node-RED three times with this message", "its channel in was removed while it was under way", "its record on disk was damaged"],
    remedy: "Read the reason in the dead letters, mend the flow, and hand the message out again.",
    where: ["dead letters", "log"],
    again: "No: a fault is not tried again by itself, and three tries that broke off are enough. Other messages go on.",
  },
  MSG_007: {
    title: "Outcome of a platform call is unknown",
    meaning: "A method of the platform was called and never answered, or Node-RED stopped meanwhile. It may have been done, so it is not done again.",
    causes: ["a connection that broke after the request had left", "a crash or a power cut during the call", "a platform that took too long"],
    remedy: "Look at the platform whether it was done, and call again only if it was not.",
    where: ["receipt", "status"],
    again: "No: on purpose. The receipt says so.",
  },
  SEC_001: {
    title: "Sender is not allowed",
    meaning: "Somebody who is not let in asked for something.",
    causes: ["a stranger writes to the bot or sends a file", "a request of another web site", "a proxy that changes the host name, and is not named in the account"],
    remedy: "Add the sender to the people of the gateway.",
    where: ["http answer"],
    again: "No. Whoever is refused is counted and shown in the gateway.",
  },
  SEC_002: {
    title: "Invalid signature",
    meaning: "A request is signed, but not with the secret that is set here, or it is more than five minutes old.",
    causes: ["another secret in the sender than here", "a proxy that changes the body or the address", "a clock that is wrong", "a forged request"],
    remedy: "Use the secret that the sender signs with.",
    where: ["status", "http answer"],
    again: "No: the sender gets 401 or 403.",
  },
  SEC_003: {
    title: "Address is not allowed",
    meaning: "A file is to be fetched from an address that lies in a private network, holds a password, or has an unusual port.",
    causes: ["an address that a model or a stranger made up", "a file server of the own network", "a name that leads to a private address", "a redirect to such an address"],
    remedy: "Put the file at a public address, or give it as spool:<id> from the media folder.",
    where: ["receipt", "status", "catch", "dead letters"],
    again: "No.",
  },
  MODEL_001: {
    title: "Model could not be reached",
    meaning: "No answer came from the provider, or what answered is no model.",
    causes: ["a wrong base URL", "a local model that is not started", "no network", "a certificate that is not valid", "a picture that is not kept any more"],
    remedy: "Check the base URL and the network; for a local model, start it.",
    where: ["catch", "status", "form"],
    again: "No: the agent gives the fault to a Catch node.",
  },
  MODEL_002: {
    title: "Model key refused",
    meaning: "The provider does not know this key, or does not allow it to use this model.",
    causes: ["a key copied in part", "a key of another provider", "a key without the right to use this model"],
    remedy: "Copy the key again from the provider and press Test.",
    where: ["catch", "status", "form"],
    again: "No.",
  },
  MODEL_003: {
    title: "Model rate limit reached",
    meaning: "More requests or tokens in a short time than the provider allows this key.",
    causes: ["several agents on one key", "long conversations", "a small plan"],
    remedy: "Wait, use another key, or add a second model.",
    where: ["catch", "status", "form"],
    again: "No: the agent gives the fault to a Catch node.",
  },
  MODEL_004: {
    title: "Provider overloaded or failing",
    meaning: "The provider took the request and failed, or broke off in the middle of its answer.",
    causes: ["a busy hour", "a fault at the provider", "a proxy between that gave up"],
    remedy: "Nothing to do if it passes; add a second model for such hours.",
    where: ["catch", "status", "form"],
    again: "No: the agent gives the fault to a Catch node.",
  },
  MODEL_005: {
    title: "Conversation too long for the model",
    meaning: "Prompt, history and message together are more than the model reads at once.",
    causes: ["a long history", "a very long message or tool result", "a model with a small context"],
    remedy: "Lower the history limit or choose a model with a larger context.",
    where: ["catch", "status"],
    again: "No.",
  },
  MODEL_006: {
    title: "Model refused to answer",
    meaning: "The model, or the provider's filter, would not answer this.",
    causes: ["a content filter", "a request the model takes for harmful"],
    remedy: "Rephrase the request or the system prompt.",
    where: ["catch", "status", "form"],
    again: "No.",
  },
  MODEL_007: {
    title: "Model answered nonsense",
    meaning: "The answer is empty, cut, broken JSON, or of another shape than the wire has.",
    causes: ["a wire that does not fit the provider", "a limit of tokens that thinking alone used up", "a small local model"],
    remedy: "Try again; if it stays, choose another model or wire.",
    where: ["catch", "status", "form"],
    again: "No: the agent gives the fault to a Catch node.",
  },
  MODEL_008: {
    title: "Provider rejected the request",
    meaning: "The provider understood the request and does not take it.",
    causes: ["a model's name that is misspelt or retired", "a temperature or limit that is out of range", "tools with a model that has none"],
    remedy: "Read the provider's text: model name, parameters or tools are not accepted.",
    where: ["catch", "status", "form"],
    again: "No.",
  },
  MODEL_009: {
    title: "Account has no credit",
    meaning: "The provider's account is empty or over its monthly limit, or the demo's own cap of tokens is used up.",
    causes: ["no credit bought", "a spending limit that was reached"],
    remedy: "Top up at the provider or lower the use.",
    where: ["catch", "status", "form"],
    again: "No.",
  },
  MODEL_010: {
    title: "Model took too long",
    meaning: "No answer within the time the agent or the provider gives it.",
    causes: ["a large model on a small machine", "a model that is still being loaded", "a long chain of thoughts or tools"],
    remedy: "Raise the timeout of the agent or choose a faster model.",
    where: ["catch", "status", "form"],
    again: "No: the agent gives the fault to a Catch node.",
  },
  TOOL_001: {
    title: "Tool arguments do not fit its schema",
    meaning: "The model called a tool with arguments that its parameters do not allow. The tool's flow did not run.",
    causes: ["a small model", "parameters whose description leaves room"],
    remedy: "The model is told and may try again; check the tool's parameters.",
    where: ["model"],
    again: "No; the model reads it and may call again.",
  },
  TOOL_002: {
    title: "Tool flow did not answer in time",
    meaning: "The tool's flow did not reach tool out within its time, or reached it a second time.",
    causes: ["a branch that does not end in tool out", "a slow request in the flow", "two wires into tool out"],
    remedy: "End the tool's flow in tool out, or raise its timeout.",
    where: ["model", "log"],
    again: "No; the model reads it and may call again.",
  },
  TOOL_003: {
    title: "Tool flow failed",
    meaning: "A node in the tool's flow reported an error, or the msg lost its call on the way.",
    causes: ["an error inside the flow", "a function node that made a new msg"],
    remedy: "Read the error text; it is what the model was told.",
    where: ["model", "catch", "status"],
    again: "No; the model reads it and may call again.",
  },
  TOOL_004: {
    title: "Tool is not permitted here",
    meaning: "This person may not use this tool, or an owner was to approve the call and did not: it was denied, not answered in time, void, or could not be asked.",
    causes: ["a dangerous tool", "a stranger who asks", "a message that holds foreign text", "no owner yet", "more approvals than three at once or ten an hour"],
    remedy: "Claim the bot as its owner, so that somebody can be asked; or set the tool's risk class, or who may use it.",
    where: ["model"],
    again: "No.",
  },
  TOOL_005: {
    title: "Outcome of a tool call is unknown",
    meaning: "Node-RED stopped while a tool was at work that changes something. Nobody knows whether it was done, so it is not done again.",
    causes: ["a crash or a power cut", "a deploy in the middle of the call"],
    remedy: "Check by hand whether it happened; it is never repeated silently.",
    where: ["model"],
    again: "No: on purpose. Model and person are told.",
  },
  TOOL_006: {
    title: "Tool definition is not valid",
    meaning: "A tool node cannot be offered to models as it is.",
    causes: ["a name twice in one gateway", "a name with blanks", "parameters that are no JSON Schema"],
    remedy: "Give it a unique name and parameters that are a JSON Schema.",
    where: ["status", "log"],
    again: "No.",
  },
  MEM_001: {
    title: "Note cannot be kept or removed",
    meaning: "An agent wanted to remember something that is empty, too long or one too many, or to forget a note that is not there.",
    causes: ["a memory that is full", "a whole text instead of a fact", "a number that recall did not show"],
    remedy: "Remove notes in the gateway's dialog, under long-term memory.",
    where: ["model"],
    again: "No; the model reads it and may call again.",
  },
  AGENT_001: {
    title: "Too many rounds",
    meaning: "The model went on calling tools and came to no answer within the agent's limit of rounds.",
    causes: ["tools whose results do not help", "a task that needs more steps", "a model that goes in circles"],
    remedy: "Raise the round limit, or make the tools answer more directly.",
    where: ["catch", "status"],
    again: "No.",
  },
  AGENT_002: {
    title: "Prompt template failed",
    meaning: "A Liquid template in a prompt or a mapping cannot be read, or failed with this message.",
    causes: ["a tag that is not closed", "a filter that does not exist", "a loop over too much"],
    remedy: "Correct the Liquid template at the named line.",
    where: ["catch", "status", "form"],
    again: "No.",
  },
  STORE_001: {
    title: "Store cannot be written",
    meaning: "What must not be lost cannot be put on disk. No message is confirmed to a platform meanwhile, so none is lost.",
    causes: ["a full disk", "a disk that is read-only", "missing rights to the folder", "a Node.js without SQLite"],
    remedy: "Free disk space or correct the rights; ClawFlow recovers by itself.",
    where: ["status", "catch", "log", "account", "http answer"],
    again: "Yes: every few seconds. Platforms bring what was not confirmed again.",
  },
  STORE_002: {
    title: "Store is damaged",
    meaning: "The store's file is not sound. It is kept under another name beside the new one.",
    causes: ["a failing disk or SD card", "a power cut on a disk that lies about what it wrote", "a file that was changed by hand"],
    remedy: "The damaged file is kept under another name. Where something is missing, restore a sound backup in the gateway.",
    where: ["log", "status", "catch"],
    again: "Yes: it goes on with a new store at once.",
  },
  STORE_003: {
    title: "Store was made by a newer version",
    meaning: "A newer ClawFlow has written this store; this one does not touch it.",
    causes: ["ClawFlow was set back to an older version", "two versions in one folder"],
    remedy: "Update ClawFlow, or choose another folder.",
    where: ["status", "catch", "log"],
    again: "Yes: every few seconds, without changing it.",
  },
  STORE_004: {
    title: "Store is in use",
    meaning: "Another gateway or another Node-RED has this store open. Only one at a time can.",
    causes: ["two Node-REDs with one user folder", "a Node-RED that has not quite ended", "two gateways of one name"],
    remedy: "Give each gateway and each Node-RED its own folder.",
    where: ["status", "catch", "log"],
    again: "Yes: it takes over as soon as the other one ends.",
  },
  STORE_005: {
    title: "Inbox or store is full",
    meaning: "More messages wait for their flows than the gateway keeps, or its store has reached the size it may have. New ones are not confirmed to the platform.",
    causes: ["a flow that does not end", "a flood of messages", "a model that is much slower than the chat", "a limit of the store that is too small"],
    remedy: "Nothing is lost: the platform is asked to come again. Look for a flow that does not finish, or raise the limit of the store in the gateway.",
    where: ["account", "catch", "status", "log", "http answer"],
    again: "Yes: the platform brings them again, and there is room as soon as something is finished.",
  },
  STORE_006: {
    title: "Store went back to an earlier time",
    meaning: "A backup was put back. What waited in it may have been answered since it was made, so nothing of it is sent by itself.",
    causes: ["a restored backup", "a copy of the store on another machine"],
    remedy: "Look through the dead letters: what was waiting then may have been answered since; send again what was not.",
    where: ["dead letters", "log", "form"],
    again: "No: on purpose.",
  },
  CONF_001: {
    title: "Setting is missing or wrong",
    meaning: "A field of a node cannot work as it is.",
    causes: ["an empty field", "a value of another kind", "a node that was made by a newer ClawFlow", "a webhook without a public address"],
    remedy: "Open the node and correct the marked field.",
    where: ["status", "catch", "log", "account", "http answer", "form"],
    again: "No: after the next deploy.",
  },
  CONF_002: {
    title: "Config node is missing or disabled",
    meaning: "The node names a gateway, an account or a model that is not there.",
    causes: ["an imported flow", "a config node that was deleted or disabled", "a gateway that was removed while it was in use"],
    remedy: "Choose a gateway, account or model in the node, and deploy.",
    where: ["status", "catch", "log"],
    again: "No: after the next deploy.",
  },
  CONF_003: {
    title: "Rule or pattern is not valid",
    meaning: "A rule of route, or a step of normalize, cannot be read.",
    causes: ["a bracket that is not closed", "look-around or back-references in a pattern", "a field or test that does not exist"],
    remedy: "Correct the pattern; look-around and back-references are not available.",
    where: ["status", "catch", "log", "form"],
    again: "No: after the next deploy.",
  },
  CONF_004: {
    title: "Port or path is taken",
    meaning: "Two nodes want to answer at one address. The first one does.",
    causes: ["two webhook nodes with one path", "a webhook with the path of an account"],
    remedy: "Choose another path.",
    where: ["status", "log"],
    again: "No: after the next deploy.",
  },
  CORE_001: {
    title: "Fault inside ClawFlow",
    meaning: "Something happened that the program does not know. It is a mistake of ours, or of a channel from another package.",
    causes: ["a bug"],
    remedy: "Report it with its text and the log; what was confirmed to a platform is kept and tried again.",
    where: ["http answer", "status"],
    again: "No.",
  },
} as const satisfies Readonly<Record<string, ErrorRow>>;
