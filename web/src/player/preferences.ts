// What the user has set, for all recordings of this host.

import type { Pace } from './timeline.ts';

export const SPEEDS: readonly number[] = [0.5, 1, 1.5, 2, 4, 8];

const KEY = 'zun.player.preferences';

export interface Preferences extends Pace {
  /** Whether the output is read out. */
  screenReader: boolean;
}

export function load(): Preferences {
  let kept: Partial<Preferences> | null = null;
  try {
    kept = JSON.parse(localStorage.getItem(KEY) ?? 'null') as Partial<Preferences> | null;
  } catch {
    // There are none, or others.
  }
  return {
    speed: SPEEDS.find((speed) => speed === kept?.speed) ?? 1,
    shortens: kept?.shortens !== false,
    screenReader: kept?.screenReader === true,
  };
}

export function save(preferences: Preferences): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(preferences));
  } catch {
    // Without storage, they last until the page is closed.
  }
}
