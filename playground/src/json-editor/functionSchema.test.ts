import { jsonLanguage } from "@codemirror/lang-json";
import { expect, test } from "vitest";

import { checkFunction, problemIn } from "./functionSchema";
import { rangeOf } from "./pointers";

const GOOD = {
  name: "get_weather",
  parameters: {
    type: "object",
    properties: { city: { type: "string", enum: ["Oslo"] }, days: { type: ["integer", "null"], minimum: 1 } },
    required: ["city"],
    additionalProperties: false,
  },
};

test("a good function has no faults", () => {
  expect(checkFunction(GOOD)).toEqual([]);
  expect(checkFunction({ name: "f" })).toEqual([]);
});

test.each([
  [{}, ""],
  [{ name: "has space" }, "/name"],
  [{ name: "f", parameters: { type: "objekt" } }, "/parameters/type"],
  [{ name: "f", parameters: { type: "object", properties: { a: { type: "strin" } } } }, "/parameters/properties/a/type"],
  [{ name: "f", parameters: { type: "object", required: "a" } }, "/parameters/required"],
  [{ name: "f", parameters: { type: "array", items: { minLength: -1 } } }, "/parameters/items"],
  [{ name: "f", parameters: [] }, "/parameters"],
  [{ name: "f", descripton: "" }, "/descripton"],
  ["f", ""],
])("%j is wrong at %s", (value, pointer) => {
  const faults = checkFunction(value);
  expect(faults.length).toBeGreaterThan(0);
  expect(faults.some((fault) => fault.pointer.startsWith(pointer))).toBe(true);
  expect(faults.every((fault) => fault.message.length > 5)).toBe(true);
});

test.each([
  ['{"name": "f", "parameters": {"properties": {"\\ud800": {"type": "x"}}}}', "half a character"],
  [`{"name": "f", "parameters": ${'{"not": '.repeat(9000)}{}${"}".repeat(9000)}}`, "nested too deep"],
  ["{", "This is no JSON"],
])("what cannot be checked is told: %.40s", (text, problem) => {
  expect(problemIn(text, checkFunction)).toContain(problem);
});

test("a pointer is found in the text", () => {
  const text = '{"a/b": [10, {"c": "x"}], "name": "n"}';
  const tree = jsonLanguage.parser.parse(text);
  const at = (pointer: string) => {
    const { from, to } = rangeOf(tree, text, pointer);
    return text.slice(from, to);
  };
  expect(at("/a~1b/1/c")).toBe('"x"');
  expect(at("/a~1b/0")).toBe("10");
  expect(at("/name")).toBe('"n"');
  expect(at("/none")).toBe(text);
});
