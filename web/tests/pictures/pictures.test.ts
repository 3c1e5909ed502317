// Pictures of each state of the web console, and the two of docs/web-console.md.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { drop, launch, screenText, eventually, watched } from '../browser/browser.ts';
import { FakeGate } from '../browser/fake_gate.ts';
import { isWanted, isWriting, Pictures, SCHEMES } from './pictures.ts';
import { SHELL } from './shell.ts';

const VIEWPORTS = [
  { width: 1280, height: 720 },
  { width: 768, height: 700 },
  { width: 390, height: 760 },
];
/** What the gate reports about a directory. */
const DIRECTORY = Buffer.from(JSON.stringify({ mode: 2 ** 31, size: 0, linkTarget: '' })).toString('base64');

/** A recording of the shell, in which 7 bytes are missing after a minute. */
const CAST = [
  { version: 2, width: 90, height: 24, timestamp: 1_764_500_000 },
  [1, 'o', SHELL],
  [61, 'm', '7 bytes of output are missing here'],
  [225, 'o', '\r\n$ '],
].map((line) => `${JSON.stringify(line)}\n`).join('');

let browser: Browser;
before(async () => {
  browser = await launch([], 'tests/pictures/fonts.conf');
});
after(() => browser.close());
/** What a test has started. */
const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

/** Shows a shell. */
async function shell(gate: FakeGate, page: Page): Promise<void> {
  await page.goto(gate.link());
  await page.locator('#dot[data-state=live]').waitFor();
  gate.print(SHELL);
  await eventually('the text is there', async () => (await screenText(page)).includes('nproc'));
}

const sizeOwner = (isOwn: boolean) => ({ type: 'size_owner', viewer: isOwn ? 1 : 2, size: { Width: 80, Height: 24 } });

/** Copies some files: one is done, one runs, and one was refused. */
async function copies(gate: FakeGate, page: Page, pictures: Pictures): Promise<void> {
  gate.archive = (request, response) => {
    const directory = new URL(request.url ?? '', gate.origin).searchParams.get('path');
    if (directory === '/none') response.writeHead(404).end();
    else if (request.method === 'HEAD') response.writeHead(200, { 'x-docker-container-path-stat': DIRECTORY }).end();
    else if (directory === '/srv') request.resume().on('end', () => response.writeHead(200).end());
    // The third one is not read.
  };
  const local = mkdtempSync(join(tmpdir(), 'zun-pictures-'));
  ends.push(async () => rmSync(local, { recursive: true }));
  const upload = async (name: string, size: number, directory: string) => {
    const file = join(local, name);
    writeFileSync(file, Buffer.alloc(size));
    await drop(page, [file]);
    await page.getByLabel('To the directory').fill(directory);
  };
  await upload('site.tar.gz', 3_600_000, '/srv');
  await pictures.compare('upload');
  await page.keyboard.press('Enter');
  await page.getByText('Uploaded').waitFor();
  await upload('notes.md', 1200, '/none');
  await page.keyboard.press('Enter');
  await page.getByText('There is no directory').waitFor();
  await upload('dump.sql', 80 << 20, '/data');
  await page.keyboard.press('Enter');
  const running = page.locator('#copies li', { hasText: ' of 80' });
  await running.waitFor();
  await pictures.compare('copies', [running.locator('.copy-amount'), running.locator('progress')]);
  await page.getByRole('button', { name: 'Cancel dump.sql' }).click();
  for (let left = 3; left > 0; left--) await page.getByRole('button', { name: /^Close: / }).first().click();
}

