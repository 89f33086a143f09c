import { useState } from "react";

import { messageOf } from "../api/errors";
import { Dialog } from "./Dialog";
import { Notice } from "./Notice";

export interface ConfirmDialogProps {
  title: string;
  text: string;
  /** The word on the button. */
  verb: string;
  onConfirm: () => Promise<unknown>;
  onClose: () => void;
}

/** Asks before something is gone for good. */
export function ConfirmDialog({ title, text, verb, onConfirm, onClose }: ConfirmDialogProps) {
  const [problem, setProblem] = useState<string | null>(null);
  const [isBusy, setBusy] = useState(false);
  const confirm = () => {
    setBusy(true);
    onConfirm().then(onClose, (error: unknown) => {
      setProblem(messageOf(error));
      setBusy(false);
    });
  };
  return (
    <Dialog
      title={title}
      onClose={onClose}
      actions={
        <>
          <button type="button" className="button" onClick={onClose}>
            Keep
          </button>
          <button type="button" className="button danger" onClick={confirm} disabled={isBusy}>
            {verb}
          </button>
        </>
      }
    >
      <p className="wrap-anywhere">{text}</p>
      {problem && <Notice kind="error">{problem}</Notice>}
    </Dialog>
  );
}
