/** Whether the dialog for the API key is open; the server asks for it, too. */
import type { APIError } from "openai";
import { create } from "zustand";

import { messageOf } from "../api/errors";

interface KeyDialogState {
  isOpen: boolean;
  /** Why the server asks; null where the visitor opened it. */
  reason: string | null;
  open: () => void;
  close: () => void;
}

export const useKeyDialog = create<KeyDialogState>((set) => ({
  isOpen: false,
  reason: null,
  open: () => set({ isOpen: true, reason: null }),
  close: () => set({ isOpen: false }),
}));

/** Open it because the server refused what it was given. */
export function askForKey(error: APIError): void {
  useKeyDialog.setState({ isOpen: true, reason: messageOf(error) });
}
