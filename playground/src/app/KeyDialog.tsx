import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";

import { isMissingKey, messageOf } from "../api/errors";
import { useKey } from "../api/key";
import { tryKey } from "../api/ours";
import { Dialog } from "../ui/Dialog";
import { Field } from "../ui/Field";
import { Notice } from "../ui/Notice";
import { useKeyDialog } from "./askForKey";

/** Asks for the API key of this session, while that is wanted. */
export function KeyDialog() {
  return useKeyDialog((state) => state.isOpen) && <OpenKeyDialog />;
}

function OpenKeyDialog() {
  const { reason, close } = useKeyDialog();
  const { key, setKey } = useKey();
  const [text, setText] = useState(key);
  const queries = useQueryClient();
  // Tried first: a wrong one must not take the place of a good one, and is said to be wrong where it was typed.
  const attempt = useMutation({ mutationFn: tryKey });
  const save = (event: FormEvent) => {
    event.preventDefault();
    const given = text.trim();
    attempt.mutate(given, {
      onSuccess: () => {
        setKey(given);
        void queries.resetQueries(); // also if it is the same key: it may be a good one by now
        close();
      },
    });
  };
  return (
    <Dialog title="API key" onClose={close}>
      <form onSubmit={save} className="stack">
        {reason && !attempt.error && <Notice kind="info">{reason}</Notice>}
        <Field
          label="Key"
          hint="Kept in this tab alone, until it is closed, and sent to this server only. A server without keys takes none."
          problem={attempt.error && refusalOf(attempt.error, attempt.variables)}
        >
          {(control) => (
            <input
              {...control}
              type="password"
              autoComplete="off"
              spellCheck={false}
              value={text}
              onChange={(event) => setText(event.target.value)}
            />
          )}
        </Field>
        <div className="row end">
          <button type="submit" className="button primary" disabled={attempt.isPending}>
            {attempt.isPending ? "Trying it …" : "Use this key"}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

function refusalOf(error: Error, key: string): string {
  if (!isMissingKey(error)) return messageOf(error);
  return key ? "The server does not accept this API key." : "This server needs an API key.";
}
