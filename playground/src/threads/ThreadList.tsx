import { Pencil, Search, Trash2 } from "lucide-react";
import { useDeferredValue, useState } from "react";

import { messageOf } from "../api/errors";
import type { Thread } from "../api/types";
import { go, hashOf } from "../app/route";
import { useConversations } from "../conversation/conversations";
import { ConfirmDialog } from "../ui/ConfirmDialog";
import { ago, dateTime } from "../ui/format";
import { Menu } from "../ui/Menu";
import { titleOfThread, useDeleteThread, useThreads } from "./queries";
import { RenameDialog } from "./RenameDialog";

/** All threads, newest first, and those that a text is found in. */
export function ThreadList({ current }: { current: string | null }) {
  const [text, setText] = useState("");
  const sought = useDeferredValue(text.trim());
  const { data, error, isPending, hasNextPage, fetchNextPage, isFetchingNextPage } = useThreads(sought);
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
          placeholder="Search threads"
          aria-label="Search threads by title or metadata"
          value={text}
          onChange={(event) => setText(event.target.value)}
        />
      </div>
      <div className="threads-scroll" tabIndex={-1}>
        {error && !data && <p className="dim small pad">{messageOf(error)}</p>}
        {!isPending && !error && threads.length === 0 && (
          <p className="dim small pad">{sought ? "No thread has this text." : "No threads yet."}</p>
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
