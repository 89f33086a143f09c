/** The conversation as a virtual list: only what is looked at is in the page, however long the thread is. */
import { ArrowDown } from "lucide-react";
import { createContext, useCallback, useContext, useEffect, useMemo, useRef, useState } from "react";
import { Virtuoso, type VirtuosoHandle } from "react-virtuoso";

import { Announcer } from "./Announcer";
import type { Conversation } from "./conversation";
import { useConversation } from "./conversations";
import { type Item, itemsOf } from "./items";
import { Row } from "./Row";
import { useStick } from "./stick";

/** Virtuoso counts rows from here, so that older ones can be put before the first. */
const BASE = 1_000_000;
/** Rows are drawn this far beyond the edges, and older messages are asked for. In pixels. */
const MARGIN = { top: 1200, bottom: 600 };

/** More screens than this are far. */
const FAR = 4;

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
  const anchor = useConversation(conversation, (state) => state.anchor);
  const [scroller, setScroller] = useState<HTMLElement | null>(null);
  const list = useRef<VirtuosoHandle>(null);
  const [epoch, setEpoch] = useState(0);
  const toEnd = useCallback(() => {
    const { scrollTop = 0, scrollHeight = 0, clientHeight = 0 } = scroller ?? {};
    // Far away, the way there is all guesses at heights: a list that begins at its end knows them.
    if (scrollHeight - scrollTop > FAR * clientHeight) setEpoch((now) => now + 1);
    else list.current?.scrollToIndex({ index: "LAST", align: "end" });
  }, [scroller]);
  const { isStuck, stick, follow } = useStick(scroller, toEnd);
  const items = useMemo(() => itemsOf(view), [view]);
  const first = useMemo(() => BASE - Math.max(0, items.findIndex((item) => item.id === anchor)), [items, anchor]);
  // Who writes wants to see the answer.
  const isSending = useConversation(conversation, (state) => state.isSending);
  useEffect(() => {
    if (isSending) stick();
  }, [isSending, stick]);
  const setElement = useCallback((element: HTMLElement | Window | null) => {
    if (element instanceof HTMLElement || element === null) setScroller(element);
  }, []);

  if (phase !== "open") {
    return (
      <div className="messages quiet-middle" aria-busy={phase === "opening"}>
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
      <div className="messages">
        <Virtuoso
          key={epoch}
          ref={list}
          className="messages-scroll"
          role="log"
          aria-live="off"
          aria-label="Messages"
          scrollerRef={setElement}
          data={items}
          firstItemIndex={first}
          initialTopMostItemIndex={{ index: "LAST", align: "end" }}
          computeItemKey={keyOf}
          itemContent={draw}
          increaseViewportBy={MARGIN}
          startReached={() => void conversation.loadOlder()}
          totalListHeightChanged={follow}
          components={COMPONENTS}
        />
        {!isStuck && (
          <button type="button" className="to-bottom" aria-label="Scroll to the newest" onClick={stick}>
            <ArrowDown size={18} aria-hidden />
          </button>
        )}
      </div>
      <Announcer items={items} />
    </InConversation>
  );
}

const keyOf = (_: number, item: Item) => item.id;
const draw = (_: number, item: Item) => <Row item={item} />;
const Space = () => <div className="messages-space" />;
const COMPONENTS = { Header: Space, Footer: Space };
