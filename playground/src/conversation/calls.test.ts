import { expect, test } from "vitest";

import type { ToolCall } from "../api/types";
import { type CallState, stateOf, titleOfCall } from "./calls";

const asked = (output: string | null) =>
  ({ id: "c", type: "function", function: { name: "f", arguments: "{}", output } }) as ToolCall;
const CODE = { id: "c", type: "code_interpreter", code_interpreter: { input: "", outputs: [] } } as ToolCall;
const SEARCH = { id: "c", type: "file_search", file_search: { results: [] } } as unknown as ToolCall;

test("a function without an output is called while its run goes on, and was not answered when it has ended", () => {
  const step = { status: "in_progress" } as const;
  expect(stateOf(asked(null), step, { status: "in_progress" })).toBe("live");
  expect(stateOf(asked(null), step, { status: "cancelling" })).toBe("live");
  expect(stateOf(asked(""), { status: "completed" }, { status: "in_progress" })).toBe("done");
  for (const status of ["cancelled", "failed", "expired", "incomplete"] as const) {
    expect(stateOf(asked(null), { status: "cancelled" }, { status })).toBe("unanswered");
    expect(titleOfCall(asked(null), "unanswered", status, null)).toBe(`Called f: no output, the run is ${status}`);
  }
});

test("what the server does itself ends as its step does", () => {
  const during = (step: "in_progress" | "completed" | "cancelled" | "failed", run: "in_progress" | "cancelled" | "requires_action") =>
    stateOf(CODE, { status: step }, { status: run });
  expect(during("in_progress", "in_progress")).toBe("live");
  expect(during("completed", "in_progress")).toBe("done");
  expect(during("cancelled", "cancelled")).toBe("cancelled");
  expect(during("failed", "in_progress")).toBe("failed");
  expect(during("in_progress", "cancelled")).toBe("cancelled");
  expect(during("in_progress", "requires_action")).toBe("done"); // a function of the same step is waited for
});

test("a call is titled by what became of it", () => {
  const title = (call: ToolCall, state: CallState, raised: string | null = null) => titleOfCall(call, state, "cancelled", raised);
  expect(title(CODE, "live")).toBe("Running code");
  expect(title(CODE, "done")).toBe("Ran code");
  expect(title(CODE, "done", "NameError")).toBe("Code raised NameError");
  expect(title(CODE, "cancelled", "KeyboardInterrupt")).toBe("Code raised KeyboardInterrupt (cancelled)");
  expect(title(SEARCH, "done")).toBe("Searched files: 0 results");
  expect(title(SEARCH, "cancelled")).toBe("Searched files (cancelled)");
});
