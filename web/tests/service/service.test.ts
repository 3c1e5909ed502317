// The dashboard with a real zun-api, agent, engine and console gate. A test of the CLI starts them, and the container
// `shared` with a shell.

import { strict as assert } from 'node:assert';
import { after, before, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { eventually, launch, screenText, watched, type Watched } from '../browser/browser.ts';

/** The addresses, and two links to the container `shared`. */
interface Place {
  origin: string;
  gate: string;
  token: string;
  links: string[];
}

const { origin, gate, token, links } = JSON.parse(process.env['ZUN_TEST_WEB'] ?? '{}') as Place;

let browser: Browser;
before(async () => {
  browser = await launch();
});
after(() => browser.close());

/** Signs in. The gate's certificate is of a CA that the browser does not know. */
async function enter(): Promise<Watched> {
  const opened = await watched(browser, origin, { ignoreHTTPSErrors: true }, [gate]);
  const answer = await opened.page.goto(`${origin}/ui`);
  assert.equal(answer?.status(), 200, await answer?.text());
  await opened.page.getByLabel('Token').fill(token);
  await opened.page.keyboard.press('Enter');
  await opened.page.locator('[data-link=live]').waitFor();
  return opened;
}

const row = (page: Page, name: string) => page.getByRole('row').filter({ has: page.getByRole('link', { name, exact: true }) });

test('a container is created, seen, used, stopped and deleted in the browser', { timeout: 120_000 }, async () => {
  const { context, page, faults } = await enter();
  await row(page, 'shared').getByText('Running').waitFor();

  await page.getByRole('button', { name: 'New container' }).click();
  await page.getByLabel('Image').fill('cirros');
  await page.getByLabel('Name').fill('from-the-browser');
  await page.getByLabel('Command').fill(`sh -c 'echo it says this; exec sleep 600'`);
  await page.getByLabel('Memory in MiB').fill('32');
  await page.getByRole('button', { name: 'Create and start' }).click();
  await row(page, 'from-the-browser').getByText('Running').waitFor();

  await page.getByRole('link', { name: 'from-the-browser' }).click();
  await page.getByRole('img', { name: /^Memory: [\d.]+ MiB of 32 MiB/ }).waitFor();
  await page.getByRole('link', { name: 'Logs' }).click();
  await page.getByRole('log').getByText('it says this').waitFor();
  await page.getByRole('link', { name: 'Consoles' }).click();
  await page.getByRole('button', { name: 'Run' }).click();
  const shell = page.frameLocator('iframe');
  await shell.locator('#dot[data-state=live]').waitFor();
  await shell.locator('.xterm-screen').click();
  await page.keyboard.type('echo $((6 * 7)) is the answer\n');
  await eventually('the shell answers', async () => (await shell.locator('.xterm-rows').innerText()).includes('42 is the answer'));
  await page.getByRole('button', { name: 'Attach' }).click();
  await eventually('both consoles are live', async () => (await page.locator('.console-tab .mark[data-state=live]').count()) === 2);

  await page.getByRole('link', { name: 'History' }).click();
  await page.getByRole('row').filter({ hasText: 'create' }).getByText('Done').first().waitFor();
  await page.getByRole('link', { name: 'Hosts' }).click();
  await page.getByRole('row').nth(1).getByText('up', { exact: true }).waitFor();

  await page.getByRole('link', { name: 'Containers' }).click();
  await page.getByRole('button', { name: 'Stop from-the-browser' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Stop' }).click();
  await row(page, 'from-the-browser').getByText('Stopped').waitFor();
  await page.getByRole('button', { name: 'Delete from-the-browser' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await page.getByRole('link', { name: 'from-the-browser' }).waitFor({ state: 'detached' });
  await context.close();
  assert.deepEqual(faults, []);
});

test('a recorded session is listed, and plays in a tab that its host serves', { timeout: 120_000 }, async () => {
  const { context, page, faults } = await enter();
  await page.getByRole('link', { name: 'recorded', exact: true }).click();
  await page.getByRole('link', { name: 'History' }).click();
  await page.getByText('The process exited with 0').waitFor();
  const [player] = await Promise.all([page.waitForEvent('popup'), page.getByRole('button', { name: /^Play the recording of Exec/ }).click()]);
  await player.locator('#state', { hasText: 'Recorded' }).waitFor();
  assert.equal(new URL(player.url()).origin, gate);
  assert.ok(!player.url().includes('ticket'));
  await player.locator('.xterm-rows').getByText('from a recorded exec').waitFor();
  await player.getByRole('button', { name: 'Play again' }).waitFor();
  // The ticket was used, and the page has forgotten it.
  await player.reload();
  await player.getByText('This page needs a link').waitFor();
  await context.close();
  assert.deepEqual(faults, []);
});

// The test that runs this one has a terminal with `zun attach shared`, and types its answers there.
test('two browsers and a zun in a terminal share one session', { timeout: 120_000 }, async () => {
  const sizes = [{ width: 1280, height: 800 }, { width: 760, height: 480 }];
  const all = await Promise.all(sizes.map(async (viewport, number) => {
    const opened = await watched(browser, gate, { ignoreHTTPSErrors: true, viewport });
    await opened.page.goto(links[number] ?? '');
    await opened.page.locator('#dot[data-state=live]').waitFor();
    return opened;
  }));
  const [first, second] = all.map(({ page }) => page) as [Page, Page];
  const bothShow = (text: string) =>
    eventually(`both show ${text}`, async () => (await screenText(first)).includes(text) && (await screenText(second)).includes(text), 30);
  const type = async (page: Page, line: string) => {
    await page.locator('.xterm-screen').click();
    await page.keyboard.type(`${line}\n`);
  };
  await type(first, 'echo $((6 * 7)) from the first');
  await bothShow('42 from the first');
  // The terminal has read it, and types.
  await bothShow('52 from the terminal');
  await type(second, 'echo $((60 + 2)) from the second');
  await bothShow('62 from the second');
  // The second one has the size now, which is smaller than that of the first.
  const sized = first.getByRole('button', { name: 'Take control' });
  await sized.waitFor();
  await sized.click();
  await second.getByRole('button', { name: 'Take control' }).waitFor();
  await sized.waitFor({ state: 'hidden' });
  for (const { context, faults } of all) {
    await context.close();
    assert.deepEqual(faults, []);
  }
});
