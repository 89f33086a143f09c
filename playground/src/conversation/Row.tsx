import { memo } from "react";

import type { Item } from "./items";
import { MessageRow } from "./MessageRow";
import { OutputsForm } from "./OutputsForm";
import { RunEnding } from "./RunEnding";
import { ToolCallCard } from "./ToolCallCard";

/** One row of the conversation. */
export const Row = memo(function Row({ item }: { item: Item }) {
  return <div className={`row-frame of-${item.kind}`}>{content(item)}</div>;
});

function content(item: Item) {
  switch (item.kind) {
    case "message":
      return <MessageRow message={item.message} isLive={item.isLive} />;
    case "call":
      return <ToolCallCard call={item.call} state={item.state} runStatus={item.runStatus} />;
    case "outputs":
      return <OutputsForm run={item.run} />;
    case "ending":
      return <RunEnding run={item.run} />;
    case "waiting":
      return (
        <div className="waiting">
          <span className="dots" aria-hidden>
            <i />
            <i />
            <i />
          </span>
          <span className="visually-hidden">The assistant is working.</span>
        </div>
      );
  }
}
