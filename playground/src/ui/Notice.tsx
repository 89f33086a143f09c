import { CircleAlert, Info, X } from "lucide-react";
import type { ReactNode } from "react";

export interface NoticeProps {
  kind: "error" | "info";
  children: ReactNode;
  onDismiss?: () => void;
}

/** A line that says what is the matter. Errors are read out at once, and brought into view. */
export function Notice({ kind, children, onDismiss }: NoticeProps) {
  const Icon = kind === "error" ? CircleAlert : Info;
  return (
    <div ref={kind === "error" ? show : undefined} className={`notice ${kind}`} role={kind === "error" ? "alert" : "status"}>
      <Icon size={16} aria-hidden />
      <div className="notice-text">{children}</div>
      {onDismiss && (
        <button type="button" className="icon-button" aria-label="Dismiss" onClick={onDismiss}>
          <X size={15} aria-hidden />
        </button>
      )}
    </div>
  );
}

const show = (notice: HTMLElement | null) => notice?.scrollIntoView({ block: "nearest" });
