// Keys that the keyboards of phones lack.

import { byId } from '../shared/dom.ts';

interface ExtraKey {
  label: string;
  name: string;
  /** What it sends, with the cursor keys in their normal or application mode. */
  sends: (application: boolean) => string;
}

const arrow = (final: string) => (application: boolean) => `\x1b${application ? 'O' : '['}${final}`;
const just = (text: string) => () => text;

const KEYS: ExtraKey[] = [
  { label: 'Esc', name: 'Escape', sends: just('\x1b') },
  { label: 'Tab', name: 'Tab', sends: just('\t') },
  { label: '←', name: 'Left', sends: arrow('D') },
  { label: '↑', name: 'Up', sends: arrow('A') },
  { label: '↓', name: 'Down', sends: arrow('B') },
  { label: '→', name: 'Right', sends: arrow('C') },
  { label: '|', name: 'Pipe', sends: just('|') },
  { label: '/', name: 'Slash', sends: just('/') },
  { label: '-', name: 'Hyphen', sends: just('-') },
];

export interface KeysTarget {
  /** Types as the keyboard does. */
  type(text: string): void;
  focus(): void;
  usesApplicationCursor(): boolean;
}

/** The bar of extra keys. */
export class ExtraKeys {
  #target: KeysTarget;
  #ctrl: HTMLButtonElement;

  constructor(target: KeysTarget) {
    this.#target = target;
    const bar = byId('keys');
    this.#ctrl = this.#button('Ctrl', 'Control, for the next key', () => this.#hold(!this.holdsCtrl));
    this.#ctrl.setAttribute('aria-pressed', 'false');
    const others = KEYS.map(({ label, name, sends }) =>
      this.#button(label, name, () => target.type(sends(target.usesApplicationCursor()))),
    );
    const [escape, ...rest] = others;
    bar.replaceChildren(...(escape ? [escape] : []), this.#ctrl, ...rest);
  }

  get holdsCtrl(): boolean {
    return this.#ctrl.getAttribute('aria-pressed') === 'true';
  }

  show(isShown: boolean): void {
    byId('keys').hidden = !isShown;
    if (!isShown) this.#hold(false);
  }

  /** Applies a held Ctrl to what was typed. */
  apply(text: string): string {
    if (!this.holdsCtrl || text.length !== 1) return text;
    this.#hold(false);
    const code = text.toUpperCase().charCodeAt(0);
    return code >= 0x40 && code <= 0x5f ? String.fromCharCode(code - 0x40) : text === ' ' ? '\0' : text;
  }

  #hold(isHeld: boolean): void {
    this.#ctrl.setAttribute('aria-pressed', String(isHeld));
  }

  #button(label: string, name: string, act: () => void): HTMLButtonElement {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = label;
    if (label !== name) button.setAttribute('aria-label', name);
    // The terminal keeps the focus, so that the phone's own keyboard stays.
    button.addEventListener('pointerdown', (event) => event.preventDefault());
    button.addEventListener('click', (event) => {
      act();
      // A click of the keyboard has no pointer: then the focus stays on the button.
      if (event.detail > 0) this.#target.focus();
    });
    return button;
  }
}
