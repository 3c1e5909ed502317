// A short notice that disappears by itself.

import { byId } from '../shared/dom.ts';

/** How long a notice stays, in milliseconds; with a button, longer. */
const STAYS = 4000;
const STAYS_WITH_BUTTON = 12_000;

export class Toast {
  #timer: number | undefined;
  #act: () => void = () => {};

  constructor() {
    byId('toast-action').addEventListener('click', () => {
      byId('toast').hidden = true;
      this.#act();
    });
  }

  show(text: string, action?: { label: string; act: () => void }): void {
    window.clearTimeout(this.#timer);
    byId('toast-text').textContent = text;
    const button = byId('toast-action');
    button.hidden = action === undefined;
    button.textContent = action?.label ?? '';
    this.#act = action?.act ?? (() => {});
    byId('toast').hidden = false;
    this.#timer = window.setTimeout(() => (byId('toast').hidden = true), action ? STAYS_WITH_BUTTON : STAYS);
  }
}
