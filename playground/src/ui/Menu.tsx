/** A menu behind a button with three dots. */
import { MoreHorizontal } from "lucide-react";
import { DropdownMenu } from "radix-ui";
import { type ReactNode, useRef } from "react";

export interface MenuEntry {
  label: string;
  icon?: ReactNode;
  isDanger?: boolean;
  onSelect: () => void;
}

export function Menu({ label, entries }: { label: string; entries: readonly MenuEntry[] }) {
  const chosen = useRef<MenuEntry>(null);
  // What was chosen is done once the menu is gone: a dialog then gives the focus back to the menu's button.
  const finish = () => {
    chosen.current?.onSelect();
    chosen.current = null;
  };
  // Not modal: a modal one would put a <style> into the page, which the content security policy refuses.
  return (
    <DropdownMenu.Root modal={false}>
      <DropdownMenu.Trigger className="icon-button" aria-label={label} title={label}>
        <MoreHorizontal size={16} aria-hidden />
      </DropdownMenu.Trigger>
      <DropdownMenu.Portal>
        <DropdownMenu.Content className="menu" align="end" sideOffset={4} onCloseAutoFocus={finish}>
          {entries.map((entry) => (
            <DropdownMenu.Item
              key={entry.label}
              className={`menu-item ${entry.isDanger ? "danger" : ""}`}
              onSelect={() => {
                chosen.current = entry;
              }}
            >
              {entry.icon}
              {entry.label}
            </DropdownMenu.Item>
          ))}
        </DropdownMenu.Content>
      </DropdownMenu.Portal>
    </DropdownMenu.Root>
  );
}
