import { useQuery } from "@tanstack/react-query";
import { ChevronRight } from "lucide-react";

import { listPrompts } from "../api/ours";
import { hasEnded } from "../api/states";
import type { Prompt, PromptMessage, Run } from "../api/types";
import { QueryState } from "../app/QueryState";
import { CopyButton } from "../ui/CopyButton";
import { plural, prettyJson } from "../ui/format";
import { Json } from "../ui/Json";
import { Fact } from "./RunSummary";

/** Exactly what was sent to the model, turn by turn. */
export function Prompts({ threadId, run }: { threadId: string; run: Run }) {
  const query = useQuery({
    queryKey: ["prompts", run.id, run.status],
    queryFn: () => listPrompts(threadId, run.id),
    // Of the same run while it was queued, say: what is read stays in its place.
    placeholderData: (before, beforeQuery) => (beforeQuery?.queryKey[1] === run.id && before?.length ? before : undefined),
    refetchInterval: hasEnded(run.status) ? false : 1500,
  });
  if (!query.data) return <QueryState of={query} what="prompts" />;
  const { data } = query;
  if (!data.length) {
    return <p className="dim">{hasEnded(run.status) ? "Nothing was sent, or it is no longer kept." : "Nothing was sent yet."}</p>;
  }
  return (
    <ol className="prompts">
      {data.map((prompt) => (
        <li key={prompt.turn}>
          <details open={data.length === 1}>
            <summary>
              <ChevronRight size={15} aria-hidden className="chevron" />
              <b>Turn {prompt.turn}</b>
              <span className="dim">
                {plural(prompt.messages.length, "message")}
                {prompt.tools?.length ? `, ${plural(prompt.tools.length, "tool")}` : ""}
              </span>
            </summary>
            <Turn prompt={prompt} />
          </details>
        </li>
      ))}
    </ol>
  );
}

/** What a prompt says of itself, and what is shown in a place of its own. */
const SHOWN = new Set(["object", "id", "turn", "created_at", "step_id", "messages", "tools", "thread_id", "run_id"]);

function Turn({ prompt }: { prompt: Prompt }) {
  const settings = Object.entries(prompt).filter(([name, value]) => !SHOWN.has(name) && value !== null);
  return (
    <div className="stack">
      <dl className="facts">
        {settings.map(([name, value]) => (
          <Fact key={name} name={name.replaceAll("_", " ")} value={typeof value === "string" ? value : JSON.stringify(value)} />
        ))}
      </dl>
      {prompt.messages.map((message, index) => (
        <Sent key={index} message={message} />
      ))}
      {!!prompt.tools?.length && (
        <details>
          <summary>
            <ChevronRight size={14} aria-hidden className="chevron" /> {plural(prompt.tools.length, "tool")}
          </summary>
          <Json value={prompt.tools} label="Tools" />
        </details>
      )}
      <div className="row end">
        <CopyButton what="prompt as JSON" text={() => JSON.stringify(prompt, null, 2)} />
      </div>
    </div>
  );
}

function Sent({ message }: { message: PromptMessage }) {
  return (
    <section className={`sent ${message.role}`} aria-label={`${message.role} message`}>
      <h2>
        {message.role}
        {message.name ? ` · ${message.name}` : ""}
      </h2>
      {message.content !== null && message.content !== undefined && message.content !== "" && (
        <div className="sent-text">{textOf(message.content)}</div>
      )}
      {message.tool_calls?.map((call, index) => (
        <div key={call.id ?? index} className="sent-text mono">
          {call.function?.name}({prettyJson(call.function?.arguments ?? "")})
        </div>
      ))}
    </section>
  );
}

function textOf(content: unknown): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return JSON.stringify(content, null, 2);
  return content
    .map((part: { type?: string; text?: string }) => (part.type === "text" ? part.text : JSON.stringify(part, null, 2)))
    .join("\n");
}
