import { Ban, CircleAlert, Clock } from "lucide-react";

import type { Run } from "../api/types";
import { usePanels } from "../app/panels";

/** A line for a run that did not complete, and why. */
export function RunEnding({ run }: { run: Run }) {
  const inspect = usePanels((state) => state.inspect);
  const Icon = run.status === "cancelled" ? Ban : run.status === "expired" ? Clock : CircleAlert;
  return (
    <div className={`ending ${run.status === "cancelled" ? "dim" : "bad"}`}>
      <Icon size={16} aria-hidden />
      <p className="wrap-anywhere">{whyOf(run)}</p>
      <button type="button" className="link" onClick={() => inspect(run.id)}>
        Inspect
      </button>
    </div>
  );
}

function whyOf(run: Run): string {
  switch (run.status) {
    case "cancelled":
      return "The run was stopped.";
    case "expired":
      return "The run expired: it was not done within its time.";
    case "incomplete":
      return `The run is incomplete: ${(run.incomplete_details?.reason ?? "no reason was given").replaceAll("_", " ")}.`;
    default: {
      const { code = "", message = "no reason was given" } = run.last_error ?? {};
      return `The run failed: ${message}${code ? ` (${code})` : ""}`;
    }
  }
}
