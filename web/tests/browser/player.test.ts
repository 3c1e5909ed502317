// The player of recordings in Chromium, with a scripted gate.

import { strict as assert } from 'node:assert';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { violations } from './axe.ts';
import { eventually, launch, screenText, watched, type Watched } from './browser.ts';
import { FakeGate, RECORDING } from './fake_gate.ts';

/** A recording of 60 seconds: the terminal changes its size after 20, and 7 bytes are missing after 30. */
const CAST = [
  { version: 2, width: 80, height: 24, timestamp: 1_764_500_000, title: 'web' },
  [0.1, 'o', '$ make\r\n'],
  [10, 'o', 'compiling\r\n'],
  [20, 'r', '100x30'],
  [20, 'o', '\x1b[2J\x1b[Hlarger\r\n'],
  [30, 'm', '7 bytes of output are missing here'],
  [60, 'o', 'done\r\n'],
].map((line) => `${JSON.stringify(line)}\n`).join('');

let browser: Browser;
let gate: FakeGate;
let opened: Watched | undefined;

before(async () => {
  browser = await launch();
});
after(() => browser.close());
beforeEach(async () => {
  gate = await FakeGate.start();
  gate.cast = CAST;
});
afterEach(async () => {
  const { context, faults } = opened ?? {};
  opened = undefined;
  await context?.close();
  await gate.stop();
  assert.deepEqual(faults ?? [], []);
});

/** Opens the page. With less motion, it waits at the beginning. */
async function open(options: BrowserContextOptions = {}): Promise<Page> {
  opened = await watched(browser, gate.origin, { reducedMotion: 'reduce', ...options });
  await opened.page.goto(gate.player());
  return opened.page;
}

/** Opens the page, and waits until the recording is there. */
async function load(options: BrowserContextOptions = {}): Promise<Page> {
  const page = await open(options);
  await page.locator('#state', { hasText: 'Recorded' }).waitFor();
  return page;
}

const shows = (page: Page, text: string) => eventually(`the terminal shows ${text}`, async () => (await screenText(page)).includes(text));
const position = (page: Page) => page.locator('#position').innerText();

test('a recording plays by itself, at the recorded times, and the ticket leaves the address', async () => {
  gate.cast = CAST.replace('[60,', '[21,');
  const page = await load({ reducedMotion: 'no-preference' });
  assert.equal(new URL(page.url()).hash, '');
  assert.deepEqual(gate.castRequests, [`/recordings/v1/${RECORDING} Zun-Ticket dGlja2V0`]);
  assert.equal(await page.title(), 'web · Recording');
  await shows(page, '$ make');
  assert.ok(!(await screenText(page)).includes('compiling'));
  await page.getByLabel('Speed').selectOption('8');
  // Pauses are shortened to 2 seconds.
  await shows(page, 'done');
  await page.getByRole('button', { name: 'Play again' }).waitFor();
  assert.equal(await position(page), '0:30');
  // The speed is kept.
  await page.goto('about:blank');
  await page.goto(gate.player());
  await page.locator('#state', { hasText: 'Recorded' }).waitFor();
  assert.equal(await page.getByLabel('Speed').inputValue(), '8');
});

test('whoever wants less motion begins it, and can go to any position in both directions', async () => {
  const page = await load();
  assert.equal(await position(page), '0:00');
  assert.ok(!(await screenText(page)).includes('make'));
  const seek = page.getByRole('slider', { name: 'Position' });
  const go = async (seconds: number) => seek.evaluate((slider: HTMLInputElement, value) => {
    slider.value = String(value);
    slider.dispatchEvent(new Event('input'));
  }, seconds);
  await go(15);
  await shows(page, 'compiling');
  assert.equal(await page.locator('#size').innerText(), '80 × 24');
  await go(32);
  await shows(page, 'larger');
  await page.getByText('7 bytes of output are missing').waitFor();
  assert.equal(await page.locator('#size').innerText(), '100 × 30');
  assert.equal(await seek.getAttribute('aria-valuetext'), '0:32 of 1:00');
  await go(12);
  await shows(page, 'compiling');
  await eventually('the size is the former one', async () => (await page.locator('#size').innerText()) === '80 × 24');
  assert.ok(!(await screenText(page)).includes('larger'));
  await go(60);
  await shows(page, 'done');
  await page.getByRole('button', { name: 'Play again' }).click();
  await page.getByRole('button', { name: 'Pause' }).waitFor();
  await shows(page, '$ make');
});

