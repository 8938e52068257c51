import assert from "node:assert/strict";
import { createTeam, type AgentView, type Asked } from "../engine/team.ts";
import { createMemoryStore } from "../engine/store/memory.ts";
import type { Act } from "../engine/steps.ts";
import { manualClock, message } from "./kit/scripted.ts";

describe("agents together", () => {
  const view = (name: string) => ({ name, handle: name, label: name, scope: "account-channel-peer", answer: async () => assert.fail("nobody is asked") }) satisfies AgentView;
  const [desk, billing] = [view("desk"), view("billing")];

  /** A gateway's agents on a store. `lose`: the process ends when a step has been made and is not on disk. */
  function house(lose: () => boolean) {
    const store = createMemoryStore();
    const journal = new Map<string, unknown>();
    const moves: string[] = [];
    const team = createTeam({
      store, clock: manualClock(), agents: new Map([["n1", desk], ["n2", billing]]), onHandOver: (_at, from, to) => { moves.push(`${from} → ${to}`); },
      async once<T>(run: string, step: string, act: Act<T>): Promise<T> {
        const key = `${run} ${step}`;
        if (journal.has(key)) return journal.get(key) as T;
        const { data, also = [] } = await act(async () => undefined);
        if (lose()) throw new Error("killed");
        await store.commit(also);
        journal.set(key, data);
        return data;
      },
    });
    const said = message({ text: "bill" });
    const asked = (run: string): Asked => ({ run, step: "/agent", message: said, said, text: "bill", trust: "owner", tainted: false, signal: new AbortController().signal, chain: [], handed: 0, data: {} });
    const call = async (me: typeof desk, run: string, name: string) => {
      const tool = (await team.tools(me, [{ by: "handover", value: "billing" }], asked(run))).find((one) => one.name === name) ?? assert.fail(`${me.name} has no ${name}`);
      return tool.call({ note: "" }, { run, call: "c", person: "u1", trust: "owner", tainted: false, deadline: 0, message: said }, new AbortController().signal);
    };
    return { team, moves, call, holder: async () => (await team.holder(said.at))?.handle };
  }

  it("hand a chat over and back in one commit with the step that says so: a crash in between leaves neither half", async () => {
    let kills = true;
    const { moves, call, holder } = house(() => kills);
    await assert.rejects(call(desk, "r1", "hand_over_to_billing"), /killed/);
    assert.equal(await holder(), undefined);
    kills = false;
    await call(desk, "r1", "hand_over_to_billing");
    await call(desk, "r1", "hand_over_to_billing");
    assert.equal(await holder(), "billing");
    kills = true;
    await assert.rejects(call(billing, "r2", "hand_back"), /killed/);
    assert.equal(await holder(), "billing");
    kills = false;
    await call(billing, "r2", "hand_back");
    assert.equal(await holder(), undefined, "whoever had it first answers as ever");
    assert.deepEqual(moves, ["desk → billing", "billing → desk"]);
  });
});
