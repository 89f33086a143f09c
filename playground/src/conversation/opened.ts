/** What is known of a thread when it has been opened. Pure. */
import type { Message, Run } from "../api/types";
import type { View } from "../stream/accumulate";

/**
 * Join what the API lists, oldest first, with what this page has heard meanwhile: a thread may be written to while it is
 * opened. The list knows best what is finished; the words of what is not are in the stream alone.
 */
export function opened(heard: View, messages: readonly Message[], runs: readonly Run[]): View {
  const known = new Map(heard.messages.map((message) => [message.id, message]));
  const listed = messages.map((message) =>
    message.status === "in_progress" ? (known.get(message.id) ?? message) : message,
  );
  const ids = new Set(listed.map((message) => message.id));
  const newest = listed.at(-1)?.created_at ?? 0;
  const later = heard.messages.filter((message) => !ids.has(message.id) && message.created_at >= newest);
  const listedRuns = runs.map((run) => [run.id, { run, steps: heard.runs[run.id]?.steps ?? [] }] as const);
  const listedIds = new Set(runs.map((run) => run.id));
  const laterRuns = Object.entries(heard.runs).filter(([id]) => !listedIds.has(id));
  return { messages: [...listed, ...later], runs: Object.fromEntries([...listedRuns, ...laterRuns]) };
}
