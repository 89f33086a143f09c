import type { VectorStore } from "../api/types";
import { plural } from "../ui/format";

/** How far the reading of a store's files is; nothing where all is done and well. */
export function IndexingProgress({ store }: { store: VectorStore }) {
  const { in_progress: reading, failed, total, completed } = store.file_counts;
  if (store.status === "expired") return <p className="field-problem">The store has expired.</p>;
  return (
    <>
      {reading > 0 && (
        <div className="row small">
          <progress max={total} value={total - reading} aria-label="Files that were read" />
          <span>
            {completed} of {plural(total, "file")} read
          </span>
        </div>
      )}
      {failed > 0 && <p className="field-problem small">{plural(failed, "file")} could not be read.</p>}
    </>
  );
}
