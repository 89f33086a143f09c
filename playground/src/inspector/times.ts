/** How long a run took as its reader saw it: finer than the API's whole seconds. Pure. */
import type { StreamEvent } from "../api/types";

export interface Times {
  /** Until the first words of an answer, in milliseconds; null where nobody watched. */
  firstWords: number | null;
  /** Until the last event, once it is there. */
  whole: number | null;
}

/** `asked` is when the run was asked for; a run that was not asked for here was not watched from its beginning. */
export function timesOf(events: readonly StreamEvent[], asked: number | undefined): Times {
  if (asked === undefined) return { firstWords: null, whole: null };
  const first = events.find(({ event }) => event === "thread.message.delta");
  // A run that waited for somebody took their time, not its own.
  const waited = events.some(({ event }) => event === "thread.run.requires_action");
  const last = events.at(-1);
  return {
    firstWords: first && !waited ? first.at - asked : null,
    whole: last?.event === "done" && !waited ? last.at - asked : null,
  };
}
