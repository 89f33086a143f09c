import { ArrowLeft, FileText, Trash2, Upload, X } from "lucide-react";
import { useState } from "react";

import { isMissing, messageOf } from "../api/errors";
import type { VectorStoreFile } from "../api/types";
import { Header } from "../app/Header";
import { Missing } from "../app/Missing";
import { QueryState } from "../app/QueryState";
import { go } from "../app/route";
import { ConfirmDialog } from "../ui/ConfirmDialog";
import { CopyButton } from "../ui/CopyButton";
import { bytes, dateTime } from "../ui/format";
import { Notice } from "../ui/Notice";
import { Status } from "../ui/Status";
import { DropArea } from "./DropArea";
import { FileButton } from "./FileButton";
import { IndexingProgress } from "./IndexingProgress";
import { useAddToStore, useDeleteStore, useFile, useRemoveFromStore, useStoreFiles, useStores } from "./queries";
import { StoreSearch } from "./StoreSearch";

/** A vector store: its files with the progress of their reading, and a search. */
export function StoreView({ storeId }: { storeId: string }) {
  const { data: stores } = useStores();
  const query = useStoreFiles(storeId);
  const { data: files } = query;
  const add = useAddToStore(storeId);
  const remove = useDeleteStore();
  const [isDeleting, setDeleting] = useState(false);
  const store = stores?.find(({ id }) => id === storeId);
  if (isMissing(query.error)) {
    return (
      <Missing to={{ href: "#/files", label: "All files and stores" }}>
        There is no vector store <code>{storeId}</code>: it was deleted, or it is another project’s.
      </Missing>
    );
  }
  return (
    <DropArea onFiles={(dropped) => add.mutate(dropped)}>
      <Header
        title={
          <>
            <a className="icon-button" href="#/files" aria-label="Back to all stores">
              <ArrowLeft size={18} aria-hidden />
            </a>
            <h1>{store?.name || storeId}</h1>
          </>
        }
      >
        <button type="button" className="icon-button" aria-label="Delete store" onClick={() => setDeleting(true)}>
          <Trash2 size={17} aria-hidden />
        </button>
        <FileButton className="button primary" onFiles={(chosen) => add.mutate(chosen)} disabled={add.isPending}>
          <Upload size={15} aria-hidden /> {add.isPending ? "Uploading …" : "Add files"}
        </FileButton>
      </Header>
      <div className="page stack">
        {add.error && <Notice kind="error">{messageOf(add.error)}</Notice>}
        <p className="row dim small">
          <code className="id">{storeId}</code>
          <CopyButton what="store id" text={() => storeId} />
          {store && `${bytes(store.usage_bytes)} · ${dateTime(store.created_at)}`}
        </p>
        {store && <IndexingProgress store={store} />}
        <QueryState of={query} what="files" />
        {files?.length === 0 && <p className="dim">No files yet. Add some, or drop them here.</p>}
        <ul className="rows" aria-label="Files of the store">
          {files?.map((file) => (
            <StoreFile key={file.id} file={file} storeId={storeId} />
          ))}
        </ul>
        {!!files?.length && <StoreSearch storeId={storeId} />}
      </div>
      {isDeleting && (
        <ConfirmDialog
          title="Delete vector store?"
          text={`“${store?.name || storeId}” will be gone for good. The files themselves stay.`}
          verb="Delete"
          onConfirm={async () => {
            await remove.mutateAsync(storeId);
            go({ page: "files", storeId: null });
          }}
          onClose={() => setDeleting(false)}
        />
      )}
    </DropArea>
  );
}

function StoreFile({ file, storeId }: { file: VectorStoreFile; storeId: string }) {
  const { data } = useFile(file.id);
  const remove = useRemoveFromStore(storeId);
  const name = data?.filename ?? file.id;
  return (
    <li className="file-row">
      <FileText size={17} aria-hidden />
      <div className="card-main">
        <span className="wrap-anywhere">{name}</span>
        {file.last_error && <p className="field-problem small">{file.last_error.message}</p>}
        {remove.error && <p className="field-problem small">{messageOf(remove.error)}</p>}
      </div>
      <span className="dim small">{bytes(data?.bytes ?? file.usage_bytes)}</span>
      <Status status={file.status} />
      <button
        type="button"
        className="icon-button"
        aria-label={`Remove ${name} from the store`}
        title="Remove from the store"
        disabled={remove.isPending}
        onClick={() => remove.mutate(file.id)}
      >
        <X size={16} aria-hidden />
      </button>
    </li>
  );
}
