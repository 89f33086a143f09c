import { Menu } from "lucide-react";
import type { ReactNode } from "react";

import { usePanels } from "./panels";

/** The head of a page: its title and what can be done with it. */
export function Header({ title, children }: { title: ReactNode; children?: ReactNode }) {
  const toggleSidebar = usePanels((state) => state.toggleSidebar);
  return (
    <header className="header">
      <button
        type="button"
        className="icon-button only-narrow"
        aria-label="Open sidebar"
        onClick={() => toggleSidebar(true)}
      >
        <Menu size={19} aria-hidden />
      </button>
      <div className="header-title">{title}</div>
      {children && <div className="header-actions">{children}</div>}
    </header>
  );
}
