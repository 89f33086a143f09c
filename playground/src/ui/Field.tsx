import { type ReactNode, useId } from "react";

export interface FieldProps {
  label: string;
  hint?: ReactNode;
  problem?: string | null | undefined;
  /** Draws the control; its label, hint and problem are tied to it by these. */
  children: (control: { id: string; "aria-describedby"?: string; "aria-invalid"?: true }) => ReactNode;
}

/** A labelled control. */
export function Field({ label, hint, problem, children }: FieldProps) {
  const id = useId();
  const about = hint || problem ? `${id}-about` : undefined;
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {children({ id, "aria-describedby": about, ...(problem && { "aria-invalid": true as const }) })}
      {about && (
        <p id={about} className={problem ? "field-problem" : "field-hint"}>
          {problem || hint}
        </p>
      )}
    </div>
  );
}
