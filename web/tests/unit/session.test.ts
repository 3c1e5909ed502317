// A client, a gate and a link that breaks anywhere: nothing is lost, and nothing is repeated.

import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { closingOf, closingOfCode } from '../../src/pty/ending.ts';
import { decode, encode, type Frame } from '../../src/pty/frame.ts';
import type { ClientHello, ServerHello } from '../../src/pty/hello.ts';
import { Outbox } from '../../src/pty/outbox.ts';
import { Session, type Screen } from '../../src/pty/session.ts';
import { Violation } from '../../src/pty/violation.ts';

/** Random numbers from a seed. */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state % below;
  };
}

const WANTS: ClientHello = { writes: true, replay: 'all', window: 256 << 10 };

function serverHello(changes: Partial<ServerHello> = {}): ServerHello {
  return {
    session: 's',
    token: 't',
    kind: 'container',
    tty: true,
    stdin: true,
    writes: true,
    running: true,
    resumed: false,
    stdin_next: 0,
    stdin_ended: false,
    signal_next: 1,
    stdout_next: 0,
    stderr_next: 0,
    signals: true,
    resume_seconds: 900,
    ...changes,
  };
}

/** The gate's side. */
class Gate {
  stdin = '';
  signals: string[] = [];
  stdout = '';
  sent = 0;
  toSend: Frame[] = [];

  hello(client: ClientHello): ServerHello {
    this.sent = client.resume?.stdout ?? 0;
    this.toSend = [];
    const next = { stdin_next: this.stdin.length, signal_next: this.signals.length + 1, stdout_next: this.sent };
    return serverHello({ resumed: client.resume !== undefined, ...next });
  }

  receive(frame: Frame): void {
    switch (frame.type) {
      case 'stdin':
        this.stdin += Buffer.from(frame.data).toString('latin1');
        this.toSend.push({ type: 'ack', stream: 'stdin', offset: this.stdin.length });
        return;
      case 'signal':
        if (frame.number === this.signals.length + 1) this.signals.push(frame.name);
        this.toSend.push({ type: 'ack', stream: 'signals', offset: this.signals.length });
        return;
      case 'ping':
        this.toSend.push({ type: 'pong', number: frame.number });
        return;
      case 'ack':
      case 'resize':
        return;
      default:
        assert.fail(frame.type);
    }
  }

  next(most: number): Frame | undefined {
    const answer = this.toSend.shift();
    if (answer !== undefined) return answer;
    const piece = this.stdout.slice(this.sent, this.sent + most);
    this.sent += piece.length;
    return piece === '' ? undefined : { type: 'stdout', data: new Uint8Array(Buffer.from(piece, 'latin1')) };
  }
}

class World implements Screen {
  now = 0;
  shownText = '';
  #waiting: (() => void)[] = [];
  gate = new Gate();
  up: Uint8Array[] = [];
  down: Uint8Array[] = [];
  session = new Session(WANTS, this.gate.hello(WANTS), this, () => this.now);

  output(_output: string, data: Uint8Array, shown: () => void): void {
    this.shownText += Buffer.from(data).toString('latin1');
    this.#waiting.push(shown);
  }

  snapshot(): void {}
  gap(): void {}
  event(): void {}

  show(): void {
    for (const shown of this.#waiting.splice(0)) shown();
  }

  cut(): void {
    this.up = [];
    this.down = [];
    const client = this.session.clientHello();
    this.session.connected(client, this.gate.hello(client));
  }

  step(random: (below: number) => number): void {
    this.now += random(200);
    const text = () => Array.from({ length: 1 + random(40) }, () => String.fromCharCode(random(256))).join('');
    switch (random(8)) {
      case 0:
        this.type(text());
        return;
      case 1:
        this.gate.stdout += text();
        return;
      case 2:
        this.session.signal(`SIG${random(9)}`);
        this.signalled += 1;
        return;
      case 3:
      case 4:
        return this.clientSends(1 + random(4));
      case 5:
        return this.gateSends(1 + random(30));
      case 6:
        return this.carry(random(4), random(4));
      case 7:
        this.show();
        if (random(3) === 0) this.cut();
    }
  }

  typed = '';
  signalled = 0;

  type(text: string): void {
    assert.ok(this.session.write(new Uint8Array(Buffer.from(text, 'latin1'))));
    this.typed += text;
  }

  clientSends(count: number): void {
    for (let sent = 0; sent < count; sent++) {
      const frame = this.session.nextFrame();
      if (frame !== undefined) this.up.push(encode(frame));
    }
  }

  gateSends(most: number): void {
    const frame = this.gate.next(most);
    if (frame !== undefined) this.down.push(encode(frame));
  }

  carry(up: number, down: number): void {
    for (const message of this.up.splice(0, up)) this.gate.receive(decode(message) ?? assert.fail());
    for (const message of this.down.splice(0, down)) this.session.receive(decode(message) ?? assert.fail());
  }

  finish(): void {
    for (let round = 0; round < 1000; round++) {
      this.now += 100;
      this.clientSends(10);
      this.gateSends(1000);
      this.carry(100, 100);
      this.show();
    }
  }
}

test('nothing is lost or repeated wherever the link breaks', () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = randomOf(seed);
    const world = new World();
    for (let step = 0; step < 300; step++) world.step(random);
    world.finish();
    assert.equal(world.gate.stdin, world.typed, `stdin, seed ${seed}`);
    assert.equal(world.shownText, world.gate.stdout, `stdout, seed ${seed}`);
    assert.equal(world.gate.signals.length, world.signalled, `signals, seed ${seed}`);
  }
});

