// What the page says about the session and its link.

import type { Closing } from '../pty/ending.ts';
import type { Size } from '../pty/frame.ts';
import { byId, showText } from '../shared/dom.ts';

/** The page does not report a link that is restored within this time, in milliseconds. */
const QUIET = 500;

type Dot = 'connecting' | 'live' | 'away' | 'good' | 'neutral' | 'bad';

export class Status {
  #name: string;
  #title = '';
  #quiet: number | undefined;
  #countdown: number | undefined;

  constructor(name: string) {
    this.#name = name;
    byId('name').textContent = name === '' ? 'Console' : name;
    this.#dot('connecting', 'Connecting…');
    this.title('');
  }

  /** The title that the program gives. */
  title(title: string): void {
    this.#title = title;
    document.title = [this.#title, this.#name, 'Console'].filter((part) => part !== '').join(' · ');
  }

  live(isRunning: boolean): void {
    this.#clear();
    this.#dot('live', isRunning ? '' : 'Waiting for the process to start…');
  }

  /**
   * The link is lost, or not open yet. `retryAt` is the time of the next attempt, `undefined` during one.
   */
  away(retryAt: number | undefined, wasOpen: boolean): void {
    this.#quiet ??= window.setTimeout(() => {
      byId('banner').hidden = false;
      this.#dot('away', '');
    }, QUIET);
    window.clearInterval(this.#countdown);
    const update = () => {
      const seconds = retryAt === undefined ? 0 : Math.ceil((retryAt - Date.now()) / 1000);
      // A countdown from 1 would change at once.
      const when = seconds > 1 ? `Trying again in ${seconds} s.` : 'Trying again…';
      showText('banner-text', wasOpen ? `Connection lost. ${when} What you type is kept.` : `No connection. ${when}`);
    };
    update();
    this.#countdown = window.setInterval(update, 1000);
  }

  ended(closing: Closing, wasOpen: boolean): void {
    this.#clear();
    this.#dot(closing.tone, '');
    document.body.classList.toggle('without-session', !wasOpen);
    for (const chip of ['sized', 'viewers', 'read-only', 'recording']) byId(chip).hidden = true;
    byId('ending').dataset['tone'] = closing.tone;
    byId('ending').hidden = false;
    byId('ending-title').textContent = closing.title;
    byId('ending-detail').replaceChildren(...withCode(closing.detail));
    document.title = `${closing.title} · ${this.#name === '' ? 'Console' : this.#name}`;
  }

  readOnly(isReadOnly: boolean): void {
    byId('read-only').hidden = !isReadOnly;
  }

  recording(isRecorded: boolean): void {
    byId('recording').hidden = !isRecorded;
  }

  /** Shows the size that another viewer has set; `undefined` if no other viewer has. */
  sized(size: Size | undefined, mayTake: boolean): void {
    byId('sized').hidden = size === undefined;
    byId<HTMLButtonElement>('take-control').disabled = !mayTake;
    if (size !== undefined) showText('sized-text', `${size.Width} × ${size.Height}`);
  }

  #dot(state: Dot, text: string): void {
    byId('dot').dataset['state'] = state;
    showText('state', text);
  }

  #clear(): void {
    window.clearTimeout(this.#quiet);
    window.clearInterval(this.#countdown);
    this.#quiet = undefined;
    byId('banner').hidden = true;
  }
}

/** Shows text between backticks as code. */
function withCode(text: string): (string | HTMLElement)[] {
  return text.split('`').map((part, index) => {
    if (index % 2 === 0) return part;
    const code = document.createElement('code');
    code.textContent = part;
    return code;
  });
}
