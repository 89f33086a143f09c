/** What is known of a thread when it has been opened. Pure. */
import type { Message, Run } from "../api/types";
import type { RunView, View } from "../stream/accumulate";

/**
 * Join the newest that the API lists, oldest first, with what this page has heard: a thread may be written to while it
 * is read. The list knows best what is finished; the words of what is not are in the stream alone. Older messages stay
 * where the list goes on behind them.
 */
export function opened(heard: View, messages: readonly Message[], runs: readonly Run[]): View {
  const known = new Map(heard.messages.map((message) => [message.id, message]));
  const listed = messages.map((message) =>
    message.status === "in_progress" ? (known.get(message.id) ?? message) : message,
  );
  const ids = new Set(listed.map((message) => message.id));
  const newest = listed.at(-1)?.created_at ?? 0;
  const later = heard.messages.filter((message) => !ids.has(message.id) && message.created_at >= newest);
  const first = heard.messages.findIndex((message) => message.id === listed[0]?.id);
  const older = heard.messages.slice(0, Math.max(0, first));
  const listedRuns = runs.map((run) => [run.id, { run, steps: heard.runs[run.id]?.steps ?? [] }] as const);
  const listedIds = new Set(runs.map((run) => run.id));
  const otherRuns = Object.entries(heard.runs).filter(([id]) => !listedIds.has(id));
  const isOlder = ({ run }: RunView) => run.created_at < (runs[0]?.created_at ?? 0);
  const olderRuns = otherRuns.filter(([, of]) => isOlder(of));
  const laterRuns = otherRuns.filter(([, of]) => !isOlder(of));
  return {
    messages: [...older, ...listed, ...later],
    runs: Object.fromEntries([...olderRuns, ...listedRuns, ...laterRuns]),
  };
}
