import { WifiOff } from "lucide-react";

import { Notice } from "../ui/Notice";
import type { Conversation } from "./conversation";
import { useConversation } from "./conversations";

/** What is the matter with the conversation, if anything is: above the composer. */
export function Problem({ conversation }: { conversation: Conversation }) {
  const problem = useConversation(conversation, (state) => (state.phase === "failed" ? null : state.problem));
  const isLost = useConversation(conversation, (state) => state.connection === "lost");
  return (
    <div className="problem">
      {isLost && (
        <div className="notice info" role="status">
          <WifiOff size={16} aria-hidden />
          <div className="notice-text">The connection is lost. Trying again; the run goes on at the server.</div>
        </div>
      )}
      {problem && (
        <Notice kind="error" onDismiss={conversation.dismiss}>
          {problem}
        </Notice>
      )}
    </div>
  );
}
