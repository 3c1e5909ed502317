// The page in Chromium, with a scripted gate.

import { strict as assert } from 'node:assert';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { violations } from './axe.ts';
import { drop, eventually, launch, screenText, watched, type Watched } from './browser.ts';
import { FakeGate } from './fake_gate.ts';

let browser: Browser;
let gate: FakeGate;
let opened: Watched | undefined;

before(async () => {
  browser = await launch();
});
after(() => browser.close());
beforeEach(async () => {
  gate = await FakeGate.start();
});
afterEach(async () => {
  const { context, faults } = opened ?? {};
  opened = undefined;
  await context?.close();
  await gate.stop();
  assert.deepEqual(faults ?? [], []);
});

/** Opens a page, with a shell that echoes. */
async function open(options: BrowserContextOptions = {}): Promise<Page> {
  opened = await watched(browser, gate.origin, options);
  await opened.page.goto(gate.link());
  await opened.page.locator('#dot[data-state=live]').waitFor();
  gate.program = (input, { print }) => print.call(gate, input.replaceAll('\r', '\r\n'));
  return opened.page;
}

const shows = (page: Page, text: string) =>
  eventually(`the terminal shows ${text}`, async () => (await screenText(page)).includes(text));
const clipboard = (page: Page) => page.evaluate(() => navigator.clipboard.readText());

test('what is typed is sent, what is printed is shown and acknowledged, and the ticket leaves the address', async () => {
  const page = await open();
  assert.equal(new URL(page.url()).hash, '');
  await page.keyboard.type('echo hello');
  await page.keyboard.press('Enter');
  await shows(page, 'echo hello');
  assert.equal(gate.typed, 'echo hello\r');
  await eventually('all output is acknowledged', () => gate.acknowledged === 'echo hello\r\n'.length);
  assert.equal(await page.title(), 'web · Console');
  gate.print('\x1b]2;vim main.rs\x07');
  await eventually('the title is the program’s', async () => (await page.title()) === 'vim main.rs · web · Console');
});

test('a lost link comes back: what was typed meanwhile is sent once, and the banner goes', async () => {
  const page = await open();
  gate.print('before ');
  await shows(page, 'before');
  gate.isDown = true;
  gate.cut();
  await page.locator('#banner').waitFor();
  await page.keyboard.type('typed meanwhile');
  gate.isDown = false;
  await page.locator('#retry').dispatchEvent('click');
  await shows(page, 'before typed meanwhile');
  await page.locator('#banner').waitFor({ state: 'hidden' });
  assert.equal(gate.typed, 'typed meanwhile');
  const resume = gate.hellos.at(-1)?.resume;
  assert.deepEqual(resume, { session: 's1', token: 't1', stdout: 'before '.length, stderr: 0 });
});

test('a short break is not worth a word', async () => {
  const page = await open();
  let wasShown = false;
  await page.exposeFunction('bannerShown', () => (wasShown = true));
  await page.evaluate(() => {
    const banner = document.getElementById('banner') as HTMLElement;
    const tell = () => !banner.hidden && (window as unknown as { bannerShown(): void }).bannerShown();
    new MutationObserver(tell).observe(banner, { attributes: true });
  });
  for (let cut = 1; cut <= 3; cut++) {
    gate.cut();
    await eventually('it comes back', () => gate.hellos.length === 1 + cut && gate.isLinked);
  }
  await page.keyboard.type('x');
  await shows(page, 'x');
  assert.equal(wasShown, false);
});

test('a link that is silent is given up within two seconds after a key', async () => {
  const page = await open();
  gate.silence();
  const typed = Date.now();
  await page.keyboard.type('k');
  await eventually('another link', () => gate.hellos.length === 2);
  assert.ok(Date.now() - typed < 3500, `${Date.now() - typed} ms`);
  await eventually('the key arrives', () => gate.typed === 'k');
});

