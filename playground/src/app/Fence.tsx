import { Component, type ReactNode } from "react";

import { Notice } from "../ui/Notice";

interface FenceProps {
  /** Where the visitor is: elsewhere it is tried anew. */
  place: string;
  children: ReactNode;
}

interface FenceState {
  place: string;
  error: Error | null;
}

/** What cannot be drawn takes nothing else with it: the way to other places, and what is typed there, stays. */
export class Fence extends Component<FenceProps, FenceState> {
  override state: FenceState = { place: this.props.place, error: null };

  static getDerivedStateFromError(error: unknown): Partial<FenceState> {
    return { error: error instanceof Error ? error : new Error(String(error)) };
  }

  static getDerivedStateFromProps({ place }: FenceProps, state: FenceState): FenceState | null {
    return place === state.place ? null : { place, error: null };
  }

  override render() {
    const { error } = this.state;
    if (!error) return this.props.children;
    return (
      <div className="page stack">
        <Notice kind="error">This cannot be shown: {error.message}</Notice>
        <button type="button" className="button" onClick={() => this.setState({ error: null })}>
          Try again
        </button>
      </div>
    );
  }
}
