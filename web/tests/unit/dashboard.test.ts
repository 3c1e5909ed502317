// The dashboard's logic that needs no browser.

import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { pageOf } from '../../src/dashboard/console_link.ts';
import { command, image, span, time } from '../../src/dashboard/format.ts';
import { commandWords, InvalidInput, pairs, ports } from '../../src/dashboard/input.ts';
import { LogLines, matches, MOST_LINES } from '../../src/dashboard/log_lines.ts';
import { append, points, type Sample, scale } from '../../src/dashboard/samples.ts';
import { ACTIONS, allows } from '../../src/dashboard/rules.ts';
import { EventReader } from '../../src/dashboard/sse.ts';
import type { Status } from '../../src/dashboard/types.ts';

test('each status allows what the service allows', () => {
  const source = readFileSync('../zun-common/src/status/mod.rs', 'utf8');
  const grid = /assert_snapshot!\(grid\(\), @r"\n([^"]*)"/.exec(source)?.[1] ?? '';
  const rows = grid.split('\n').map((row) => row.trim()).filter((row) => row !== '');
  assert.equal(rows.length, 12);
  for (const row of rows) {
    const [status, ...allowed] = row.split(/\s+/);
    const known = allowed.filter((action) => (ACTIONS as readonly string[]).includes(action));
    const own = ACTIONS.filter((action) => allows(status as Status, action));
    assert.deepEqual(new Set(own), new Set(known), status);
  }
  assert.equal(allows('Frozen' as Status, 'stop'), false);
});

test('events are read however the stream is cut', () => {
  const stream = ': alive\nid: 1.0\n\nid: 1.1\ndata: {"a":1}\n\nevent: end\ndata: one\r\ndata: two\r\n\r\n';
  for (let cut = 0; cut <= stream.length; cut++) {
    const reader = new EventReader();
    const events = [...reader.feed(stream.slice(0, cut)), ...reader.feed(stream.slice(cut))];
    assert.deepEqual(events, [{ type: 'message', data: '{"a":1}' }, { type: 'end', data: 'one\ntwo' }], `cut at ${cut}`);
    assert.equal(reader.lastId, '1.1');
  }
  assert.throws(() => new EventReader().feed('x'.repeat((1 << 20) + 1)), RangeError);
});

test('a command is split as in a shell', () => {
  assert.deepEqual(commandWords(`sh -c 'echo "$HOME"' a\\ b "c \\"d\\"" ''`), ['sh', '-c', 'echo "$HOME"', 'a b', 'c "d"', '']);
  assert.deepEqual(commandWords('  '), []);
  assert.throws(() => commandWords(`echo 'open`), InvalidInput);
  const words = ['sh', '-c', "echo 'it' && exit 3"];
  assert.deepEqual(commandWords(command(words)), words);
});

test('ports and variables are read, and what is wrong is named', () => {
  assert.deepEqual(ports('80, 8080:80 53/udp'), { '80/tcp': [{}, { host_port: 8080 }], '53/udp': [{}] });
  for (const bad of ['0', '80:', '80/icmp', '70000', 'x']) assert.throws(() => ports(bad), new RegExp(`“${bad.replace('/', '\\/')}” must be`));
  assert.deepEqual(pairs('A=1\n\nB=x=y '), { A: '1', B: 'x=y ' });
  assert.throws(() => pairs('=1'), InvalidInput);
});

test('lines of output are taken once, however often they come', () => {
  const log = new LogLines();
  const line = (second: number, text: string) => `2026-11-30T02:00:${String(second).padStart(2, '0')}.000000001Z ${text}\n`;
  assert.equal(log.since, undefined);
  assert.equal(log.take(line(1, 'a') + line(2, 'same') + line(2, 'same')), true);
  assert.equal(log.since, Date.parse('2026-11-30T02:00:01Z') / 1000);
  assert.equal(log.take(line(1, 'a') + line(2, 'same') + line(2, 'same')), false);
  // Another stream's line may come late.
  assert.equal(log.take(line(2, 'same') + line(1, 'late') + line(2, 'same') + line(3, '\x1b[31mred\x1b[0m\ttab\r')), true);
  assert.deepEqual(log.lines.map(({ text }) => text), ['a', 'same', 'same', 'late', 'red\ttab']);
  log.take(Array.from({ length: MOST_LINES }, (_, index) => line(4, String(index))).join(''));
  assert.equal(log.lines.length, MOST_LINES);
  assert.equal(log.dropped, 5);
});

test('a gap is marked where lines may be missing, and nowhere else', () => {
  const log = new LogLines();
  const line = (second: number, text: string) => `2026-11-30T02:00:${String(second).padStart(2, '0')}.000000001Z ${text}\n`;
  log.take(line(1, 'a') + line(2, 'b'));
  log.take(`${line(1, 'a').slice(9)}${line(2, 'b')}${line(3, 'c')}`, true);
  log.take(`part\n${line(5, 'd')}`, true);
  log.take(`part\n${line(5, 'd')}`, true);
  assert.deepEqual(log.lines.map(({ text, isGap }) => (isGap === true ? '...' : text)), ['a', 'b', 'c', '...', 'd']);
});

test('rates are differences of counters, and there are none after a restart', () => {
  const stats = (bytes: number) => ({ 'CPU %': 50, 'MEM USAGE(MiB)': 10, 'MEM LIMIT(MiB)': 64, 'MEM %': 15, 'BLOCK I/O(B)': '0/0', 'NET I/O(B)': `${bytes}/0`, PIDS: 1 });
  let samples: Sample[] = append([], stats(1000), 0);
  assert.equal(samples[0]?.received, undefined);
  samples = append(samples, stats(3000), 2000);
  assert.equal(samples[1]?.received, 1000);
  samples = append(samples, stats(10), 4000);
  assert.equal(samples[2]?.received, undefined);
  for (let index = 0; index < 200; index++) samples = append(samples, stats(10), 5000 + index);
  assert.equal(samples.length, 90);
  assert.equal(points([undefined, 0, 50, 200], 100, 89, 10), '87,10 88,5 89,0');
  assert.deepEqual([scale([], 1024), scale([2000], 1024), scale([5100], 1), scale([0], 1)], [2000, 2000, 10_000, 1]);
});

test('the address of an exec becomes a link to its page, with the secret in the fragment', () => {
  assert.equal(pageOf('wss://console.test:2377/v1/console?token=a-b_c', 'web'), 'https://console.test:2377/console#ticket=a-b_c&name=web');
  assert.equal(pageOf(null, 'web'), undefined);
  assert.equal(pageOf('wss://console.test/v1/console', 'web'), undefined);
});

test('values in words', () => {
  assert.equal(span(59_000), '59 seconds');
  assert.equal(span(3_600_000), '1 hour');
  assert.equal(time('2026-11-30 02:27:27.500000'), Date.UTC(2026, 10, 30, 2, 27, 27, 500));
  assert.equal(time('2026-11-30T02:27:27Z'), Date.UTC(2026, 10, 30, 2, 27, 27));
  assert.equal(image('docker.io/library/nginx:latest'), 'nginx');
  assert.deepEqual(matches('Ab ab', 'AB'), [0, 3]);
});
