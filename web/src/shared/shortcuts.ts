// Keys that the page handles, and does not send to the process.

import { byId } from './dom.ts';

export interface Shortcut {
  keys: string;
  does: string;
  matches: (event: KeyboardEvent) => boolean;
  act: () => void;
}

const isMac = /Mac|iPhone|iPad/.test(navigator.userAgent);

/** Ctrl+Shift and this letter; on a Mac also Cmd and the letter. */
export function letter(code: string): (event: KeyboardEvent) => boolean {
  return (event) =>
    event.code === `Key${code}` &&
    !event.altKey &&
    ((event.ctrlKey && event.shiftKey && !event.metaKey) || (isMac && event.metaKey && !event.ctrlKey && !event.shiftKey));
}

/** Ctrl and one of these keys, or Cmd on a Mac. */
export function withCtrl(...keys: string[]): (event: KeyboardEvent) => boolean {
  return (event) => keys.includes(event.key) && !event.altKey && (isMac ? event.metaKey : event.ctrlKey);
}

/** Handles keys that are pressed anywhere on the page. Returns the handler for the terminal: `false` if a key is taken. */
export function install(shortcuts: Shortcut[]): (event: KeyboardEvent) => boolean {
  const taken = (event: KeyboardEvent) => shortcuts.find(({ matches }) => matches(event));
  document.addEventListener('keydown', (event) => {
    const shortcut = document.querySelector('dialog[open]') === null ? taken(event) : undefined;
    if (shortcut === undefined) return;
    event.preventDefault();
    shortcut.act();
  });
  byId('shortcuts').replaceChildren(...shortcuts.flatMap(row));
  return (event) => event.type !== 'keydown' || taken(event) === undefined;
}

function row({ keys, does }: Shortcut): HTMLElement[] {
  const term = document.createElement('dt');
  term.append(
    ...keys.split(' or ').flatMap((combination, index) => {
      const key = document.createElement('kbd');
      key.textContent = combination;
      return index === 0 ? [key] : [' or ', key];
    }),
  );
  const description = document.createElement('dd');
  description.textContent = does;
  return [term, description];
}
