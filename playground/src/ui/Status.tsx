/** A status of the API as a small coloured word. */
const TONES: Record<string, string> = {
  completed: "good",
  in_progress: "busy",
  queued: "busy",
  cancelling: "busy",
  requires_action: "wants",
  failed: "bad",
  expired: "bad",
  incomplete: "bad",
  cancelled: "dim",
};

export function Status({ status }: { status: string }) {
  return <span className={`status ${TONES[status] ?? "dim"}`}>{status.replaceAll("_", " ")}</span>;
}
