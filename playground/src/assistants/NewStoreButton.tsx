import { Upload } from "lucide-react";
import { useState } from "react";

import { api } from "../api/client";
import { messageOf } from "../api/errors";
import { FileButton } from "../files/FileButton";
import { useCreateStore } from "../files/queries";

/** Uploads files into a new vector store. They are read while the form is filled in. */
export function NewStoreButton({ name, onCreated }: { name: string; onCreated: (storeId: string) => void }) {
  const create = useCreateStore();
  const [isBusy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const add = async (files: File[]) => {
    setBusy(true);
    setProblem(null);
    try {
      const uploaded = await Promise.all(files.map((file) => api().files.create({ file, purpose: "assistants" })));
      const store = await create.mutateAsync(name);
      await api().vectorStores.fileBatches.create(store.id, { file_ids: uploaded.map(({ id }) => id) });
      onCreated(store.id);
    } catch (error) {
      setProblem(messageOf(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      <FileButton onFiles={(files) => void add(files)} disabled={isBusy}>
        <Upload size={15} aria-hidden /> {isBusy ? "Uploading …" : "Upload files to search"}
      </FileButton>
      {problem && <span className="field-problem">{problem}</span>}
    </>
  );
}
