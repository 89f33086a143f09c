/** The rows of a conversation, made of its messages and runs. Pure. */
import { hasEnded, isMoving } from "../api/states";
import type { Message, Run, RunStep, ToolCall } from "../api/types";
import type { View } from "../stream/accumulate";
import { type CallState, isAnswered, stateOf } from "./calls";

export type Item =
  | { kind: "message"; id: string; message: Message; isLive: boolean }
  | { kind: "call"; id: string; call: ToolCall; step: RunStep; state: CallState; runStatus: Run["status"] }
  | { kind: "outputs"; id: string; run: Run }
  | { kind: "ending"; id: string; run: Run }
  | { kind: "waiting"; id: string; run: Run };

const UNHAPPY = new Set<Run["status"]>(["failed", "cancelled", "expired", "incomplete"]);

/** Lay messages, tool calls and the ends of runs out in the order in which they happened. */
export function itemsOf(view: View): Item[] {
  const before = new Map<string, Item[]>();
  const after = new Map<string, Item[]>();
  const atEnd: Item[] = [];
  const moving = new Set<string>();

  const places = placesOf(view);
  for (const { run, steps } of Object.values(view.runs)) {
    if (isMoving(run.status)) moving.add(run.id);
    let waiting: Item[] = [];
    for (const step of steps) {
      if (step.step_details.type === "message_creation") {
        const messageId = step.step_details.message_creation.message_id;
        if (waiting.length && places.ids.has(messageId)) {
          append(before, messageId, waiting);
          waiting = [];
        }
        continue;
      }
      waiting.push(
        ...step.step_details.tool_calls
          .filter((call) => call.type !== "function" || run.status !== "requires_action" || isAnswered(call))
          .map((call, index): Item => ({
            kind: "call",
            id: `${step.id}-${call.id ?? index}`,
            call,
            step,
            state: stateOf(call, step, run),
            runStatus: run.status,
          })),
      );
    }
    if (run.status === "requires_action") waiting.push({ kind: "outputs", id: `${run.id}-outputs`, run });
    if (UNHAPPY.has(run.status)) waiting.push({ kind: "ending", id: `${run.id}-ending`, run });
    if (!waiting.length) continue;
    const place = places.lastOf(run);
    if (place) append(after, place, waiting);
    else if (places.isNewest(run)) atEnd.push(...waiting);
  }

  const items: Item[] = [];
  for (const message of view.messages) {
    items.push(...(before.get(message.id) ?? []));
    items.push(messageItem(message, message.run_id !== null && moving.has(message.run_id)));
    items.push(...(after.get(message.id) ?? []));
  }
  items.push(...atEnd);
  const wait = waitingItem(view, items);
  if (wait) items.push(wait);
  return items;
}

/** Where something of a run belongs that no message of it follows. */
function placesOf(view: View) {
  const { messages } = view;
  const ids = new Set(messages.map((message) => message.id));
  const lastByRun = new Map<string, string>();
  for (const message of messages) if (message.run_id) lastByRun.set(message.run_id, message.id);
  const asked = askedBy(view);
  return {
    ids,
    lastOf: (run: Run): string | undefined => lastByRun.get(run.id) ?? asked.get(run.id),
    /** A run older than all loaded messages belongs to a page that is not there yet. */
    isNewest: (run: Run) => !messages.length || run.created_at >= messages.at(-1)!.created_at,
  };
}

/**
 * The message that each run followed, by run. Times are whole seconds: of messages in a run's own second, those that
 * the next run followed came after it.
 */
function askedBy({ messages, runs }: View): Map<string, string> {
  const asked = new Map<string, string>();
  let next = messages.length;
  for (const { run } of Object.values(runs).toReversed()) {
    const at = messages.findLastIndex(
      (message, index) =>
        !message.run_id &&
        (message.created_at < run.created_at || (message.created_at === run.created_at && index < next)),
    );
    if (at < 0) continue;
    asked.set(run.id, messages[at]!.id);
    next = Math.min(next, at);
  }
  return asked;
}

function waitingItem(view: View, items: readonly Item[]): Item | null {
  const run = Object.values(view.runs).findLast((of) => !hasEnded(of.run.status))?.run;
  if (!run || !isMoving(run.status)) return null;
  const last = items.at(-1);
  const isTalking = last?.kind === "message" && last.message.run_id === run.id && hasWords(last.message);
  return isTalking || (last?.kind === "call" && last.state === "live") ? null : { kind: "waiting", id: `${run.id}-waiting`, run };
}

function hasWords(message: Message): boolean {
  return message.status === "in_progress" && message.content.length > 0;
}

function append(to: Map<string, Item[]>, key: string, items: Item[]): void {
  to.set(key, [...(to.get(key) ?? []), ...items]);
}

const kept = new WeakMap<Message, Item>();

/** The same row for the same message, so that it is not drawn again. */
function messageItem(message: Message, isRunning: boolean): Item {
  const known = kept.get(message);
  const isLive = isRunning && message.status === "in_progress";
  if (known?.kind === "message" && known.isLive === isLive) return known;
  const item: Item = { kind: "message", id: message.id, message, isLive };
  kept.set(message, item);
  return item;
}
