/** Where the visitor is: kept in the address, so that a reload comes back to it. */
import { useSyncExternalStore } from "react";

export type Route =
  | { page: "thread"; threadId: string | null }
  | { page: "assistants"; assistantId: string | null }
  | { page: "files"; storeId: string | null }
  /** An address that leads nowhere. */
  | { page: "unknown"; hash: string };

const ID = /^[\w-]+$/;

export function parseRoute(hash: string): Route {
  const [page = "", id = null, ...more] = hash.replace(/^#?\/?/, "").replace(/\/$/, "").split("/");
  if (more.length || (id !== null && !ID.test(id))) return { page: "unknown", hash };
  switch (page) {
    case "":
      return { page: "thread", threadId: null };
    case "threads":
      return { page: "thread", threadId: id };
    case "assistants":
      return { page, assistantId: id };
    case "files":
      return { page, storeId: id };
    default:
      return { page: "unknown", hash };
  }
}

export function hashOf(route: Route): string {
  switch (route.page) {
    case "thread":
      return route.threadId ? `#/threads/${route.threadId}` : "#/";
    case "assistants":
      return route.assistantId ? `#/assistants/${route.assistantId}` : "#/assistants";
    case "files":
      return route.storeId ? `#/files/${route.storeId}` : "#/files";
    case "unknown":
      return route.hash;
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
