// A session as the client sees it: what to send, what was received, and how to resume after a lost link. It does no
// I/O, and gets the time in milliseconds from its caller. It is the twin of zunclient/src/console/pty/session.

import { closingOf, lostSession, type Closing } from './ending.ts';
import type { Frame, Output, Size, Stream } from './frame.ts';
import type { ClientHello, ServerHello } from './hello.ts';
import { Inbox } from './inbox.ts';
import { Liveness } from './liveness.ts';
import { Outbox } from './outbox.ts';
import { Violation } from './violation.ts';

/** How many answers to the gate's pings may be queued. A gate that sends more pings does not read the answers. */
const MOST_PONGS = 16;

/** What to show. The page calls `shown` once it is on the screen. */
export interface Screen {
  output(output: Output, data: Uint8Array, shown: () => void): void;
  /** Clears the terminal, and draws a snapshot of the screen. */
  snapshot(size: Size, draw: Uint8Array, shown: () => void): void;
  /** This many bytes of output are missing here. */
  gap(bytes: number): void;
  event(event: unknown): void;
}

export class Session {
  #wants: ClientHello;
  #hello: ServerHello;
  #screen: Screen;
  #clock: () => number;
  #outbox: Outbox;
  #inbox: Inbox;
  #liveness: Liveness;
  #pongs: number[] = [];
  #size: Size | undefined;
  #sizeIsUnsent = false;
  #closing: Closing | undefined;

  /** Begins with the gate's answer to `wants`. */
  constructor(wants: ClientHello, hello: ServerHello, screen: Screen, clock: () => number) {
    this.#wants = wants;
    this.#hello = hello;
    this.#screen = screen;
    this.#clock = clock;
    this.#size = wants.size;
    this.#outbox = new Outbox(hello);
    this.#inbox = new Inbox(hello);
    this.#liveness = new Liveness(clock());
  }

  /** The gate's last hello. */
  get hello(): ServerHello {
    return this.#hello;
  }

  /** How the session ended; `undefined` until then. */
  get closing(): Closing | undefined {
    return this.#closing;
  }

  /** Whether this client may type. */
  get mayType(): boolean {
    return this.#hello.writes && this.#hello.stdin && this.#closing === undefined;
  }

  /** Returns the hello with which a new link continues the session. */
  clientHello(): ClientHello {
    const { session, token } = this.#hello;
    const resume = { session, token, stdout: this.#inbox.received('stdout'), stderr: this.#inbox.received('stderr') };
    return { ...this.#wants, ...(this.#size && { size: this.#size }), resume };
  }

  /** Continues on a new link with these hellos. */
  connected(client: ClientHello, hello: ServerHello): void {
    if (!hello.resumed || hello.session !== this.#hello.session) {
      this.end(lostSession());
      return;
    }
    this.#outbox.linkLost();
    this.#outbox.resumed(hello);
    this.#inbox.connected(hello);
    this.#sizeIsUnsent = !sameSize(this.#size, client.size);
    this.#pongs = [];
    this.#hello = hello;
    this.#liveness.renew(this.#clock());
  }

  /** Handles a message of the gate. Throws if it violates the protocol. */
  receive(frame: Frame): void {
    this.#liveness.received(this.#clock());
    switch (frame.type) {
      case 'stdout':
      case 'stderr':
        this.#output(frame.type, frame.data);
        return;
      case 'ack':
        this.#accepted(frame.stream, frame.offset);
        return;
      case 'gap':
        this.#gap(frame.stream, frame.from, frame.to);
        return;
      case 'snapshot':
        this.#inbox.snapshot(frame.offset);
        this.#screen.snapshot(frame.size, frame.draw, () => this.#shown('stdout', frame.offset));
        return;
      case 'status':
        this.end(this.#missing(frame.ending.zun) ?? closingOf(frame.ending));
        return;
      case 'ping':
        if (this.#pongs.length === MOST_PONGS) throw new Violation('the gate sends too many pings');
        this.#pongs.push(frame.number);
        return;
      case 'pong':
        this.#liveness.answered(frame.number, this.#clock());
        return;
      case 'event':
        this.#screen.event(frame.event);
        return;
      case 'hello':
      case 'stdin':
      case 'stdinEnd':
      case 'resize':
      case 'signal':
        throw new Violation('the gate sent an unexpected message');
    }
  }

  #output(output: Output, data: Uint8Array): void {
    const unseen = this.#inbox.output(output, data);
    if (unseen.length === 0) return;
    const until = this.#inbox.received(output);
    this.#screen.output(output, unseen, () => this.#shown(output, until));
  }

  #shown(output: Output, until: number): void {
    this.#inbox.shown(output, until, this.#clock());
    this.onChange();
  }

  #accepted(stream: Stream, offset: number): void {
    switch (stream) {
      case 'stdin':
        return this.#outbox.stdinPassed(offset);
      case 'stdinEnd':
        return this.#outbox.endAccepted();
      case 'signals':
        return this.#outbox.signalsAccepted(offset);
      case 'stdout':
      case 'stderr':
        throw new Violation('the gate acknowledges output');
    }
  }

  #gap(stream: Stream, from: number, to: number): void {
    if (stream !== 'stdout' && stream !== 'stderr') throw new Violation('a gap is not in an output');
    const missing = this.#inbox.gap(stream, from, to);
    if (missing > 0) this.#screen.gap(missing);
  }

