import { Check, Copy } from "lucide-react";
import { useEffect, useState } from "react";

/** Copies a text, and says that it did. */
export function CopyButton({ text, what, className = "" }: { text: () => string; what: string; className?: string }) {
  const [isCopied, setCopied] = useState(false);
  useEffect(() => {
    if (!isCopied) return;
    const timer = setTimeout(() => setCopied(false), 1500);
    return () => clearTimeout(timer);
  }, [isCopied]);
  const copy = () => void navigator.clipboard.writeText(text()).then(() => setCopied(true), () => {});
  const label = isCopied ? "Copied" : `Copy ${what}`;
  return (
    <button type="button" className={`icon-button ${className}`} onClick={copy} aria-label={label} title={label}>
      {isCopied ? <Check size={15} aria-hidden /> : <Copy size={15} aria-hidden />}
    </button>
  );
}
