// The events of a recording in their order, and how the position moves through them.

import type { CastEvent } from './cast.ts';

/** How long a pause lasts if pauses are shortened, in seconds. */
export const SHORT_PAUSE = 2;

/** How long a remark is shown, in seconds of the recording. */
const REMARK = 5;

export interface Pace {
  /** How many seconds of the recording pass in a second. */
  speed: number;
  /** Whether pauses take at most `SHORT_PAUSE`. */
  shortens: boolean;
}

export class Timeline {
  readonly events: CastEvent[] = [];

  add(events: Iterable<CastEvent>): void {
    for (const event of events) this.events.push(event);
  }

  /** The time of the last event, in seconds. */
  get duration(): number {
    return this.events.at(-1)?.time ?? 0;
  }

  /** How many events have happened at this time. */
  countAt(time: number): number {
    let [low, high] = [0, this.events.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.events[middle]?.time ?? Infinity) <= time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The remark that is shown at this time. */
  remarkAt(time: number): string | undefined {
    for (let index = this.countAt(time) - 1; index >= 0; index--) {
      const event = this.events[index];
      if (event === undefined || event.time <= time - REMARK) return undefined;
      if (event.code === 'remark') return event.text;
    }
    return undefined;
  }

  /** The position so many seconds of real time after another one. It does not pass the last event. */
  advance(position: number, seconds: number, { speed, shortens }: Pace): number {
    let left = seconds * speed;
    for (let index = this.countAt(position); index < this.events.length; index++) {
      const next = this.events[index]?.time ?? position;
      const before = this.events[index - 1]?.time ?? 0;
      const until = shortens ? Math.min(next, before + SHORT_PAUSE) : next;
      const wait = Math.max(0, until - position);
      if (wait > left) return position + left;
      left -= wait;
      position = next;
    }
    return Math.min(position, this.duration);
  }
}
