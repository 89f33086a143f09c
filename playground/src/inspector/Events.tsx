import { ChevronRight } from "lucide-react";
import { memo, useEffect, useState } from "react";

import { hasEnded } from "../api/states";
import type { Run, StreamEvent } from "../api/types";
import type { Conversation } from "../conversation/conversation";
import { useConversation, useConversationEvery } from "../conversation/conversations";
import { Json } from "../ui/Json";
import { CopyButton } from "../ui/CopyButton";
import { Feed } from "../ui/Feed";
import { Unread } from "./Unread";

const NONE: readonly StreamEvent[] = [];
/** Nobody reads faster, and drawing every event by itself would take frames from the answer. In milliseconds. */
const SHOWN_EVERY = 150;

/** Every event of the stream, as it came. */
export function Events({ conversation, run }: { conversation: Conversation; run: Run }) {
  const known = useConversationEvery(SHOWN_EVERY, conversation, (state) => state.events[run.id]);
  const isAway = known === undefined && (hasEnded(run.status) || run.status === "requires_action");
  const reading = useConversation(conversation, (state) => state.replays[run.id]);
  const isReplayed = useConversation(conversation, (state) => state.asked[run.id] === undefined);
  useEffect(() => {
    if (isAway) void conversation.replay(run.id);
  }, [conversation, run.id, isAway]);

  const events = known ?? NONE;
  const begin = events[0]?.at ?? 0;
  if (!events.length) {
    return (
      <Unread
        what="events"
        reading={reading}
        isAway={isAway}
        empty={hasEnded(run.status) ? "The events are no longer kept." : "No events yet."}
        onRetry={() => void conversation.replay(run.id)}
      />
    );
  }
  return (
    <>
      <div className="events-head">
        <span className="dim small">
          {events.length} events{isReplayed ? ", replayed" : ""}
        </span>
        <CopyButton what="all events" text={() => events.map((event) => JSON.stringify(event)).join("\n")} />
      </div>
      <Feed
        rows={events}
        keyOf={indexOf}
        heightOf={lineHeight}
        draw={(event) => <EventRow event={event} begin={begin} />}
        label="Events"
        className="events"
      />
    </>
  );
}

const indexOf = (_: StreamEvent, index: number) => index;
const lineHeight = () => 28;

/** When an event reached the page, after the first one did. */
const EventRow = memo(function EventRow({ event, begin }: { event: StreamEvent; begin: number }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <details className="event" open={isOpen} onToggle={(change) => setOpen(change.currentTarget.open)}>
      <summary>
        <ChevronRight size={13} aria-hidden className="chevron" />
        <span className="event-name">{event.event.replace(/^thread\./, "")}</span>
        <span className="event-what">{whatOf(event)}</span>
        <span className="event-at">{event.id || "–"}</span>
        <span className="event-at">{event.at - begin} ms</span>
      </summary>
      {isOpen && <Json value={event.data} label="Data of the event" />}
    </details>
  );
});

interface Delta {
  delta?: {
    content?: { text?: { value?: string } }[];
    step_details?: {
      tool_calls?: { function?: { arguments?: string }; code_interpreter?: { input?: string } }[];
    };
  };
}

/** The words of a delta, in short. */
function whatOf({ data }: StreamEvent): string {
  const { delta } = (data ?? {}) as Delta;
  const text = delta?.content?.[0]?.text?.value;
  const call = delta?.step_details?.tool_calls?.[0];
  return (text ?? call?.function?.arguments ?? call?.code_interpreter?.input ?? "").slice(0, 80);
}
