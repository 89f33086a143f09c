import { ChevronRight, Code2, Search, SquareFunction, TriangleAlert } from "lucide-react";
import { memo, useMemo } from "react";

import type { FileSearchToolCall, RunStatus, ToolCall } from "../api/types";
import { FileImage } from "../files/FileImage";
import { Highlighted } from "../markdown/Highlighted";
import { prettyJson } from "../ui/format";
import { type CallState, titleOfCall } from "./calls";
import { raisedIn } from "./raised";

export interface ToolCallProps {
  call: ToolCall;
  state: CallState;
  runStatus: RunStatus;
}

/** What the assistant did with a tool: a line that opens. Code shows itself while it is written. */
export const ToolCallCard = memo(function ToolCallCard({ call, state, runStatus }: ToolCallProps) {
  const raised = useMemo(() => exceptionOf(call), [call]);
  const Icon = raised ? TriangleAlert : ICONS[call.type];
  return (
    <details className={`call ${raised ? "bad" : ""}`} open={call.type === "code_interpreter" && state === "live" ? true : undefined}>
      <summary>
        <ChevronRight size={15} aria-hidden className="chevron" />
        <Icon size={15} aria-hidden />
        <span className="wrap-anywhere">{titleOfCall(call, state, runStatus, raised)}</span>
      </summary>
      <div className="call-body">
        <CallBody call={call} state={state} runStatus={runStatus} />
      </div>
    </details>
  );
});

const ICONS = { code_interpreter: Code2, file_search: Search, function: SquareFunction };

/** The exception that the code of a call ended with. */
function exceptionOf(call: ToolCall): string | null {
  if (call.type !== "code_interpreter") return null;
  for (const output of call.code_interpreter?.outputs ?? []) {
    const raised = output.type === "logs" && output.logs ? raisedIn(output.logs) : null;
    if (raised) return raised.name;
  }
  return null;
}

/** A tool call in full: its input and what came of it. */
export function CallBody({ call, state, runStatus }: ToolCallProps) {
  switch (call.type) {
    case "code_interpreter":
      return (
        <>
          <Highlighted code={call.code_interpreter?.input ?? ""} language="python" label="Code" />
          {(call.code_interpreter?.outputs ?? []).map((output, index) =>
            output.type === "image" ? (
              <FileImage key={index} fileId={output.image.file_id} />
            ) : (
              <Logs key={index} logs={output.logs ?? ""} />
            ),
          )}
        </>
      );
    case "file_search":
      return <Hits results={call.file_search?.results ?? []} state={state} />;
    case "function":
      return (
        <>
          <Highlighted code={prettyJson(call.function?.arguments ?? "")} language="json" label="Arguments" />
          {call.function?.output !== null && call.function?.output !== undefined && (
            <pre className="output" tabIndex={0} role="group" aria-label="Output">
              {prettyJson(call.function.output)}
            </pre>
          )}
          {state === "unanswered" && (
            <p className="dim small">No output was given: the run is {runStatus.replaceAll("_", " ")}.</p>
          )}
        </>
      );
  }
}

/** What code printed, and the traceback that it ended with. */
function Logs({ logs }: { logs: string }) {
  const raised = useMemo(() => raisedIn(logs), [logs]);
  const printed = raised ? raised.before : logs;
  return (
    <>
      {(printed || !raised) && (
        <pre className="output" tabIndex={0} role="group" aria-label="Output">
          {printed}
        </pre>
      )}
      {raised && (
        <pre className="output raised" tabIndex={0} role="group" aria-label="Traceback">
          {raised.traceback}
        </pre>
      )}
    </>
  );
}

interface HitsProps {
  results: NonNullable<FileSearchToolCall["file_search"]["results"]>;
  state: CallState;
}

function Hits({ results, state }: HitsProps) {
  if (state === "live") return <p className="dim">Searching …</p>;
  if (!results.length) return <p className="dim">{state === "done" ? "Nothing was found." : "It ended before its results."}</p>;
  return (
    <ol className="hits">
      {results.map((result, index) => (
        <li key={index}>
          <details>
            <summary>
              <ChevronRight size={14} aria-hidden className="chevron" />
              <span className="hit-name">{result.file_name}</span>
              <meter
                min={0}
                max={1}
                value={result.score}
                aria-label={`Score ${result.score.toFixed(2)}`}
                title={`Score ${result.score.toFixed(3)}`}
              />
              <span className="hit-score">{result.score.toFixed(2)}</span>
            </summary>
            <div className="passage small">
              {(result.content ?? []).map((part) => part.text ?? "").join("\n") || "Its words are not shown."}
            </div>
          </details>
        </li>
      ))}
    </ol>
  );
}
