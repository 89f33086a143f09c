import { execFileSync } from "node:child_process";

import { expect, test } from "vitest";

import type { Assistant, Message } from "../api/types";
import { JAVASCRIPT, literal, PYTHON } from "./literal";
import { toNode } from "./node";
import { toPython } from "./python";
import { scriptOf } from "./script";

const ASSISTANT = {
  id: "asst_1",
  model: "gpt-4o",
  name: 'The "best"\n',
  instructions: "Be brief.\nAlways. \\ 😀",
  temperature: 0.2,
  top_p: 1,
  tools: [
    { type: "file_search" },
    { type: "function", function: { name: "f", strict: true, parameters: { type: "object", properties: {} } } },
  ],
  tool_resources: { file_search: { vector_store_ids: ["vs_1"] }, code_interpreter: { file_ids: [] } },
  response_format: "auto",
} as unknown as Assistant;

function question(text: string, extra: object = {}): Message {
  return { role: "user", content: [{ type: "text", text: { value: text, annotations: [] } }], ...extra } as unknown as Message;
}

const MESSAGES = [
  question('Say "hi"\n"""and\'\'\' \\n'),
  { role: "assistant", content: [] } as unknown as Message,
  question("And now?", { attachments: [{ file_id: "file-1", tools: [{ type: "file_search" }] }] }),
];
const PLACE = { baseURL: "http://127.0.0.1:8000/v1", hasKey: true };
const script = scriptOf(ASSISTANT, MESSAGES, PLACE);

test("Python takes it", () => {
  const program = toPython(script);
  execFileSync("python3", ["-c", "import ast, sys; ast.parse(sys.stdin.read())"], { input: program });
  expect(program).toContain('api_key=os.environ["ASSISTD_API_KEY"]');
  expect(program).toContain("temperature=0.2");
  expect(program).not.toContain("top_p");
});

test("Node takes it", () => {
  const program = toNode(script);
  execFileSync(process.execPath, ["--check", "--input-type=module", "-"], { input: program });
  expect(program).toContain('vector_store_ids: ["vs_1"]');
  expect(program.match(/^await ask\(/gm)).toHaveLength(2);
});

test("what Python reads is what was said", () => {
  const values = { text: '"\\\n\t\u0000\u2028é😀', list: [1, -2.5, true, false, null], nested: { "a b": [{}], c: [] } };
  const read = execFileSync("python3", ["-c", "import sys, json; print(json.dumps(eval(sys.stdin.read())))"], {
    input: literal(values, PYTHON),
    encoding: "utf-8",
  });
  expect(JSON.parse(read)).toEqual(values);
  const told = execFileSync(process.execPath, ["-p", `JSON.stringify(${literal(values, JAVASCRIPT)})`.replace("\0", "")]);
  expect(JSON.parse(told.toString())).toEqual(values);
  const odd = '{"__proto__":{"type":"string"}}';
  const kept = execFileSync(process.execPath, ["-p", `JSON.stringify(${literal(JSON.parse(odd), JAVASCRIPT)})`]);
  expect(kept.toString().trim()).toBe(odd);
});

test("a long conversation is cut, and says so", () => {
  const long = scriptOf(null, Array.from({ length: 30 }, (_, n) => question(`${n}`)), PLACE);
  expect(toPython(long)).toContain("# The first 10 messages are left out.");
  expect(long.questions[0]?.content).toBe("10");
});
