import { notifyManager, useQueryClient } from "@tanstack/react-query";
import { useCallback, useSyncExternalStore } from "react";

import { messageOf } from "../api/errors";
import { Notice } from "../ui/Notice";

/** Says why nothing comes, while something is asked for again and again. */
export function ServerAway() {
  const cache = useQueryClient().getQueryCache();
  const subscribe = useCallback((changed: () => void) => cache.subscribe(notifyManager.batchCalls(changed)), [cache]);
  const reason = useSyncExternalStore(subscribe, () => {
    const waiting = cache.getAll().find(({ state }) => state.fetchStatus !== "idle" && state.fetchFailureCount > 0);
    return waiting?.state.fetchFailureReason;
  });
  return reason && <Notice kind="info">{messageOf(reason)} Trying again …</Notice>;
}
