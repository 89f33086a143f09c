/** A dialog: the browser's own, which keeps the focus inside and closes with Escape. */
import { X } from "lucide-react";
import { type ReactNode, useEffect, useId, useRef } from "react";

export interface DialogProps {
  title: string;
  onClose: () => void;
  children: ReactNode;
  /** Buttons at its foot. */
  actions?: ReactNode;
  size?: "small" | "large";
}

/** Shown as long as it is mounted. */
export function Dialog({ title, onClose, children, actions, size = "small" }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => {
    const element = dialog.current;
    const before = document.activeElement;
    if (element && !element.open) element.showModal();
    element?.querySelector<HTMLElement>(".dialog-content input")?.focus();
    // The browser gives the focus back only if it closes the dialog itself; a choice takes the dialog out of the page.
    return () => {
      // Who was given the focus back may have moved it on before this dialog left the page.
      if (document.activeElement !== document.body) return;
      focusOn(before?.isConnected ? before : document.getElementById("main"));
    };
  }, []);
  return (
    <dialog
      ref={dialog}
      className={`dialog ${size}`}
      aria-labelledby={heading}
      onClose={(event) => event.target === dialog.current && onClose()}
      onClick={(event) => event.target === dialog.current && dialog.current.close()}
    >
      <div className="dialog-body">
        <header className="dialog-head">
          <h2 id={heading}>{title}</h2>
          <button type="button" className="icon-button" aria-label="Close" onClick={() => dialog.current?.close()}>
            <X size={18} aria-hidden />
          </button>
        </header>
        <div className="dialog-content">{children}</div>
        {actions && <footer className="dialog-actions">{actions}</footer>}
      </div>
    </dialog>
  );
}

function focusOn(element: Element | null): void {
  if (element instanceof HTMLElement) element.focus();
}
