/** An assistant while it is edited, and back to the API. Pure. */
import type { AssistantCreateParams, AssistantUpdateParams } from "openai/resources/beta/assistants";
import type { ResponseFormatJSONSchema } from "openai/resources/shared";

import type { Assistant, FunctionDefinition } from "../api/types";
import { checkResponseFormat, problemIn } from "../json-editor/functionSchema";

export interface Draft {
  name: string;
  description: string;
  instructions: string;
  model: string;
  temperature: string;
  topP: string;
  hasSearch: boolean;
  /** Vector stores that are searched, in order. */
  storeIds: string[];
  hasCode: boolean;
  /** Files that the code finds. */
  codeFileIds: string[];
  functions: FunctionDefinition[];
  format: "auto" | "text" | "json_object" | "json_schema";
  /** The text of the `json_schema` part, kept as it was typed. */
  formatSchema: string;
}

export const FORMAT_EXAMPLE = JSON.stringify(
  {
    name: "answer",
    schema: {
      type: "object",
      properties: { answer: { type: "string" } },
      required: ["answer"],
      additionalProperties: false,
    },
    strict: true,
  },
  null,
  2,
);

export const EMPTY: Draft = {
  name: "",
  description: "",
  instructions: "",
  model: "",
  temperature: "",
  topP: "",
  hasSearch: false,
  storeIds: [],
  hasCode: false,
  codeFileIds: [],
  functions: [],
  format: "auto",
  formatSchema: FORMAT_EXAMPLE,
};

export function draftOf(assistant: Assistant): Draft {
  const format = assistant.response_format;
  const has = (type: string) => assistant.tools.some((tool) => tool.type === type);
  return {
    name: assistant.name ?? "",
    description: assistant.description ?? "",
    instructions: assistant.instructions ?? "",
    model: assistant.model,
    temperature: numberText(assistant.temperature),
    topP: numberText(assistant.top_p),
    hasSearch: has("file_search"),
    storeIds: assistant.tool_resources?.file_search?.vector_store_ids ?? [],
    hasCode: has("code_interpreter"),
    codeFileIds: assistant.tool_resources?.code_interpreter?.file_ids ?? [],
    functions: assistant.tools.flatMap((tool) => (tool.type === "function" ? [tool.function] : [])),
    format: format && typeof format === "object" ? format.type : "auto",
    formatSchema:
      format && typeof format === "object" && format.type === "json_schema"
        ? JSON.stringify(format.json_schema, null, 2)
        : FORMAT_EXAMPLE,
  };
}

/** What the form says is wrong, by field; empty where it can be saved. */
export function problemsOf(draft: Draft): Partial<Record<keyof Draft, string>> {
  const problems: Partial<Record<keyof Draft, string>> = {};
  if (!draft.model.trim()) problems.model = "Choose a model.";
  if (!isBetween(draft.temperature, 0, 2)) problems.temperature = "A number from 0 to 2.";
  if (!isBetween(draft.topP, 0, 1)) problems.topP = "A number from 0 to 1.";
  const format = draft.format === "json_schema" ? problemIn(draft.formatSchema, checkResponseFormat) : null;
  if (format) problems.formatSchema = format;
  return problems;
}

/** The request's body. `kept` are tools of the assistant with options that the form does not show. */
export function paramsOf(draft: Draft, kept: Assistant["tools"] = []): AssistantCreateParams {
  const keep = (type: string) => kept.find((tool) => tool.type === type);
  return {
    model: draft.model.trim(),
    name: draft.name.trim() || null,
    description: draft.description.trim() || null,
    instructions: draft.instructions || null,
    temperature: numberOf(draft.temperature),
    top_p: numberOf(draft.topP),
    tools: [
      ...(draft.hasSearch ? [keep("file_search") ?? { type: "file_search" as const }] : []),
      ...(draft.hasCode ? [{ type: "code_interpreter" as const }] : []),
      ...draft.functions.map((definition) => ({ type: "function" as const, function: definition })),
    ],
    tool_resources: {
      file_search: { vector_store_ids: draft.hasSearch ? draft.storeIds : [] },
      code_interpreter: { file_ids: draft.hasCode ? draft.codeFileIds : [] },
    },
    response_format:
      draft.format === "auto"
        ? "auto"
        : draft.format === "json_schema"
          ? { type: "json_schema", json_schema: JSON.parse(draft.formatSchema) as ResponseFormatJSONSchema.JSONSchema }
          : { type: draft.format },
  };
}

/** What of the request's body is not as it was: only that is sent, so that nothing else is written over. */
export function changesOf(params: AssistantCreateParams, before: AssistantCreateParams): AssistantUpdateParams {
  const was = new Map(Object.entries(before));
  return Object.fromEntries(
    Object.entries(params).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(was.get(name))),
  );
}

const numberOf = (text: string) => (text.trim() === "" ? 1 : Number(text));
const numberText = (value: number | null | undefined) => (value === null || value === undefined ? "" : String(value));

function isBetween(text: string, least: number, most: number): boolean {
  if (text.trim() === "") return true;
  const value = Number(text);
  return Number.isFinite(value) && value >= least && value <= most;
}
