import { AttachmentPrimitive, AuiIf, ComposerPrimitive, useAui, useAuiState } from "@assistant-ui/react";
import { ArrowUp, FileText, Image, LoaderCircle, Paperclip, Square, TriangleAlert, X } from "lucide-react";
import { useContext, useEffect } from "react";

import type { Assistant } from "../api/types";
import { Notice } from "../ui/Notice";
import type { Conversation } from "./conversation";
import { fileTools } from "./message";
import { NewThreadProblem } from "./newThread";
import { useWritten } from "./written";

export interface ComposerProps {
  conversation: Conversation | null;
  assistant: Assistant | null;
}

/** Where a message is written; files come by picker, drop or paste. */
export function Composer({ conversation, assistant }: ComposerProps) {
  const problem = useContext(NewThreadProblem);
  useKeptWords(conversation?.store.getState().threadId ?? "");
  return (
    <div className="composer-area">
      {problem && <Notice kind="error">{problem}</Notice>}
      <FilesWithoutTools assistant={assistant} />
      <ComposerPrimitive.AttachmentDropzone className="composer-drop">
        <ComposerPrimitive.Root className="composer">
          <div className="composer-files">
            <ComposerPrimitive.Attachments>{() => <AttachmentChip />}</ComposerPrimitive.Attachments>
          </div>
          <ComposerPrimitive.Input
            autoFocus
            className="composer-input"
            aria-label="Message"
            placeholder={assistant ? `Message ${assistant.name || "the assistant"}` : "Make an assistant first"}
            rows={1}
            maxRows={10}
            cancelOnEscape={false}
            disabled={!assistant}
          />
          <div className="composer-buttons">
            <ComposerPrimitive.AddAttachment className="icon-button" aria-label="Attach files" title="Attach files">
              <Paperclip size={18} aria-hidden />
            </ComposerPrimitive.AddAttachment>
            <AuiIf condition={(state) => !state.thread.isRunning}>
              <ComposerPrimitive.Send className="send" aria-label="Send message" title="Send message">
                <ArrowUp size={18} aria-hidden />
              </ComposerPrimitive.Send>
            </AuiIf>
            <AuiIf condition={(state) => state.thread.isRunning}>
              <ComposerPrimitive.Cancel className="send stop" aria-label="Stop" title="Stop">
                <Square size={14} aria-hidden fill="currentColor" />
              </ComposerPrimitive.Cancel>
            </AuiIf>
          </div>
        </ComposerPrimitive.Root>
      </ComposerPrimitive.AttachmentDropzone>
    </div>
  );
}

/** What is written stays while another place is looked at. */
function useKeptWords(threadId: string): void {
  const aui = useAui();
  const words = useAuiState((state) => state.composer.text);
  const keep = useWritten((state) => state.keep);
  useEffect(() => {
    const kept = useWritten.getState().words[threadId];
    if (kept) aui.composer().setText(kept);
  }, [aui, threadId]);
  useEffect(() => keep(threadId, words), [keep, threadId, words]);
}

function AttachmentChip() {
  const attachment = useAuiState((state) => state.attachment);
  const { status } = attachment;
  const isBusy = status.type === "running";
  const isBroken = status.type === "incomplete";
  const Icon = isBroken ? TriangleAlert : isBusy ? LoaderCircle : attachment.type === "image" ? Image : FileText;
  const said = isBusy ? "is being uploaded" : isBroken ? `could not be uploaded. ${status.message ?? ""}` : "";
  return (
    <AttachmentPrimitive.Root className={`chip ${isBroken ? "bad" : ""}`}>
      <Icon size={15} aria-hidden className={isBusy ? "spin" : ""} />
      <span className="chip-name" title={isBroken ? said : attachment.name}>
        {attachment.name} {said && <span className={isBroken ? "" : "visually-hidden"}>{said}</span>}
      </span>
      <AttachmentPrimitive.Remove className="icon-button" aria-label={`Remove ${attachment.name}`}>
        <X size={14} aria-hidden />
      </AttachmentPrimitive.Remove>
    </AttachmentPrimitive.Root>
  );
}

/** Says that files other than pictures are nothing to an assistant that has no tool for them. */
function FilesWithoutTools({ assistant }: { assistant: Assistant | null }) {
  const hasFiles = useAuiState((state) => state.composer.attachments.some((file) => file.type !== "image"));
  if (!hasFiles || !assistant || fileTools(assistant).length) return null;
  return (
    <Notice kind="info">
      {assistant.name || "This assistant"} has no tool to read files with.{" "}
      <a href={`#/assistants/${assistant.id}`}>Give it file search or the code interpreter</a> first.
    </Notice>
  );
}
