import { CircleAlert, Info, X } from "lucide-react";
import type { ReactNode } from "react";

export interface NoticeProps {
  kind: "error" | "info";
  children: ReactNode;
  onDismiss?: () => void;
}

/** A line that says what is the matter. Errors are read out at once. */
export function Notice({ kind, children, onDismiss }: NoticeProps) {
  const Icon = kind === "error" ? CircleAlert : Info;
  return (
    <div className={`notice ${kind}`} role={kind === "error" ? "alert" : "status"}>
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
