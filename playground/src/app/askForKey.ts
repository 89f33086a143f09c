/** Whether the dialog for the API key is open; the server asks for it, too. */
import { create } from "zustand";

interface KeyDialogState {
  isOpen: boolean;
  /** The server refused what it was given. */
  isWanted: boolean;
  open: () => void;
  close: () => void;
}

export const useKeyDialog = create<KeyDialogState>((set) => ({
  isOpen: false,
  isWanted: false,
  open: () => set({ isOpen: true, isWanted: false }),
  close: () => set({ isOpen: false }),
}));

/** Open it because the server wants a key. */
export const askForKey = () => useKeyDialog.setState({ isOpen: true, isWanted: true });
