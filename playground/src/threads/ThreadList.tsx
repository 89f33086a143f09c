import { Pencil, Search, Trash2 } from "lucide-react";
import { useDeferredValue, useState } from "react";

import type { Thread } from "../api/types";
import { QueryState } from "../app/QueryState";
import { go, hashOf } from "../app/route";
import { useConversations } from "../conversation/conversations";
import { ConfirmDialog } from "../ui/ConfirmDialog";
import { ago, dateTime } from "../ui/format";
import { Loading } from "../ui/Loading";
import { Menu } from "../ui/Menu";
import { titleOfThread, useDeleteThread, useThreads } from "./queries";
import { RenameDialog } from "./RenameDialog";

/** All threads, newest first, and those that a text is found in. */
export function ThreadList({ current }: { current: string | null }) {
  const [text, setText] = useState("");
  const sought = useDeferredValue(text.trim());
  const query = useThreads(sought);
  const { data, hasNextPage, fetchNextPage, isFetchingNextPage, isPlaceholderData } = query;
  const [renamed, setRenamed] = useState<Thread | null>(null);
  const [deleted, setDeleted] = useState<Thread | null>(null);
  const remove = useDeleteThread();
  const conversations = useConversations();
  const threads = data?.pages.flatMap((page) => page.data) ?? [];

  const confirmDelete = async (thread: Thread) => {
    await remove.mutateAsync(thread.id);
    conversations.forget(thread.id);
    if (thread.id === current) go({ page: "thread", threadId: null });
  };

  return (
    <section className="threads" aria-label="Threads">
      <div className="search">
        <Search size={15} aria-hidden />
        <input
          type="search"
          placeholder="Search titles and metadata"
          aria-label="Search threads by title or metadata"
          value={text}
          onChange={(event) => setText(event.target.value)}
        />
      </div>
      <div className="threads-scroll" tabIndex={-1}>
        {!data && <QueryState of={query} what="threads" />}
        {isPlaceholderData && <Loading what="threads" />}
        {data && !isPlaceholderData && threads.length === 0 && (
          <p className="dim small pad wrap-anywhere">
            {sought
              ? `No thread has “${sought}” in its title or other metadata. The words of messages are not searched.`
              : "No threads yet."}
          </p>
        )}
        <ul>
          {threads.map((thread) => (
            <li key={thread.id} className="thread-row">
              <a
                href={hashOf({ page: "thread", threadId: thread.id })}
                aria-current={thread.id === current ? "page" : undefined}
                title={`${titleOfThread(thread) || thread.id}\n${dateTime(thread.created_at)}`}
              >
                <span className="thread-title">{titleOfThread(thread) || <i>{thread.id}</i>}</span>
                <span className="thread-age">{ago(thread.created_at)}</span>
              </a>
              <Menu
                label={`Thread ${titleOfThread(thread) || thread.id}`}
                entries={[
                  { label: "Rename", icon: <Pencil size={15} aria-hidden />, onSelect: () => setRenamed(thread) },
                  {
                    label: "Delete",
                    icon: <Trash2 size={15} aria-hidden />,
                    isDanger: true,
                    onSelect: () => setDeleted(thread),
                  },
                ]}
              />
            </li>
          ))}
        </ul>
        {hasNextPage && (
          <button
            type="button"
            className="button quiet wide"
            disabled={isFetchingNextPage}
            onClick={() => void fetchNextPage()}
          >
            Show older
          </button>
        )}
      </div>
      {renamed && <RenameDialog thread={renamed} onClose={() => setRenamed(null)} />}
      {deleted && (
        <ConfirmDialog
          title="Delete thread?"
          text={`“${titleOfThread(deleted) || deleted.id}” and all its messages will be gone for good.`}
          verb="Delete"
          onConfirm={() => confirmDelete(deleted)}
          onClose={() => setDeleted(null)}
        />
      )}
    </section>
  );
}
