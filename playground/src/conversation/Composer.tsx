import { AttachmentPrimitive, AuiIf, ComposerPrimitive, useAui, useAuiState } from "@assistant-ui/react";
import { ArrowUp, FileText, Image, LoaderCircle, Paperclip, Square, TriangleAlert, X } from "lucide-react";
import { type FormEvent, type KeyboardEvent, useContext, useEffect, useRef, useState } from "react";

import type { Assistant } from "../api/types";
import { useAssistants } from "../assistants/queries";
import { Notice } from "../ui/Notice";
import type { Conversation } from "./conversation";
import { type Sending, useSending } from "./ConversationRuntime";
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
  const hold = useHold(useSending(conversation));
  const input = useFocusOnArrival(assistant !== null);
  useKeptWords(conversation?.store.getState().threadId ?? "");
  return (
    <div className="composer-area">
      {problem && <Notice kind="error">{problem}</Notice>}
      {hold.reason && <Notice kind="info">{hold.reason}</Notice>}
      <FilesWithoutTools assistant={assistant} />
      {conversation && <NobodyToAnswer />}
      <ComposerPrimitive.AttachmentDropzone className="composer-drop">
        <ComposerPrimitive.Root className="composer" onSubmit={hold.onSubmit}>
          <div className="composer-files">
            <ComposerPrimitive.Attachments>{() => <AttachmentChip />}</ComposerPrimitive.Attachments>
          </div>
          <ComposerPrimitive.Input
            ref={input}
            className="composer-input"
            aria-label="Message"
            placeholder={usePlaceholder(assistant)}
            rows={1}
            maxRows={10}
            cancelOnEscape={false}
            disabled={!assistant}
            onKeyDown={hold.onKeyDown}
          />
          <div className="composer-buttons">
            <ComposerPrimitive.AddAttachment className="icon-button" aria-label="Attach files" title="Attach files">
              <Paperclip size={18} aria-hidden />
            </ComposerPrimitive.AddAttachment>
            <AuiIf condition={(state) => !state.thread.isRunning}>
              {hold.isOn ? (
                // It can be pressed, to be told why nothing is sent.
                <button type="submit" className="send held" aria-label="Send message" title="Send message">
                  <ArrowUp size={18} aria-hidden />
                </button>
              ) : (
                <ComposerPrimitive.Send className="send" aria-label="Send message" title="Send message">
                  <ArrowUp size={18} aria-hidden />
                </ComposerPrimitive.Send>
              )}
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

function usePlaceholder(assistant: Assistant | null): string {
  const { data, error } = useAssistants();
  if (assistant) return `Message ${assistant.name || "the assistant"}`;
  if (data) return "Make an assistant first";
  return error ? "The assistants could not be loaded" : "Loading …";
}

const WHY: Record<Exclude<Sending, "idle">, string> = {
  busy: "Not sent: the assistant is still answering. Send it when the answer is there, or stop the run.",
  waiting: "Not sent: the run waits for the outputs of its functions. Give them, or cancel the run, then send it.",
};

/** Holds back what cannot be sent now, and says why to who tries. What is written stays. */
function useHold(sending: Sending) {
  const broken = useAuiState(
    (state) => state.composer.attachments.find(({ status }) => status.type === "incomplete")?.name ?? null,
  );
  const [tried, setTried] = useState<string | null>(null);
  const why =
    sending === "idle"
      ? broken && `Not sent: ${broken} could not be uploaded. Remove it, or attach it again.`
      : WHY[sending];
  const hold = (event: FormEvent | KeyboardEvent) => {
    setTried(why);
    if (why) event.preventDefault();
  };
  return {
    isOn: why !== null,
    reason: why !== null && tried === why ? why : null,
    onSubmit: hold,
    onKeyDown: (event: KeyboardEvent) => {
      const isSend = event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing;
      if (isSend && why) hold(event);
    },
  };
}

/** Who comes here writes next, unless they have turned to something else before that could be. */
function useFocusOnArrival(hasAssistant: boolean) {
  const input = useRef<HTMLTextAreaElement>(null);
  const [before] = useState(() => document.activeElement);
  const isEnabled = useAuiState((state) => !state.thread.isDisabled) && hasAssistant;
  const isRunning = useAuiState((state) => state.thread.isRunning);
  const hasCome = useRef(false);
  useEffect(() => {
    if (!isEnabled) return;
    const { activeElement } = document;
    // Who clicked the button that sends is left with nothing: it is gone.
    const isFree = activeElement === document.body || (!hasCome.current && activeElement === before);
    hasCome.current = true;
    if (isFree) input.current?.focus({ preventScroll: true });
  }, [before, isEnabled, isRunning]);
  return input;
}

/** Says what to do in a thread of a project without assistants. */
function NobodyToAnswer() {
  const { data } = useAssistants();
  if (data?.length !== 0) return null;
  return (
    <Notice kind="info">
      There is no assistant to answer. <a href="#/assistants/new">Make one</a> first.
    </Notice>
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
