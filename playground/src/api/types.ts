/** The API's nouns, under their own names. The client has the types; here they are only gathered. */
import type { Assistant, AssistantStreamEvent, AssistantTool, FunctionTool } from "openai/resources/beta/assistants";
import type { Annotation, Message, MessageContent, TextContentBlock } from "openai/resources/beta/threads/messages";
import type { RequiredActionFunctionToolCall, Run, RunStatus } from "openai/resources/beta/threads/runs/runs";
import type { FileSearchToolCall, RunStep, ToolCall } from "openai/resources/beta/threads/runs/steps";
import type { Thread } from "openai/resources/beta/threads/threads";
import type { FileObject } from "openai/resources/files";
import type { FunctionDefinition } from "openai/resources/shared";
import type { VectorStoreFile } from "openai/resources/vector-stores/files";
import type { VectorStore } from "openai/resources/vector-stores/vector-stores";

export type {
  Annotation,
  Assistant,
  AssistantStreamEvent,
  AssistantTool,
  FileObject,
  FileSearchToolCall,
  FunctionDefinition,
  FunctionTool,
  Message,
  MessageContent,
  RequiredActionFunctionToolCall,
  Run,
  RunStatus,
  RunStep,
  TextContentBlock,
  Thread,
  ToolCall,
  VectorStore,
  VectorStoreFile,
};

/** One event of a run's stream, as it came. */
export interface StreamEvent {
  /** Its place in the stream, `lease-number`; empty for `done` and `error`, which are no place. */
  id: string;
  event: string;
  data: unknown;
  /** When it reached this page, in milliseconds since 1970. */
  at: number;
}

/** What was sent to the model for one turn of a run. */
export interface Prompt {
  object: "thread.run.prompt";
  turn: number;
  created_at: number;
  step_id: string | null;
  model: string;
  messages: PromptMessage[];
  tools?: unknown[] | null;
  [setting: string]: unknown;
}

export interface PromptMessage {
  role: string;
  content?: unknown;
  name?: string;
  tool_calls?: { id?: string; function?: { name?: string; arguments?: string } }[];
  tool_call_id?: string;
  [other: string]: unknown;
}
