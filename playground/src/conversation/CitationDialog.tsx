import { useEffect, useRef } from "react";

import type { Annotation, Message } from "../api/types";
import { useFile } from "../files/queries";
import { Dialog } from "../ui/Dialog";
import type { Reading } from "./conversation";
import { useConversation } from "./conversations";
import { useRowConversation } from "./MessageList";
import { passageOf, split } from "./passage";

type Citation = Extract<Annotation, { type: "file_citation" }>;

/** What is said in place of a passage. */
const ABSENT: Record<Reading, string> = {
  reading: "Loading the passage …",
  failed: "The passage could not be loaded.",
  read: "The passage is no longer kept.",
};

export interface CitationDialogProps {
  citation: Citation;
  message: Message;
  onClose: () => void;
}

/** The passage that a statement rests on, with the quoted words marked. */
export function CitationDialog({ citation, message, onClose }: CitationDialogProps) {
  const conversation = useRowConversation();
  const runId = message.run_id ?? "";
  const steps = useConversation(conversation, (state) => state.view.runs[runId]?.steps);
  const fileId = citation.file_citation.file_id;
  // The quote is assistd's own addition to a citation.
  const quote = (citation.file_citation as { quote?: string }).quote ?? "";
  const { data: file } = useFile(fileId);
  const passage = passageOf(steps ?? [], { fileId, quote });
  const reading = useConversation(conversation, (state) => state.steps[runId]);

  const isLoaded = !!steps?.length;
  useEffect(() => {
    if (!isLoaded && runId) void conversation.loadSteps(runId);
  }, [conversation, runId, isLoaded]);

  const mark = useRef<HTMLElement>(null);
  useEffect(() => {
    mark.current?.scrollIntoView({ block: "center" }); // in newer browsers a promise, which is no clean-up
  }, [passage?.text]);

  const parts = passage && split(passage.text, quote);
  return (
    <Dialog title={passage?.fileName ?? file?.filename ?? fileId} onClose={onClose} size="large">
      {passage && <p className="dim small">Found with a score of {passage.score.toFixed(2)}.</p>}
      <div className="passage" tabIndex={0} role="group" aria-label="Cited passage">
        {parts ? (
          <>
            {parts[0]}
            <mark ref={mark}>{parts[1]}</mark>
            {parts[2]}
          </>
        ) : (
          <>
            {quote && <mark ref={mark}>{quote}</mark>}
            {passage && (quote ? `\n\n${passage.text}` : passage.text)}
            {!quote && !passage && (!runId || reading ? ABSENT[reading ?? "read"] : ABSENT.reading)}
          </>
        )}
      </div>
    </Dialog>
  );
}
