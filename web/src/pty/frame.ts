// Messages of `zun.pty.v1`: a channel number and a payload, as in zun-common/src/pty/frame.rs.

import type { ServerHello } from './hello.ts';
import type { Ending } from './ending.ts';

const STDIN = 0;
const STDOUT = 1;
const STDERR = 2;
const STATUS = 3;
const RESIZE = 4;
const HELLO = 16;
const ACK = 17;
const SIGNAL = 18;
const PING = 19;
const EVENT = 20;
const GAP = 21;
const SNAPSHOT = 22;
const CLOSE = 255;

/** A terminal's size in characters, with the names of Kubernetes. */
export interface Size {
  Width: number;
  Height: number;
}

/** An output of the process. */
export type Output = 'stdout' | 'stderr';

/** A counted stream. `signals` and `stdinEnd` only in acknowledgements. */
export type Stream = Output | 'stdin' | 'signals' | 'stdinEnd';

/** A message in either direction. Offsets are bytes since the stream's first one. */
export type Frame =
  | { type: 'stdin' | Output; data: Uint8Array }
  | { type: 'stdinEnd' }
  | { type: 'status'; ending: Ending }
  | { type: 'resize'; size: Size }
  | { type: 'hello'; hello: ServerHello }
  | { type: 'ack'; stream: Stream; offset: number }
  | { type: 'signal'; number: number; name: string }
  | { type: 'ping' | 'pong'; number: number }
  | { type: 'event'; event: unknown }
  | { type: 'gap'; stream: Stream; from: number; to: number }
  | { type: 'snapshot'; offset: number; size: Size; draw: Uint8Array };

/** The message violates the protocol. */
export class InvalidFrame extends Error {}

const STREAMS = new Map<number, Stream>([
  [STDIN, 'stdin'],
  [STDOUT, 'stdout'],
  [STDERR, 'stderr'],
  [SIGNAL, 'signals'],
  [CLOSE, 'stdinEnd'],
]);
const NUMBERS = new Map([...STREAMS].map(([number, stream]) => [stream, number]));

/** Returns the message's bytes. */
export function encode(frame: Frame): Uint8Array<ArrayBuffer> {
  switch (frame.type) {
    case 'stdin':
      return bytesOn(STDIN, frame.data);
    case 'stdout':
      return bytesOn(STDOUT, frame.data);
    case 'stderr':
      return bytesOn(STDERR, frame.data);
    case 'stdinEnd':
      return Uint8Array.of(CLOSE, STDIN);
    case 'status':
      return jsonOn(STATUS, frame.ending);
    case 'resize':
      return jsonOn(RESIZE, frame.size);
    case 'hello':
      return jsonOn(HELLO, frame.hello);
    case 'ack':
      return numbersOn(ACK, NUMBERS.get(frame.stream), [frame.offset]);
    case 'signal':
      return jsonOn(SIGNAL, { number: frame.number, name: frame.name });
    case 'ping':
      return numbersOn(PING, 0, [frame.number]);
    case 'pong':
      return numbersOn(PING, 1, [frame.number]);
    case 'event':
      return jsonOn(EVENT, frame.event);
    case 'gap':
      return numbersOn(GAP, NUMBERS.get(frame.stream), [frame.from, frame.to]);
    case 'snapshot': {
      const message = new Uint8Array(13 + frame.draw.length);
      const view = new DataView(message.buffer);
      view.setUint8(0, SNAPSHOT);
      view.setBigUint64(1, BigInt(frame.offset));
      view.setUint16(9, frame.size.Width);
      view.setUint16(11, frame.size.Height);
      message.set(frame.draw, 13);
      return message;
    }
  }
}

