import { FileText, ListTree } from "lucide-react";
import { memo } from "react";

import type { Message, MessageContent } from "../api/types";
import { usePanels } from "../app/panels";
import { FileImage } from "../files/FileImage";
import { useFile } from "../files/queries";
import { CopyButton } from "../ui/CopyButton";
import { dateTime } from "../ui/format";
import { TextPart } from "./TextPart";

/** A message of the user or an assistant. */
export const MessageRow = memo(function MessageRow({ message, isLive }: { message: Message; isLive: boolean }) {
  const isUser = message.role === "user";
  const inspect = usePanels((state) => state.inspect);
  const runId = message.run_id;
  return (
    <article
      className={`message ${message.role} ${isLive ? "live" : ""}`}
      aria-label={isUser ? "You" : "Assistant"}
      title={isUser ? dateTime(message.created_at) : undefined}
    >
      <div className="message-body">
        {message.content.map((part, index) => (
          <Part key={index} part={part} message={message} isLive={isLive} />
        ))}
        {(message.attachments ?? []).length > 0 && (
          <ul className="message-files" aria-label="Attached files">
            {message.attachments!.map(({ file_id: id }, index) => id && <AttachedFile key={index} fileId={id} />)}
          </ul>
        )}
        {message.status === "completed" && !isUser && !hasContent(message) && (
          <p className="dim small">The model ended without a word.</p>
        )}
        {message.status === "incomplete" && <p className="dim small">The answer was cut off.</p>}
      </div>
      {!isLive && (
        <div className="message-actions">
          <CopyButton what="message" text={() => textOf(message)} />
          {runId && (
            <button
              type="button"
              className="icon-button"
              aria-label="Inspect run"
              title="Inspect run"
              onClick={() => inspect(runId)}
            >
              <ListTree size={15} aria-hidden />
            </button>
          )}
        </div>
      )}
    </article>
  );
});

function Part({ part, message, isLive }: { part: MessageContent; message: Message; isLive: boolean }) {
  switch (part.type) {
    case "text":
      return message.role === "user" ? (
        <div className="plain">{part.text.value}</div>
      ) : (
        <TextPart text={part.text} message={message} isLive={isLive} />
      );
    case "image_file":
      return <FileImage fileId={part.image_file.file_id} />;
    case "image_url":
      // Never fetched from here: the address would tell another host who looks at it.
      return <p className="wrap-anywhere">[picture: {part.image_url.url.slice(0, 200)}]</p>;
    case "refusal":
      return <p className="refusal">{part.refusal}</p>;
    default:
      return null;
  }
}

function AttachedFile({ fileId }: { fileId: string }) {
  const { data } = useFile(fileId);
  return (
    <li className="chip">
      <FileText size={14} aria-hidden />
      <span className="chip-name">{data?.filename ?? fileId}</span>
    </li>
  );
}

function hasContent(message: Message): boolean {
  return message.content.some((part) => part.type !== "text" || part.text.value.trim() !== "");
}

function textOf(message: Message): string {
  return message.content.map((part) => (part.type === "text" ? part.text.value : "")).join("\n");
}
