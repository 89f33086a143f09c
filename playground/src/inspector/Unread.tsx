import type { Reading } from "../conversation/conversation";
import { Loading } from "../ui/Loading";

export interface UnreadProps {
  what: string;
  reading: Reading | undefined;
  /** Whether all there is has to be asked for: nothing of it comes by itself. */
  isAway: boolean;
  /** What is said where there is nothing. */
  empty: string;
  onRetry: () => void;
}

/** In place of what a run did, while there is nothing of it to show. */
export function Unread({ what, reading, isAway, empty, onRetry }: UnreadProps) {
  if (reading === "failed") {
    return (
      <div className="row pad">
        <span className="field-problem">The {what} could not be loaded.</span>
        <button type="button" className="button" onClick={onRetry}>
          Try again
        </button>
      </div>
    );
  }
  if (reading === "reading" || (isAway && reading === undefined)) return <Loading what={what} />;
  return <p className="dim pad">{empty}</p>;
}
