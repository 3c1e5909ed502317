// The pages with a real zun-api, agent, engine and console gate. A test of the CLI starts them, and the container
// `shared` with a shell.

import { strict as assert } from 'node:assert';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { after, before, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { eventually, launch, screenText, watched, type Watched } from '../browser/browser.ts';

/** Where everything is. */
interface Place {
  /** Of zun-api. */
  origin: string;
  /** The origin of the console gate. */
  gate: string;
  token: string;
  cli: { program: string; environment: Record<string, string> };
}

const { origin, gate, token, cli } = JSON.parse(process.env['ZUN_TEST_WEB'] ?? '{}') as Place;
const environment = { ...process.env, ...cli.environment, TERM: 'xterm' };

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

/** The CLI in a terminal of 24 lines and 100 columns. */
class Cli {
  #child: ChildProcess;
  #exit: number | null | undefined;
  output = '';

  constructor(...words: string[]) {
    const command = ['stty rows 24 cols 100; exec', cli.program, ...words].join(' ');
    this.#child = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'], { env: environment });
    this.#child.stdout?.on('data', (part) => (this.output += String(part)));
    this.#child.on('exit', (code) => (this.#exit = code));
  }

  /** The exit code; `undefined` while it runs. */
  get exit(): number | null | undefined {
    return this.#exit;
  }

  type(text: string): void {
    this.#child.stdin?.write(text);
  }

  stop(): void {
    this.#child.kill('SIGKILL');
  }
}

test('two browsers and a command line share a session', { timeout: 120_000 }, async (context) => {
  const shared = spawnSync(cli.program, ['share', '--uses', '2', 'shared'], { env: environment, encoding: 'utf8' });
  assert.equal(shared.status, 0, shared.stderr);
  const join = async (width: number, height: number) => {
    const viewer = await watched(browser, gate, { ignoreHTTPSErrors: true, viewport: { width, height } });
    await viewer.page.goto(shared.stdout.trim());
    await viewer.page.locator('#dot[data-state=live]').waitFor();
    return viewer;
  };
  const term = new Cli('attach', 'shared');
  context.after(() => term.stop());
  await eventually('the CLI is attached', () => term.output.includes('#'));
  const wide = await join(1100, 640);
  const small = await join(700, 420);
  const outputs = [() => screenText(wide.page), () => screenText(small.page), async () => term.output];
  const allShow = (text: RegExp) =>
    eventually(`all show ${text.source}`, async () => (await Promise.all(outputs.map((output) => output()))).every((output) => text.test(output)));
  const type = async (page: Page, line: string) => {
    await page.locator('.xterm-screen').click();
    await page.keyboard.type(`${line}\n`);
  };
  const sizes = (page: Page) => page.locator('#sized');
  const viewers = (count: number) => Promise.all([wide, small].map(({ page }) => page.locator('#viewers-count').getByText(String(count), { exact: true }).waitFor()));
  await viewers(3);

  // Whoever types owns the size, and the others see it in a frame.
  await type(wide.page, 'echo from the wi""de one');
  await allShow(/from the wide one/);
  await sizes(small.page).waitFor();
  await sizes(wide.page).waitFor({ state: 'hidden' });
  await type(wide.page, 'echo si""ze is $(stty size)');
  let size: RegExpExecArray | null = null;
  await eventually('its size is printed', async () => {
    size = /size is (\d+) (\d+)\s/.exec(await screenText(wide.page));
    return size !== null;
  });
  const [, rows, columns] = size ?? [];
  await small.page.getByText(`${columns} × ${rows}`).waitFor();
  await allShow(new RegExp(`size is ${rows} ${columns}`));
  await small.page.getByRole('button', { name: 'Take control' }).click();
  await sizes(small.page).waitFor({ state: 'hidden' });
  await sizes(wide.page).waitFor();
  term.type('echo from the c""li\r');
  await allShow(/from the cli/);
  for (const { page } of [wide, small]) await page.getByText('100 × 24').waitFor();
  term.type('echo si""ze is $(stty size)\r');
  await allShow(/size is 24 100/);

  // One leaves, and the others go on.
  term.type('\x10\x11');
  await eventually('the CLI has ended', () => term.exit !== undefined);
  assert.equal(term.exit, 0, term.output);
  await viewers(2);
  outputs.pop();
  await type(small.page, 'echo still he""re');
  await allShow(/still here/);
  await small.context.close();
  await wide.page.locator('#viewers').waitFor({ state: 'hidden' });
  await type(wide.page, 'echo al""one');
  await eventually('it goes on', async () => (await screenText(wide.page)).includes('alone'));
  await wide.context.close();
  assert.deepEqual([...wide.faults, ...small.faults], []);
});
