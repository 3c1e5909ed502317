import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { encodePath, resolve } from '../../src/console/archive.ts';
import { FirstFile, pack } from '../../src/console/tar.ts';

const directory = mkdtempSync(join(tmpdir(), 'zun-tar-'));
after(() => rmSync(directory, { recursive: true }));

const LONG = `${'ü'.repeat(60)}/${'long '.repeat(30)}name`;

test('an archive is what tar understands: names, contents, modes and owners', async () => {
  const entries = [
    { path: 'site', modified: 1_700_000_000_999 },
    { path: 'site/a b.txt', modified: 1_700_000_000_000, content: new Blob(['it is here']) },
    { path: 'site/empty', modified: 0, content: new Blob([]) },
    { path: LONG, modified: 0, content: new Blob(['x'.repeat(512)]) },
  ];
  const file = join(directory, 'packed.tar');
  writeFileSync(file, Buffer.from(await pack(entries).arrayBuffer()));
  const list = execFileSync('tar', ['--utc', '--numeric-owner', '--quoting-style=literal', '-tvf', file], { encoding: 'utf8' });
  const lines = list.trimEnd().split('\n').map((line) => line.replace(/ +/g, ' '));
  assert.deepEqual(lines, [
    'drwxr-xr-x 0/0 0 2023-11-14 22:13 site/',
    '-rw-r--r-- 0/0 10 2023-11-14 22:13 site/a b.txt',
    '-rw-r--r-- 0/0 0 1970-01-01 00:00 site/empty',
    `-rw-r--r-- 0/0 512 1970-01-01 00:00 ${LONG}`,
  ]);
  assert.equal(execFileSync('tar', ['-xOf', file, 'site/a b.txt'], { encoding: 'utf8' }), 'it is here');
});

test('the first file of an archive is found, however the archive is cut', () => {
  const name = 'n'.repeat(150);
  const content = 'content\n'.repeat(200);
  mkdirSync(join(directory, 'in'));
  writeFileSync(join(directory, 'in', name), content);
  for (const format of ['pax', 'gnu']) {
    const file = join(directory, `${format}.tar`);
    execFileSync('tar', ['-C', join(directory, 'in'), `--format=${format}`, '-cf', file, name]);
    const archive = Uint8Array.from(readFileSync(file));
    for (const step of [1, 511, 512, 513, archive.length]) {
      const parts: Uint8Array[] = [];
      const first = new FirstFile((part) => parts.push(Uint8Array.from(part)));
      for (let at = 0; at < archive.length; at += step) first.push(archive.slice(at, at + step));
      assert.ok(first.isComplete, `${format}, ${step}`);
      assert.equal(Buffer.concat(parts).toString(), content, `${format}, ${step}`);
    }
  }
  const empty = new FirstFile(() => assert.fail('it has no content'));
  empty.push(new Uint8Array(2048));
  assert.ok(!empty.isComplete);
});

test('paths are encoded as the gate expects them, and links are resolved', () => {
  assert.equal(encodePath("/srv/a b&c=(1)*!'~ü"), '/srv/a%20b%26c%3D%281%29%2A%21%27~%C3%BC');
  assert.equal(resolve('../lib/x', '/usr/bin/y'), '/usr/lib/x');
  assert.equal(resolve('/etc//hosts/.', '/usr/y'), '/etc/hosts');
  assert.equal(resolve('../../..', '/a'), '/');
  assert.equal(resolve('tmp', '/'), '/tmp');
});
