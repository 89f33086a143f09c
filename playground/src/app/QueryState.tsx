import { isMissingKey, messageOf } from "../api/errors";
import { Loading } from "../ui/Loading";
import { Notice } from "../ui/Notice";
import { useKeyDialog } from "./askForKey";

export interface QueryStateProps {
  /** A query as `useQuery` returns it. */
  of: { data: unknown; error: Error | null; isPending: boolean; refetch: () => unknown };
  /** What is asked for, as in "Loading assistants …". */
  what: string;
}

/** In place of what the server is asked for: that it is on its way, or why it did not come. Nothing once it is there. */
export function QueryState({ of: { data, error, isPending, refetch }, what }: QueryStateProps) {
  const openKey = useKeyDialog((state) => state.open);
  if (error) {
    return (
      <div className="stack">
        <Notice kind="error">{messageOf(error)}</Notice>
        {data === undefined && (
          <p className="row">
            {isMissingKey(error) ? (
              <button type="button" className="button" onClick={openKey}>
                Enter an API key
              </button>
            ) : (
              <button type="button" className="button" onClick={() => void refetch()}>
                Try again
              </button>
            )}
          </p>
        )}
      </div>
    );
  }
  return isPending && <Loading what={what} />;
}
