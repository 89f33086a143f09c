import { expect, test } from "vitest";

import type { Message, Run, RunStep } from "../api/types";
import type { View } from "../stream/accumulate";
import { itemsOf } from "./items";
import { newMessage, titleOf } from "./message";
import { passageOf, split } from "./passage";

const user = (id: string, at: number) =>
  ({ id, role: "user", created_at: at, run_id: null, content: [] }) as unknown as Message;
const answer = (id: string, at: number, run: string, status = "completed") =>
  ({ id, role: "assistant", created_at: at, run_id: run, status, content: [{}] }) as unknown as Message;
const run = (id: string, at: number, status: string) => ({ id, created_at: at, status }) as Run;
const writes = (id: string, message: string) =>
  ({ id, step_details: { type: "message_creation", message_creation: { message_id: message } } }) as RunStep;
const calls = (id: string, call: object) =>
  ({ id, status: "completed", step_details: { type: "tool_calls", tool_calls: [call] } }) as unknown as RunStep;
const kinds = (view: View) => itemsOf(view).map(({ kind, id }) => `${kind} ${id}`);
const CODE = { id: "c", type: "code_interpreter", code_interpreter: { input: "", outputs: [] } };

test("tools stand before the answer that they led to", () => {
  expect(
    kinds({
      messages: [user("m1", 1), answer("m2", 2, "r")],
      runs: { r: { run: run("r", 1, "completed"), steps: [calls("s1", CODE), writes("s2", "m2")] } },
    }),
  ).toEqual(["message m1", "call s1-c", "message m2"]);
});

test("an end that is no good one stands behind its run's last message, not at the end of the thread", () => {
  expect(
    kinds({
      messages: [user("m1", 1), user("m2", 5), answer("m3", 6, "r2")],
      runs: {
        r1: { run: run("r1", 2, "failed"), steps: [] },
        r2: { run: run("r2", 5, "completed"), steps: [] },
      },
    }),
  ).toEqual(["message m1", "ending r1-ending", "message m2", "message m3"]);
});

test("runs of one second stand each behind its own message", () => {
  expect(
    kinds({
      messages: [user("m1", 1), user("m2", 1), user("m3", 1)],
      runs: {
        r1: { run: run("r1", 1, "cancelled"), steps: [] },
        r2: { run: run("r2", 1, "failed"), steps: [] },
        r3: { run: run("r3", 1, "failed"), steps: [] },
      },
    }),
  ).toEqual([
    "message m1",
    "ending r1-ending",
    "message m2",
    "ending r2-ending",
    "message m3",
    "ending r3-ending",
  ]);
});

test("a run of a page that is not loaded yet shows nothing", () => {
  expect(
    kinds({ messages: [user("m9", 9)], runs: { old: { run: run("old", 2, "failed"), steps: [] } } }),
  ).toEqual(["message m9"]);
});

test("a run that waits for outputs asks for them, once", () => {
  const call = { id: "c", type: "function", function: { name: "f", arguments: "{}", output: null } };
  expect(
    kinds({
      messages: [user("m1", 1)],
      runs: { r: { run: run("r", 1, "requires_action"), steps: [calls("s", call)] } },
    }),
  ).toEqual(["message m1", "outputs r-outputs"]);
});

test("who waits for words sees that something happens", () => {
  const runs = { r: { run: run("r", 1, "in_progress"), steps: [] } };
  expect(kinds({ messages: [user("m1", 1)], runs })).toEqual(["message m1", "waiting r-waiting"]);
  expect(kinds({ messages: [user("m1", 1), answer("m2", 2, "r", "in_progress")], runs })).toEqual([
    "message m1",
    "message m2",
  ]);
});

test("a row that has not changed is the same one", () => {
  const messages = [user("m1", 1)];
  expect(itemsOf({ messages, runs: {} })[0]).toBe(itemsOf({ messages, runs: {} })[0]);
});

test("pictures are shown to the model, other files are for its tools", () => {
  const files = [
    { fileId: "f1", isPicture: true },
    { fileId: "f2", isPicture: false },
  ];
  expect(newMessage("look", files, [{ type: "file_search" }])).toEqual({
    role: "user",
    content: [
      { type: "text", text: "look" },
      { type: "image_file", image_file: { file_id: "f1" } },
    ],
    attachments: [{ file_id: "f2", tools: [{ type: "file_search" }] }],
  });
  expect(newMessage("only", [], [])).toEqual({ role: "user", content: "only" });
});

test("a title is a line", () => {
  expect(titleOf("  one\n two ")).toBe("one two");
  expect(titleOf("x".repeat(100))).toHaveLength(60);
});

test("the cited passage is the one that has the quote", () => {
  const result = (score: number, text: string) => ({
    file_id: "f",
    file_name: "a.pdf",
    score,
    content: [{ type: "text", text }],
  });
  const steps = [
    calls("s", { type: "file_search", file_search: { results: [result(0.9, "other"), result(0.5, "has  27\ndays (x)")] } }),
  ];
  expect(passageOf(steps, { fileId: "f", quote: "27 days (x)" })?.score).toBe(0.5);
  expect(passageOf(steps, { fileId: "f", quote: "" })?.score).toBe(0.9);
  expect(passageOf(steps, { fileId: "g", quote: "27" })).toBeNull();
  expect(split("has  27\ndays (x)!", "27 days (x)")).toEqual(["has  ", "27\ndays (x)", "!"]);
});
