/**
 * assistant-ui's runtime for one conversation: it keeps the composer, its attachments, and whether a run is on.
 *
 * The messages stay in the conversation's own store and are drawn in a virtual list: the runtime holds a client for
 * every message that it knows of, which a thread of thousands would feel with every token.
 */
import {
  AssistantRuntimeProvider,
  type AppendMessage,
  MessageNotSentError,
  type ThreadMessage,
  useExternalStoreRuntime,
} from "@assistant-ui/react";
import { useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useMemo, useState } from "react";
import { createStore, useStore } from "zustand";

import { api } from "../api/client";
import { messageOf } from "../api/errors";
import { hasEnded } from "../api/states";
import type { Assistant } from "../api/types";
import { usePanels } from "../app/panels";
import { go } from "../app/route";
import { attachedOf, uploads } from "./attachments";
import { type Conversation, type ConversationState, latestRun } from "./conversation";
import { useConversations } from "./conversations";
import { fileTools, newMessage, titleOf } from "./message";
import { NewThreadProblem } from "./newThread";

const NONE: readonly ThreadMessage[] = [];
const IDLE = createStore<null>(() => null);

export interface ConversationRuntimeProps {
  /** Null where the thread is yet to be created. */
  conversation: Conversation | null;
  assistant: Assistant | null;
  children: ReactNode;
}

export function ConversationRuntime({ conversation, assistant, children }: ConversationRuntimeProps) {
  const [problem, setProblem] = useState<string | null>(null);
  const [isBeginning, setBeginning] = useState(false);
  const begin = useBeginThread();
  const state = useSending(conversation);
  const adapter = useMemo(() => uploads(), []);

  const onNew = async (message: AppendMessage) => {
    const text = message.content.map((part) => (part.type === "text" ? part.text : "")).join("");
    const created = newMessage(text.trim(), attachedOf(message.attachments), fileTools(assistant));
    setProblem(null);
    try {
      if (!assistant) throw new Error("Make an assistant first.");
      if (conversation) await conversation.send(created, assistant.id);
      else {
        setBeginning(true);
        await begin(created, titleOf(text) || (message.attachments?.[0]?.name ?? ""), assistant.id);
      }
    } catch (error) {
      setBeginning(false);
      setProblem(messageOf(error));
      throw new MessageNotSentError(messageOf(error)); // gives the words back to the composer
    }
  };

  const runtime = useExternalStoreRuntime({
    messages: NONE,
    isRunning: state === "busy",
    isSendDisabled: state === "waiting",
    isDisabled: isBeginning,
    onNew,
    onCancel: async () => conversation?.stop(),
    adapters: { attachments: adapter },
  });
  return (
    <AssistantRuntimeProvider runtime={runtime}>
      <NewThreadProblem value={conversation ? null : problem}>{children}</NewThreadProblem>
    </AssistantRuntimeProvider>
  );
}

/** Whether a message can be sent now; `waiting`: not before a run has the outputs of functions that it waits for. */
export type Sending = "idle" | "busy" | "waiting";

export function useSending(conversation: Conversation | null): Sending {
  return useStore(conversation?.store ?? IDLE, (now) => (now ? sendingOf(now) : "idle"));
}

function sendingOf(state: ConversationState): Sending {
  const run = latestRun(state.view);
  if (run?.status === "requires_action") return "waiting";
  return state.isSending || (run && !hasEnded(run.status)) ? "busy" : "idle";
}

/** Create a thread with its first message, go there, and run the assistant. */
export function useBeginThread() {
  const conversations = useConversations();
  const queries = useQueryClient();
  const choose = usePanels((state) => state.choose);
  return async (message: ReturnType<typeof newMessage>, title: string, assistantId: string) => {
    const thread = await api().beta.threads.create({ messages: [message], ...(title && { metadata: { title } }) });
    queries.setQueryData(["thread", thread.id], thread);
    void queries.invalidateQueries({ queryKey: ["threads"] });
    choose(thread.id, assistantId);
    const conversation = conversations.of(thread.id);
    go({ page: "thread", threadId: thread.id });
    await conversation.run(assistantId);
  };
}
