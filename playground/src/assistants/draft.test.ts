import { expect, test } from "vitest";

import type { Assistant } from "../api/types";
import { hashOf, parseRoute } from "../app/route";
import { bytes, duration } from "../ui/format";
import { changesOf, draftOf, EMPTY, paramsOf, problemsOf } from "./draft";
import { firstModel } from "./starter";

test("an assistant that is opened and saved is the same", () => {
  const assistant = {
    model: "m",
    name: "N",
    description: null,
    instructions: "I",
    temperature: 0,
    top_p: 0.5,
    tools: [
      { type: "file_search", file_search: { max_num_results: 3 } },
      { type: "code_interpreter" },
      { type: "function", function: { name: "f" } },
    ],
    tool_resources: { file_search: { vector_store_ids: ["vs"] }, code_interpreter: { file_ids: ["file"] } },
    response_format: { type: "json_schema", json_schema: { name: "a", schema: {} } },
  } as unknown as Assistant;
  expect(paramsOf(draftOf(assistant), assistant.tools)).toEqual(assistant);
});

test("only what was changed is sent", () => {
  const before = paramsOf({ ...EMPTY, model: "m", name: "N", functions: [{ name: "f" }] });
  const after = paramsOf({ ...EMPTY, model: "m", name: "N", functions: [{ name: "g" }], instructions: "I" });
  expect(changesOf(before, before)).toEqual({});
  expect(changesOf(after, before)).toEqual({ instructions: "I", tools: after.tools });
});

test("a number that is only a space is none", () => {
  expect(paramsOf({ ...EMPTY, temperature: " ", topP: " " })).toMatchObject({ temperature: 1, top_p: 1 });
});

test("a format that is no schema is told while it is asked for", () => {
  const draft = { ...EMPTY, model: "m", formatSchema: "{" };
  expect(problemsOf(draft)).toEqual({});
  expect(problemsOf({ ...draft, format: "json_schema" }).formatSchema).toContain("This is no JSON");
});

test("a tool that is taken away takes its files with it", () => {
  const params = paramsOf({ ...EMPTY, model: "m", storeIds: ["vs"], codeFileIds: ["file"] });
  expect(params.tools).toEqual([]);
  expect(params.tool_resources).toEqual({ file_search: { vector_store_ids: [] }, code_interpreter: { file_ids: [] } });
});

test("numbers out of bounds are told", () => {
  expect(problemsOf({ ...EMPTY, model: "m" })).toEqual({});
  expect(Object.keys(problemsOf({ ...EMPTY, temperature: "2.1", topP: "x" }))).toEqual(["model", "temperature", "topP"]);
});

test("the first model is one to talk to", () => {
  expect(firstModel(["text-embedding-3-small", "llama"])).toBe("llama");
  expect(firstModel(undefined)).toBe("gpt-4o");
});

test("addresses lead back to where they were made", () => {
  for (const hash of ["#/", "#/threads/thread_a", "#/assistants", "#/assistants/new", "#/files", "#/files/vs_1"]) {
    expect(hashOf(parseRoute(hash))).toBe(hash);
  }
  expect([parseRoute(""), parseRoute("#"), parseRoute("#/threads/")]).toEqual(Array(3).fill(parseRoute("#/")));
});

test("an address that leads nowhere says so, and stays what it is", () => {
  for (const hash of ["#/nonsense", "#/threads/<script>", "#/assistants/a/b", "#/files/a b", "#/thread/thread_a"]) {
    expect(parseRoute(hash)).toEqual({ page: "unknown", hash });
    expect(hashOf(parseRoute(hash))).toBe(hash);
  }
});

test("numbers are short", () => {
  expect([bytes(0), bytes(1500), bytes(25_000_000)]).toEqual(["0 B", "1.5 kB", "25 MB"]);
  expect([duration(12), duration(1500), duration(61_000)]).toEqual(["12 ms", "1.5 s", "1 min 1 s"]);
});
