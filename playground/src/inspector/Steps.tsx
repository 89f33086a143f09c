import { hasEnded } from "../api/states";
import type { Run, RunStep } from "../api/types";
import type { Conversation } from "../conversation/conversation";
import { useConversation } from "../conversation/conversations";
import { stateOf } from "../conversation/calls";
import { CallBody } from "../conversation/ToolCallCard";
import { count } from "../ui/format";
import { Status } from "../ui/Status";
import { wholeSeconds } from "./RunSummary";
import { Unread } from "./Unread";

export interface StepsProps {
  run: Run;
  steps: readonly RunStep[];
  conversation: Conversation;
}

/** The steps of a run, with all that came of them. */
export function Steps({ run, steps, conversation }: StepsProps) {
  const reading = useConversation(conversation, (state) => state.steps[run.id]);
  if (!steps.length) {
    return (
      <Unread
        what="steps"
        reading={reading}
        empty={hasEnded(run.status) ? "The run ended before its first step." : "No steps yet."}
        isAway={hasEnded(run.status)}
        onRetry={() => void conversation.loadSteps(run.id)}
      />
    );
  }
  return (
    <ol className="steps">
      {steps.map((step) => (
        <Step key={step.id} run={run} step={step} conversation={conversation} />
      ))}
    </ol>
  );
}

function Step({ run, step, conversation }: { run: Run; step: RunStep; conversation: Conversation }) {
  const details = step.step_details;
  const ended = step.completed_at ?? step.failed_at ?? step.cancelled_at ?? step.expired_at;
  return (
    <li className="step">
      <div className="step-head">
        <b>{nameOf(step)}</b>
        <Status status={step.status} />
      </div>
      <p className="dim small">
        {[
          ended && wholeSeconds(ended - step.created_at),
          step.usage && `${count(step.usage.prompt_tokens)} + ${count(step.usage.completion_tokens)} tokens`,
        ]
          .filter(Boolean)
          .join(" · ")}
      </p>
      <code className="id">{step.id}</code>
      {step.last_error && (
        <p className="field-problem wrap-anywhere">
          {step.last_error.code}: {step.last_error.message}
        </p>
      )}
      {details.type === "tool_calls" ? (
        details.tool_calls.map((call, index) => (
          <section key={call.id ?? index} className="step-call" aria-label={call.type}>
            <h2>{call.type === "function" ? (call.function?.name ?? "function") : call.type.replaceAll("_", " ")}</h2>
            <CallBody call={call} state={stateOf(call, step, run)} runStatus={run.status} />
          </section>
        ))
      ) : (
        <Written messageId={details.message_creation.message_id} conversation={conversation} />
      )}
    </li>
  );
}

function nameOf(step: RunStep): string {
  return step.step_details.type === "message_creation" ? "Message" : "Tool calls";
}

const SHOWN = 400;

function Written({ messageId, conversation }: { messageId: string; conversation: Conversation }) {
  const text = useConversation(conversation, (state) => {
    const message = state.view.messages.findLast(({ id }) => id === messageId);
    const whole = message?.content.map((part) => (part.type === "text" ? part.text.value : `[${part.type}]`)).join("\n");
    return whole === undefined ? messageId : whole.length > SHOWN ? `${whole.slice(0, SHOWN)} …` : whole;
  });
  return <div className="written">{text}</div>;
}
