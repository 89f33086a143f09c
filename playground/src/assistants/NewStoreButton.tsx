import { Upload } from "lucide-react";

import { messageOf } from "../api/errors";
import { FileButton } from "../files/FileButton";
import { useUploadToNewStore } from "../files/queries";

/** Uploads files into a new vector store. They are read while the form is filled in. */
export function NewStoreButton({ name, onCreated }: { name: string; onCreated: (storeId: string) => void }) {
  const upload = useUploadToNewStore();
  return (
    <>
      <FileButton onFiles={(files) => upload.mutate({ name, files, onCreated })} disabled={upload.isPending}>
        <Upload size={15} aria-hidden /> {upload.isPending ? "Uploading …" : "Upload files to search"}
      </FileButton>
      {upload.error && <span className="field-problem">{messageOf(upload.error)}</span>}
    </>
  );
}
