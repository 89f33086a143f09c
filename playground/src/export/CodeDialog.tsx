import { Tabs } from "radix-ui";

import { baseURL } from "../api/client";
import { useKey } from "../api/key";
import type { Assistant } from "../api/types";
import type { Conversation } from "../conversation/conversation";
import { useConversation } from "../conversation/conversations";
import { Highlighted } from "../markdown/Highlighted";
import { Dialog } from "../ui/Dialog";
import { toNode } from "./node";
import { toPython } from "./python";
import { scriptOf } from "./script";

export interface CodeDialogProps {
  conversation: Conversation;
  assistant: Assistant | null;
  onClose: () => void;
}

/** The same conversation as a program. */
export function CodeDialog({ conversation, assistant, onClose }: CodeDialogProps) {
  const messages = useConversation(conversation, (state) => state.view.messages);
  const hasKey = useKey((state) => state.key !== "");
  const script = scriptOf(assistant, messages, { baseURL, hasKey });
  return (
    <Dialog title="This conversation as code" onClose={onClose} size="large">
      <Tabs.Root defaultValue="python">
        <Tabs.List className="tab-list" aria-label="Language">
          <Tabs.Trigger value="python">Python</Tabs.Trigger>
          <Tabs.Trigger value="node">Node</Tabs.Trigger>
        </Tabs.List>
        <Tabs.Content value="python">
          <Highlighted code={toPython(script)} language="python" label="Python program" />
        </Tabs.Content>
        <Tabs.Content value="node">
          <Highlighted code={toNode(script)} language="javascript" label="Node program" />
        </Tabs.Content>
      </Tabs.Root>
    </Dialog>
  );
}
