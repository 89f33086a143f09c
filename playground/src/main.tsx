import "katex/dist/katex.min.css";
import "./styles/index.css";

import { MutationCache, QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { createRoot } from "react-dom/client";

import { isPassing, wantsKey } from "./api/errors";
import { App } from "./app/App";
import { askForKey } from "./app/askForKey";
import { applyStoredTheme } from "./app/theme";
import { ConversationsProvider } from "./conversation/conversations";

applyStoredTheme();

const onError = (error: unknown) => {
  if (wantsKey(error)) askForKey(error);
};

const queries = new QueryClient({
  queryCache: new QueryCache({ onError }),
  mutationCache: new MutationCache({ onError }),
  defaultOptions: {
    queries: {
      networkMode: "always", // the server is often on this very machine
      retry: (failures, error) => isPassing(error) && failures < 30,
      retryDelay: (attempt) => Math.min(300 * 2 ** attempt, 3000),
    },
    mutations: { networkMode: "always" },
  },
});

createRoot(document.getElementById("root")!).render(
  <QueryClientProvider client={queries}>
    <ConversationsProvider>
      <App />
    </ConversationsProvider>
  </QueryClientProvider>,
);
