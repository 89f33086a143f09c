/** The conversations that are open. A few stay open behind the one that is shown, so that their runs stream on. */
import { useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useCallback, useContext, useEffect, useState, useSyncExternalStore } from "react";
import { useStore } from "zustand";

import { useKey } from "../api/key";
import { askForKey } from "../app/askForKey";
import { type Conversation, type ConversationState, createConversation, type Surroundings } from "./conversation";

const KEPT = 4;

export interface Conversations {
  of: (threadId: string) => Conversation;
  forget: (threadId: string) => void;
}

function createConversations(surroundings: Surroundings): Conversations & { closeAll: () => void } {
  const open = new Map<string, Conversation>();
  return {
    of(threadId) {
      const known = open.get(threadId);
      const conversation = known ?? createConversation(threadId, surroundings);
      open.delete(threadId);
      open.set(threadId, conversation); // the one asked for last is at the end
      if (!known) void conversation.open();
      for (const [id, old] of [...open].slice(0, Math.max(0, open.size - KEPT))) {
        old.close();
        open.delete(id);
      }
      return conversation;
    },
    forget(threadId) {
      open.get(threadId)?.close();
      open.delete(threadId);
    },
    closeAll() {
      for (const conversation of open.values()) conversation.close();
      open.clear();
    },
  };
}

const Context = createContext<Conversations | null>(null);

/** Another key is another project: its threads are others. */
export function ConversationsProvider({ children }: { children: ReactNode }) {
  const key = useKey((state) => state.key);
  return <OfKey key={key}>{children}</OfKey>;
}

function OfKey({ children }: { children: ReactNode }) {
  const queries = useQueryClient();
  const [conversations] = useState(() =>
    createConversations({
      onChanged: () => void queries.invalidateQueries({ queryKey: ["threads"] }),
      onRefused: askForKey,
    }),
  );
  useEffect(() => () => conversations.closeAll(), [conversations]);
  return <Context value={conversations}>{children}</Context>;
}

export function useConversations(): Conversations {
  const conversations = useContext(Context);
  if (!conversations) throw new Error("No ConversationsProvider above.");
  return conversations;
}

export function useConversation<T>(conversation: Conversation, select: (state: ConversationState) => T): T {
  return useStore(conversation.store, select);
}

/** The same, looked at no more often than this: for what changes faster than it can be read. */
export function useConversationEvery<T>(
  milliseconds: number,
  conversation: Conversation,
  select: (state: ConversationState) => T,
): T {
  const { store } = conversation;
  const subscribe = useCallback(
    (changed: () => void) => {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const look = () => {
        timer = undefined;
        changed();
      };
      const unsubscribe = store.subscribe(() => {
        timer ??= setTimeout(look, milliseconds);
      });
      return () => {
        unsubscribe();
        clearTimeout(timer);
      };
    },
    [store, milliseconds],
  );
  return useSyncExternalStore(subscribe, () => select(store.getState()));
}
