import { createContext } from "react";

/** What went wrong when a thread was to be begun. */
export const NewThreadProblem = createContext<string | null>(null);
