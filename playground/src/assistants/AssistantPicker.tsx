import { Settings2 } from "lucide-react";

import type { Assistant } from "../api/types";
import { usePanels } from "../app/panels";
import { useAssistants } from "./queries";

export interface AssistantPickerProps {
  /** "" for a thread that is yet to be created. */
  threadId: string;
  assistant: Assistant | null;
}

/** Who answers the next message. */
export function AssistantPicker({ threadId, assistant }: AssistantPickerProps) {
  const { data: assistants } = useAssistants();
  const choose = usePanels((state) => state.choose);
  if (!assistants?.length || !assistant) return <span className="header-name">Playground</span>;
  return (
    <div className="picker">
      <select
        aria-label="Assistant"
        value={assistant.id}
        onChange={(event) => choose(threadId, event.target.value)}
      >
        {assistants.map((one) => (
          <option key={one.id} value={one.id}>
            {one.name || one.id}
          </option>
        ))}
      </select>
      <a
        className="icon-button"
        href={`#/assistants/${assistant.id}`}
        aria-label={`Edit ${assistant.name || "assistant"}`}
        title="Edit assistant"
      >
        <Settings2 size={17} aria-hidden />
      </a>
    </div>
  );
}
