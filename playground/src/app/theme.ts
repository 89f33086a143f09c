/** Light, dark, or as the system has it. */
import { create } from "zustand";

export type Theme = "system" | "light" | "dark";
const PLACE = "assistd.theme";

interface ThemeState {
  theme: Theme;
  setTheme: (theme: Theme) => void;
}

function apply(theme: Theme): void {
  document.documentElement.dataset["theme"] = theme;
}

function stored(): Theme {
  const theme = localStorage.getItem(PLACE);
  return theme === "light" || theme === "dark" ? theme : "system";
}

export const useTheme = create<ThemeState>((set) => ({
  theme: stored(),
  setTheme: (theme) => {
    localStorage.setItem(PLACE, theme);
    apply(theme);
    set({ theme });
  },
}));

/** Before the first paint. */
export const applyStoredTheme = () => apply(stored());
