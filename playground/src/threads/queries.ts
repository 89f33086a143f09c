/** Threads, as the server has them. */
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { api } from "../api/client";
import { listThreads } from "../api/ours";
import type { Thread } from "../api/types";

export function useThreads(text: string) {
  return useInfiniteQuery({
    queryKey: ["threads", text],
    queryFn: ({ pageParam }) => listThreads(text, pageParam),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => (page.has_more ? (page.last_id ?? undefined) : undefined),
    placeholderData: (before) => before,
  });
}

export function useThread(threadId: string) {
  return useQuery({ queryKey: ["thread", threadId], queryFn: () => api().beta.threads.retrieve(threadId) });
}

/** A thread's title: by convention in its metadata. */
export function titleOfThread(thread: Pick<Thread, "metadata"> | undefined): string {
  return thread?.metadata?.["title"] ?? "";
}

export function useRenameThread() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: async ({ id, title }: { id: string; title: string }) => {
      // All metadata is replaced: what it holds beside the title has to be of now, not of when the list was read.
      const metadata = { ...(await api().beta.threads.retrieve(id)).metadata };
      if (title) metadata["title"] = title;
      else delete metadata["title"];
      return api().beta.threads.update(id, { metadata });
    },
    onSuccess: (saved) => {
      queries.setQueryData(["thread", saved.id], saved);
      return queries.invalidateQueries({ queryKey: ["threads"] });
    },
  });
}

export function useDeleteThread() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (id: string) => api().beta.threads.delete(id),
    onSettled: () => queries.invalidateQueries({ queryKey: ["threads"] }),
  });
}