test('the keyboard alone is enough, and axe finds nothing', async () => {
  const page = await load({ bypassCSP: true });
  for (const key of ['ArrowRight', 'ArrowRight', 'ArrowRight']) await page.keyboard.press(key);
  assert.equal(await position(page), '0:15');
  await page.keyboard.press('ArrowLeft');
  assert.equal(await position(page), '0:10');
  await page.keyboard.press('End');
  await shows(page, 'done');
  assert.equal(await position(page), '1:00');
  await page.keyboard.press('Home');
  await eventually('the screen is empty', async () => (await screenText(page)).trim() === '');
  for (const key of ['>', '>', '<']) await page.keyboard.press(key);
  assert.equal(await page.getByLabel('Speed').inputValue(), '1.5');
  await page.keyboard.press('Space');
  await page.getByRole('button', { name: 'Pause' }).waitFor();
  await shows(page, '$ make');
  // Space on the button presses it once.
  await page.getByRole('button', { name: 'Pause' }).focus();
  await page.keyboard.press('Space');
  const play = page.getByRole('button', { name: 'Play', exact: true });
  await play.waitFor();
  const stopped = await position(page);
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement?.id), 'seek');
  await page.keyboard.press('ArrowRight');
  assert.notEqual(await position(page), stopped);
  assert.deepEqual(await violations(page), []);
  await page.keyboard.press('?');
  await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor();
  assert.deepEqual(await violations(page), []);
  await page.keyboard.press('Escape');
  await page.emulateMedia({ colorScheme: 'dark' });
  assert.deepEqual(await violations(page), []);
});

test('pauses are as long as recorded if they should be', async () => {
  const page = await load();
  await page.getByRole('switch', { name: 'Short pauses' }).click();
  await page.keyboard.press('ArrowRight');
  await page.getByRole('button', { name: 'Play', exact: true }).click();
  // With short pauses, it would be at 0:10 at once.
  await eventually('it goes on', async () => (await position(page)) !== '0:05');
  assert.equal(await position(page), '0:06');
  await page.getByRole('switch', { name: 'Short pauses' }).click();
  await eventually('the pause is left out', async () => (await position(page)) >= '0:10');
});

test('what is still recorded plays what there is, and says so at its end', async () => {
  gate.isRecording = true;
  const page = await load();
  await page.getByText('In progress').waitFor();
  await page.keyboard.press('End');
  await shows(page, 'done');
  const end = page.getByText('This is the end so far');
  await end.waitFor();
  await page.keyboard.press('ArrowLeft');
  await end.waitFor({ state: 'hidden' });
});

test('each failure has its words, and what has arrived is played', async () => {
  const page = await open();
  for (const [status, words] of [[403, 'This link no longer works'], [404, 'no longer exists'], [503, 'The host is busy'], [500, 'cannot read the recording']] as const) {
    gate.castRefusal = status;
    await page.goto('about:blank');
    await page.goto(gate.player());
    await page.getByRole('alert').getByText(words).waitFor();
  }
  assert.ok(!(await page.getByRole('slider').isVisible()));
  gate.castRefusal = undefined;
  gate.castBreaksAt = CAST.indexOf('[60');
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.getByRole('alert').getByText('The connection was lost').waitFor();
  await page.keyboard.press('End');
  await shows(page, 'larger');
  gate.castBreaksAt = undefined;
  for (const [cast, words] of [['', 'It is empty'], ['<html>\n', 'is not JSON'], [`${CAST}x\n`, 'The rest of the recording cannot be played']] as const) {
    gate.cast = cast;
    await page.goto('about:blank');
    await page.goto(gate.player());
    await page.getByRole('alert').getByText(words).waitFor();
  }
  // A reload has no ticket any more.
  await page.reload();
  await page.getByRole('alert').getByText('This page needs a link').waitFor();
});

test('nothing that a program printed is sent, copied or followed', async () => {
  gate.cast = `${JSON.stringify({ version: 2, width: 80, height: 24 })}\n${JSON.stringify([0, 'o', '\x1b[c\x1b[6n\x1b]52;c;c3RvbGVu\x07\x1b]2;another title\x07\x1b]8;;https://evil.test\x07link\x1b]8;;\x07'])}\n`;
  const page = await open();
  await page.keyboard.press('End');
  await shows(page, 'link');
  assert.equal(await page.title(), 'web · Recording');
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), '');
  assert.equal(gate.castRequests.length, 1);
});
