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
  // A 401 speaks of keys of another service; a 403 says what is to be done on this server.
  const reason =
    error.status === 403 ? messageOf(error) : "This server wants an API key, or another one than it was given.";
  useKeyDialog.setState({ isOpen: true, reason });
}
