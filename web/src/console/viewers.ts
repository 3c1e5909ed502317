// The other clients of the process: how many there are, and what each may do.

import { byId, showText } from '../shared/dom.ts';
import type { SessionEvent, Viewer } from './events.ts';

type Change = Extract<SessionEvent, { type: 'viewers' | 'joined' | 'left' }>;

export class Viewers {
  /** This viewer's number. */
  own: number | undefined;
  #others = new Map<number, Viewer>();
  #count = 1;

  /** Returns a notice if a viewer with the right to type has joined or left. */
  follow(change: Change): string | undefined {
    this.#count = change.count;
    if (change.type === 'viewers') {
      this.own = change.own ?? this.own;
      this.#others = new Map(change.others.map((other) => [other.id, other]));
      return undefined;
    }
    const { viewer } = change;
    if (viewer === undefined) return undefined;
    if (change.type === 'joined') this.#others.set(viewer.id, viewer);
    else this.#others.delete(viewer.id);
    return viewer.mayType ? `Viewer ${viewer.id}, who may type, has ${change.type}.` : undefined;
  }

  show(mayType: boolean): void {
    byId('viewers').hidden = this.#count < 2;
    showText('viewers-count', String(this.#count));
    const others = [...this.#others.values()].sort((one, other) => one.id - other.id);
    const lines = [`You${this.own === undefined ? '' : `, viewer ${this.own}`}: ${right(mayType)}`];
    lines.push(...others.map((other) => `Viewer ${other.id}: ${right(other.mayType)}`));
    const unnamed = this.#count - lines.length;
    if (unnamed > 0) lines.push(`${unnamed} more`);
    byId('viewers-list').replaceChildren(
      ...lines.map((line) => {
        const item = document.createElement('li');
        item.textContent = line;
        return item;
      }),
    );
  }
}

function right(mayType: boolean): string {
  return mayType ? 'may type' : 'watches';
}
