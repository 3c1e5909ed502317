// Pictures of each state of the page, for who changes it, and the two of docs/web-console.md.

import { mkdirSync } from 'node:fs';
import { after, before, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { launch, screenText, eventually, watched } from '../browser/browser.ts';
import { FakeGate } from '../browser/fake_gate.ts';
import { SHELL } from './shell.ts';

/** Where the pictures of all states go. */
const OUT = '../target/web-pictures';
const SCHEMES = ['dark', 'light'] as const;
const VIEWPORTS = [
  { width: 1280, height: 720 },
  { width: 768, height: 700 },
  { width: 390, height: 760 },
];

let browser: Browser;
before(async () => {
  mkdirSync(OUT, { recursive: true });
  browser = await launch();
});
after(() => browser.close());

/** Shows a shell that two others watch. */
async function shell(gate: FakeGate, page: Page): Promise<void> {
  await page.goto(gate.link());
  await page.locator('#dot[data-state=live]').waitFor();
  gate.print(SHELL);
  await eventually('the text is there', async () => (await screenText(page)).includes('nproc'));
}

const sizeOwner = (isOwn: boolean) => ({ type: 'size_owner', viewer: isOwn ? 1 : 2, size: { Width: 80, Height: 24 } });

for (const colorScheme of SCHEMES) {
  test(`docs, ${colorScheme}`, async () => {
    const gate = await FakeGate.start();
    const { context, page } = await watched(browser, gate.origin, { colorScheme, viewport: { width: 880, height: 400 } });
    await shell(gate, page);
    gate.send({ type: 'event', event: { type: 'viewers', own: 1, viewers: 2 } });
    await page.locator('#viewers').waitFor();
    await page.screenshot({ path: `../docs/web-console-${colorScheme}.png`, animations: 'disabled' });
    await context.close();
    await gate.stop();
  });

  for (const viewport of VIEWPORTS) {
    test(`all states, ${colorScheme}, ${viewport.width} pixels wide`, async () => {
      const gate = await FakeGate.start();
      const isPhone = viewport.width < 500;
      const options = { colorScheme, viewport, hasTouch: isPhone, isMobile: isPhone };
      const { context, page } = await watched(browser, gate.origin, options);
      const take = (state: string) => page.screenshot({ path: `${OUT}/${state}-${colorScheme}-${viewport.width}.png` });
      await shell(gate, page);
      gate.send({ type: 'event', event: { type: 'viewers', own: 1, viewers: 3 } });
      gate.send({ type: 'event', event: { type: 'recording', on: true } });
      await page.locator('#recording').waitFor();
      await take('shell');
      gate.send({ type: 'event', event: sizeOwner(false) });
      await page.locator('#sized').waitFor();
      await take('letterbox');
      gate.send({ type: 'event', event: sizeOwner(true) });
      await page.locator('#open-menu').click();
      await take('menu');
      await page.locator('#open-help').click();
      await take('help');
      await page.keyboard.press('Escape');
      await page.locator('#open-search').click();
      await page.keyboard.type('serve');
      await page.getByText('1 of').waitFor();
      await take('search');
      await page.keyboard.press('Escape');
      await page.evaluate(() => navigator.clipboard.writeText('cd /srv\nrm -r old\nls -l\n'));
      await page.locator('#open-menu').click();
      await page.locator('#paste').click();
      await page.locator('#paste-dialog').waitFor();
      await take('paste');
      await page.keyboard.press('Escape');
      gate.isDown = true;
      gate.cut();
      await page.locator('#banner').waitFor();
      await take('away');
      gate.isDown = false;
      await page.locator('#retry').dispatchEvent('click');
      await eventually('the link is back', () => gate.isLinked);
      gate.exit(137);
      await page.locator('#ending').waitFor();
      await take('ended');
      await page.goto(`${gate.origin}/console`);
      await page.locator('#ending').waitFor();
      await take('no-ticket');
      await context.close();
      await gate.stop();
    });
  }
}
