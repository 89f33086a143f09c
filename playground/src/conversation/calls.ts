/** What became of a tool call, and how that is said. Pure. */
import { hasEnded, isMoving } from "../api/states";
import type { Run, RunStep, ToolCall } from "../api/types";
import { plural } from "../ui/format";

/**
 * `live`: it is being made. `unanswered`: its run ended before an output was given. `cancelled`, `failed`, `expired`: its
 * step ended so before it was done.
 */
export type CallState = "live" | "done" | "unanswered" | "cancelled" | "failed" | "expired";

/** What became of a call of this step and run. */
export function stateOf(call: ToolCall, step: Pick<RunStep, "status">, run: Pick<Run, "status">): CallState {
  if (call.type === "function") {
    if (isAnswered(call)) return "done";
    return hasEnded(run.status) ? "unanswered" : "live";
  }
  if (step.status === "completed") return "done";
  if (step.status !== "in_progress") return step.status;
  if (isMoving(run.status)) return "live";
  return run.status === "requires_action" ? "done" : "cancelled"; // a function beside it keeps the step open
}

export function isAnswered(call: ToolCall): boolean {
  return call.type === "function" && call.function.output !== null && call.function.output !== undefined;
}

const ENDED: Partial<Record<CallState, string>> = { cancelled: "cancelled", failed: "failed", expired: "out of time" };

/** A call in a line; `raised` is the exception that its code ended with. */
export function titleOfCall(call: ToolCall, state: CallState, runStatus: string, raised: string | null): string {
  const how = ENDED[state] ? ` (${ENDED[state]})` : "";
  switch (call.type) {
    case "code_interpreter":
      if (state === "live") return "Running code";
      return raised ? `Code raised ${raised}${how}` : `Ran code${how}`;
    case "file_search":
      if (state === "live") return "Searching files";
      return how ? `Searched files${how}` : `Searched files: ${plural(call.file_search?.results?.length ?? 0, "result")}`;
    case "function": {
      const name = call.function?.name ?? "a function";
      if (state === "unanswered") return `Called ${name}: no output, the run is ${runStatus}`;
      return `${state === "live" ? "Calling" : "Called"} ${name}`;
    }
  }
}
