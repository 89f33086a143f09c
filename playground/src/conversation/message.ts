/** From what was typed and attached to a message of the API. Pure. */
import type { MessageCreateParams } from "openai/resources/beta/threads/messages";

import type { Assistant } from "../api/types";

export type NewMessage = MessageCreateParams;

/** A file that was uploaded for a message. */
export interface Attached {
  fileId: string;
  /** Pictures are shown to the model; other files are for its tools. */
  isPicture: boolean;
}

type FileTool = { type: "file_search" } | { type: "code_interpreter" };

/** The tools of an assistant that can do something with a file. */
export function fileTools(assistant: Pick<Assistant, "tools"> | null): FileTool[] {
  return (assistant?.tools ?? []).flatMap((tool): FileTool[] =>
    tool.type === "file_search" || tool.type === "code_interpreter" ? [{ type: tool.type }] : [],
  );
}

export function newMessage(text: string, attached: readonly Attached[], tools: FileTool[]): NewMessage {
  const pictures = attached.filter((file) => file.isPicture);
  const others = attached.filter((file) => !file.isPicture);
  return {
    role: "user",
    content: pictures.length
      ? [
          ...(text ? [{ type: "text" as const, text }] : []),
          ...pictures.map((file) => ({ type: "image_file" as const, image_file: { file_id: file.fileId } })),
        ]
      : text,
    ...(others.length && { attachments: others.map((file) => ({ file_id: file.fileId, tools })) }),
  };
}

/** A thread's title from its first words, as long as a line of the list. */
export function titleOf(text: string): string {
  const line = Array.from(text.trim().split(/\s+/).join(" ")); // whole characters: half an emoji is no text
  return line.length > 60 ? `${line.slice(0, 59).join("").trimEnd()}…` : line.join("");
}
