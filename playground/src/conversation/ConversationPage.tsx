import { Code2, PanelRight } from "lucide-react";
import { useEffect, useMemo, useState } from "react";

import type { Assistant } from "../api/types";
import { Header } from "../app/Header";
import { Missing } from "../app/Missing";
import { usePanels } from "../app/panels";
import { AssistantPicker } from "../assistants/AssistantPicker";
import { useAssistants } from "../assistants/queries";
import { CodeDialog } from "../export/CodeDialog";
import { Inspector } from "../inspector/Inspector";
import { titleOfThread, useThread } from "../threads/queries";
import { Composer } from "./Composer";
import { type Conversation, latestRun } from "./conversation";
import { useConversation, useConversations } from "./conversations";
import { ConversationRuntime } from "./ConversationRuntime";
import { MessageList } from "./MessageList";
import { Problem } from "./Problem";
import { Welcome } from "./Welcome";

/** A thread with its inspector, or the place where a new one begins. */
export function ConversationPage({ threadId }: { threadId: string | null }) {
  return threadId ? <OpenThread key={threadId} threadId={threadId} /> : <NewThread />;
}

function NewThread() {
  const query = useAssistants();
  const chosenId = usePanels((state) => state.chosen[""]);
  const assistant = find(query.data, chosenId) ?? query.data?.[0] ?? null;
  return (
    <ConversationRuntime conversation={null} assistant={assistant}>
      <Header title={<AssistantPicker threadId="" assistant={assistant} />} />
      <Welcome assistant={assistant} query={query} />
      <Composer conversation={null} assistant={assistant} />
    </ConversationRuntime>
  );
}

function OpenThread({ threadId }: { threadId: string }) {
  const conversations = useConversations();
  const conversation = useMemo(() => conversations.of(threadId), [conversations, threadId]);
  const assistant = useAnsweringAssistant(conversation, threadId);
  const { isInspectorOpen, toggleInspector } = usePanels();
  const [isCodeOpen, setCodeOpen] = useState(false);
  const { data: thread } = useThread(threadId);
  const title = titleOfThread(thread);
  const phase = useConversation(conversation, (state) => state.phase);
  useEffect(() => {
    const refresh = () => void conversation.refresh();
    refresh();
    window.addEventListener("focus", refresh);
    return () => window.removeEventListener("focus", refresh);
  }, [conversation]);

  if (phase === "missing") {
    return (
      <Missing to={{ href: "#/", label: "New thread" }}>
        There is no thread <code>{threadId}</code>: it was deleted, or it is another project’s.
      </Missing>
    );
  }
  return (
    <ConversationRuntime conversation={conversation} assistant={assistant}>
      <div className="conversation-frame">
        <div className="conversation">
          <Header title={<AssistantPicker threadId={threadId} assistant={assistant} />}>
            <button
              type="button"
              className="button quiet code-button"
              disabled={phase !== "open"}
              onClick={() => setCodeOpen(true)}
            >
              <Code2 size={16} aria-hidden /> <span>Code</span>
            </button>
            <button
              type="button"
              className="icon-button"
              aria-label="Inspector"
              title="Inspector"
              aria-pressed={isInspectorOpen}
              onClick={() => toggleInspector(!isInspectorOpen)}
            >
              <PanelRight size={18} aria-hidden />
            </button>
          </Header>
          <h1 className="visually-hidden">{title || "Thread"}</h1>
          <MessageList conversation={conversation} />
          <Problem conversation={conversation} />
          <Composer conversation={conversation} assistant={assistant} />
        </div>
        {isInspectorOpen && <Inspector conversation={conversation} />}
      </div>
      {isCodeOpen && (
        <CodeDialog conversation={conversation} assistant={assistant} onClose={() => setCodeOpen(false)} />
      )}
    </ConversationRuntime>
  );
}

/** Who answers next: who was chosen in this visit, who answered last, or the newest assistant. */
function useAnsweringAssistant(conversation: Conversation, threadId: string): Assistant | null {
  const { data: assistants } = useAssistants();
  const chosenId = usePanels((state) => state.chosen[threadId]);
  const lastId = useConversation(conversation, (state) => latestRun(state.view)?.assistant_id);
  return find(assistants, chosenId) ?? find(assistants, lastId) ?? assistants?.[0] ?? null;
}

function find(assistants: Assistant[] | undefined, id: string | undefined): Assistant | undefined {
  return assistants?.find((assistant) => assistant.id === id);
}
