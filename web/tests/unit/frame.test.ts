import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { decode, encode, InvalidFrame, type Frame } from '../../src/pty/frame.ts';

// zun-common/src/pty/frame.rs writes this file.
const recorded = readFileSync('tests/frames.txt', 'utf8').trim().split('\n');
const frames = recorded.map((line) => decode(new Uint8Array(Buffer.from(line, 'base64'))));

test('each message of the gate is understood', () => {
  const types = frames.map((frame) => frame?.type);
  const all: Frame['type'][] = [
    ...(['stdin', 'stdout', 'stderr', 'stdinEnd', 'status', 'resize', 'hello', 'ack'] as const),
    ...(['signal', 'ping', 'pong', 'event', 'gap', 'snapshot'] as const),
  ];
  assert.deepEqual(types, all);
});

test('binary messages are written as the gate writes them', () => {
  const binary = new Set(['stdin', 'stdout', 'stderr', 'stdinEnd', 'ping', 'pong', 'gap', 'snapshot', 'resize', 'signal']);
  frames.forEach((frame, index) => {
    if (frame === undefined || !binary.has(frame.type)) return;
    assert.equal(Buffer.from(encode(frame)).toString('base64'), recorded[index], frame.type);
  });
});

test('the fields have their values', () => {
  const [hello, gap, snapshot] = ['hello', 'gap', 'snapshot'].map((type) => frames.find((frame) => frame?.type === type));
  assert.equal(hello?.type === 'hello' && hello.hello.stdout_next, 3);
  assert.deepEqual(gap, { type: 'gap', stream: 'stdout', from: 1, to: 2 });
  assert.ok(snapshot?.type === 'snapshot');
  assert.deepEqual([snapshot.offset, snapshot.size], [9, { Width: 1, Height: 2 }]);
});

test('an unknown channel is ignored, and a bad payload is an error', () => {
  assert.equal(decode(Uint8Array.of(99, 1, 2)), undefined);
  const bad = [[], [17], [17, 0, 1, 2], [4, 0x7b, 0x7d], [255, 1], [22, 1], [19, 2, 0, 0, 0, 0, 0, 0, 0, 0]];
  // Offsets beyond what JavaScript's numbers hold.
  bad.push([17, 1, 255, 255, 255, 255, 255, 255, 255, 255]);
  for (const message of bad) assert.throws(() => decode(Uint8Array.from(message)), InvalidFrame, String(message));
});