/** Reads a message. `undefined` if its channel is not known: the receiver ignores it. */
export function decode(message: Uint8Array): Frame | undefined {
  const channel = message[0];
  if (channel === undefined) throw new InvalidFrame('an empty message');
  const payload = message.subarray(1);
  switch (channel) {
    case STDIN:
      return { type: 'stdin', data: payload };
    case STDOUT:
      return { type: 'stdout', data: payload };
    case STDERR:
      return { type: 'stderr', data: payload };
    case STATUS:
      return { type: 'status', ending: json(channel, payload, ['zun']) };
    case RESIZE:
      return { type: 'resize', size: json(channel, payload, ['Width', 'Height']) };
    case HELLO:
      return { type: 'hello', hello: json(channel, payload, ['session', 'token', 'stdin_next', 'stdout_next']) };
    case ACK: {
      const [stream, offset] = counted(channel, payload, 1);
      return { type: 'ack', stream, offset };
    }
    case SIGNAL: {
      const { number, name } = json<{ number: number; name: string }>(channel, payload, ['number', 'name']);
      return { type: 'signal', number, name };
    }
    case PING: {
      if (payload.length !== 9 || (payload[0] ?? 2) > 1) throw bad(channel);
      return { type: payload[0] === 0 ? 'ping' : 'pong', number: numberAt(channel, payload, 1) };
    }
    case EVENT:
      return { type: 'event', event: json(channel, payload, []) };
    case GAP: {
      const [stream, from, to] = counted(channel, payload, 2);
      return { type: 'gap', stream, from, to };
    }
    case SNAPSHOT: {
      if (payload.length < 12) throw bad(channel);
      const view = new DataView(payload.buffer, payload.byteOffset);
      const size = { Width: view.getUint16(8), Height: view.getUint16(10) };
      return { type: 'snapshot', offset: numberAt(channel, payload, 0), size, draw: payload.subarray(12) };
    }
    case CLOSE:
      if (payload.length !== 1 || payload[0] !== STDIN) throw bad(channel);
      return { type: 'stdinEnd' };
    default:
      return undefined;
  }
}

function bytesOn(channel: number, data: Uint8Array): Uint8Array<ArrayBuffer> {
  const message = new Uint8Array(1 + data.length);
  message[0] = channel;
  message.set(data, 1);
  return message;
}

function jsonOn(channel: number, value: unknown): Uint8Array<ArrayBuffer> {
  return bytesOn(channel, new TextEncoder().encode(JSON.stringify(value)));
}

function numbersOn(channel: number, first: number | undefined, numbers: number[]): Uint8Array<ArrayBuffer> {
  const message = new Uint8Array(2 + 8 * numbers.length);
  const view = new DataView(message.buffer);
  view.setUint8(0, channel);
  view.setUint8(1, first ?? 0);
  numbers.forEach((number, index) => view.setBigUint64(2 + 8 * index, BigInt(number)));
  return message;
}

/** Reads an object that has these fields. */
function json<T>(channel: number, payload: Uint8Array, fields: string[]): T {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload));
  } catch {
    throw bad(channel);
  }
  if (typeof value !== 'object' || value === null || !fields.every((field) => field in value)) throw bad(channel);
  return value as T;
}

function counted(channel: number, payload: Uint8Array, count: 1): [Stream, number];
function counted(channel: number, payload: Uint8Array, count: 2): [Stream, number, number];
function counted(channel: number, payload: Uint8Array, count: 1 | 2): [Stream, ...number[]] {
  const stream = STREAMS.get(payload[0] ?? -1);
  if (stream === undefined || payload.length !== 1 + 8 * count) throw bad(channel);
  const first = numberAt(channel, payload, 1);
  return count === 1 ? [stream, first] : [stream, first, numberAt(channel, payload, 9)];
}

/** Reads a number that JavaScript can hold: 2^53 bytes are eight petabytes. */
function numberAt(channel: number, payload: Uint8Array, index: number): number {
  const number = Number(new DataView(payload.buffer, payload.byteOffset).getBigUint64(index));
  if (!Number.isSafeInteger(number)) throw bad(channel);
  return number;
}

function bad(channel: number): InvalidFrame {
  return new InvalidFrame(`a bad payload on channel ${channel}`);
}
