// The progress of the output streams: received, shown, acknowledged.

import type { Frame, Output } from './frame.ts';
import type { ServerHello } from './hello.ts';
import { Violation } from './violation.ts';

/** How much output is shown before it is acknowledged at once. */
const ACK_BYTES = 64 << 10;

/** How long output that was shown may stay unacknowledged, in milliseconds. */
const ACK_DELAY = 100;

/** Offsets of one output. */
interface Flow {
  /** The next byte on this link. */
  link: number;
  /** The first byte that was not received on any link. */
  received: number;
  shown: number;
  acknowledged: number;
}

const OUTPUTS = ['stdout', 'stderr'] as const;

export class Inbox {
  #flows: Record<Output, Flow>;
  /** When to acknowledge what was shown. */
  #ackAt: number | undefined;

  /** Begins where the gate's first hello says. */
  constructor(hello: ServerHello) {
    const at = (next: number) => ({ link: next, received: next, shown: next, acknowledged: next });
    this.#flows = { stdout: at(hello.stdout_next), stderr: at(hello.stderr_next) };
  }

  /** Begins another link. */
  connected(hello: ServerHello): void {
    for (const output of OUTPUTS) {
      const flow = this.#flows[output];
      const next = output === 'stdout' ? hello.stdout_next : hello.stderr_next;
      if (next > flow.received) throw new Violation("the gate's hello skips output");
      flow.link = next;
      // The offsets of the client's hello count as acknowledgements, and are at least these.
      flow.acknowledged = Math.max(flow.acknowledged, flow.shown);
    }
    this.#ackAt = undefined;
  }

  /** The offset of the first byte that was not received. */
  received(output: Output): number {
    return this.#flows[output].received;
  }

  /** Adds output. Returns the part that was not received on a former link. */
  output(output: Output, data: Uint8Array): Uint8Array {
    const flow = this.#flows[output];
    const known = Math.max(0, flow.received - flow.link);
    flow.link += data.length;
    flow.received = Math.max(flow.received, flow.link);
    return data.subarray(Math.min(known, data.length));
  }

  /** Continues the stream at `to`. Returns how many bytes are missing. */
  gap(output: Output, from: number, to: number): number {
    const flow = this.#flows[output];
    if (from !== flow.link || to < from) throw new Violation('a gap is at a wrong offset');
    flow.link = to;
    const missing = Math.max(0, to - flow.received);
    flow.received = Math.max(flow.received, to);
    return missing;
  }

  /** Continues stdout at `offset`, with a screen that shows everything before. */
  snapshot(offset: number): void {
    const flow = this.#flows.stdout;
    if (offset < flow.received) throw new Violation('a snapshot is older than what was shown');
    flow.link = offset;
    flow.received = offset;
  }

  /** Everything before this offset is on the screen. */
  shown(output: Output, until: number, now: number): void {
    const flow = this.#flows[output];
    flow.shown = Math.max(flow.shown, until);
    this.#ackAt ??= now + ACK_DELAY;
  }

  /** Returns an acknowledgement that is due. */
  nextAck(now: number): Frame | undefined {
    const isDue = this.#ackAt !== undefined && this.#ackAt <= now;
    for (const stream of OUTPUTS) {
      const flow = this.#flows[stream];
      const waiting = flow.shown - flow.acknowledged;
      if (waiting >= ACK_BYTES || (isDue && waiting > 0)) {
        flow.acknowledged = flow.shown;
        return { type: 'ack', stream, offset: flow.shown };
      }
    }
    if (isDue || OUTPUTS.every((output) => this.#flows[output].acknowledged >= this.#flows[output].shown)) {
      this.#ackAt = undefined;
    }
    return undefined;
  }

  ackAt(): number | undefined {
    return this.#ackAt;
  }
}
