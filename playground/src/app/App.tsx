import { AssistantsPage } from "../assistants/AssistantsPage";
import { ConversationPage } from "../conversation/ConversationPage";
import { FilesPage } from "../files/FilesPage";
import { Fence } from "./Fence";
import { KeyDialog } from "./KeyDialog";
import { Missing } from "./Missing";
import { usePanels } from "./panels";
import { hashOf, useRoute } from "./route";
import { ServerAway } from "./ServerAway";
import { Sidebar } from "./Sidebar";

export function App() {
  const route = useRoute();
  const { isSidebarOpen, toggleSidebar } = usePanels();
  return (
    <div className="app" data-sidebar={isSidebarOpen ? "open" : "closed"}>
      <a className="skip" href="#main" onClick={skip}>
        Skip to content
      </a>
      <Sidebar route={route} />
      {isSidebarOpen && <div className="scrim" onClick={() => toggleSidebar(false)} aria-hidden />}
      <main id="main" className="main" tabIndex={-1}>
        <ServerAway />
        <Fence place={hashOf(route)}>
          {route.page === "thread" && <ConversationPage threadId={route.threadId} />}
          {route.page === "assistants" && <AssistantsPage assistantId={route.assistantId} />}
          {route.page === "files" && <FilesPage storeId={route.storeId} />}
          {route.page === "unknown" && (
            <Missing to={{ href: "#/", label: "New thread" }}>
              There is nothing at <code>{route.hash}</code>.
            </Missing>
          )}
        </Fence>
      </main>
      <KeyDialog />
    </div>
  );
}

/** The address belongs to the route: only the focus moves. */
function skip(event: React.MouseEvent): void {
  event.preventDefault();
  document.getElementById("main")?.focus();
}