  /** Returns how the session ended if the gate counted more output than has arrived. */
  #missing(end: { stdout_bytes?: number; stderr_bytes?: number }): Closing | undefined {
    const missing =
      Math.max(0, (end.stdout_bytes ?? 0) - this.#inbox.received('stdout')) +
      Math.max(0, (end.stderr_bytes ?? 0) - this.#inbox.received('stderr'));
    if (missing === 0) return undefined;
    return { tone: 'bad', title: 'The session ended', detail: `${missing} bytes of output did not arrive.` };
  }

  /** Ends the session. Later reasons are ignored. */
  end(closing: Closing): void {
    this.#closing ??= closing;
  }

  /** Sends input. Returns `false` if it cannot be sent. */
  write(data: Uint8Array): boolean {
    const taken = this.mayType && this.#outbox.write(data);
    if (taken) this.onChange();
    return taken;
  }

  endStdin(): void {
    if (!this.mayType) return;
    this.#outbox.end();
    this.onChange();
  }

  /** Sends a signal. Returns `false` if the gate does not send signals for this client. */
  signal(name: string): boolean {
    if (!this.#hello.signals || !this.mayType) return false;
    this.#outbox.signal(name);
    this.onChange();
    return true;
  }

  /** Sets the terminal's size. Only the newest is sent. `again` sends it even if it is the same. */
  resize(size: Size, again = false): void {
    if (!again && sameSize(this.#size, size)) return;
    this.#size = size;
    this.#sizeIsUnsent = true;
    this.onChange();
  }

  /** Returns the next message for the gate, and regards it as sent. */
  nextFrame(): Frame | undefined {
    const now = this.#clock();
    const number = this.#pongs.shift();
    if (number !== undefined) return { type: 'pong', number };
    if (this.#sizeIsUnsent && this.#size !== undefined) {
      this.#sizeIsUnsent = false;
      return { type: 'resize', size: this.#size };
    }
    const frame = this.#outbox.nextFrame();
    if (frame !== undefined) {
      this.#liveness.sentInput();
      return frame;
    }
    return this.#inbox.nextAck(now) ?? this.#liveness.nextPing(now);
  }

  /** Returns the time at which a message may become due without another event. */
  wakesAt(): number | undefined {
    return earliest(this.#inbox.ackAt(), this.#liveness.pingAt());
  }

  /** Returns when silence means that the link is lost; `undefined` while no answer is awaited. */
  lostAt(): number | undefined {
    return this.#liveness.lostAt();
  }

  /** Called when there may be something to send. */
  onChange: () => void = () => {};
}

function sameSize(one: Size | undefined, other: Size | undefined): boolean {
  return one?.Width === other?.Width && one?.Height === other?.Height;
}

/** Returns the smaller one of two times. */
export function earliest(one: number | undefined, other: number | undefined): number | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return Math.min(one, other);
}
