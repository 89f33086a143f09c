import { X } from "lucide-react";
import { Tabs } from "radix-ui";
import { useEffect, useRef } from "react";

import { hasEnded } from "../api/states";
import { type InspectorTab, isWide, usePanels } from "../app/panels";
import { type Conversation, latestRun } from "../conversation/conversation";
import { useConversation } from "../conversation/conversations";
import { dateTime } from "../ui/format";
import { Loading } from "../ui/Loading";
import { Events } from "./Events";
import { Prompts } from "./Prompts";
import { RunSummary } from "./RunSummary";
import { Steps } from "./Steps";

/** What happens inside of a run: its steps, its events, and what the model was sent. */
export function Inspector({ conversation }: { conversation: Conversation }) {
  const { tab, setTab, runId: chosenId, inspect, toggleInspector } = usePanels();
  const runs = useConversation(conversation, (state) => state.view.runs);
  const latestId = useConversation(conversation, (state) => latestRun(state.view)?.id);
  const runId = chosenId && runs[chosenId] ? chosenId : latestId;
  const of = runId ? runs[runId] : undefined;
  const isOpening = useConversation(conversation, (state) => state.phase === "opening");
  const panel = useRef<HTMLElement>(null);
  const isEnded = of && hasEnded(of.run.status);

  useEffect(() => {
    if (!isWide()) panel.current?.focus();
  }, []);
  const isEmpty = of?.steps.length === 0;
  useEffect(() => {
    if (runId && isEmpty && isEnded) void conversation.loadSteps(runId);
  }, [conversation, runId, isEmpty, isEnded]);

  return (
    <aside
      ref={panel}
      className="inspector"
      aria-label="Inspector"
      tabIndex={-1}
      onKeyDown={(event) => event.key === "Escape" && !isWide() && toggleInspector(false)}
    >
      <header className="inspector-head">
        <label className="visually-hidden" htmlFor="inspected-run">
          Run
        </label>
        <select id="inspected-run" value={runId ?? ""} onChange={(event) => inspect(event.target.value, tab)}>
          {!runId && <option value="">{isOpening ? "Loading …" : "No run yet"}</option>}
          {Object.values(runs)
            .toReversed()
            .map(({ run }) => (
              <option key={run.id} value={run.id}>
                {dateTime(run.created_at)} · {run.status.replaceAll("_", " ")}
              </option>
            ))}
        </select>
        <button
          type="button"
          className="icon-button"
          aria-label="Close inspector"
          onClick={() => toggleInspector(false)}
        >
          <X size={17} aria-hidden />
        </button>
      </header>
      {of && runId ? (
        <>
          <RunSummary run={of.run} conversation={conversation} />
          <Tabs.Root className="tabs" value={tab} onValueChange={(value) => setTab(value as InspectorTab)}>
            <Tabs.List className="tab-list" aria-label="What to see of the run">
              <Tabs.Trigger value="steps">Steps</Tabs.Trigger>
              <Tabs.Trigger value="events">Events</Tabs.Trigger>
              <Tabs.Trigger value="prompts">Prompts</Tabs.Trigger>
            </Tabs.List>
            <Tabs.Content value="steps" className="tab-content" tabIndex={0}>
              <Steps run={of.run} steps={of.steps} conversation={conversation} />
            </Tabs.Content>
            <Tabs.Content value="events" className="tab-content flush" tabIndex={-1}>
              <Events key={runId} conversation={conversation} run={of.run} />
            </Tabs.Content>
            <Tabs.Content value="prompts" className="tab-content" tabIndex={0}>
              <Prompts threadId={of.run.thread_id} run={of.run} />
            </Tabs.Content>
          </Tabs.Root>
        </>
      ) : isOpening ? (
        <Loading what="runs" />
      ) : (
        <p className="dim pad">When a run starts, its steps, events and prompts appear here.</p>
      )}
    </aside>
  );
}
