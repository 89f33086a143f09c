/** Files put on a message that is being written: uploaded at once, so that sending need not wait. */
import type { AttachmentAdapter, CompleteAttachment } from "@assistant-ui/react";

import { api } from "../api/client";
import { messageOf } from "../api/errors";
import type { Attached } from "./message";

/** Pictures that models are shown; every other file is for the tools. */
const PICTURES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"]);

let counter = 0;

/** Uploads belong to one composer. */
export function uploads(): AttachmentAdapter {
  const fileIds = new Map<string, Promise<string>>();
  return {
    accept: "*",
    async *add({ file }) {
      const id = `upload-${++counter}`;
      const isPicture = PICTURES.has(file.type);
      const begun = {
        id,
        type: isPicture ? ("image" as const) : ("document" as const),
        name: file.name,
        contentType: file.type,
        file,
      };
      const uploading = api().files.create({ file, purpose: isPicture ? "vision" : "assistants" });
      fileIds.set(id, uploading.then((uploaded) => uploaded.id));
      yield { ...begun, status: { type: "running", reason: "uploading", progress: 0 } };
      try {
        await uploading;
        yield { ...begun, status: { type: "requires-action", reason: "composer-send" } };
      } catch (error) {
        yield { ...begun, status: { type: "incomplete", reason: "error", message: messageOf(error) } };
      }
    },
    async remove({ id }) {
      const fileId = await fileIds.get(id)?.catch(() => null);
      fileIds.delete(id);
      if (fileId) await api().files.delete(fileId).catch(() => {});
    },
    async send(attachment) {
      const fileId = await fileIds.get(attachment.id);
      if (!fileId) throw new Error(`${attachment.name} was not uploaded.`);
      return {
        ...attachment,
        status: { type: "complete" },
        content: [{ type: "file", data: fileId, mimeType: attachment.contentType ?? "", filename: attachment.name }],
      };
    },
  };
}

/** What was uploaded, as a message takes it. */
export function attachedOf(attachments: readonly CompleteAttachment[] | undefined): Attached[] {
  return (attachments ?? []).flatMap(({ type, content }) =>
    content.flatMap((part) => (part.type === "file" ? [{ fileId: part.data, isPicture: type === "image" }] : [])),
  );
}
