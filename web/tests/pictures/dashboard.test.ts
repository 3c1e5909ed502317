// Pictures of each view of the dashboard, for who changes it, and those of docs/web-console.md.

import { mkdirSync } from 'node:fs';
import { after, before, test } from 'node:test';
import type { Browser } from 'playwright-core';
import { launch, watched } from '../browser/browser.ts';
import { FakeApi } from '../browser/fake_api.ts';
import { fill, printLines } from '../browser/world.ts';

/** Where the pictures of all states go. */
const OUT = '../target/web-pictures';
const SCHEMES = ['dark', 'light'] as const;
const VIEWPORTS = [
  { width: 1280, height: 800 },
  { width: 768, height: 800 },
  { width: 390, height: 780 },
];

let browser: Browser;
before(async () => {
  mkdirSync(OUT, { recursive: true });
  browser = await launch();
});
after(() => browser.close());

for (const colorScheme of SCHEMES) {
  for (const viewport of VIEWPORTS) {
    test(`dashboard, ${colorScheme}, ${viewport.width} pixels wide`, async () => {
      const api = await FakeApi.start();
      api.strategy = 'keystone';
      const isPhone = viewport.width < 500;
      const { context, page } = await watched(browser, api.origin, { colorScheme, viewport, hasTouch: isPhone, isMobile: isPhone, reducedMotion: 'reduce' });
      const take = (state: string) => page.screenshot({ path: `${OUT}/ui-${state}-${colorScheme}-${viewport.width}.png`, animations: 'disabled' });
      await page.goto(`${api.origin}/ui`);
      await page.locator('#user').fill('ann');
      await page.locator('#password').fill('wrong');
      await page.locator('#project').fill('blue');
      await take('sign-in');
      await page.getByRole('button', { name: 'Sign in' }).click();
      await page.getByRole('alert').waitFor();
      await take('sign-in-failed');
      await page.locator('#password').fill('secret');
      await page.getByRole('button', { name: 'Sign in' }).click();
      await page.getByText('No containers yet').waitFor();
      await take('empty');
      api.isAdmin = true;
      const web = fill(api);
      await page.reload();
      await page.getByText('worker-2').waitFor();
      await page.getByText('Live').waitFor();
      await take('containers');
      if (viewport.width === 1280) await page.screenshot({ path: `../docs/dashboard-${colorScheme}.png`, animations: 'disabled', clip: { x: 0, y: 0, width: 1280, height: 720 } });
      await page.getByRole('button', { name: 'New container' }).click();
      await page.locator('summary').click();
      await take('create');
      await page.locator('#new-image').fill('nginx');
      await page.locator('#new-ports').fill('80:x');
      await page.getByRole('button', { name: 'Create and start' }).click();
      await page.locator('.field-error').waitFor();
      await take('create-failed');
      await page.keyboard.press('Escape');
      await page.getByRole('button', { name: 'Delete web' }).click();
      await take('confirm');
      await page.keyboard.press('Escape');
      await page.getByLabel('Search containers').fill('nothing like this');
      await take('no-match');
      await page.goto(`${api.origin}/ui#/containers/${web.uuid}`);
      await page.getByRole('heading', { name: 'web' }).waitFor();
      await take('container');
      printLines(api, 60);
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
      await take('away');
      await context.close();
      await api.stop();
    });
  }
}
