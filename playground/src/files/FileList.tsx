import { Download, FileText, Trash2, Upload } from "lucide-react";
import type { FilePurpose } from "openai/resources/files";
import { useState } from "react";

import { messageOf } from "../api/errors";
import type { FileObject } from "../api/types";
import { QueryState } from "../app/QueryState";
import { ConfirmDialog } from "../ui/ConfirmDialog";
import { bytes, dateTime } from "../ui/format";
import { Notice } from "../ui/Notice";
import { download } from "./download";
import { FileButton } from "./FileButton";
import { useDeleteFile, useFiles, useUpload } from "./queries";

const PURPOSES: FilePurpose[] = ["assistants", "vision", "user_data", "batch", "fine-tune", "evals"];
/** The API keeps these for its own use. */
const UNREADABLE = new Set(["assistants", "user_data"]);

export function FileList() {
  const query = useFiles();
  const { data: files } = query;
  const upload = useUpload();
  const [purpose, setPurpose] = useState<FilePurpose>("assistants");
  return (
    <div className="stack">
      <div className="row end">
        <label className="row small">
          Purpose
          <select value={purpose} onChange={(event) => setPurpose(event.target.value as FilePurpose)}>
            {PURPOSES.map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
        <FileButton
          className="button primary"
          disabled={upload.isPending}
          onFiles={(files) => upload.mutate({ files, purpose })}
        >
          <Upload size={15} aria-hidden /> {upload.isPending ? "Uploading …" : "Upload"}
        </FileButton>
      </div>
      {upload.error && <Notice kind="error">{messageOf(upload.error)}</Notice>}
      <QueryState of={query} what="files" />
      {files?.length === 0 && <p className="dim">No files yet.</p>}
      <ul className="rows" aria-label="Files">
        {files?.map((file) => (
          <FileRow key={file.id} file={file} />
        ))}
      </ul>
    </div>
  );
}

function FileRow({ file }: { file: FileObject }) {
  const remove = useDeleteFile();
  const [isDeleting, setDeleting] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  return (
    <li className="file-row">
      <FileText size={17} aria-hidden />
      <div className="card-main">
        <span className="wrap-anywhere">{file.filename}</span>
        <p className="dim small">{[file.purpose, dateTime(file.created_at)].join(" · ")}</p>
        {problem && <p className="field-problem small">{problem}</p>}
      </div>
      <span className="dim small">{bytes(file.bytes)}</span>
      {!UNREADABLE.has(file.purpose) && (
        <button
          type="button"
          className="icon-button"
          aria-label={`Download ${file.filename}`}
          onClick={() => void download(file.id, file.filename).catch((error: unknown) => setProblem(messageOf(error)))}
        >
          <Download size={16} aria-hidden />
        </button>
      )}
      <button
        type="button"
        className="icon-button"
        aria-label={`Delete ${file.filename}`}
        onClick={() => setDeleting(true)}
      >
        <Trash2 size={16} aria-hidden />
      </button>
      {isDeleting && (
        <ConfirmDialog
          title="Delete file?"
          text={`“${file.filename}” will be gone for good, from vector stores as well.`}
          verb="Delete"
          onConfirm={() => remove.mutateAsync(file.id)}
          onClose={() => setDeleting(false)}
        />
      )}
    </li>
  );
}
