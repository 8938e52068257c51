/**
 * Broken settings of durability and policy: what somebody could change in the code in good faith, and what would then be lost, doubled or done unasked. `npm run test:mutants` applies each to a
 * copy of the checkout; the tests named with it must go red.
 */
export interface Mutation {
  readonly name: string;
  readonly file: string;
  /** Occurs exactly once in the file. */
  readonly find: string;
  readonly replace: string;
  /** The test file that sees it, and the words of mocha's `--grep` that choose its tests. */
  readonly test: string;
  readonly grep: string;
}

const crash = "test/crash-gaps.test.ts";
const outbox = "test/outbox.test.ts";
const turns = "test/turns.test.ts";
const inbox = "test/inbox.test.ts";
const sqlite = "test/store/sqlite.test.ts";
const hostile = "test/policy-hostile.test.ts";
const approvals = "test/approvals.test.ts";

export const MUTATIONS: readonly Mutation[] = [
  // The store.
  { name: "synchronous NORMAL instead of FULL", file: "engine/store/sqlite.ts", find: 'options.synchronous ?? "FULL"', replace: 'options.synchronous ?? "NORMAL"', test: "test/faults/store/powercut.test.ts", grep: "lose nothing" },
  { name: "a journal in memory instead of the WAL", file: "engine/store/sqlite-file.ts", find: "PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous}", replace: "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = ${synchronous}", test: "test/faults/store/powercut.test.ts", grep: "lose nothing" },
  { name: "the group is confirmed before it is committed", file: "engine/store/group.ts", find: "        transaction.commit();\n        for (const { resolve, result } of rest) resolve(result);", replace: "        for (const { resolve, result } of rest) resolve(result);\n        transaction.commit();", test: "test/faults/store/disk.test.ts", grep: "is refused whatever it says" },
  { name: "one caller's fault rejects nobody", file: "engine/store/group.ts", find: "        culprit.reject(fault);", replace: "        culprit.resolve([]);", test: sqlite, grep: "rejects one caller" },
  { name: "no lock: a second process opens the same store", file: "engine/store/sqlite-file.ts", find: '    db.exec("PRAGMA locking_mode = EXCLUSIVE");\n    db.prepare', replace: '    db.exec("PRAGMA locking_mode = NORMAL");\n    db.prepare', test: sqlite, grep: "refuses a second user" },
  { name: "no unique index on channel, account and id", file: "engine/store/schema.ts", find: "seq INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, state TEXT NOT NULL DEFAULT 'pending'", replace: "seq INTEGER PRIMARY KEY, key TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'pending'", test: sqlite, grep: "adds a message once per channel, account and id" },
  { name: "messages are told apart without their account", file: "engine/store/rows.ts", find: "`${message.at.channel}\\n${message.at.account}\\n${message.id}`", replace: "`${message.at.channel}\\n${message.id}`", test: sqlite, grep: "adds a message once per channel, account and id" },
  { name: "a migration and its version are two transactions", file: "engine/store/schema.ts", find: '      db.exec(`PRAGMA user_version = ${version + 1}`);\n      db.exec("COMMIT");', replace: '      db.exec("COMMIT");\n      db.exec(`PRAGMA user_version = ${version + 1}`);', test: "test/faults/store/migrate.test.ts", grep: "are whole or not there" },
  { name: "the memory of deliveries is one hour, not eight days", file: "engine/gateway.ts", find: "const DEDUPE_MS = 8 * 24 * HOUR;", replace: "const DEDUPE_MS = HOUR;", test: "test/faults/twice.test.ts", grep: "F41" },
  { name: "what must be written some time is tried once", file: "engine/store/insist.ts", find: "      if (given()) throw error;", replace: "      throw error;", test: "test/gateway.test.ts", grep: "settles a run even when the store is away" },
  // Ways in.
  { name: "Telegram's poller confirms an update before it is saved", file: "engine/channels/telegram/poll.ts", find: "        await take(update);", replace: "        void take(update).catch(() => undefined);", test: "test/channels/telegram.test.ts", grep: "confirms an update only once it is on disk" },
  { name: "Telegram's webhook confirms an update before it is saved", file: "engine/channels/telegram/webhook.ts", find: "      await take(update);", replace: "      void take(update).catch(() => undefined);", test: "test/channels/telegram.test.ts", grep: "answers 200 only after the save" },
  { name: "a message is confirmed before it is on disk", file: "engine/inbox.ts", find: 'await store.commit(reduce({}, { type: "arrived", receipt: fresh }).write);', replace: 'await Promise.race([store.commit(reduce({}, { type: "arrived", receipt: fresh }).write), Promise.resolve([1])]);', test: crash, grep: "is confirmed and taken up" },
  { name: "a duplicate is taken up again", file: "engine/inbox.ts", find: "return seq === undefined ? undefined : { ...fresh, seq, state", replace: "return { ...fresh, seq: seq ?? 1, state", test: inbox, grep: "takes the same event once" },
  { name: "more is taken than can be kept", file: "engine/inbox.ts", find: "if (queues.waiting >= maxPending)", replace: "if (waiting < 0)", test: inbox, grep: "refuses more than it can keep" },
  { name: "nobody is suspected of having broken the last process", file: "engine/inbox.ts", find: 'if (!inOrder && !heads.has(receipt.lane)) suspects.set(receipt.seq, "left");', replace: "", test: inbox, grep: "stopped the process three times" },
  { name: "who was paused is suspected no more", file: "engine/inbox.ts", find: 'suspects.set(head.seq, "tried");', replace: "suspects.delete(head.seq);", test: inbox, grep: "paused meanwhile alone" },
  { name: "an end in order is not noted", file: "engine/inbox.ts", find: "const inOrder = (await store.get(PROCESS, ENDED)) !== undefined;", replace: "const inOrder = false;", test: inbox, grep: "ended in order" },
  { name: "a lane does not wait for the message before", file: "engine/inbox.ts", find: "if (!started || closed || lane.active !== undefined || lane.waiting !== undefined) return;", replace: "if (!started || closed) return;", test: inbox, grep: "strictly in order" },
  // Steps.
  { name: "a step is used before it is in the journal", file: "engine/steps.ts", find: "      if (acted.wait) {\n        await saved;", replace: "      if (acted.wait) {\n        void saved;", test: crash, grep: "is used when it is on disk" },
  { name: "that a tool which writes has begun is not on disk before it does", file: "engine/steps.ts", find: "        await store.commit(ask(true).write);", replace: "        void store.commit(ask(true).write);", test: crash, grep: "begins when it is on disk" },
  { name: "late output of a run that is over finds no journal", file: "engine/steps.ts", find: "live?.journal ?? new Map((await store.journal(run)).map((entry) => [entry.step, entry.data]))", replace: "live?.journal ?? new Map<string, unknown>()", test: crash, grep: "late output" },
  // Ways out.
  { name: "a row is sent before it is on disk that it is", file: "engine/outbox.ts", find: "      await store.commit(next.write);\n    } else", replace: "      void store.commit(next.write);\n    } else", test: crash, grep: "hands nothing over" },
  { name: "what was sent is not recorded", file: "engine/outbox.ts", find: '        await go({ type: "sent", ref });', replace: '        next = reduce(life(), { type: "sent", ref }); watchers.get(row.key)?.({ ...row, state: "sent", ref });', test: outbox, grep: "never sends the same step again" },
  { name: "the record of what was sent is read from disk alone", file: "engine/outbox.ts", find: "if (final) recording.set(row.key, now);", replace: "", test: crash, grep: "knows what it has sent" },
  { name: "two deliveries take the same chat for idle", file: "engine/outbox.ts", find: " && !beginning.has(chat)", replace: "", test: crash, grep: "plans the second" },
  { name: "a delivery overtakes one that is being planned", file: "engine/outbox.ts", find: "await before; await begin(", replace: "await begin(", test: outbox, grep: "behind all its parts" },
  { name: "a placeholder whose answer was lost is forgotten", file: "engine/outbox.ts", find: "      if (target === undefined) unplaced.set(row.key, found);\n", replace: "", test: outbox, grep: "is filled where it stands" },
  { name: "what has expired waits behind what is not its turn", file: "engine/outbox.ts", find: "if (expired >= 0)", replace: "if (expired === 0)", test: outbox, grep: "has an end for an account" },
  { name: "a platform's own call is not said to have begun", file: "engine/platform-call.ts", find: "await begin(); return", replace: "return", test: "test/platform-call.test.ts", grep: "not repeated after a crash" },
  { name: "a store fault within a send takes its doubt away", file: "engine/outbox.ts", find: "        chat.rows[0] = row;\n        throw thrown;", replace: "        throw thrown;", test: outbox, grep: "was full within the send" },
  { name: "a more urgent row goes before the one on its way", file: "engine/outbox.ts", find: "first = chat.busy ? 1 : 0", replace: "first = 0", test: crash, grep: "more urgent" },
  { name: "what a crash left in doubt counts as not left", file: "engine/outbox.ts", find: "left: left.has(row.key)", replace: "left: false", test: crash, grep: "one more try" },
  { name: "refused for good, and tried again", file: "engine/life.ts", find: 'if (fault.retry === "no" || attempts >= MAX_SENDS)', replace: "if (attempts >= MAX_SENDS)", test: outbox, grep: "does not repeat what can never work" },
  { name: "no answer counts as a no", file: "engine/life.ts", find: "  const state = postedNothing(fault) ? withoutIt : row.state;", replace: "  const state = withoutIt;", test: outbox, grep: "no third time" },
  { name: "an answer that has expired is sent", file: "engine/life.ts", find: "  if (row.expiresAt !== undefined && now > row.expiresAt) return buried", replace: "  if (row.expiresAt === -1) return buried", test: crash, grep: "does not send what expired" },
  { name: "an answer that is tried again is overtaken", file: "engine/outbox.ts", find: 'row.dueAt > now && row.state === "planned" && row.attempts === 0 && row.error === undefined', replace: "row.dueAt > now", test: outbox, grep: "holds nobody up with what is scheduled" },
  { name: "the process does not wait for sends under way", file: "engine/outbox.ts", find: "return sending === 0 ? Promise.resolve()", replace: "return sending >= 0 ? Promise.resolve()", test: outbox, grep: "holds: what is under way" },
  { name: "each chat hands over for itself where a copy cannot be told", file: "engine/turns.ts", find: "if (inside.size === 0 || waitMs <= 0 ||", replace: "if (inside.size >= 0 ||", test: turns, grep: "one message at a time" },
  { name: "the next is handed over before the last is recorded", file: "engine/outbox.ts", find: "        if (!recording.has(row.key)) turns.leave(row.key);", replace: "        turns.leave(row.key);", test: turns, grep: "record of the last" },
  { name: "a platform that is slow holds up all chats", file: "engine/turns.ts", find: "if (inside.size === 0 || waitMs <= 0 ||", replace: "if (inside.size === 0 ||", test: turns, grep: "whose platform is slow" },
  { name: "a burst waits for as long as it takes", file: "engine/turns.ts", find: "burst = true;", replace: "void 0;", test: turns, grep: "side by side" },
  { name: "after one burst all that comes is one", file: "engine/turns.ts", find: "      if (inside.size === 0 && waitMs <= 0) burst = false;\n", replace: "", test: turns, grep: "side by side" },
  { name: "secrets in the text of a failure are kept and told", file: "engine/outbox.ts", find: "message: redact(error.message)", replace: "message: error.message", test: crash, grep: "keeps and tells no secret" },
  { name: "the notice of a dead letter is not written with it", file: "engine/life.ts", find: 'write: [...next.write, { do: "outbox", row: notice }]', replace: "write: next.write", test: crash, grep: "are one commit" },
  { name: "a dead letter is told as if it were sent", file: "engine/outbox.ts", find: 'if (act.type === "mourn") options.onDead(now);', replace: "", test: outbox, grep: "says so once" },
  // The policy, and approvals.
  { name: "a dangerous tool runs for its owner unasked", file: "engine/policy.ts", find: '  owner: {\n    clean: { read: "run", write: "run", dangerous: "ask" },', replace: '  owner: {\n    clean: { read: "run", write: "run", dangerous: "run" },', test: hostile, grep: "no cell of the policy" },
  { name: "paired people may ask for what is dangerous in a tainted talk", file: "engine/policy.ts", find: 'tainted: { read: "run", write: "ask", dangerous: "deny" },', replace: 'tainted: { read: "run", write: "ask", dangerous: "ask" },', test: hostile, grep: "no cell of the policy" },
  { name: "a tool that is not shared is for everybody", file: "engine/policy.ts", find: 'decision === "run" && question.tool.shared !== true', replace: 'decision === "run" && question.tool.shared === undefined', test: hostile, grep: "no cell of the policy" },
  { name: "text from outside does not count", file: "engine/policy.ts", find: 'question.tainted === false ? "clean" : "tainted"', replace: '"clean"', test: hostile, grep: "no cell of the policy" },
  { name: "the sender alone is trusted, not all who spoke", file: "engine/sessions.ts", find: "return lowestTrust([...known, trust]);", replace: "return trust;", test: approvals, grep: "least trusted speaker" },
  { name: "what was passed on counts as the sender's own words", file: "engine/gateway/arrivals.ts", find: "tainted: message.forwarded !== undefined", replace: "tainted: false", test: approvals, grep: "what was passed on" },
  { name: "silence approves", file: "engine/approvals.ts", find: 'end.withdrawn === true ? "withdrawn" : "timeout"', replace: 'end.withdrawn === true ? "withdrawn" : "approved"', test: hostile, grep: "no cell of the policy" },
  { name: "anybody's code counts", file: "engine/approvals.ts", find: 'const said = trust === "owner" ? codeOf(message) : undefined;', replace: "const said = codeOf(message);", test: approvals, grep: "who hears nothing and cannot answer" },
  { name: "a button needs no nonce", file: "engine/asks.ts", find: " && press.nonce === one.record.seal?.nonce)", replace: ")", test: approvals, grep: "only with its nonce" },
  { name: "a tool that changed after it was approved runs", file: "engine/approvals.ts", find: "tool !== undefined && boundTo(asked, tool) === bound", replace: "tool !== undefined", test: approvals, grep: "is void for a tool" },
  { name: "always is offered where dangerous meets text from outside", file: "engine/approvals.ts", find: 'if (mayBeAlways(asked)) choices.push', replace: "choices.push", test: approvals, grep: "never given once for all" },
  { name: "as many approvals as a model likes", file: "engine/approvals.ts", find: "asks.sealed().length >= MAX_OPEN ||", replace: "", test: approvals, grep: "no more than three" },
  // Models that stand in.
  { name: "half of a broken stream is kept", file: "engine/agent.ts", find: '      text = "";\n      calls.length = 0;', replace: "", test: "test/models/chaos.test.ts", grep: "with a healthy second model" },
  { name: "a key does not rest after a fault", file: "engine/failover/standing.ts", find: "until: event.now + rest,", replace: "until: event.now,", test: "test/failover.test.ts", grep: "does not ask a resting model again" },
  { name: "a refused key is asked again", file: "engine/failover/rules.ts", find: '"key refused": { here: 0, key: "out"', replace: '"key refused": { here: 0, key: "rests"', test: "test/failover.test.ts", grep: "how each stands" },
  { name: "a stream without an end is an answer", file: "engine/failover.ts", find: 'throw new ModelFault("bad answer", "Expected the model\'s stream to end properly, got a cut.");', replace: "return undefined;", test: "test/failover.test.ts", grep: "ends without an end" },
];
