import { describe, expect, it } from "vitest";

import type { Message, Run } from "../api/types";
import { opened } from "./opened";

const message = (id: string, created_at: number, status = "completed", words = "") =>
  ({ id, created_at, status, content: words ? [{ type: "text", text: { value: words, annotations: [] } }] : [] }) as unknown as Message;
const run = (id: string, status = "completed") => ({ id, status }) as unknown as Run;
const nothing = { messages: [], runs: {} };

describe("opened", () => {
  it("is what is listed where nothing was heard", () => {
    const question = message("msg_1", 1);
    expect(opened(nothing, [question], [run("run_1")])).toEqual({
      messages: [question],
      runs: { run_1: { run: run("run_1"), steps: [] } },
    });
  });

  it("keeps what came while it was listed", () => {
    const [question, answer] = [message("msg_1", 1), message("msg_2", 1)];
    const heard = { messages: [question, answer], runs: { run_1: { run: run("run_1"), steps: [] } } };
    expect(opened(heard, [question], [])).toEqual(heard);
  });

  it("takes the words of an unfinished message from what was heard, and what is finished from the list", () => {
    const heard = { messages: [message("msg_1", 1, "in_progress", "so far")], runs: {} };
    expect(opened(heard, [message("msg_1", 1, "in_progress")], []).messages).toEqual(heard.messages);
    const finished = message("msg_1", 1, "completed", "so far and on");
    expect(opened(heard, [finished], []).messages).toEqual([finished]);
  });

  it("does not put what is older than the listed page behind it", () => {
    const heard = { messages: [message("msg_0", 1)], runs: {} };
    expect(opened(heard, [message("msg_9", 9)], []).messages.map(({ id }) => id)).toEqual(["msg_9"]);
  });

  it("keeps older pages where the list goes on behind them, and drops them where it does not", () => {
    const [one, two, three, four] = [1, 2, 3, 4].map((n) => message(`msg_${n}`, n));
    const heard = { messages: [one!, two!, three!], runs: {} };
    expect(opened(heard, [three!, four!], []).messages).toEqual([one, two, three, four]);
    expect(opened(heard, [four!], []).messages).toEqual([four]);
  });

  it("keeps the order of runs", () => {
    const at = (n: number): Run => ({ ...run(`run_${n}`), created_at: n });
    const heard = { messages: [], runs: { run_1: { run: at(1), steps: [] }, run_3: { run: at(3), steps: [] } } };
    expect(Object.keys(opened(heard, [], [at(2)]).runs)).toEqual(["run_1", "run_2", "run_3"]);
  });
});
