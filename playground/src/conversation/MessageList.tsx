/** The conversation as a list that is read at its end. */
import { createContext, useCallback, useContext, useMemo } from "react";

import { Feed } from "../ui/Feed";
import { Loading } from "../ui/Loading";
import { Announcer } from "./Announcer";
import type { Conversation } from "./conversation";
import { useConversation } from "./conversations";
import { type Item, itemsOf } from "./items";
import { Row } from "./Row";

const SPACE = 20;

const InConversation = createContext<Conversation | null>(null);

/** The conversation that a row belongs to. */
export function useRowConversation(): Conversation {
  const conversation = useContext(InConversation);
  if (!conversation) throw new Error("No MessageList above.");
  return conversation;
}

export function MessageList({ conversation }: { conversation: Conversation }) {
  const phase = useConversation(conversation, (state) => state.phase);
  const problem = useConversation(conversation, (state) => state.problem);
  const view = useConversation(conversation, (state) => state.view);
  // Who writes wants to see the answer.
  const isSending = useConversation(conversation, (state) => state.isSending);
  const items = useMemo(() => itemsOf(view), [view]);
  const loadOlder = useCallback(() => void conversation.loadOlder(), [conversation]);

  if (phase !== "open") {
    return (
      <div className="feed quiet-middle" aria-busy={phase === "opening"}>
        {phase === "opening" && <Loading what="messages" />}
        {phase === "failed" && (
          <div role="alert" className="stack center">
            <p>{problem}</p>
            <button type="button" className="button" onClick={() => void conversation.open()}>
              Try again
            </button>
          </div>
        )}
      </div>
    );
  }
  return (
    <InConversation value={conversation}>
      <Feed
        rows={items}
        keyOf={keyOf}
        heightOf={heightOf}
        draw={draw}
        label="Messages"
        role="log"
        className="messages"
        space={SPACE}
        isEndWanted={isSending}
        onStart={loadOlder}
      />
      <Announcer items={items} />
    </InConversation>
  );
}

const keyOf = (item: Item) => item.id;
const draw = (item: Item) => <Row item={item} />;

/** What is just beginning is as small as what it takes the place of, so that the end stays where it was. */
function heightOf(item: Item): number {
  return item.kind === "message" && !item.isLive ? 120 : 40;
}