test('a reload continues the session', async () => {
  const page = await open();
  gate.print('still here');
  await shows(page, 'still here');
  page.on('dialog', (dialog) => void dialog.accept());
  await page.reload();
  await shows(page, 'still here');
  assert.deepEqual(gate.hellos.at(-1)?.resume, { session: 's1', token: 't1', stdout: 0, stderr: 0 });
  // An exec that the page has started gets SIGHUP if no client reconnects.
  assert.deepEqual(gate.hellos.at(0)?.on_disconnect, { signal: 'hup', grace: 900 });
});

test('leaving asks for confirmation during the session, and not after it', async () => {
  const page = await open();
  await page.keyboard.type('x');
  await shows(page, 'x');
  const asked: string[] = [];
  page.on('dialog', (dialog) => {
    asked.push(dialog.type());
    void dialog.dismiss();
  });
  await page.evaluate(() => location.assign('/console/none')).catch(() => {});
  await eventually('it asks', () => asked.length === 1);
  gate.exit(3);
  await page.getByRole('alert').getByText('The process exited with code 3').waitFor();
  await page.goto(`${gate.origin}/console`);
  await page.getByText('This page needs a link').waitFor();
  assert.deepEqual(asked, ['beforeunload']);
});

test('each close of the gate has its words, and a used link too', async () => {
  for (const [code, title] of [
    [4403, 'Your access was revoked'],
    [4404, 'The host no longer has this session'],
    [4409, 'The session continues elsewhere'],
    [1002, 'Protocol error between this page and the host'],
  ] as const) {
    const page = await open();
    gate.close(code);
    await page.getByRole('alert').getByText(title).waitFor();
    await opened?.context.close();
    await gate.stop();
    gate = await FakeGate.start();
  }
  gate.refuses = true;
  opened = await watched(browser, gate.origin);
  await opened.page.goto(gate.link());
  await opened.page.getByText('This link no longer works').waitFor();
});

test('a resume that the gate refuses ends the session', async () => {
  const page = await open();
  gate.refuses = true;
  gate.cut();
  await page.getByText('The host no longer has this session').waitFor();
});

test('several lines are pasted only after a question, unless the program expects them', async () => {
  const page = await open();
  const paste = (text: string) =>
    page.evaluate(async (pasted) => {
      await navigator.clipboard.writeText(pasted);
    }, text).then(() => page.keyboard.press('Control+Shift+V'));
  await paste('one line');
  await eventually('it is sent', () => gate.typed === 'one line');
  await paste('cd /\nls\n');
  await page.getByRole('dialog').getByText('Paste 2 lines?').waitFor();
  await page.keyboard.press('Escape');
  await page.locator('#paste-dialog').waitFor({ state: 'hidden' });
  assert.equal(gate.typed, 'one line');
  await paste('cd /\nls\n');
  await page.getByRole('button', { name: 'Paste', exact: true }).click();
  await eventually('it is sent', () => gate.typed === 'one linecd /\rls\r');
  gate.print('\x1b[?2004h');
  await eventually('the mode is known', () => gate.acknowledged > 0);
  await paste('a\nb');
  await eventually('it is bracketed', () => gate.typed.endsWith('\x1b[200~a\rb\x1b[201~'));
});

test('a selection is copied, and a program copies but never reads', async () => {
  const page = await open();
  gate.print('selectme');
  await shows(page, 'selectme');
  await page.locator('.xterm-screen').dblclick({ position: { x: 20, y: 8 } });
  await page.keyboard.press('Control+Shift+C');
  await page.getByText('Copied.').waitFor();
  assert.equal(await clipboard(page), 'selectme');
  gate.print(`\x1b]52;;${Buffer.from('from the program').toString('base64')}\x07`);
  await page.getByText('The program has copied 16 characters').waitFor();
  assert.equal(await clipboard(page), 'from the program');
  const before = gate.typed;
  gate.print('\x1b]52;c;?\x07done');
  await shows(page, 'done');
  assert.equal(gate.typed, before);
});

