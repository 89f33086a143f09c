import { Database, Plus } from "lucide-react";
import { type FormEvent, useState } from "react";

import { messageOf } from "../api/errors";
import type { VectorStore } from "../api/types";
import { QueryState } from "../app/QueryState";
import { go } from "../app/route";
import { Dialog } from "../ui/Dialog";
import { Field } from "../ui/Field";
import { ago, bytes, plural } from "../ui/format";
import { IndexingProgress } from "./IndexingProgress";
import { useCreateStore, useStores } from "./queries";

export function StoreList() {
  const query = useStores();
  const { data: stores } = query;
  const [isNew, setNew] = useState(false);
  return (
    <div className="stack">
      <div className="row spread">
        <p className="dim small">Files in a vector store are read, cut into passages and found by their meaning.</p>
        <button type="button" className="button primary" onClick={() => setNew(true)}>
          <Plus size={16} aria-hidden /> New store
        </button>
      </div>
      <QueryState of={query} what="vector stores" />
      {stores?.length === 0 && <p className="dim">No vector stores yet.</p>}
      <ul className="cards">
        {stores?.map((store) => (
          <StoreCard key={store.id} store={store} />
        ))}
      </ul>
      {isNew && <NewStoreDialog onClose={() => setNew(false)} />}
    </div>
  );
}

function StoreCard({ store }: { store: VectorStore }) {
  return (
    <li className="card">
      <Database size={20} aria-hidden className="card-icon" />
      <div className="card-main">
        <a href={`#/files/${store.id}`} className="card-title">
          {store.name || store.id}
        </a>
        <p className="dim small">
          {[plural(store.file_counts.total, "file"), bytes(store.usage_bytes), ago(store.created_at)].join(" · ")}
        </p>
        <IndexingProgress store={store} />
      </div>
    </li>
  );
}

function NewStoreDialog({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState("");
  const create = useCreateStore();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    create.mutate(name.trim(), { onSuccess: ({ id }) => go({ page: "files", storeId: id }) });
  };
  return (
    <Dialog title="New vector store" onClose={onClose}>
      <form className="stack" onSubmit={submit}>
        <Field label="Name" problem={create.error && messageOf(create.error)}>
          {(control) => <input {...control} value={name} onChange={(event) => setName(event.target.value)} />}
        </Field>
        <div className="row end">
          <button type="submit" className="button primary" disabled={create.isPending}>
            Create store
          </button>
        </div>
      </form>
    </Dialog>
  );
}
