import { Download, ImageOff } from "lucide-react";
import { useEffect, useMemo, useState } from "react";

import { save } from "./download";
import { useFileContent } from "./queries";

/** A picture among the server's files. */
export function FileImage({ fileId }: { fileId: string }) {
  const { data: blob, error } = useFileContent(fileId);
  const url = useMemo(() => (blob ? URL.createObjectURL(blob) : null), [blob]);
  const [isBroken, setBroken] = useState(false);
  useEffect(() => (url ? () => URL.revokeObjectURL(url) : undefined), [url]);
  if (error || isBroken) {
    return (
      <p className="dim small">
        <ImageOff size={15} aria-hidden /> The picture {fileId} cannot be shown.
      </p>
    );
  }
  return (
    <figure className="picture">
      {url ? (
        <img src={url} alt="Picture in the conversation" onError={() => setBroken(true)} />
      ) : (
        <div className="picture-empty" />
      )}
      {blob && (
        <button
          type="button"
          className="icon-button"
          aria-label="Download picture"
          title="Download picture"
          onClick={() => save(blob, `${fileId}.png`)}
        >
          <Download size={15} aria-hidden />
        </button>
      )}
    </figure>
  );
}
