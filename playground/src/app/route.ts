/** Where the visitor is: kept in the address, so that a reload comes back to it. */
import { useSyncExternalStore } from "react";

export type Route =
  | { page: "thread"; threadId: string | null }
  | { page: "assistants"; assistantId: string | null }
  | { page: "files"; storeId: string | null };

const ID = /^[\w-]+$/;

export function parseRoute(hash: string): Route {
  const [page, rawId] = hash.replace(/^#\/?/, "").split("/");
  const id = rawId && ID.test(rawId) ? rawId : null;
  if (page === "assistants") return { page, assistantId: id };
  if (page === "files") return { page, storeId: id };
  return { page: "thread", threadId: page === "threads" ? id : null };
}

export function hashOf(route: Route): string {
  switch (route.page) {
    case "thread":
      return route.threadId ? `#/threads/${route.threadId}` : "#/";
    case "assistants":
      return route.assistantId ? `#/assistants/${route.assistantId}` : "#/assistants";
    case "files":
      return route.storeId ? `#/files/${route.storeId}` : "#/files";
  }
}

export function go(route: Route): void {
  window.location.hash = hashOf(route);
}

function subscribe(changed: () => void): () => void {
  window.addEventListener("hashchange", changed);
  return () => window.removeEventListener("hashchange", changed);
}

export function useRoute(): Route {
  return parseRoute(useSyncExternalStore(subscribe, () => window.location.hash));
}
