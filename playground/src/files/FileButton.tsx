import { type ReactNode, useRef } from "react";

export interface FileButtonProps {
  onFiles: (files: File[]) => void;
  disabled?: boolean;
  children: ReactNode;
  className?: string;
}

/** A button that asks for files. */
export function FileButton({ onFiles, disabled, children, className = "button" }: FileButtonProps) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <button type="button" className={className} disabled={disabled} onClick={() => input.current?.click()}>
        {children}
      </button>
      <input
        ref={input}
        type="file"
        multiple
        hidden
        onChange={(event) => {
          const files = [...(event.target.files ?? [])];
          event.target.value = ""; // so that the same file can be chosen again
          if (files.length) onFiles(files);
        }}
      />
    </>
  );
}
