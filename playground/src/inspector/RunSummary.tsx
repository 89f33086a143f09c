import type { Run } from "../api/types";
import type { Conversation } from "../conversation/conversation";
import { useConversation } from "../conversation/conversations";
import { CopyButton } from "../ui/CopyButton";
import { count, duration } from "../ui/format";
import { Status } from "../ui/Status";
import { timesOf } from "./times";

/** A run at a glance. */
export function RunSummary({ run, conversation }: { run: Run; conversation: Conversation }) {
  const events = useConversation(conversation, (state) => state.events[run.id]);
  const asked = useConversation(conversation, (state) => state.asked[run.id]);
  const times = timesOf(events ?? [], asked);
  const ended = run.completed_at ?? run.failed_at ?? run.cancelled_at;
  return (
    <div className="summary">
      <div className="summary-head">
        <Status status={run.status} />
        <code className="id">{run.id}</code>
        <CopyButton what="run id" text={() => run.id} />
      </div>
      <dl className="facts">
        <Fact name="Model" value={run.model} />
        {run.usage && (
          <Fact name="Tokens" value={`${count(run.usage.prompt_tokens)} + ${count(run.usage.completion_tokens)}`} />
        )}
        {times.firstWords !== null && <Fact name="First words" value={duration(times.firstWords)} />}
        {times.whole !== null ? (
          <Fact name="Took" value={duration(times.whole)} />
        ) : (
          run.started_at && ended && <Fact name="Took" value={wholeSeconds(ended - run.started_at)} />
        )}
        {typeof run.temperature === "number" && run.temperature !== 1 && (
          <Fact name="Temperature" value={String(run.temperature)} />
        )}
      </dl>
      {run.last_error && (
        <p className="field-problem wrap-anywhere">
          {run.last_error.code}: {run.last_error.message}
        </p>
      )}
    </div>
  );
}

/** The API's times are whole seconds. */
export function wholeSeconds(seconds: number): string {
  return seconds < 1 ? "under 1 s" : seconds < 60 ? `${seconds} s` : duration(seconds * 1000);
}

export function Fact({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd className="wrap-anywhere">{value}</dd>
    </div>
  );
}
