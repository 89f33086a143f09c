import { Bot, FolderOpen, KeyRound, Monitor, Moon, SquarePen, Sun, X } from "lucide-react";
import { type KeyboardEvent, useEffect, useRef } from "react";

import { ThreadList } from "../threads/ThreadList";
import { useKeyDialog } from "./askForKey";
import { usePanels } from "./panels";
import { hashOf, type Route } from "./route";
import { type Theme, useTheme } from "./theme";

const NEXT: Record<Theme, Theme> = { system: "light", light: "dark", dark: "system" };
const ICON = { system: Monitor, light: Sun, dark: Moon };

export function Sidebar({ route }: { route: Route }) {
  const { isSidebarOpen, toggleSidebar } = usePanels();
  const { theme, setTheme } = useTheme();
  const openKey = useKeyDialog((state) => state.open);
  const aside = useRef<HTMLElement>(null);
  const threadId = route.page === "thread" ? route.threadId : null;
  const ThemeIcon = ICON[theme];

  // What is opened by a choice made here covers the choice on a narrow screen.
  const place = hashOf(route);
  useEffect(() => {
    toggleSidebar(false);
  }, [place, toggleSidebar]);
  useEffect(() => {
    if (isSidebarOpen) aside.current?.querySelector<HTMLElement>("a, button")?.focus();
  }, [isSidebarOpen]);

  // Not the Escape that closes a menu or a dialog which was opened from here.
  const closeOnEscape = ({ key, target }: KeyboardEvent) => {
    if (key === "Escape" && !(target as Element).closest("dialog, [role=menu]")) toggleSidebar(false);
  };

  const link = (to: Route, label: string, Icon: typeof Bot) => (
    <a href={hashOf(to)} className="nav-link" aria-current={route.page === to.page ? "page" : undefined}>
      <Icon size={17} aria-hidden /> {label}
    </a>
  );

  return (
    <aside
      ref={aside}
      className="sidebar"
      aria-label="Threads and settings"
      onKeyDown={closeOnEscape}
    >
      <div className="brand">
        <span className="brand-name">assistd</span>
        <span className="brand-what">playground</span>
        <button
          type="button"
          className="icon-button only-narrow"
          aria-label="Close sidebar"
          onClick={() => toggleSidebar(false)}
        >
          <X size={18} aria-hidden />
        </button>
      </div>
      <nav aria-label="Main">
        <a href="#/" className="nav-link new-thread" aria-current={route.page === "thread" && !threadId ? "page" : undefined}>
          <SquarePen size={17} aria-hidden /> New thread
        </a>
        {link({ page: "assistants", assistantId: null }, "Assistants", Bot)}
        {link({ page: "files", storeId: null }, "Files and stores", FolderOpen)}
      </nav>
      <ThreadList current={threadId} />
      <div className="sidebar-foot">
        <button type="button" className="nav-link" onClick={openKey}>
          <KeyRound size={16} aria-hidden /> API key
        </button>
        <button
          type="button"
          className="icon-button"
          aria-label={`Colours: ${theme}. Change to ${NEXT[theme]}`}
          title={`Colours: ${theme}`}
          onClick={() => setTheme(NEXT[theme])}
        >
          <ThemeIcon size={16} aria-hidden />
        </button>
      </div>
    </aside>
  );
}
