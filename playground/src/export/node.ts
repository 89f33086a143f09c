/** A conversation as a program for the official Node SDK. Pure. */
import { JAVASCRIPT, literal } from "./literal";
import type { Script } from "./script";

export function toNode(script: Script): string {
  const { baseURL, hasKey, assistant, hasFunctions, questions, leftOut } = script;
  const key = hasKey ? "process.env.ASSISTD_API_KEY" : '"any"';
  return [
    'import OpenAI from "openai";',
    "",
    `const client = new OpenAI({ baseURL: ${literal(baseURL, JAVASCRIPT)}, apiKey: ${key} });`,
    "",
    `const assistant = await client.beta.assistants.create(${literal(assistant, JAVASCRIPT)});`,
    "const thread = await client.beta.threads.create();",
    "",
    ...(hasFunctions ? [CALL, ""] : []),
    "async function ask(message) {",
    '  await client.beta.threads.messages.create(thread.id, { role: "user", ...message });',
    `  ${hasFunctions ? "let" : "const"} run = await client.beta.threads.runs.createAndPoll(thread.id, {`,
    "    assistant_id: assistant.id,",
    "  });",
    ...(hasFunctions ? [OUTPUTS] : []),
    '  if (run.status !== "completed") throw new Error(`${run.status}: ${run.last_error?.message}`);',
    '  const answers = client.beta.threads.messages.list(thread.id, { run_id: run.id, order: "asc" });',
    "  for await (const answer of answers) {",
    '    for (const part of answer.content) console.log(part.type === "text" ? part.text.value : part);',
    "  }",
    "}",
    "",
    ...(leftOut ? [`// The first ${leftOut} messages are left out.`] : []),
    ...questions.map((question) => `await ask(${literal(question, JAVASCRIPT)});`),
    "",
  ].join("\n");
}

const CALL = `
/** What your functions give back: arguments and output are JSON texts. */
async function call(name, args) {
  throw new Error(\`\${name}(\${args}) is yours to write\`);
}
`.trim();

const OUTPUTS = `
  while (run.status === "requires_action") {
    const calls = run.required_action.submit_tool_outputs.tool_calls;
    run = await client.beta.threads.runs.submitToolOutputsAndPoll(run.id, {
      thread_id: thread.id,
      tool_outputs: await Promise.all(
        calls.map(async (c) => ({
          tool_call_id: c.id,
          output: await call(c.function.name, c.function.arguments),
        })),
      ),
    });
  }
`.slice(1, -1);
