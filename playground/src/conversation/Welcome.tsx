import { GraduationCap, Plus } from "lucide-react";
import { useState } from "react";

import { messageOf } from "../api/errors";
import type { Assistant } from "../api/types";
import { QueryState, type QueryStateProps } from "../app/QueryState";
import { FIRST_QUESTION, MATH_TUTOR } from "../assistants/starter";
import { useSaveAssistant } from "../assistants/queries";
import { Notice } from "../ui/Notice";
import { useBeginThread } from "./ConversationRuntime";
import { newMessage } from "./message";

export interface WelcomeProps {
  assistant: Assistant | null;
  /** Of all assistants. */
  query: QueryStateProps["of"];
}

/** What is seen before the first message; on an empty server it offers the first assistant. */
export function Welcome({ assistant, query }: WelcomeProps) {
  // The first assistant is there before its question is asked, which may go wrong.
  const [isStarting, setStarting] = useState(false);
  if (query.data === undefined) {
    return (
      <div className="welcome" aria-busy={query.isPending}>
        <QueryState of={query} what="assistants" />
      </div>
    );
  }
  if (!assistant || isStarting) return <FirstVisit onStart={() => setStarting(true)} />;
  return (
    <div className="welcome">
      <h1 className="wrap-anywhere">{assistant.name || "New thread"}</h1>
      <p className="dim wrap-anywhere">
        {assistant.description || "Write a message to begin. What the assistant does is shown step by step."}
      </p>
    </div>
  );
}

function FirstVisit({ onStart }: { onStart: () => void }) {
  const save = useSaveAssistant();
  const begin = useBeginThread();
  const [problem, setProblem] = useState<string | null>(null);
  const [isBusy, setBusy] = useState(false);

  const start = async () => {
    setBusy(true);
    setProblem(null);
    onStart();
    try {
      const tutor = save.data ?? (await save.mutateAsync({ id: null, params: MATH_TUTOR }));
      await begin(newMessage(FIRST_QUESTION, [], []), FIRST_QUESTION, tutor.id);
    } catch (error) {
      setProblem(messageOf(error));
      setBusy(false);
    }
  };

  return (
    <div className="welcome">
      <h1>See what an assistant does</h1>
      <p className="dim">
        Make an assistant, talk to it, and watch its steps: the code it runs, what it finds in your files, the functions it
        calls, and what is sent to the model.
      </p>
      <div className="welcome-choices">
        <button type="button" className="choice" onClick={() => void start()} disabled={isBusy}>
          <GraduationCap size={22} aria-hidden />
          <span>
            <b>Start with the Math Tutor</b>
            <span className="dim">Creates it, and asks: {FIRST_QUESTION}</span>
          </span>
        </button>
        <a className="choice" href="#/assistants/new">
          <Plus size={22} aria-hidden />
          <span>
            <b>Make an assistant</b>
            <span className="dim">Instructions, model, tools and files of your own.</span>
          </span>
        </a>
      </div>
      {problem && <Notice kind="error">{problem}</Notice>}
    </div>
  );
}
