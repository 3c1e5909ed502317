// Holds a session's link, and opens another when it is lost. The twin of zunclient/src/console/pty/driver.rs.

import { CLOSE, closingOfCode, lostSession, protocolError, refusedTicket, tooLong, type Closing } from './ending.ts';
import { decode, encode, InvalidFrame, type Frame } from './frame.ts';
import { subprotocols, type ClientHello, type ServerHello } from './hello.ts';
import { earliest, Session, type Screen } from './session.ts';
import { Violation } from './violation.ts';

/** The pauses between attempts to open another link, in milliseconds. There is none before the first one. */
const FIRST_PAUSE = 50;
const LONGEST_PAUSE = 5000;

/** How long an attempt may take in all. */
const ATTEMPT = 10_000;

/** After a link that lasted this long, the next one is opened without a pause. */
const GOOD_LINK = 10_000;

/** Extra milliseconds for a late answer, which may be queued in the browser behind other work or after a sleep. */
const GRACE = 100;

/** How long the first link may take, in seconds. A ticket is not valid for longer. */
const FIRST_LINK = 60;

/** How many times the gate may refuse a resume although it answers other requests. */
const REFUSALS = 3;

/** The close code of a page that may come back: the gate keeps the session. */
const MAY_COME_BACK = 4001;

/** What the user learns about the link. */
export interface LinkView {
  /** The link is open, for the first time or again. */
  connected(session: Session): void;
  /** The link is not open. `retryAt` is the time of the next attempt, `undefined` during an attempt. */
  away(retryAt: number | undefined): void;
  /** The session is over. */
  ended(closing: Closing): void;
}

export interface DriverOptions {
  /** The websocket's address. */
  url: string;
  ticket: string;
  /** The client's hello. After a reload, it names the session to continue. */
  wants: ClientHello;
  screen: Screen;
  view: LinkView;
  /** Whether the gate answers ordinary requests. A browser does not say why a websocket was refused. */
  isReachable: () => Promise<boolean>;
}

export class Driver {
  #options: DriverOptions;
  #session: Session | undefined;
  #socket: WebSocket | undefined;
  /** The hello that was sent on this link. */
  #sent: ClientHello | undefined;
  /** Whether the gate's hello has arrived on this link. */
  #isOpen = false;
  #openedAt = 0;
  #awaySince: number | undefined;
  #pause = 0;
  #refusals = 0;
  #isOver = false;
  #pumpTimer: number | undefined;
  #retryTimer: number | undefined;
  #attemptTimer: number | undefined;

  constructor(options: DriverOptions) {
    this.#options = options;
  }

  /** The session, once the gate has opened it. */
  get session(): Session | undefined {
    return this.#session;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  start(): void {
    this.#awaySince = now();
    this.#dial();
  }

