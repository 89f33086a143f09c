/** A conversation as a program for the official Python SDK. Pure. */
import { literal, PYTHON } from "./literal";
import type { Script } from "./script";

export function toPython(script: Script): string {
  const { baseURL, hasKey, assistant, hasFunctions, questions, leftOut } = script;
  const key = hasKey ? 'os.environ["ASSISTD_API_KEY"]' : '"any"';
  return [
    ...(hasKey ? ["import os", ""] : []),
    "from openai import OpenAI",
    "",
    `client = OpenAI(base_url=${literal(baseURL, PYTHON)}, api_key=${key})`,
    "",
    `assistant = client.beta.assistants.create(${keywords(assistant)})`,
    "thread = client.beta.threads.create()",
    "",
    ...(hasFunctions ? [CALL, ""] : []),
    "",
    "def ask(**message):",
    '    client.beta.threads.messages.create(thread.id, role="user", **message)',
    "    run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)",
    ...(hasFunctions ? [OUTPUTS] : []),
    '    if run.status != "completed":',
    "        raise RuntimeError(f\"{run.status}: {run.last_error}\")",
    '    for answer in client.beta.threads.messages.list(thread.id, run_id=run.id, order="asc"):',
    "        for part in answer.content:",
    '            print(part.text.value if part.type == "text" else part)',
    "",
    "",
    ...(leftOut ? [`# The first ${leftOut} messages are left out.`] : []),
    ...questions.map((question) => `ask(${keywords({ ...question })})`),
    "",
  ].join("\n");
}

const CALL = `
def call(name, arguments):
    """What your functions give back: arguments and output are JSON texts."""
    raise NotImplementedError(f"{name}({arguments})")
`.trim();

const OUTPUTS = `
    while run.status == "requires_action":
        calls = run.required_action.submit_tool_outputs.tool_calls
        run = client.beta.threads.runs.submit_tool_outputs_and_poll(
            thread_id=thread.id,
            run_id=run.id,
            tool_outputs=[
                {"tool_call_id": c.id, "output": call(c.function.name, c.function.arguments)} for c in calls
            ],
        )
`.slice(1, -1);

/** Keyword arguments: in a line where they fit, else a line each. */
function keywords(values: Record<string, unknown>): string {
  const entries = Object.entries(values);
  const line = entries.map(([name, value]) => `${name}=${literal(value, PYTHON)}`).join(", ");
  if (line.length <= 80 && !line.includes("\n")) return line;
  return `\n${entries.map(([name, value]) => `    ${name}=${literal(value, PYTHON, 4)},\n`).join("")}`;
}
