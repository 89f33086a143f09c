import type { RunStatus } from "./types";

const ENDED: ReadonlySet<RunStatus> = new Set(["completed", "failed", "cancelled", "expired", "incomplete"]);

/** Whether nothing more will come of a run. */
export const hasEnded = (status: RunStatus): boolean => ENDED.has(status);

/** Whether a run is being worked on: its stream has more to come without anybody's help. */
export const isMoving = (status: RunStatus): boolean => !ENDED.has(status) && status !== "requires_action";
