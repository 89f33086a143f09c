/** The API key: kept in the browser's session, so that closing the tab forgets it. */
import { create } from "zustand";

const PLACE = "assistd.key";

interface KeyState {
  /** Empty where no key was given. */
  key: string;
  setKey: (key: string) => void;
}

export const useKey = create<KeyState>((set) => ({
  key: sessionStorage.getItem(PLACE) ?? "",
  setKey: (key) => {
    if (key) sessionStorage.setItem(PLACE, key);
    else sessionStorage.removeItem(PLACE);
    set({ key });
  },
}));
