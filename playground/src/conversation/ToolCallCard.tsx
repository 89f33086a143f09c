import { ChevronRight, Code2, Search, SquareFunction } from "lucide-react";
import { memo } from "react";

import type { FileSearchToolCall, ToolCall } from "../api/types";
import { FileImage } from "../files/FileImage";
import { Highlighted } from "../markdown/Highlighted";
import { plural, prettyJson } from "../ui/format";

/** What the assistant did with a tool: a line that opens. Code shows itself while it is written. */
export const ToolCallCard = memo(function ToolCallCard({ call, isLive }: { call: ToolCall; isLive: boolean }) {
  const Icon = call.type === "code_interpreter" ? Code2 : call.type === "file_search" ? Search : SquareFunction;
  return (
    <details className="call" open={call.type === "code_interpreter" && isLive ? true : undefined}>
      <summary>
        <ChevronRight size={15} aria-hidden className="chevron" />
        <Icon size={15} aria-hidden />
        <span>{titleOf(call, isLive)}</span>
      </summary>
      <div className="call-body">
        <CallBody call={call} />
      </div>
    </details>
  );
});

function titleOf(call: ToolCall, isLive: boolean): string {
  switch (call.type) {
    case "code_interpreter":
      return isLive ? "Running code" : "Ran code";
    case "file_search":
      return isLive ? "Searching files" : `Searched files: ${plural(call.file_search?.results?.length ?? 0, "result")}`;
    case "function":
      return `${isLive ? "Calling" : "Called"} ${call.function?.name ?? "a function"}`;
  }
}

/** A tool call in full: its input and what came of it. */
export function CallBody({ call }: { call: ToolCall }) {
  switch (call.type) {
    case "code_interpreter":
      return (
        <>
          <Highlighted code={call.code_interpreter?.input ?? ""} language="python" label="Code" />
          {(call.code_interpreter?.outputs ?? []).map((output, index) =>
            output.type === "image" ? (
              <FileImage key={index} fileId={output.image.file_id} />
            ) : (
              <pre key={index} className="output" tabIndex={0} role="group" aria-label="Output">
                {output.logs}
              </pre>
            ),
          )}
        </>
      );
    case "file_search":
      return <Hits results={call.file_search?.results ?? []} />;
    case "function":
      return (
        <>
          <Highlighted code={prettyJson(call.function?.arguments ?? "")} language="json" label="Arguments" />
          {call.function?.output !== null && call.function?.output !== undefined && (
            <pre className="output" tabIndex={0} role="group" aria-label="Output">
              {prettyJson(call.function.output)}
            </pre>
          )}
        </>
      );
  }
}

function Hits({ results }: { results: NonNullable<FileSearchToolCall["file_search"]["results"]> }) {
  if (!results.length) return <p className="dim">Nothing was found.</p>;
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
