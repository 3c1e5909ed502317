// What the client sends exactly once: stdin, its end, and signals. They are kept until the gate has accepted them.

import type { Frame } from './frame.ts';
import type { ServerHello } from './hello.ts';
import { Violation } from './violation.ts';

/** The most bytes of stdin in a message. */
const CHUNK = 32 << 10;

/** How many bytes of stdin may be sent before the gate acknowledges that it has passed them on. */
const WINDOW = 256 << 10;

/** How many bytes of stdin may be kept. */
export const MOST_INPUT = 64 << 20;

export class Outbox {
  /** The offset of the first kept byte of stdin: how many bytes the gate has accepted. */
  #accepted: number;
  /**
   * How many bytes the gate has passed on to the process. The others count towards the window, also those that the gate
   * has accepted: otherwise it would have to keep a window for each lost link while the process reads nothing.
   */
  #passed: number;
  #kept: Uint8Array[] = [];
  #keptBytes = 0;
  /** How many of the kept bytes were sent on this link. */
  #sentBytes = 0;
  #end: 'open' | 'unsent' | 'sent' | 'accepted';
  #signals: { accepted: number; kept: string[]; sent: number };

  /** Begins where the gate's first hello says. */
  constructor(hello: ServerHello) {
    this.#accepted = hello.stdin_next;
    this.#passed = hello.stdin_next;
    this.#end = hello.stdin_ended ? 'accepted' : 'open';
    this.#signals = { accepted: hello.signal_next - 1, kept: [], sent: 0 };
  }

  /** Takes stdin. Returns `false` if it does not fit, or stdin has ended. */
  write(data: Uint8Array): boolean {
    if (this.#end !== 'open' || this.#keptBytes + data.length > MOST_INPUT) return false;
    for (let at = 0; at < data.length; at += CHUNK) this.#kept.push(data.slice(at, at + CHUNK));
    this.#keptBytes += data.length;
    return true;
  }

  end(): void {
    if (this.#end === 'open') this.#end = 'unsent';
  }

  signal(name: string): void {
    this.#signals.kept.push(name);
  }

  /** Returns the next message for this link, and regards it as sent. */
  nextFrame(): Frame | undefined {
    const name = this.#signals.kept[this.#signals.sent];
    if (name !== undefined) {
      this.#signals.sent += 1;
      return { type: 'signal', number: this.#signals.accepted + this.#signals.sent, name };
    }
    if (this.#sentBytes < this.#keptBytes) {
      const most = Math.min(CHUNK, WINDOW - (this.#accepted + this.#sentBytes - this.#passed));
      if (most <= 0) return undefined;
      const data = this.#read(this.#sentBytes, most);
      this.#sentBytes += data.length;
      return { type: 'stdin', data };
    }
    if (this.#end === 'unsent') {
      this.#end = 'sent';
      return { type: 'stdinEnd' };
    }
    return undefined;
  }

  /** Copies kept bytes. Short pieces become one. */
  #read(from: number, most: number): Uint8Array {
    const out = new Uint8Array(Math.min(most, this.#keptBytes - from));
    let filled = 0;
    let start = 0;
    for (const piece of this.#kept) {
      if (filled === out.length) break;
      const skip = Math.max(0, from - start);
      start += piece.length;
      if (skip >= piece.length) continue;
      const part = piece.subarray(skip, skip + out.length - filled);
      out.set(part, filled);
      filled += part.length;
    }
    return out;
  }

  /** Forgets what was sent on a link that is lost: everything that is kept will be sent again. */
  linkLost(): void {
    this.#sentBytes = 0;
    this.#signals.sent = 0;
    if (this.#end === 'sent') this.#end = 'unsent';
  }

  /** Forgets what the gate has accepted on former links. */
  resumed(hello: ServerHello): void {
    if (hello.stdin_next < this.#accepted || hello.stdin_next > this.#accepted + this.#keptBytes) {
      throw new Violation("the gate's hello has a wrong stdin offset");
    }
    this.#forget(hello.stdin_next);
    const signals = hello.signal_next - 1;
    if (signals < this.#signals.accepted || signals > this.#signals.accepted + this.#signals.kept.length) {
      throw new Violation("the gate's hello has a wrong number of signals");
    }
    this.#forgetSignals(signals);
    if (hello.stdin_ended ? this.#end === 'open' || this.#keptBytes > 0 : this.#end === 'accepted') {
      throw new Violation("the gate's hello is wrong about the end of stdin");
    }
    if (hello.stdin_ended) this.#end = 'accepted';
  }

  /** The gate has passed on stdin before this offset. */
  stdinPassed(offset: number): void {
    if (offset > this.#accepted + this.#sentBytes) throw new Violation('the gate acknowledges stdin that was not sent');
    this.#passed = Math.max(this.#passed, offset);
    this.#forget(offset);
  }

  endAccepted(): void {
    if (this.#end === 'open' || this.#end === 'unsent') {
      throw new Violation('the gate acknowledges an end of stdin that was not sent');
    }
    this.#end = 'accepted';
  }

  /** The gate has accepted the signals up to this one. */
  signalsAccepted(number: number): void {
    if (number > this.#signals.accepted + this.#signals.sent) {
      throw new Violation('the gate acknowledges a signal that was not sent');
    }
    this.#forgetSignals(number);
  }

  #forget(offset: number): void {
    let count = Math.max(0, offset - this.#accepted);
    this.#accepted += count;
    this.#keptBytes -= count;
    this.#sentBytes = Math.max(0, this.#sentBytes - count);
    while (count > 0) {
      const first = this.#kept[0];
      if (first === undefined) return;
      if (first.length > count) {
        this.#kept[0] = first.subarray(count);
        return;
      }
      count -= first.length;
      this.#kept.shift();
    }
  }

  #forgetSignals(number: number): void {
    const count = Math.max(0, number - this.#signals.accepted);
    this.#signals.kept.splice(0, count);
    this.#signals.accepted += count;
    this.#signals.sent = Math.max(0, this.#signals.sent - count);
  }
}
