import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { CastReader, InvalidCast } from '../../src/player/cast.ts';
import { Timeline } from '../../src/player/timeline.ts';
import { clock } from '../../src/shared/units.ts';

const HEADER = '{"version": 2, "width": 80, "height": 24, "timestamp": 1764500000}\n';

/** The events of a recording that arrives in pieces. */
function read(text: string, pieces = 1): Timeline {
  const [reader, timeline] = [new CastReader(), new Timeline()];
  const length = Math.ceil(text.length / pieces);
  for (let at = 0; at < text.length; at += length) timeline.add(reader.read(text.slice(at, at + length)));
  timeline.add(reader.end());
  return timeline;
}

test('a recording is read as it arrives, whatever the pieces, and what is unknown is left out', () => {
  const text = `${HEADER}[0.5, "o", "a"]\n[1.0, "r", "100x30"]\n[0.9, "o", "b"]\n[2, "i", "typed"]\n\n[3, "m", "7 bytes"]\n[4, "r", "x"]\n[5, "r", "9999x9999"]\n`;
  for (const pieces of [1, 7, text.length]) {
    assert.deepEqual(read(text, pieces).events, [
      { time: 0.5, code: 'output', text: 'a' },
      { time: 1, code: 'size', size: { columns: 100, rows: 30 } },
      // Time does not go back.
      { time: 1, code: 'output', text: 'b' },
      { time: 3, code: 'remark', text: '7 bytes' },
      { time: 5, code: 'size', size: { columns: 1000, rows: 500 } },
    ]);
  }
  const reader = new CastReader();
  assert.deepEqual([...reader.read(HEADER)], []);
  assert.deepEqual(reader.header, { size: { columns: 80, rows: 24 }, began: 1_764_500_000_000 });
});

test('the last line may be incomplete, and other lines that are no events are named', () => {
  assert.equal(read(`${HEADER}[1, "o", "a"]\n[2, "o"`).events.length, 1);
  assert.equal(read(`${HEADER}[1, "o", "a"]`).events.length, 1);
  for (const [text, words] of [
    ['{"version": 1}\n', /header of asciicast v2/],
    ['{"version": 2, "width": 0, "height": 24}\n', /header of asciicast v2/],
    ['<html>\n', /Line 1 .* not JSON/],
    ['<html>', /Line 1 .* not JSON/],
    [`${HEADER}[1, "o", "a"]\n{}\n`, /Line 3 .* not an event/],
    [`${HEADER}["1", "o", "a"]\n`, /Line 2 .* not an event/],
  ] as const) {
    assert.throws(() => read(text), (error: Error) => error instanceof InvalidCast && words.test(error.message), text);
  }
});

test('the position moves with the speed, shortens pauses if it should, and stops at the end', () => {
  const timeline = read(`${HEADER}[1, "o", "a"]\n[101, "o", "b"]\n[102, "o", "c"]\n`);
  const [whole, short] = [{ speed: 1, shortens: false }, { speed: 1, shortens: true }];
  assert.equal(timeline.advance(0, 0.5, whole), 0.5);
  assert.equal(timeline.advance(0, 0.5, { speed: 8, shortens: false }), 4);
  assert.equal(timeline.advance(0, 10, whole), 10);
  // A second until the first event, 2 of the pause, and half of the next second.
  assert.equal(timeline.advance(0, 2.5, short), 2.5);
  assert.equal(timeline.advance(0, 3.5, short), 101.5);
  assert.equal(timeline.advance(50, 0.25, short), 101.25);
  assert.equal(timeline.advance(0, 1000, short), 102);
  assert.equal(timeline.advance(102, 1, whole), 102);
  assert.equal(new Timeline().advance(0, 1, whole), 0);
  assert.deepEqual([0, 0.9, 1, 101, 200].map((time) => timeline.countAt(time)), [0, 0, 1, 2, 3]);
});

test('a remark is shown for a few seconds', () => {
  const timeline = read(`${HEADER}[1, "m", "missing"]\n[2, "o", "b"]\n`);
  assert.deepEqual([0, 1, 5.9, 6].map((time) => timeline.remarkAt(time)), [undefined, 'missing', 'missing', undefined]);
  assert.deepEqual([0, 7.9, 61, 3723].map(clock), ['0:00', '0:07', '1:01', '1:02:03']);
});
