/** A conversation as the calls that would make it: what both languages are written from. Pure. */
import type { Assistant, Message } from "../api/types";

export interface Script {
  baseURL: string;
  /** Whether the page has an API key; its value never stands in code. */
  hasKey: boolean;
  /** The body of `assistants.create`. */
  assistant: Record<string, unknown>;
  hasFunctions: boolean;
  /** What the user said, in order; `content` is text or parts. */
  questions: { content: unknown; attachments?: unknown }[];
  /** How many earlier questions are left out. */
  leftOut: number;
}

/** More turns than this would hide what is to be seen. */
const SHOWN = 20;

export function scriptOf(
  assistant: Assistant | null,
  messages: readonly Message[],
  place: { baseURL: string; hasKey: boolean },
): Script {
  const questions = messages.filter((message) => message.role === "user").map(questionOf);
  return {
    ...place,
    assistant: paramsOf(assistant),
    hasFunctions: assistant?.tools.some((tool) => tool.type === "function") ?? false,
    questions: questions.slice(-SHOWN),
    leftOut: Math.max(0, questions.length - SHOWN),
  };
}

function paramsOf(assistant: Assistant | null): Record<string, unknown> {
  if (!assistant) return { model: "gpt-4o" };
  const { model, name, instructions, tools, tool_resources, temperature, top_p, response_format } = assistant;
  const resources = Object.fromEntries(
    Object.entries(tool_resources ?? {}).filter(([, value]) =>
      Object.values((value ?? {}) as object).some((ids) => Array.isArray(ids) && ids.length > 0),
    ),
  );
  return {
    model,
    ...(name && { name }),
    ...(instructions && { instructions }),
    ...(tools.length && { tools }),
    ...(Object.keys(resources).length && { tool_resources: resources }),
    ...(temperature !== null && temperature !== undefined && temperature !== 1 && { temperature }),
    ...(top_p !== null && top_p !== undefined && top_p !== 1 && { top_p }),
    ...(response_format && response_format !== "auto" && { response_format }),
  };
}

function questionOf(message: Message): Script["questions"][number] {
  const { content, attachments } = message;
  const only = content.length === 1 ? content[0] : undefined;
  const body =
    only?.type === "text"
      ? only.text.value
      : content.map((part) => (part.type === "text" ? { type: "text", text: part.text.value } : part));
  return { content: body, ...(attachments?.length && { attachments }) };
}
