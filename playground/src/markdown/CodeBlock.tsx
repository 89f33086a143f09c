import { type ReactNode, useRef } from "react";

import { CopyButton } from "../ui/CopyButton";

/** A block of code that can be scrolled by keyboard and copied. */
export function CodeBlock({ children, label = "Code" }: { children: ReactNode; label?: string }) {
  const pre = useRef<HTMLPreElement>(null);
  return (
    <div className="code-block">
      <CopyButton className="code-copy" what="code" text={() => pre.current?.textContent ?? ""} />
      <pre ref={pre} tabIndex={0} role="group" aria-label={label}>
        {children}
      </pre>
    </div>
  );
}
