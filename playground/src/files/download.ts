import { api } from "../api/client";

/** Hand a file of the server to the browser's downloads under this name. */
export async function download(fileId: string, name: string): Promise<void> {
  const content = await api().files.content(fileId);
  save(await content.blob(), name);
}

/** Hand bytes to the browser's downloads. */
export function save(blob: Blob, name: string): void {
  // As plain bytes, whatever it says of itself: what a file holds must not open as a page of this host.
  const url = URL.createObjectURL(new Blob([blob], { type: "application/octet-stream" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = baseName(name);
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** The last part of a path. */
export function baseName(path: string): string {
  return path.split(/[\\/]/).at(-1) || "file";
}