for (const colorScheme of SCHEMES) {
  test(`docs, ${colorScheme}`, { skip: !isWriting }, async () => {
    const gate = await FakeGate.start();
    const { context, page } = await watched(browser, gate.origin, { colorScheme, viewport: { width: 880, height: 300 }, reducedMotion: 'reduce' });
    ends.push(() => context.close(), () => gate.stop());
    await shell(gate, page);
    gate.send({ type: 'event', event: { type: 'viewers', own: 1, viewers: 2 } });
    await page.locator('#viewers').waitFor();
    await page.screenshot({ path: `../docs/web-console-${colorScheme}.png`, animations: 'disabled' });
  });

  for (const viewport of VIEWPORTS) {
    test(`player, ${colorScheme}, ${viewport.width} pixels wide`, { skip: !isWanted(colorScheme, viewport.width) }, async () => {
      const gate = await FakeGate.start();
      gate.cast = CAST;
      gate.isRecording = true;
      const isPhone = viewport.width < 500;
      const options = { colorScheme, viewport, hasTouch: isPhone, isMobile: isPhone, reducedMotion: 'reduce' as const, timezoneId: 'UTC', locale: 'en-GB' };
      const { context, page } = await watched(browser, gate.origin, options);
      ends.push(() => context.close(), () => gate.stop());
      const pictures = new Pictures(page, `${colorScheme}-${viewport.width}`);
      await page.goto(gate.player());
      await page.locator('#begin').waitFor();
      await pictures.take('player-begin');
      for (let seconds = 0; seconds < 65; seconds += 5) await page.keyboard.press('ArrowRight');
      await eventually('the text is there', async () => (await screenText(page)).includes('nproc'));
      await page.locator('#remark:not(:empty)').waitFor();
      await pictures.compare('player');
      if (isWriting && viewport.width === 1280) {
        await page.setViewportSize({ width: 880, height: 480 });
        await page.keyboard.press('ArrowRight');
        await page.screenshot({ path: `../docs/player-${colorScheme}.png`, animations: 'disabled' });
        await page.setViewportSize(viewport);
      }
      await page.keyboard.press('End');
      await page.locator('#ending').waitFor();
      await pictures.take('player-end');
      gate.castRefusal = 403;
      await page.goto('about:blank');
      await page.goto(gate.player());
      await page.locator('#ending').waitFor();
      await pictures.take('player-refused');
      pictures.check();
    });

    test(`all states, ${colorScheme}, ${viewport.width} pixels wide`, { skip: !isWanted(colorScheme, viewport.width) }, async () => {
      const gate = await FakeGate.start();
      gate.hello = { files: 1 << 30 };
      const isPhone = viewport.width < 500;
      const options = { colorScheme, viewport, hasTouch: isPhone, isMobile: isPhone, reducedMotion: 'reduce' as const };
      const { context, page } = await watched(browser, gate.origin, options);
      ends.push(() => context.close(), () => gate.stop());
      const pictures = new Pictures(page, `${colorScheme}-${viewport.width}`);
      await shell(gate, page);
      gate.send({ type: 'event', event: { type: 'viewers', own: 1, viewers: 3 } });
      gate.send({ type: 'event', event: { type: 'recording', on: true } });
      await page.locator('#recording').waitFor();
      await pictures.compare('shell');
      gate.send({ type: 'event', event: sizeOwner(false) });
      await page.locator('#sized').waitFor();
      await pictures.compare('letterbox');
      gate.send({ type: 'event', event: sizeOwner(true) });
      await page.locator('#open-menu').click();
      await pictures.compare('menu');
      await page.locator('#open-help').click();
      await pictures.take('help');
      await page.keyboard.press('Escape');
      await page.locator('#open-search').click();
      await page.keyboard.type('serve');
      await page.getByText('1 of').waitFor();
      await pictures.take('search');
      await page.keyboard.press('Escape');
      await page.evaluate(() => navigator.clipboard.writeText('cd /srv\nrm -r old\nls -l\n'));
      await page.locator('#open-menu').click();
      await page.locator('#paste').click();
      await page.locator('#paste-dialog').waitFor();
      await pictures.take('paste');
      await page.keyboard.press('Escape');
      await copies(gate, page, pictures);
      gate.isDown = true;
      gate.cut();
      await page.locator('#banner').waitFor();
      // Its text is a countdown.
      await pictures.compare('away', [page.locator('#banner')]);
      gate.isDown = false;
      await page.locator('#retry').dispatchEvent('click');
      await eventually('the link is back', () => gate.isLinked);
      gate.exit(137);
      await page.locator('#ending').waitFor();
      await pictures.compare('ended');
      await page.goto(`${gate.origin}/console`);
      await page.locator('#ending').waitFor();
      await pictures.compare('no-ticket');
      pictures.check();
    });
  }
}
