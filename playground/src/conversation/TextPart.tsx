import { Download } from "lucide-react";
import { type ReactNode, useCallback, useMemo, useState } from "react";

import type { Annotation, Message, TextContentBlock } from "../api/types";
import { messageOf } from "../api/errors";
import { CitationDialog } from "./CitationDialog";
import { baseName, download } from "../files/download";
import { Markdown } from "../markdown/Markdown";

type Citation = Extract<Annotation, { type: "file_citation" }>;

const isCitation = (note: Annotation): note is Citation => note.type === "file_citation";

export interface TextPartProps {
  text: TextContentBlock["text"];
  message: Message;
  isLive: boolean;
}

/** What an assistant wrote: Markdown, with citations that open and files that can be downloaded. */
export function TextPart({ text, message, isLive }: TextPartProps) {
  const [opened, setOpened] = useState<number | null>(null);
  const { annotations } = text;
  const citations = useMemo(() => annotations.filter(isCitation), [annotations]);
  const renderMarker = useCallback(
    (n: number): ReactNode => {
      const citation = citations[n];
      if (!citation) return null;
      return (
        <button
          type="button"
          className="citation"
          aria-label={`Citation ${n + 1}`}
          title={citation.text}
          onClick={() => setOpened(n)}
        >
          {n + 1}
        </button>
      );
    },
    [citations],
  );
  const renderSandboxLink = useCallback(
    (url: string, children: ReactNode): ReactNode => {
      const note = annotations.find((one) => one.type === "file_path" && sameUrl(one.text, url));
      if (note?.type !== "file_path") return <span>{children}</span>;
      return (
        <DownloadButton fileId={note.file_path.file_id} name={baseName(note.text)}>
          {children}
        </DownloadButton>
      );
    },
    [annotations],
  );
  const citation = opened === null ? undefined : citations[opened];
  return (
    <>
      <Markdown
        text={text.value}
        isLive={isLive}
        markers={citations}
        renderMarker={renderMarker}
        renderSandboxLink={renderSandboxLink}
      />
      {citation && <CitationDialog citation={citation} message={message} onClose={() => setOpened(null)} />}
    </>
  );
}

/** Markdown encodes what an annotation has as it was said: spaces, for one. */
function sameUrl(text: string, url: string): boolean {
  return text === url || decoded(text) === decoded(url);
}

function decoded(url: string): string {
  try {
    return decodeURIComponent(url);
  } catch {
    return url;
  }
}

function DownloadButton({ fileId, name, children }: { fileId: string; name: string; children: ReactNode }) {
  const [problem, setProblem] = useState<string | null>(null);
  const start = () => {
    setProblem(null);
    download(fileId, name).catch((error: unknown) => setProblem(messageOf(error)));
  };
  return (
    <>
      <button type="button" className="download" onClick={start} title={`Download ${name}`}>
        <Download size={14} aria-hidden /> {children}
      </button>
      {problem && (
        <span role="alert" className="field-problem">
          {" "}
          {problem}
        </span>
      )}
    </>
  );
}
