// Pictures of each view of the dashboard, and those of docs/web-console.md.

import { after, afterEach, before, test } from 'node:test';
import type { Browser, Locator, Page } from 'playwright-core';
import { eventually, launch, watched } from '../browser/browser.ts';
import type { Stats } from '../../src/dashboard/types.ts';
import { FakeApi } from '../browser/fake_api.ts';
import { FakeGate } from '../browser/fake_gate.ts';
import { fill, fillHosts, fillPast, printLines } from '../browser/world.ts';
import { isWanted, isWriting, Pictures, SCHEMES } from './pictures.ts';
import { SHELL } from './shell.ts';

const VIEWPORTS = [
  { width: 1280, height: 800 },
  { width: 768, height: 800 },
  { width: 390, height: 780 },
];

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

/** Shortens the page's pauses between measurements, and advances its clock as if they were long. */
function hasten(): void {
  const { setTimeout: wait } = window;
  const { now } = Date;
  let ahead = 0;
  Date.now = () => now() + ahead;
  window.setTimeout = ((act: () => void, pause: number) => {
    if (pause !== 2000) return wait(act, pause);
    return wait(() => {
      ahead += 1990;
      act();
    }, 10);
  }) as typeof setTimeout;
}

/** The container's resource usage at a time. */
function usage(step: number): Stats {
  const wave = Math.sin(step / 6) + Math.sin(step / 2.3) / 2;
  return {
    'CPU %': 34 + wave * 18,
    'MEM USAGE(MiB)': 140 + step * 1.6 + wave * 6,
    'MEM LIMIT(MiB)': 512,
    'MEM %': 30,
    'NET I/O(B)': `${Math.floor(step * 90_000 + Math.sin(step / 4) * 200_000 + 200_000)}/${step * 22_000}`,
    'BLOCK I/O(B)': `${Math.floor(step / 12) * 400_000}/${step * 9000}`,
    PIDS: 5,
  };
}

/** Opens two consoles beside each other. */
async function openConsoles(api: FakeApi, page: Page, gates: readonly [FakeGate, FakeGate]): Promise<void> {
  const [main, shell] = gates;
  api.ticketUrl = main.link();
  await page.getByRole('button', { name: 'Attach' }).click();
  await eventually('the main process is attached', () => main.isLinked);
  main.print('2026/11/30 02:11:09 [notice] 1#1: start worker processes\r\n192.0.2.81 - - "GET / HTTP/1.1" \x1b[32m200\x1b[0m 615\r\n192.0.2.81 - - "GET /favicon.ico HTTP/1.1" \x1b[33m404\x1b[0m 153\r\n');
  api.ticketUrl = shell.link();
  await page.getByRole('button', { name: 'Run' }).click();
  await eventually('the shell runs', () => shell.isLinked);
  shell.print(SHELL);
  await page.getByRole('button', { name: 'Split' }).click();
  await page.frameLocator('iframe:visible >> nth=1').getByText('nproc').waitFor();
}

for (const colorScheme of SCHEMES) {
  for (const viewport of VIEWPORTS) {
    test(`dashboard, ${colorScheme}, ${viewport.width} pixels wide`, { skip: !isWanted(colorScheme, viewport.width) }, async () => {
      const api = await FakeApi.start();
      ends.push(() => api.stop());
      api.strategy = 'keystone';
      const isPhone = viewport.width < 500;
      const gates = [await FakeGate.start(), await FakeGate.start()] as const;
      for (const gate of gates) {
        gate.ancestors = api.origin;
        ends.push(() => gate.stop());
      }
      const { context, page } = await watched(browser, api.origin, { colorScheme, viewport, hasTouch: isPhone, isMobile: isPhone, reducedMotion: 'reduce' });
      ends.unshift(() => context.close());
      await page.addInitScript(hasten);
      let step = 0;
      Object.defineProperty(api, 'stats', { get: () => usage(step++), set: () => {} });
      const pictures = new Pictures(page, `${colorScheme}-${viewport.width}`);
      const take = (state: string) => pictures.take(`ui-${state}`);
      const compare = (state: string, varies: Locator[] = []) => pictures.compare(`ui-${state}`, varies);
      const isForDocs = isWriting && viewport.width === 1280;
      await page.goto(`${api.origin}/ui`);
      await page.locator('#user').fill('ann');
      await page.locator('#password').fill('wrong');
      await page.locator('#project').fill('blue');
      await take('sign-in');
      await page.getByRole('button', { name: 'Sign in' }).click();
      await page.getByRole('alert').waitFor();
      await compare('sign-in-failed');
      await page.locator('#password').fill('secret');
      await page.getByRole('button', { name: 'Sign in' }).click();
      await page.getByText('No containers yet').waitFor();
      await compare('empty');
      api.isAdmin = true;
      const web = fill(api);
      fillPast(api);
      fillHosts(api);
      await page.reload();
      await page.getByText('worker-2').waitFor();
      await page.getByText('Live').waitFor();
      await compare('containers');
      if (isForDocs) await page.screenshot({ path: `../docs/dashboard-${colorScheme}.png`, animations: 'disabled', clip: { x: 0, y: 0, width: 1280, height: 720 } });
      await page.getByRole('button', { name: 'New container' }).click();
      await page.locator('summary').click();
      await take('create');
      await page.locator('#new-image').fill('nginx');
      await page.locator('#new-ports').fill('80:x');
      await page.getByRole('button', { name: 'Create and start' }).click();
      await page.locator('.field-error').waitFor();
      await compare('create-failed');
      await page.keyboard.press('Escape');
      await page.getByRole('button', { name: 'Delete web' }).click();
      await take('confirm');
      await page.keyboard.press('Escape');
      await page.getByLabel('Search containers').fill('nothing like this');
      await take('no-match');
      await page.goto(`${api.origin}/ui#/containers/${web.uuid}`);
      await page.getByRole('heading', { name: 'web' }).waitFor();
      await page.waitForFunction(() => (document.querySelector('.plot polyline')?.getAttribute('points')?.split(' ').length ?? 0) > 70);
      await compare('container', await page.locator('.plot').all());
      if (isForDocs) await page.screenshot({ path: `../docs/dashboard-container-${colorScheme}.png`, animations: 'disabled' });
      printLines(api, 60);
      await page.getByRole('link', { name: 'History' }).click();
      await page.getByRole('heading', { name: 'Runs' }).waitFor();
      await take('history');
      await page.getByRole('link', { name: 'Consoles' }).click();
      await take('no-console');
      await page.getByRole('button', { name: 'Run' }).click();
      await page.getByRole('alert').waitFor();
      await take('console-refused');
      await openConsoles(api, page, gates);
      await compare('consoles');
      if (isForDocs) await page.screenshot({ path: `../docs/dashboard-consoles-${colorScheme}.png`, animations: 'disabled' });
      gates[0]?.exit(0);
      await page.getByRole('link', { name: 'Hosts' }).click();
      await page.getByRole('row').nth(1).waitFor();
      await take('hosts');
      await page.goto(`${api.origin}/ui#/containers/${web.uuid}`);
      await page.getByRole('link', { name: 'Logs' }).click();
      await page.getByText('shop/2.4').first().waitFor();
      await take('logs');
      await page.getByLabel('Search the output').fill('favicon');
      await page.locator('mark.current').waitFor();
      await take('logs-search');
      api.isDown = true;
      api.cut();
      await page.goto(`${api.origin}/ui#/`).catch(() => {});
      await page.getByText('Reconnecting').waitFor();
      await page.evaluate(() => window.dispatchEvent(new Event('focus')));
      await compare('away');
      pictures.check();
    });
  }
}
