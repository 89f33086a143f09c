/** The official client, pointed at the server that this page came from. */
import OpenAI from "openai";

import { useKey } from "./key";

/** What a server without keys lets in from its own machine; any word does. */
const PLACEHOLDER = "playground";

export const baseURL = new URL("/v1", window.location.href).href;

/** The browser's `fetch`. Without `Response` on it, the client would ask a `data:` address for one before an upload. */
const ownFetch = Object.assign((url: RequestInfo | URL, init?: RequestInit) => fetch(url, init), { Response });

let current: { key: string; client: OpenAI } | null = null;

/** Return the client for the key that is set now. */
export function api(): OpenAI {
  const { key } = useKey.getState();
  if (current?.key !== key) current = { key, client: clientOf(key) };
  return current.client;
}

/** Return a client for this key; an empty one is none. */
export function clientOf(key: string): OpenAI {
  return new OpenAI({
    apiKey: key || PLACEHOLDER,
    baseURL,
    fetch: ownFetch,
    maxRetries: 1,
    // The key is the visitor's own, typed into this page and sent only to the host that served it.
    dangerouslyAllowBrowser: true,
  });
}
