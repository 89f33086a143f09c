import { Bot, GraduationCap, Plus } from "lucide-react";

import { messageOf } from "../api/errors";
import type { Assistant } from "../api/types";
import { Header } from "../app/Header";
import { Missing } from "../app/Missing";
import { usePanels } from "../app/panels";
import { QueryState } from "../app/QueryState";
import { go } from "../app/route";
import { ago, plural } from "../ui/format";
import { Notice } from "../ui/Notice";
import { AssistantEditor } from "./AssistantEditor";
import { useAssistant, useAssistants, useSaveAssistant } from "./queries";
import { MATH_TUTOR } from "./starter";

/** All assistants, or one of them as a form; `new` for one that is yet to be made. */
export function AssistantsPage({ assistantId }: { assistantId: string | null }) {
  if (assistantId === "new") return <AssistantEditor key="new" assistant={null} />;
  return assistantId ? <OneAssistant key={assistantId} assistantId={assistantId} /> : <AllAssistants />;
}

function OneAssistant({ assistantId }: { assistantId: string }) {
  const query = useAssistant(assistantId);
  if (query.data) return <AssistantEditor assistant={query.data} />;
  if (query.data === null) {
    return (
      <Missing to={{ href: "#/assistants", label: "All assistants" }}>
        There is no assistant <code>{assistantId}</code>: it was deleted, or it is another project’s.
      </Missing>
    );
  }
  return (
    <>
      <Header title={<h1>Assistant</h1>} />
      <div className="page">
        <QueryState of={query} what="the assistant" />
      </div>
    </>
  );
}

function AllAssistants() {
  const query = useAssistants();
  const { data: assistants } = query;
  return (
    <>
      <Header title={<h1>Assistants</h1>}>
        <a className="button primary" href="#/assistants/new">
          <Plus size={16} aria-hidden /> New assistant
        </a>
      </Header>
      <div className="page">
        <QueryState of={query} what="assistants" />
        {assistants?.length === 0 && <NoneYet />}
        <ul className="cards">
          {assistants?.map((assistant) => (
            <AssistantCard key={assistant.id} assistant={assistant} />
          ))}
        </ul>
      </div>
    </>
  );
}

function AssistantCard({ assistant }: { assistant: Assistant }) {
  const choose = usePanels((state) => state.choose);
  const talk = () => {
    choose("", assistant.id);
    go({ page: "thread", threadId: null });
  };
  return (
    <li className="card">
      <Bot size={20} aria-hidden className="card-icon" />
      <div className="card-main">
        <a href={`#/assistants/${assistant.id}`} className="card-title">
          {assistant.name || assistant.id}
        </a>
        <p className="dim small clamp">{assistant.description || assistant.instructions || "No instructions."}</p>
        <p className="dim small">
          {[assistant.model, toolsOf(assistant), ago(assistant.created_at)].filter(Boolean).join(" · ")}
        </p>
      </div>
      <button type="button" className="button" onClick={talk} aria-label={`Talk to ${assistant.name || assistant.id}`}>
        Talk
      </button>
    </li>
  );
}

function toolsOf(assistant: Assistant): string {
  const functions = assistant.tools.filter((tool) => tool.type === "function").length;
  return [
    assistant.tools.some((tool) => tool.type === "file_search") && "file search",
    assistant.tools.some((tool) => tool.type === "code_interpreter") && "code interpreter",
    functions > 0 && plural(functions, "function"),
  ]
    .filter(Boolean)
    .join(", ");
}

function NoneYet() {
  const save = useSaveAssistant();
  return (
    <div className="welcome">
      <p className="dim">No assistants yet. Make one, or begin with an example.</p>
      <button
        type="button"
        className="button"
        disabled={save.isPending}
        onClick={() => save.mutate({ id: null, params: MATH_TUTOR })}
      >
        <GraduationCap size={16} aria-hidden /> Create the Math Tutor
      </button>
      {save.error && <Notice kind="error">{messageOf(save.error)}</Notice>}
    </div>
  );
}
