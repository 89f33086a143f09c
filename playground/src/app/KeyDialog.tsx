import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";

import { useKey } from "../api/key";
import { Dialog } from "../ui/Dialog";
import { Field } from "../ui/Field";
import { Notice } from "../ui/Notice";
import { useKeyDialog } from "./askForKey";

/** The API key of this session. */
export function KeyDialog() {
  const { isOpen, isWanted, close } = useKeyDialog();
  const { key, setKey } = useKey();
  const [text, setText] = useState(key);
  const queries = useQueryClient();
  if (!isOpen) return null;
  const save = (event: FormEvent) => {
    event.preventDefault();
    setKey(text.trim());
    queries.clear();
    void queries.invalidateQueries();
    close();
  };
  return (
    <Dialog title="API key" onClose={close}>
      <form onSubmit={save} className="stack">
        {isWanted && <Notice kind="info">This server wants an API key, or another one than it was given.</Notice>}
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