  /** Retries now if the link is lost, because the network is back or the user asks for it. */
  retry(): void {
    if (this.#isOver || this.#retryTimer === undefined) return;
    this.#pause = 0;
    this.#dial();
  }

  /** Checks the link at once, such as after the machine was asleep. */
  check(): void {
    this.retry();
    this.#pump();
  }

  /** The page is being closed. With `mayComeBack` the gate keeps the session, so that a reload continues it. */
  leave(mayComeBack: boolean): void {
    this.#isOver = true;
    this.#clearTimers();
    this.#socket?.close(mayComeBack ? MAY_COME_BACK : CLOSE.normal);
  }

  #dial(): void {
    window.clearTimeout(this.#retryTimer);
    this.#retryTimer = undefined;
    const { url, ticket, wants, view } = this.#options;
    // The page does not report the very first attempt.
    if (this.#awaySince !== undefined && (this.#session !== undefined || this.#pause > 0)) view.away(undefined);
    const hello = this.#session?.clientHello() ?? wants;
    const socket = new WebSocket(url, subprotocols(ticket, hello));
    socket.binaryType = 'arraybuffer';
    this.#socket = socket;
    this.#sent = hello;
    this.#isOpen = false;
    // Events of a former socket do not count.
    const current = (act: () => void) => () => this.#socket === socket && !this.#isOver && act();
    socket.onmessage = (message: MessageEvent<unknown>) => current(() => this.#message(message.data))();
    socket.onclose = (event) => current(() => this.#closed(event.code, event.reason))();
    this.#attemptTimer = window.setTimeout(current(() => this.#abandon()), ATTEMPT);
  }

  /** Abandons the link, because the gate does not answer. */
  #abandon(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
    this.#lost();
  }

  #message(data: unknown): void {
    try {
      const frame = data instanceof ArrayBuffer ? decode(new Uint8Array(data)) : undefined;
      if (!(data instanceof ArrayBuffer)) throw new Violation('the gate sent a text message');
      if (frame !== undefined) this.#receive(frame);
    } catch (error) {
      if (!(error instanceof Violation) && !(error instanceof InvalidFrame)) throw error;
      this.#end(protocolError(error.message));
      return;
    }
    if (this.#session?.closing !== undefined) this.#end(this.#session.closing);
    else this.#pump();
  }

  #receive(frame: Frame): void {
    if (this.#isOpen) {
      this.#session?.receive(frame);
      return;
    }
    if (frame.type !== 'hello') throw new Violation('the first message of the gate is not a hello');
    this.#opened(frame.hello);
  }

  #opened(hello: ServerHello): void {
    window.clearTimeout(this.#attemptTimer);
    this.#isOpen = true;
    this.#openedAt = now();
    this.#awaySince = undefined;
    this.#refusals = 0;
    const sent = this.#sent ?? this.#options.wants;
    if (this.#session === undefined) {
      this.#session = new Session(sent, hello, this.#options.screen, now);
      this.#session.onChange = () => this.#pump();
    } else {
      this.#session.connected(sent, hello);
    }
    if (this.#session.closing === undefined) this.#options.view.connected(this.#session);
  }

  #closed(code: number, reason: string): void {
    this.#socket = undefined;
    const wasOpen = this.#isOpen;
    const closing = closingOfCode(code, reason);
    if (closing !== undefined) this.#end(closing);
    else if (wasOpen) this.#lost();
    else void this.#refused();
  }

  /** The websocket did not open. This is final if the gate answers other requests. */
  async #refused(): Promise<void> {
    window.clearTimeout(this.#attemptTimer);
    const isReachable = await this.#options.isReachable();
    if (this.#isOver || this.#socket !== undefined) return;
    this.#refusals += isReachable ? 1 : 0;
    if (isReachable && this.#session === undefined && this.#options.wants.resume === undefined) {
      this.#end(refusedTicket());
    } else if (this.#refusals >= REFUSALS) {
      this.#end(lostSession());
    } else {
      this.#lost();
    }
  }

  /** Waits before the next attempt. */
  #lost(): void {
    this.#clearTimers();
    const time = now();
    if (this.#isOpen && time - this.#openedAt >= GOOD_LINK) this.#pause = 0;
    this.#isOpen = false;
    this.#awaySince ??= time;
    const limit = this.#session?.hello.resume_seconds ?? FIRST_LINK;
    if (time - this.#awaySince >= limit * 1000) {
      this.#end(tooLong(limit));
      return;
    }
    // Spreads the clients of a gate that restarts, so that they do not reconnect all at once.
    const pause = this.#pause * (0.5 + Math.random() / 2);
    this.#pause = Math.min(Math.max(this.#pause * 2, FIRST_PAUSE), LONGEST_PAUSE);
    this.#retryTimer = window.setTimeout(() => this.#dial(), pause);
    this.#options.view.away(time + pause);
  }

  #end(closing: Closing): void {
    this.#isOver = true;
    this.#clearTimers();
    this.#session?.end(closing);
    this.#socket?.close(CLOSE.normal);
    this.#options.view.ended(closing);
  }

  #clearTimers(): void {
    for (const timer of [this.#pumpTimer, this.#retryTimer, this.#attemptTimer]) window.clearTimeout(timer);
    this.#retryTimer = undefined;
  }

  /** Sends what is due, and returns when there is more or when the gate's answer is late. */
  #pump(): void {
    const session = this.#session;
    const socket = this.#socket;
    if (session === undefined || socket === undefined || !this.#isOpen || this.#isOver) return;
    window.clearTimeout(this.#pumpTimer);
    const lostAt = session.lostAt();
    if (lostAt !== undefined && lostAt + GRACE <= now()) {
      this.#abandon();
      return;
    }
    for (let frame = session.nextFrame(); frame !== undefined; frame = session.nextFrame()) socket.send(encode(frame));
    const judgedAt = session.lostAt();
    const wakesAt = earliest(session.wakesAt(), judgedAt === undefined ? undefined : judgedAt + GRACE);
    if (wakesAt !== undefined) {
      this.#pumpTimer = window.setTimeout(() => this.#pump(), Math.max(0, wakesAt - now()));
    }
  }
}

/** The time in milliseconds. Like the gate's clock, it includes the time that the machine was asleep. */
function now(): number {
  return Date.now();
}
