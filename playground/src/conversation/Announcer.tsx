import type { Item } from "./items";

const WORDS = 60;

/** Tells a screen reader what happens, in sentences rather than tokens. */
export function Announcer({ items }: { items: readonly Item[] }) {
  return (
    <p className="visually-hidden" role="status">
      {told(items.at(-1))}
    </p>
  );
}

function told(last: Item | undefined): string {
  switch (last?.kind) {
    case "waiting":
      return "The assistant is working.";
    case "call":
      return last.state === "live" ? "The assistant uses a tool." : "";
    case "outputs":
      return "The run waits for outputs of functions.";
    case "ending":
      return `The run is ${last.run.status}. ${last.run.last_error?.message ?? ""}`;
    case "message":
      if (last.isLive) return "The assistant is answering.";
      return last.message.role === "assistant" ? `Answer: ${beginningOf(last.message)}` : "";
    default:
      return "";
  }
}

function beginningOf(message: { content: readonly { type: string }[] }): string {
  const texts = message.content as readonly { type: string; text?: { value: string } }[];
  const words = texts.flatMap((part) => (part.text ? part.text.value.split(/\s+/) : []));
  return words.slice(0, WORDS).join(" ") + (words.length > WORDS ? " …" : "");
}
