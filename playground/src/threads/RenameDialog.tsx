import { type FormEvent, useState } from "react";

import { messageOf } from "../api/errors";
import type { Thread } from "../api/types";
import { Dialog } from "../ui/Dialog";
import { Field } from "../ui/Field";
import { titleOfThread, useRenameThread } from "./queries";

export function RenameDialog({ thread, onClose }: { thread: Thread; onClose: () => void }) {
  const [title, setTitle] = useState(titleOfThread(thread));
  const rename = useRenameThread();
  const save = (event: FormEvent) => {
    event.preventDefault();
    rename.mutate({ id: thread.id, title: title.trim() }, { onSuccess: onClose });
  };
  return (
    <Dialog title="Rename thread" onClose={onClose}>
      <form onSubmit={save} className="stack">
        <Field
          label="Title"
          hint="Kept in the thread's metadata as “title”."
          problem={rename.error && messageOf(rename.error)}
        >
          {(control) => (
            <input {...control} maxLength={512} value={title} onChange={(event) => setTitle(event.target.value)} />
          )}
        </Field>
        <div className="row end">
          <button type="submit" className="button primary" disabled={rename.isPending}>
            Rename
          </button>
        </div>
      </form>
    </Dialog>
  );
}
