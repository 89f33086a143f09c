/** Which panels beside the conversation are open, what the inspector shows, and who answers. */
import { create } from "zustand";

export type InspectorTab = "steps" | "events" | "prompts";

/** From this width on, the panels stand beside the conversation; below it they lie over it, one at a time. */
export const isWide = () => window.matchMedia("(min-width: 64rem)").matches;

interface PanelState {
  isSidebarOpen: boolean;
  isInspectorOpen: boolean;
  tab: InspectorTab;
  /** The run that is inspected; null for the latest. */
  runId: string | null;
  /** The assistant that was chosen in this visit, by thread; "" for a thread that does not exist yet. */
  chosen: Readonly<Record<string, string>>;
  toggleSidebar: (isOpen: boolean) => void;
  toggleInspector: (isOpen: boolean) => void;
  setTab: (tab: InspectorTab) => void;
  inspect: (runId: string | null, tab?: InspectorTab) => void;
  choose: (threadId: string, assistantId: string) => void;
}

export const usePanels = create<PanelState>((set) => ({
  isSidebarOpen: false,
  isInspectorOpen: isWide(),
  tab: "steps",
  runId: null,
  chosen: {},
  toggleSidebar: (isSidebarOpen) => set((now) => ({ isSidebarOpen, isInspectorOpen: isWide() && now.isInspectorOpen })),
  toggleInspector: (isInspectorOpen) => set({ isInspectorOpen, isSidebarOpen: false }),
  setTab: (tab) => set({ tab }),
  inspect: (runId, tab = "steps") => set({ runId, tab, isInspectorOpen: true, isSidebarOpen: false }),
  choose: (threadId, assistantId) => set((now) => ({ chosen: { ...now.chosen, [threadId]: assistantId } })),
}));
