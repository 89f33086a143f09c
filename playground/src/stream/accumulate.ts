/**
 * What a run's events add up to. Pure: a view and an event in, a new view out.
 *
 * A replay from the beginning over a view that already holds the run gives the same view again: every object begins
 * anew with the event that creates it.
 */
import type { AssistantStreamEvent, Message, MessageContent, Run, RunStep, StreamEvent, ToolCall } from "../api/types";

export interface RunView {
  run: Run;
  /** In the order of their creation. */
  steps: readonly RunStep[];
}

export interface View {
  /** Of the whole thread, oldest first. */
  messages: readonly Message[];
  runs: Readonly<Record<string, RunView>>;
}

type Known = AssistantStreamEvent;

/** Take one event in. Unknown events change nothing. */
export function accumulate(view: View, raw: StreamEvent): View {
  const { event, data } = raw as unknown as Known;
  switch (event) {
    case "thread.message.created":
      return { ...view, messages: put(withoutDebris(view.messages, data), { ...data, content: data.content ?? [] }) };
    case "thread.message.in_progress":
    case "thread.message.completed":
    case "thread.message.incomplete":
      return { ...view, messages: put(view.messages, data) };
    case "thread.message.delta":
      return {
        ...view,
        messages: change(view.messages, data.id, (message) => ({
          ...message,
          content: mergeContent(message.content, (data.delta.content ?? []) as unknown as Indexed[]),
        })),
      };
    case "thread.run.step.created":
    case "thread.run.step.in_progress":
    case "thread.run.step.completed":
    case "thread.run.step.failed":
    case "thread.run.step.cancelled":
    case "thread.run.step.expired":
      return changeRun(view, data.run_id, (of) => ({ ...of, steps: put(of.steps, data) }));
    case "thread.run.step.delta": {
      const details = data.delta.step_details;
      if (details?.type !== "tool_calls") return view;
      const runId = Object.keys(view.runs).find((id) => view.runs[id]!.steps.some((step) => step.id === data.id));
      if (!runId) return view;
      return changeRun(view, runId, (of) => ({
        ...of,
        steps: change(of.steps, data.id, (step) => mergeCalls(step, (details.tool_calls ?? []) as unknown as Indexed[])),
      }));
    }
    default:
      return event.startsWith("thread.run.") ? putRun(view, data as Run) : view;
  }
}

function putRun(view: View, run: Run): View {
  const known = view.runs[run.id];
  return { ...view, runs: { ...view.runs, [run.id]: { run, steps: known?.steps ?? [] } } };
}

function changeRun(view: View, runId: string, to: (of: RunView) => RunView): View {
  const known = view.runs[runId];
  return known ? { ...view, runs: { ...view.runs, [runId]: to(known) } } : view;
}

/** A message that a crash cut short is not kept: its turn is done again, with another message. */
function withoutDebris(messages: readonly Message[], next: Message): readonly Message[] {
  const debris = (message: Message) =>
    message.run_id === next.run_id && message.id !== next.id && message.status === "incomplete";
  return next.run_id && messages.some(debris) ? messages.filter((message) => !debris(message)) : messages;
}

interface Identified {
  id: string;
}

/** Replace the item of this id, or append it. What changes is nearly always near the end. */
export function put<T extends Identified>(items: readonly T[], item: T): readonly T[] {
  const at = items.findLastIndex((known) => known.id === item.id);
  return at < 0 ? [...items, item] : items.with(at, item);
}

function change<T extends Identified>(items: readonly T[], id: string, to: (item: T) => T): readonly T[] {
  const at = items.findLastIndex((known) => known.id === id);
  return at < 0 ? items : items.with(at, to(items[at]!));
}

type Indexed = { index: number } & Record<string, unknown>;

function mergeContent(content: readonly MessageContent[], deltas: readonly Indexed[]): MessageContent[] {
  const parts = [...content] as unknown as Record<string, unknown>[];
  for (const { index, ...delta } of deltas) {
    const known = parts[index];
    parts[index] = known ? merge(known, delta) : begun(delta);
  }
  return parts as unknown as MessageContent[];
}

/** A text part that begins with its annotations, or without any, is a whole one. */
function begun(delta: Record<string, unknown>): Record<string, unknown> {
  if (delta["type"] !== "text") return delta;
  const text = (delta["text"] ?? {}) as Record<string, unknown>;
  return { type: "text", text: { value: "", annotations: [], ...withoutIndexes(text) } };
}

function withoutIndexes(text: Record<string, unknown>): Record<string, unknown> {
  const annotations = text["annotations"] as Indexed[] | undefined;
  return annotations ? { ...text, annotations: annotations.map(withoutIndex) } : text;
}

function withoutIndex(item: Indexed): Record<string, unknown> {
  return Object.fromEntries(Object.entries(item).filter(([name]) => name !== "index"));
}

function mergeCalls(step: RunStep, deltas: readonly Indexed[]): RunStep {
  if (step.step_details.type !== "tool_calls") return step;
  const calls = [...step.step_details.tool_calls] as unknown as Record<string, unknown>[];
  for (const { index, ...delta } of deltas) calls[index] = merge(calls[index] ?? {}, delta);
  return { ...step, step_details: { type: "tool_calls", tool_calls: calls as unknown as ToolCall[] } };
}

/** Names whose text says what a thing is, and does not grow. */
const FIXED = new Set(["type", "id", "object", "name", "file_id", "quote"]);

/** Add a delta: texts grow, lists merge by `index`, all else is replaced. */
export function merge(known: Record<string, unknown>, delta: Record<string, unknown>): Record<string, unknown> {
  const merged = { ...known };
  for (const [name, value] of Object.entries(delta)) {
    const old = merged[name];
    if (value === undefined || value === null) merged[name] = old ?? value;
    else if (typeof value === "string" && typeof old === "string" && !FIXED.has(name)) merged[name] = old + value;
    else if (Array.isArray(value)) merged[name] = mergeList(Array.isArray(old) ? old : [], value);
    else if (isRecord(value)) merged[name] = merge(isRecord(old) ? old : {}, value);
    else merged[name] = value;
  }
  return merged;
}

function mergeList(known: unknown[], deltas: unknown[]): unknown[] {
  const merged = [...known];
  for (const delta of deltas) {
    if (!isRecord(delta) || typeof delta["index"] !== "number") {
      merged.push(delta);
      continue;
    }
    const { index, ...rest } = delta as Indexed;
    const old = merged[index];
    merged[index] = isRecord(old) ? merge(old, rest) : rest;
  }
  return merged;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