test('questions are answered live, and not when another viewer owns the size', async () => {
  const page = await open();
  await page.keyboard.type('q');
  await shows(page, 'q');
  gate.print('\x1b[6n');
  await eventually('the cursor is told', () => /\x1b\[\d+;\d+R/.test(gate.typed));
  gate.send({ type: 'event', event: { type: 'size_owner', viewer: 2, size: { Width: 60, Height: 20 } } });
  await page.locator('#sized').waitFor();
  const before = gate.typed;
  gate.print('\x1b[6n\x1b[c\x1b]11;?\x07\x1b[?2026$pasked');
  await shows(page, 'asked');
  assert.equal(gate.typed, before);
});

test('a smaller terminal of another viewer is shown whole, and can be taken over', async () => {
  const page = await open();
  await page.locator('#sized').waitFor({ state: 'hidden' });
  gate.send({ type: 'event', event: { type: 'viewers', own: 1, viewers: 2 } });
  gate.send({ type: 'event', event: { type: 'size_owner', viewer: 2, size: { Width: 200, Height: 24 } } });
  await page.getByText('200 × 24').waitFor();
  const [stage, screen] = await Promise.all([page.locator('#stage').boundingBox(), page.locator('.xterm-screen').boundingBox()]);
  assert.ok(stage && screen && screen.width <= stage.width && screen.x >= stage.x, JSON.stringify({ stage, screen }));
  const sizes = gate.sizes.length;
  await page.getByRole('button', { name: 'Take control' }).click();
  await eventually('the size is sent', () => gate.sizes.length === sizes + 1);
  gate.send({ type: 'event', event: { type: 'size_owner', viewer: 1, size: gate.sizes.at(-1) } });
  await page.locator('#sized').waitFor({ state: 'hidden' });
});

test('who else is connected is listed with what they may do, and who may type is told', async () => {
  const page = await open();
  const others = [{ id: 2, mode: 'read_only', grant: 'g2' }];
  gate.send({ type: 'event', event: { type: 'viewers', own: 1, viewers: 3, others } });
  await page.getByRole('button', { name: '3 viewers' }).click();
  const list = page.getByRole('list', { name: 'Viewers' });
  assert.deepEqual(await list.getByRole('listitem').allTextContents(), ['You, viewer 1: may type', 'Viewer 2: watches', '1 more']);
  const writer = { id: 4, mode: 'read_write', grant: '<b>g4</b>' };
  gate.send({ type: 'event', event: { type: 'viewer_joined', viewer: writer, viewers: 4 } });
  await page.getByText('Viewer 4, who may type, has joined.').waitFor();
  await list.getByText('Viewer 4: may type').waitFor();
  gate.send({ type: 'event', event: { type: 'viewer_left', viewer: writer, viewers: 3 } });
  await page.getByText('Viewer 4, who may type, has left.').waitFor();
  await list.getByText('Viewer 4: may type').waitFor({ state: 'detached' });
});

test('a snapshot replaces the screen, and a gap is told', async () => {
  const page = await open();
  gate.print('old');
  await shows(page, 'old');
  gate.send({ type: 'gap', stream: 'stdout', from: 3, to: 1003 });
  await shows(page, '1000 bytes of output are missing here');
  const draw = new TextEncoder().encode('new screen');
  gate.send({ type: 'snapshot', offset: 2000, size: { Width: 80, Height: 24 }, draw });
  await shows(page, 'new screen');
  assert.ok(!(await screenText(page)).includes('old'));
});

test('read-only says so, and sends nothing', async () => {
  gate.hello = { writes: false };
  const page = await open();
  await page.getByText('Read-only').waitFor();
  await page.keyboard.type('x');
  gate.print('\x1b[6nprinted');
  await shows(page, 'printed');
  assert.equal(gate.typed, '');
});

test('a process without a terminal gets lines, and its ending of lines is right', async () => {
  gate.hello = { tty: false };
  const page = await open();
  gate.program = () => {};
  gate.print('one\ntwo\n');
  await shows(page, 'one\ntwo');
  await page.keyboard.type('heelo');
  for (let times = 0; times < 4; times++) await page.keyboard.press('Backspace');
  await page.keyboard.type('ello');
  assert.equal(gate.typed, '');
  await page.keyboard.press('Enter');
  await eventually('the line is sent', () => gate.typed === 'hello\n');
});

test('the extra keys type what they say', async () => {
  const page = await open({ hasTouch: true, isMobile: true, viewport: { width: 390, height: 700 } });
  await page.getByRole('button', { name: 'Escape' }).tap();
  await page.getByRole('button', { name: 'Tab' }).tap();
  await page.getByRole('button', { name: 'Up' }).tap();
  await page.getByRole('button', { name: 'Control' }).tap();
  await page.keyboard.type('c');
  await page.keyboard.type('c');
  await eventually('they are sent', () => gate.typed === '\x1b\t\x1b[A\x03c');
});

test('search finds, and the text size is kept', async () => {
  const page = await open();
  gate.print('needle hay needle');
  await shows(page, 'needle');
  await page.keyboard.press('Control+Shift+F');
  await page.keyboard.type('needle');
  await page.getByText('1 of 2').waitFor();
  await page.keyboard.press('Enter');
  await page.getByText('2 of 2').waitFor();
  await page.keyboard.press('Escape');
  const before = gate.sizes.at(-1) ?? gate.hellos.at(-1)?.size;
  await page.getByRole('button', { name: 'Menu' }).click();
  for (let times = 0; times < 6; times++) await page.getByRole('button', { name: 'Larger text' }).click();
  await eventually('fewer columns fit', () => (gate.sizes.at(-1)?.Width ?? 999) < (before?.Width ?? 0));
  page.on('dialog', (dialog) => void dialog.accept());
  await page.reload();
  await page.locator('#font-size').getByText('20', { exact: true }).waitFor({ state: 'attached' });
});

test('in the mode for screen readers, they get the lines and what is printed, also after a reload', async () => {
  const page = await open();
  await page.getByRole('button', { name: 'Menu' }).click();
  await page.getByRole('switch', { name: 'Screen reader' }).click();
  await page.keyboard.press('Escape');
  gate.print('read me aloud\r\n');
  await page.getByRole('listitem').getByText('read me aloud').waitFor();
  await eventually('it is announced', async () => (await page.locator('.live-region').textContent())?.includes('read me aloud') === true);
  page.on('dialog', (dialog) => void dialog.accept());
  await page.reload();
  await page.getByRole('listitem').getByText('read me aloud').waitFor();
});

test('the bar is reached by keyboard, and the terminal again', async () => {
  const page = await open();
  const focused = () => page.evaluate(() => document.activeElement?.id ?? '');
  await page.keyboard.press('Control+Shift+B');
  assert.equal(await focused(), 'open-search');
  await page.keyboard.press('Tab');
  assert.equal(await focused(), 'open-menu');
  await page.keyboard.press('Control+Shift+B');
  await page.keyboard.type('x');
  await eventually('it is sent', () => gate.typed === 'x');
});

test('an upload shows its progress, and can be cancelled, and what the host refuses is said', async () => {
  gate.hello = { files: 100 << 20 };
  const directory = Buffer.from(JSON.stringify({ mode: 2 ** 31, size: 0, linkTarget: '' })).toString('base64');
  let refusal: string | undefined;
  let received = 0;
  gate.archive = (request, response) => {
    if (!request.headers.authorization?.endsWith('dGlja2V0.s1.t1')) response.writeHead(403).end('a wrong secret');
    else if (request.method === 'HEAD') response.writeHead(200, { 'x-docker-container-path-stat': directory }).end();
    else if (refusal !== undefined) request.resume().on('end', () => response.writeHead(403).end(refusal));
    else request.on('data', ({ length }: Buffer) => {
      // Only a part is read.
      received += length;
      if (received > 4 << 20) request.pause();
    });
  };
  const page = await open();
  const local = mkdtempSync(join(tmpdir(), 'zun-page-'));
  const file = (name: string, size: number) => {
    writeFileSync(join(local, name), Buffer.alloc(size));
    return join(local, name);
  };
  await drop(page, [file('large', 60 << 20)]);
  await page.getByRole('dialog', { name: 'Upload large' }).getByText('60 MiB').waitFor();
  await page.getByLabel('To the directory').fill('/srv');
  await page.keyboard.press('Enter');
  await page.getByText(/^[\d.]+ MiB of 60/).waitFor();
  await page.getByRole('button', { name: 'Cancel large to /srv' }).click();
  await page.getByText('Cancelled: large to /srv').waitFor();
  refusal = 'container rootfs is marked read-only';
  const dialog = page.getByRole('dialog', { name: 'Upload small' });
  const proposed = dialog.getByLabel('To the directory');
  await drop(page, [file('small', 10)]);
  await dialog.waitFor();
  assert.equal(await proposed.inputValue(), '/srv');
  await dialog.getByRole('button', { name: 'Cancel', exact: true }).click();
  await dialog.waitFor({ state: 'hidden' });
  // Once the text after the message is shown, the terminal has read the message.
  gate.print('\x1b]7;file://web/home/an%20n\x07$ ');
  await shows(page, '$');
  await drop(page, [file('small', 10)]);
  await dialog.waitFor();
  assert.equal(await proposed.inputValue(), '/home/an n');
  await page.keyboard.press('Enter');
  await page.getByText('Container rootfs is marked read-only.').waitFor();
  await drop(page, [file('larger', 101 << 20)]);
  await page.getByText('larger has 101 MiB, and the limit for one upload is 100 MiB.').waitFor();
  await page.keyboard.type('x');
  await eventually('the terminal has the focus', () => gate.typed.endsWith('x'));
  await opened?.context.close();

  // Without the right, nothing is opened instead of the terminal.
  gate.hello = {};
  const other = await open();
  await drop(other, [file('small', 10)]);
  await other.getByText('This link does not allow copying files.').waitFor();
  await other.getByRole('button', { name: 'Menu' }).click();
  assert.equal(await other.getByRole('button', { name: 'Upload files…' }).count(), 0);
  rmSync(local, { recursive: true });
});

for (const colorScheme of ['dark', 'light'] as const) {
  test(`axe finds nothing, ${colorScheme}`, async () => {
    gate.hello = { files: 1 << 20 };
    const page = await open({ colorScheme, reducedMotion: 'reduce', bypassCSP: true });
    gate.print('\x1b[31mred\x1b[0m text\r\n$ ');
    gate.send({ type: 'event', event: { type: 'viewers', own: 1, viewers: 2 } });
    gate.send({ type: 'event', event: { type: 'recording', on: true } });
    await shows(page, 'text');
    const check = async (state: string) => assert.deepEqual(await violations(page), [], state);
    await check('a shell');
    await page.getByRole('button', { name: '2 viewers' }).click();
    await check('the viewers');
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Menu' }).click();
    await check('the menu');
    await page.getByRole('button', { name: 'Keyboard shortcuts' }).click();
    await check('the help');
    await page.keyboard.press('Escape');
    await page.keyboard.press('Control+Shift+F');
    await check('the search');
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Menu' }).click();
    await page.getByRole('button', { name: 'Download…' }).click();
    await check('a download');
    await page.getByLabel('Path in the container').fill('/x');
    await page.keyboard.press('Enter');
    await page.getByText('This session may not copy files.').waitFor();
    await check('a refused download');
    gate.isDown = true;
    gate.cut();
    await page.locator('#banner').waitFor();
    await check('the banner');
    gate.isDown = false;
    await page.locator('#retry').dispatchEvent('click');
    await eventually('it is back', () => gate.isLinked);
    gate.exit(1);
    await page.locator('#ending').waitFor();
    await check('the end');
  });
}
