/** Files and vector stores, as the server has them. */
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { APIConnectionError } from "openai";
import type { FilePurpose } from "openai/resources/files";

import { api } from "../api/client";
import { messageOf, wantsKey } from "../api/errors";
import { gather } from "../api/gather";
import type { FileObject, VectorStore, VectorStoreFile } from "../api/types";

const MOST = 500;
const LOOK_MILLISECONDS = 1000;

export function useFiles() {
  return useQuery({
    queryKey: ["files"],
    queryFn: () => gather<FileObject>(api().files.list({ limit: 100, order: "desc" }), MOST),
  });
}

export function useStores() {
  return useQuery({
    queryKey: ["stores"],
    queryFn: () => gather<VectorStore>(api().vectorStores.list({ limit: 100, order: "desc" }), MOST),
    refetchInterval: (query) =>
      query.state.data?.some((store) => store.status === "in_progress") ? LOOK_MILLISECONDS : false,
  });
}

/** The files of a store, looked at again and again while one is being read. */
export function useStoreFiles(storeId: string) {
  const queries = useQueryClient();
  return useQuery({
    queryKey: ["store-files", storeId],
    queryFn: async () => {
      void queries.invalidateQueries({ queryKey: ["stores"] });
      return gather<VectorStoreFile>(api().vectorStores.files.list(storeId, { limit: 100, order: "desc" }), MOST);
    },
    refetchInterval: (query) =>
      query.state.data?.some((file) => file.status === "in_progress") ? LOOK_MILLISECONDS : false,
  });
}

/** One file's name, size and purpose. */
export function useFile(fileId: string | null) {
  return useQuery({
    queryKey: ["file", fileId],
    queryFn: () => api().files.retrieve(fileId!),
    enabled: fileId !== null,
    staleTime: Infinity,
    retry: false,
  });
}

/** The bytes of a file that may be downloaded. */
export function useFileContent(fileId: string) {
  return useQuery({
    queryKey: ["file-content", fileId],
    queryFn: async () => (await api().files.content(fileId)).blob(),
    staleTime: Infinity,
    gcTime: 60_000,
    retry: 1,
  });
}

/**
 * Upload files one after another, and hand each on.
 *
 * A file that cannot be uploaded or taken does not hold up the others, and nothing of it stays; at the end it is told
 * by name. What is not the fault of a file ends it at once.
 */
async function uploadEach(files: readonly File[], purpose: FilePurpose, take?: (id: string) => unknown): Promise<void> {
  const problems: string[] = [];
  for (const file of files) {
    try {
      const { id } = await api().files.create({ file, purpose });
      try {
        await take?.(id);
      } catch (error) {
        await api().files.delete(id).catch(() => {});
        throw error;
      }
    } catch (error) {
      if (wantsKey(error) || error instanceof APIConnectionError) throw error;
      problems.push(`${file.name}: ${messageOf(error)}`);
    }
  }
  if (problems.length) throw new Error(problems.join("\n"));
}

interface Upload {
  files: readonly File[];
  purpose: FilePurpose;
  /** Called with the id of each file that is there. */
  onUploaded?: (id: string) => void;
}

export function useUpload() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: ({ files, purpose, onUploaded }: Upload) => uploadEach(files, purpose, onUploaded),
    onSettled: () => queries.invalidateQueries({ queryKey: ["files"] }),
  });
}

/** Upload files into a new vector store; there is one if any of them could be uploaded. */
export function useUploadToNewStore() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: async ({ name, files, onCreated }: { name: string; files: readonly File[]; onCreated: (id: string) => void }) => {
      const file_ids: string[] = [];
      try {
        await uploadEach(files, "assistants", (id) => file_ids.push(id));
      } finally {
        if (file_ids.length) onCreated((await api().vectorStores.create({ name, file_ids })).id);
      }
    },
    onSettled: () => {
      void queries.invalidateQueries({ queryKey: ["files"] });
      void queries.invalidateQueries({ queryKey: ["stores"] });
    },
  });
}

export function useDeleteFile() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (id: string) => api().files.delete(id),
    onSettled: () => queries.invalidateQueries({ queryKey: ["files"] }),
  });
}

export function useCreateStore() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (name: string) => api().vectorStores.create({ name }),
    onSuccess: () => queries.invalidateQueries({ queryKey: ["stores"] }),
  });
}

export function useDeleteStore() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (id: string) => api().vectorStores.delete(id),
    onSettled: () => queries.invalidateQueries({ queryKey: ["stores"] }),
  });
}

/** Upload files into a store. */
export function useAddToStore(storeId: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (files: readonly File[]) =>
      uploadEach(files, "assistants", (file_id) => api().vectorStores.files.create(storeId, { file_id })),
    onSettled: () => {
      void queries.invalidateQueries({ queryKey: ["files"] });
      void queries.invalidateQueries({ queryKey: ["stores"] });
      void queries.invalidateQueries({ queryKey: ["store-files", storeId] });
    },
  });
}

export function useRemoveFromStore(storeId: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (fileId: string) => api().vectorStores.files.delete(fileId, { vector_store_id: storeId }),
    onSuccess: () => {
      void queries.invalidateQueries({ queryKey: ["stores"] });
      void queries.invalidateQueries({ queryKey: ["store-files", storeId] });
    },
  });
}