test('input waits once the window is full, and continues after an acknowledgement', () => {
  const world = new World();
  world.type('x'.repeat((256 << 10) + 10));
  const sent = () => {
    let bytes = 0;
    for (let frame = world.session.nextFrame(); frame !== undefined; frame = world.session.nextFrame()) {
      if (frame.type === 'stdin') bytes += frame.data.length;
    }
    return bytes;
  };
  assert.equal(sent(), 256 << 10);
  world.session.receive({ type: 'ack', stream: 'stdin', offset: 4 });
  assert.equal(sent(), 4);
  assert.throws(() => world.session.receive({ type: 'ack', stream: 'stdin', offset: 1 << 30 }), Violation);
});

test('stdin that the process has not got counts towards the window of the next link', () => {
  const window = 256 << 10;
  const outbox = new Outbox(serverHello());
  outbox.write(new Uint8Array(2 * window));
  const sent = () => {
    let bytes = 0;
    for (let frame = outbox.nextFrame(); frame !== undefined; frame = outbox.nextFrame()) {
      if (frame.type === 'stdin') bytes += frame.data.length;
    }
    return bytes;
  };
  assert.equal(sent(), window);
  outbox.linkLost();
  outbox.resumed(serverHello({ resumed: true, stdin_next: window }));
  assert.equal(sent(), 0);
  outbox.stdinPassed(1000);
  assert.equal(sent(), 1000);
});

test('output is acknowledged once it was shown: little after a while, much at once', () => {
  const world = new World();
  world.session.receive({ type: 'stdout', data: new Uint8Array(2) });
  world.now = 1000;
  assert.equal(world.session.nextFrame(), undefined, 'it is not on the screen yet');
  world.show();
  assert.equal(world.session.nextFrame(), undefined, 'a little waits');
  world.now = 1100;
  assert.deepEqual(world.session.nextFrame(), { type: 'ack', stream: 'stdout', offset: 2 });
  world.session.receive({ type: 'stdout', data: new Uint8Array(64 << 10) });
  world.show();
  assert.deepEqual(world.session.nextFrame(), { type: 'ack', stream: 'stdout', offset: 2 + (64 << 10) });
});

test('only the newest size is sent, and a resume carries it', () => {
  const world = new World();
  for (let rows = 1; rows < 100; rows++) world.session.resize({ Width: 80, Height: rows });
  const size = { Width: 80, Height: 99 };
  assert.deepEqual(world.session.nextFrame(), { type: 'resize', size });
  assert.equal(world.session.nextFrame(), undefined);
  world.cut();
  assert.deepEqual(world.session.clientHello().size, size);
  assert.equal(world.session.nextFrame(), undefined);
});

test('a gap and a snapshot move the offset, and an older snapshot is refused', () => {
  const world = new World();
  const size = { Width: 80, Height: 24 };
  const draw = new Uint8Array();
  world.session.receive({ type: 'gap', stream: 'stdout', from: 0, to: 10 });
  world.session.receive({ type: 'snapshot', offset: 12, size, draw });
  assert.equal(world.session.clientHello().resume?.stdout, 12);
  assert.throws(() => world.session.receive({ type: 'snapshot', offset: 11, size, draw }), Violation);
  assert.throws(() => world.session.receive({ type: 'gap', stream: 'stdout', from: 0, to: 20 }), Violation);
});

test('a hello that does not continue the session ends it', () => {
  for (const hello of [{ resumed: false }, { resumed: true, session: 'other' }]) {
    const { session } = new World();
    session.connected(session.clientHello(), serverHello(hello));
    assert.equal(session.closing?.title, 'The host no longer has this session');
  }
  for (const hello of [{ stdin_next: 1 }, { stdin_ended: true }, { signal_next: 2 }, { stdout_next: 1 }]) {
    const { session } = new World();
    assert.throws(() => session.connected(session.clientHello(), serverHello({ resumed: true, ...hello })), Violation);
  }
});

test('a dead link is noticed within two seconds after input, and within ten when idle', () => {
  const world = new World();
  assert.equal(world.session.wakesAt(), 7000);
  world.type('x');
  world.clientSends(1);
  world.now = 400;
  assert.equal(world.session.nextFrame()?.type, 'ping');
  assert.ok((world.session.lostAt() ?? Infinity) <= 2000);
  world.session.receive({ type: 'pong', number: 1 });
  assert.equal(world.session.lostAt(), undefined);
});

test('each ending has its words', () => {
  const titleOf = (reason: string, code?: number) =>
    closingOf({ status: '', zun: { reason, ...(code !== undefined && { exit_code: code }) } }).title;
  assert.equal(titleOf('Exited', 0), 'The process exited with code 0');
  assert.equal(titleOf('Exited', 137), 'The process exited with code 137 (signal 9)');
  assert.equal(titleOf('Later'), 'The host ended the session');
  const endings = ['NotStarted', 'Detached', 'Restarted', 'Removed', 'Revoked', 'Expired', 'EngineLost', 'HostLost'];
  assert.equal(new Set(endings.map((reason) => titleOf(reason))).size, endings.length);
  for (const code of [1006, 1011, 1012, 1013]) assert.equal(closingOfCode(code, ''), undefined, String(code));
  for (const code of [1002, 4403, 4404, 4408, 4409]) assert.ok(closingOfCode(code, ''), String(code));
});

test('an exit without all of the output says so', () => {
  const { session } = new World();
  session.receive({ type: 'status', ending: { status: '', zun: { reason: 'Exited', exit_code: 0, stdout_bytes: 3 } } });
  assert.equal(session.closing?.detail, '3 bytes of output did not arrive.');
});
