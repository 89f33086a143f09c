import type { ReactNode } from "react";

import { Header } from "./Header";

export interface MissingProps {
  /** What was looked for, as a sentence. */
  children: ReactNode;
  /** Where to go instead: the address and what is there. */
  to: { href: string; label: string };
}

/** In place of what is not there, or not there any more, and the way back. */
export function Missing({ children, to }: MissingProps) {
  return (
    <>
      <Header title={<h1>Not found</h1>} />
      <div className="page stack" role="status">
        <p className="wrap-anywhere">{children}</p>
        <p className="row">
          <a className="button primary" href={to.href}>
            {to.label}
          </a>
          {to.href !== "#/" && (
            <a className="button" href="#/">
              New thread
            </a>
          )}
        </p>
      </div>
    </>
  );
}
