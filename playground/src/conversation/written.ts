/** What is written and not sent yet, by thread; "" for a thread that does not exist yet. */
import { create } from "zustand";

import { useKey } from "../api/key";

interface WrittenState {
  words: Readonly<Record<string, string>>;
  keep: (threadId: string, words: string) => void;
}

export const useWritten = create<WrittenState>((set) => ({
  words: {},
  keep: (threadId, words) => set((now) => ({ words: { ...now.words, [threadId]: words } })),
}));

// Another key is another project.
useKey.subscribe(() => useWritten.setState({ words: {} }));
