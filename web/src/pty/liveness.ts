// Detects a lost link: the client pings the gate after input, and after a silence. Times are in milliseconds.

import type { Frame } from './frame.ts';

/** The client pings the gate after a silence of this length. */
const IDLE = 7000;

/** The shortest time between two pings after input. */
const PAUSE = 400;

/** How long the gate may be silent after a ping until the link counts as lost. Slow links get more time. */
const LOST = 1500;

export class Liveness {
  #receivedAt: number;
  /** When the oldest ping was sent after which nothing has arrived. */
  #waitsSince: number | undefined;
  #askedAt: number;
  #number = 0;
  /** Input was sent after the last ping. */
  #hasInput = false;
  #roundTrip = 0;

  constructor(now: number) {
    this.#receivedAt = now;
    this.#askedAt = now;
  }

  /** A new link replaces the former one. */
  renew(now: number): void {
    this.#receivedAt = now;
    this.#waitsSince = undefined;
    this.#askedAt = now;
  }

  /** A message has arrived. Every message counts, because an answer may be queued behind output. */
  received(now: number): void {
    this.#receivedAt = now;
    this.#waitsSince = undefined;
  }

  answered(number: number, now: number): void {
    if (number !== this.#number) return;
    const roundTrip = now - this.#askedAt;
    this.#roundTrip = this.#roundTrip === 0 ? roundTrip : (this.#roundTrip * 7 + roundTrip) / 8;
  }

  sentInput(): void {
    this.#hasInput = true;
  }

  /** Returns a ping that is due. */
  nextPing(now: number): Frame | undefined {
    const at = this.pingAt();
    if (at === undefined || at > now) return undefined;
    this.#number += 1;
    this.#askedAt = now;
    this.#waitsSince = now;
    this.#hasInput = false;
    return { type: 'ping', number: this.#number };
  }

  /** Returns when to send the next ping; `undefined` while an answer is awaited. */
  pingAt(): number | undefined {
    if (this.#waitsSince !== undefined) return undefined;
    const idle = this.#receivedAt + IDLE;
    return this.#hasInput ? Math.min(idle, this.#askedAt + PAUSE) : idle;
  }

  /** Returns when silence means that the link is lost; `undefined` while no answer is awaited. */
  lostAt(): number | undefined {
    if (this.#waitsSince === undefined) return undefined;
    return this.#waitsSince + Math.max(LOST, this.#roundTrip * 6);
  }
}
