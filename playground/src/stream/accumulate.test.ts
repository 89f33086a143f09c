import { readFileSync } from "node:fs";

import { expect, test } from "vitest";

import type { Message, StreamEvent } from "../api/types";
import { accumulate, merge, type View } from "./accumulate";

const EMPTY: View = { messages: [], runs: {} };

/** A stream that the original service sent. */
function recorded(name: string): StreamEvent[] {
  const text = readFileSync(`../tests/data/contract/events/${name}.sse`, "utf-8");
  return text
    .split(/\n\n/)
    .map((frame) => ({ event: /^event: ?(.*)$/m.exec(frame)?.[1], data: /^data: ?(.*)$/m.exec(frame)?.[1] }))
    .filter((frame): frame is { event: string; data: string } => !!frame.event && !!frame.data)
    .map(({ event, data }, at) => ({
      id: `1-${at}`,
      event,
      data: event === "done" ? data : (JSON.parse(data) as unknown),
      at,
    }));
}

/** What the events that carry whole objects say at last. */
function last<T>(events: StreamEvent[], event: string): T[] {
  return events.filter((one) => one.event === event).map(({ data }) => data as T);
}

const ofDeltas = (events: StreamEvent[]) => events.filter(({ event }) => event !== "thread.message.completed");

for (const name of ["v2-text", "v2-code_interpreter", "v2-file_search"]) {
  test(`the deltas of ${name} add up to its completed messages`, () => {
    const events = recorded(name);
    const view = ofDeltas(events).reduce(accumulate, EMPTY);
    const completed = last<Message>(events, "thread.message.completed");
    expect(completed.length).toBeGreaterThan(0);
    for (const message of completed) {
      // The service's deltas had an empty quote beside what its messages have.
      expect(view.messages.find(({ id }) => id === message.id)?.content).toMatchObject(message.content);
    }
  });

  test(`a replay of ${name} changes nothing`, () => {
    const events = recorded(name);
    const once = events.reduce(accumulate, EMPTY);
    expect(events.reduce(accumulate, once)).toEqual(once);
  });
}

test("the pieces of code and its outputs add up", () => {
  const events = recorded("v2-code_interpreter");
  const view = events
    .filter(({ event }) => event !== "thread.run.step.completed")
    .reduce(accumulate, EMPTY);
  const completed = last<{ id: string; step_details: { type: string } }>(events, "thread.run.step.completed");
  const steps = Object.values(view.runs).flatMap(({ steps }) => steps);
  for (const step of completed.filter(({ step_details }) => step_details.type === "tool_calls")) {
    expect(steps.find(({ id }) => id === step.id)?.step_details).toMatchObject(
      JSON.parse(JSON.stringify(step.step_details)) as object,
    );
  }
});

test("a function's arguments add up, and the run says that it waits", () => {
  const events = recorded("v2-function-1-create_thread_and_run");
  const view = events.reduce(accumulate, EMPTY);
  const { run, steps } = Object.values(view.runs)[0]!;
  expect(run.status).toBe("requires_action");
  const call = run.required_action!.submit_tool_outputs.tool_calls[0]!;
  const details = steps[0]!.step_details;
  expect(details.type === "tool_calls" && details.tool_calls[0]).toMatchObject({
    id: call.id,
    function: { name: call.function.name, arguments: call.function.arguments },
  });
});

test("a message that a crash cut short makes room for the one that is written anew", () => {
  const message = (id: string, status: string): Message =>
    ({ id, status, run_id: "run_1", role: "assistant", content: [] }) as unknown as Message;
  const event = (name: string, data: unknown): StreamEvent => ({ id: "1-1", event: name, data, at: 0 });
  const view = [
    event("thread.run.created", { id: "run_1", status: "queued" }),
    event("thread.message.created", message("msg_1", "in_progress")),
    event("thread.message.incomplete", message("msg_1", "incomplete")),
    event("thread.message.created", message("msg_2", "in_progress")),
  ].reduce(accumulate, EMPTY);
  expect(view.messages.map(({ id }) => id)).toEqual(["msg_2"]);
});

test("events that nobody knows change nothing", () => {
  for (const event of ["thread.message.sung", "done", "hello"]) {
    expect(accumulate(EMPTY, { id: "", event, data: {}, at: 0 })).toBe(EMPTY);
  }
});

test("texts grow, names and ids do not", () => {
  expect(merge({ id: "a", input: "x" }, { id: "a", input: "y" })).toEqual({ id: "a", input: "xy" });
  expect(merge({ list: [{ logs: "1" }] }, { list: [{ index: 0, logs: "2" }, { index: 1, logs: "3" }] })).toEqual({
    list: [{ logs: "12" }, { logs: "3" }],
  });
});
