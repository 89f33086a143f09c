/** What was changed in forms of assistants and is not saved yet: kept while other places are looked at. */
import { create } from "zustand";

import { useKey } from "../api/key";
import type { Draft } from "./draft";

interface DraftsState {
  /** By assistant; "new" for one that is yet to be made. */
  changes: Readonly<Record<string, Partial<Draft>>>;
  change: (id: string, change: (changes: Partial<Draft>) => Partial<Draft>) => void;
  forget: (id: string) => void;
}

export const useDrafts = create<DraftsState>((set) => ({
  changes: {},
  change: (id, change) =>
    set(({ changes }) => ({ changes: { ...changes, [id]: { ...changes[id], ...change(changes[id] ?? {}) } } })),
  forget: (id) =>
    set(({ changes }) => ({ changes: Object.fromEntries(Object.entries(changes).filter(([of]) => of !== id)) })),
}));

// Another key is another project.
useKey.subscribe(() => useDrafts.setState({ changes: {} }));

window.addEventListener("beforeunload", (event) => {
  if (Object.keys(useDrafts.getState().changes).length) event.preventDefault();
});
