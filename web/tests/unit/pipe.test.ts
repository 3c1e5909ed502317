import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { PipeInput } from '../../src/console/pipe.ts';

function typed(...texts: string[]): { log: string[]; echo: string } {
  const log: string[] = [];
  let echo = '';
  const input = new PipeInput({
    send: (text) => log.push(text),
    end: () => log.push('END'),
    interrupt: () => log.push('INT'),
    echo: (text) => (echo += text),
  });
  texts.forEach((text) => input.type(text));
  return { log, echo };
}

test('a line is edited here and sent whole', () => {
  assert.deepEqual(typed('ab', '\x7f', 'c\r'), { log: ['ac\n'], echo: 'ab\b \bc\r\n' });
  assert.deepEqual(typed('é\x7f\x7fx\r').log, ['x\n']);
  assert.deepEqual(typed('abc\x15d\r').log, ['d\n']);
});

test('ctrl-d ends stdin on an empty line, and sends what is on another', () => {
  assert.deepEqual(typed('a\x04', '\x04').log, ['a', 'END']);
});

test('ctrl-c forgets the line and interrupts, and cursor keys do nothing', () => {
  assert.deepEqual(typed('abc\x03', '\x1b[A', 'd\r').log, ['INT', 'd\n']);
});
