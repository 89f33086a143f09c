import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";

import { useKey } from "../api/key";
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
  const save = (event: FormEvent) => {
    event.preventDefault();
    setKey(text.trim());
    void queries.resetQueries(); // also if it is the same key: it may be a good one by now
    close();
  };
  return (
    <Dialog title="API key" onClose={close}>
      <form onSubmit={save} className="stack">
        {reason && <Notice kind="info">{reason}</Notice>}
        <Field
          label="Key"
          hint="Kept in this tab alone, until it is closed, and sent to this server only. A server without keys takes none."
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
          <button type="submit" className="button primary">
            Use this key
          </button>
        </div>
      </form>
    </Dialog>
  );
}
