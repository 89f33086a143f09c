import { Pencil, Plus, SquareFunction, Trash2, Upload, X } from "lucide-react";
import { useState } from "react";

import { messageOf } from "../api/errors";
import { QueryState } from "../app/QueryState";
import { FileButton } from "../files/FileButton";
import { useFile, useStores, useUpload } from "../files/queries";
import { plural } from "../ui/format";
import type { ChangeDraft } from "./AssistantEditor";
import type { Draft } from "./draft";
import { FunctionDialog } from "./FunctionDialog";
import { NewStoreButton } from "./NewStoreButton";

/** What an assistant can do besides talking. */
export function ToolFields({ draft, change }: { draft: Draft; change: ChangeDraft }) {
  return (
    <fieldset className="tools">
      <legend>Tools</legend>
      <label className="check">
        <input
          type="checkbox"
          checked={draft.hasSearch}
          onChange={(event) => change({ hasSearch: event.target.checked })}
        />
        <span>
          File search <span className="dim small">Answers from files, and says from which.</span>
        </span>
      </label>
      {draft.hasSearch && <StoreFields draft={draft} change={change} />}
      <label className="check">
        <input type="checkbox" checked={draft.hasCode} onChange={(event) => change({ hasCode: event.target.checked })} />
        <span>
          Code interpreter <span className="dim small">Writes and runs Python; plots, tables, files.</span>
        </span>
      </label>
      {draft.hasCode && <CodeFiles draft={draft} change={change} />}
      <FunctionFields draft={draft} change={change} />
    </fieldset>
  );
}

function StoreFields({ draft, change }: { draft: Draft; change: ChangeDraft }) {
  const query = useStores();
  const { data: stores } = query;
  const nameOf = (id: string) => {
    const store = stores?.find((one) => one.id === id);
    return store ? `${store.name || store.id} · ${plural(store.file_counts.total, "file")}` : id;
  };
  return (
    <div className="tool-body">
      <ul className="chips" aria-label="Vector stores that are searched">
        {draft.storeIds.map((id) => (
          <li key={id} className="chip">
            <a className="chip-name" href={`#/files/${id}`}>
              {nameOf(id)}
            </a>
            <button
              type="button"
              className="icon-button"
              aria-label={`Remove ${nameOf(id)}`}
              onClick={() => change({ storeIds: draft.storeIds.filter((one) => one !== id) })}
            >
              <X size={14} aria-hidden />
            </button>
          </li>
        ))}
      </ul>
      <QueryState of={query} what="vector stores" />
      {draft.storeIds.length === 0 && ( // an assistant has one at most
        <div className="row">
          {!!stores?.length && (
            <select
              aria-label="Add a vector store"
              value=""
              onChange={(event) => change({ storeIds: [event.target.value] })}
            >
              <option value="">Add a vector store …</option>
              {stores.map(({ id }) => (
                <option key={id} value={id}>
                  {nameOf(id)}
                </option>
              ))}
            </select>
          )}
          <NewStoreButton
            name={draft.name ? `Files of ${draft.name}` : "Files"}
            onCreated={(id) => change({ storeIds: [id] })}
          />
        </div>
      )}
    </div>
  );
}

function CodeFiles({ draft, change }: { draft: Draft; change: ChangeDraft }) {
  const upload = useUpload();
  const add = (files: File[]) =>
    upload.mutate({
      files,
      purpose: "assistants",
      onUploaded: (id) => change((now) => ({ codeFileIds: [...now.codeFileIds, id] })),
    });
  return (
    <div className="tool-body">
      <ul className="chips" aria-label="Files that code finds">
        {draft.codeFileIds.map((id) => (
          <CodeFile
            key={id}
            id={id}
            onRemove={() => change({ codeFileIds: draft.codeFileIds.filter((one) => one !== id) })}
          />
        ))}
      </ul>
      <div className="row">
        <FileButton onFiles={add} disabled={upload.isPending}>
          <Upload size={15} aria-hidden /> {upload.isPending ? "Uploading …" : "Upload files for code"}
        </FileButton>
        {upload.error && <span className="field-problem">{messageOf(upload.error)}</span>}
      </div>
    </div>
  );
}

function CodeFile({ id, onRemove }: { id: string; onRemove: () => void }) {
  const { data } = useFile(id);
  const name = data?.filename ?? id;
  return (
    <li className="chip">
      <span className="chip-name">{name}</span>
      <button type="button" className="icon-button" aria-label={`Remove ${name}`} onClick={onRemove}>
        <X size={14} aria-hidden />
      </button>
    </li>
  );
}

function FunctionFields({ draft, change }: { draft: Draft; change: ChangeDraft }) {
  const [edited, setEdited] = useState<number | "new" | null>(null);
  const { functions } = draft;
  return (
    <div className="functions">
      <div className="row spread">
        <span>
          Functions <span className="dim small">The model calls, you answer.</span>
        </span>
        <button type="button" className="button" onClick={() => setEdited("new")}>
          <Plus size={15} aria-hidden /> Add function
        </button>
      </div>
      <ul>
        {functions.map((definition, index) => (
          <li key={definition.name} className="function">
            <SquareFunction size={16} aria-hidden />
            <div className="card-main">
              <code>{definition.name}</code>
              <p className="dim small clamp">{definition.description}</p>
            </div>
            <button
              type="button"
              className="icon-button"
              aria-label={`Edit ${definition.name}`}
              onClick={() => setEdited(index)}
            >
              <Pencil size={15} aria-hidden />
            </button>
            <button
              type="button"
              className="icon-button"
              aria-label={`Remove ${definition.name}`}
              onClick={() => change({ functions: functions.filter((_, at) => at !== index) })}
            >
              <Trash2 size={15} aria-hidden />
            </button>
          </li>
        ))}
      </ul>
      {edited !== null && (
        <FunctionDialog
          definition={edited === "new" ? null : (functions[edited] ?? null)}
          taken={functions.filter((_, index) => index !== edited).map(({ name }) => name)}
          onSave={(definition) =>
            change({
              functions: edited === "new" ? [...functions, definition] : functions.with(edited, definition),
            })
          }
          onClose={() => setEdited(null)}
        />
      )}
    </div>
  );
}
