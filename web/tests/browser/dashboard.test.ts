// The dashboard in Chromium, with a scripted service.

import { strict as assert } from 'node:assert';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { violations } from './axe.ts';
import { eventually, launch, watched, type Watched } from './browser.ts';
import { FakeApi, stamp, TOKEN } from './fake_api.ts';
import { FakeGate } from './fake_gate.ts';
import { fill, fillHosts, fillPast, printLines } from './world.ts';

/** The page without the licences, with gzip, in bytes. */
const BUDGET = 250 * 1024;

let browser: Browser;
let api: FakeApi;
let opened: Watched | undefined;
/** Gates whose pages the dashboard may show in a frame. */
let gates: FakeGate[] = [];

before(async () => {
  browser = await launch();
});
after(() => browser.close());
beforeEach(async () => {
  api = await FakeApi.start();
});
afterEach(async () => {
  const { context, faults } = opened ?? {};
  opened = undefined;
  await context?.close();
  await api.stop();
  for (const gate of gates.splice(0)) await gate.stop();
  assert.deepEqual(faults ?? [], []);
});

async function visit(options: BrowserContextOptions = {}, path = ''): Promise<Page> {
  opened = await watched(browser, api.origin, { reducedMotion: 'reduce', ...options }, gates.map(({ origin }) => origin));
  await opened.page.goto(`${api.origin}/ui${path}`);
  return opened.page;
}

/** Opens the page of a user who has signed in. */
async function enter(options: BrowserContextOptions = {}, path = ''): Promise<Page> {
  const page = await visit(options, path);
  await page.getByLabel('Token').fill(TOKEN);
  await page.keyboard.press('Enter');
  await live(page);
  return page;
}

const live = (page: Page) => page.locator('[data-link=live]').waitFor();
const row = (page: Page, name: string) => page.getByRole('row').filter({ has: page.getByRole('rowheader', { name: new RegExp(`^${name}`) }) });
const focusedName = (page: Page) => page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent ?? '');

/** Presses Tab until the focus is on the element with this name. */
async function tabTo(page: Page, name: string): Promise<void> {
  for (let presses = 0; presses < 60; presses++) {
    await page.keyboard.press('Tab');
    if ((await focusedName(page)).trim() === name) return;
  }
  assert.fail(`Tab does not reach ${name}`);
}

test('a wrong token is refused in words, a right one opens the page, a reload keeps it and signing out forgets it', async () => {
  fill(api);
  const page = await visit();
  await page.getByLabel('Token').fill('wrong');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('alert').getByText('does not accept this token').waitFor();
  await page.getByLabel('Token').fill(TOKEN);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('link', { name: 'db' }).waitFor();
  await page.reload();
  await page.getByRole('link', { name: 'db' }).waitFor();
  const stored = await page.evaluate(() => [JSON.stringify(localStorage), document.cookie, location.href].join());
  assert.ok(!stored.includes(TOKEN), stored);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByLabel('Token').waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
});

test('with Keystone, users sign in with a password or a token', async () => {
  api.strategy = 'keystone';
  const page = await visit();
  await page.getByLabel('User', { exact: true }).fill('ann');
  await page.getByLabel('Password').fill('guess');
  await page.getByLabel('Project', { exact: true }).fill('blue');
  await page.keyboard.press('Enter');
  await page.getByRole('alert').getByText('Keystone does not accept').waitFor();
  await page.getByLabel('Password').fill('secret');
  await page.keyboard.press('Enter');
  await page.getByText('ann · blue').waitFor();
  assert.ok(!(await page.evaluate(() => JSON.stringify(sessionStorage))).includes('secret'));
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('button', { name: 'Use a token' }).click();
  await page.getByLabel('Token').fill(TOKEN);
  await page.keyboard.press('Enter');
  await page.getByText('No containers yet').waitFor();
});

test('a service without authentication asks for nothing', async () => {
  api.strategy = 'none';
  api.add('web');
  const page = await visit();
  await page.getByRole('link', { name: 'web' }).waitFor();
  assert.equal(await page.getByRole('button', { name: 'Sign out' }).count(), 0);
});

test('an expired sign-in asks again, and continues where the user was, with its consoles', async () => {
  const web = fill(api);
  gates = [await FakeGate.start()];
  const [gate] = gates as [FakeGate];
  gate.ancestors = api.origin;
  api.ticketUrl = gate.link();
  const page = await enter({}, `#/containers/${web.uuid}/consoles`);
  await page.getByRole('button', { name: 'Attach' }).click();
  await page.frameLocator('iframe').locator('#dot[data-state=live]').waitFor();
  api.isExpired = true;
  api.cut();
  const dialog = page.getByRole('dialog', { name: 'Sign in to Zun' });
  await dialog.getByText('Your sign-in has expired').waitFor();
  await page.keyboard.press('Escape');
  await page.keyboard.press('Escape');
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  await dialog.getByLabel('Token').fill('wrong');
  await page.keyboard.press('Enter');
  await dialog.getByRole('alert').getByText('does not accept this token').waitFor();
  api.isExpired = false;
  await dialog.getByLabel('Token').fill(TOKEN);
  await page.keyboard.press('Enter');
  await dialog.waitFor({ state: 'detached' });
  await live(page);
  await page.frameLocator('iframe').locator('.xterm-screen').click();
  await page.keyboard.type('still here');
  await eventually('it is typed', () => gate.typed === 'still here');
  assert.equal(gate.hellos.length, 1);
  api.change('web', { status: 'Stopped', exit_code: 3 }, 'die');
  await page.getByText('exit code 3').waitFor();
  api.isExpired = true;
  api.cut();
  await dialog.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('main').getByLabel('Token').waitFor();
  await eventually('the consoles are closed', async () => (await page.locator('iframe').count()) === 0);
});

test('what happens elsewhere appears by itself, also after a break', async () => {
  fill(api);
  const page = await enter();
  await row(page, 'db').getByText('Running').waitFor();
  api.change('db', { status: 'Stopped', exit_code: 3 }, 'die');
  await row(page, 'db').getByText('exit code 3').waitFor();
  api.event(api.add('fresh'), 'create');
  await page.getByRole('link', { name: 'fresh' }).waitFor();
  api.isDown = true;
  api.cut();
  await page.getByText('Reconnecting').waitFor();
  api.containers = api.containers.filter(({ name }) => name !== 'fresh');
  api.isDown = false;
  await live(page);
  await page.getByRole('link', { name: 'fresh' }).waitFor({ state: 'detached' });

  // A list that is older than an event does not undo the event's change.
  let answer = () => {};
  api.held = new Promise((resolve) => (answer = resolve));
  api.add('only-in-the-list');
  const { lists } = api;
  api.cut();
  await eventually('the list is asked for', () => api.lists > lists);
  await live(page);
  api.change('db', { status: 'Stopped', exit_code: 4 }, 'die');
  api.event(api.add('newer'), 'create');
  const [report] = api.containers.splice(api.containers.findIndex(({ name }) => name === 'report'), 1);
  if (report !== undefined) api.event(report, 'destroy');
  const facts = async () => [await row(page, 'db').getByText('exit code 4').count(), await page.getByRole('link', { name: 'newer' }).count(), await page.getByRole('link', { name: 'report' }).count()].join();
  await eventually('the events are shown', async () => (await facts()) === '1,1,0');
  answer();
  await page.getByRole('link', { name: 'only-in-the-list' }).waitFor();
  assert.equal(await facts(), '1,1,0');
});

test('streams that end at once are asked for less and less often, and a wish to wait is followed', async () => {
  fill(api);
  const page = await enter();
  api.streamPause = 1;
  api.shortStreams = 1;
  api.cut();
  await eventually('a stream that stays', () => api.asked.length === 4 && api.streams === 1);
  await live(page);
  const [, refused = 0, first = 0, last = 0] = api.asked.map(({ at }) => at);
  assert.ok(first - refused >= 990, `${first - refused} ms`);
  // The pause is now 800 ms, of which at most a half is left out.
  assert.ok(last - first >= 390, `${last - first} ms`);
});

test('a tab that nobody sees asks for nothing, and catches up when it is seen', async () => {
  fill(api);
  const page = await enter();
  await page.getByRole('link', { name: 'db' }).waitFor();
  const see = (state: 'hidden' | 'visible') =>
    page.evaluate((value) => {
      Object.defineProperty(document, 'visibilityState', { value, configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
    }, state);
  await see('hidden');
  await eventually('there is no stream', () => api.streams === 0);
  const { lists } = api;
  api.change('db', { status: 'Stopped', exit_code: 3 }, 'die');
  await see('visible');
  await row(page, 'db').getByText('exit code 3').waitFor();
  await live(page);
  assert.deepEqual([api.lists, api.asked.length, api.asked.at(-1)?.lastId], [lists + 1, 2, '1.1']);
  // Containers with an operation in progress are read one by one, and the list less often.
  for (let number = 1; number <= 20; number++) api.add(`busy-${number}`, { task_state: 'container_stopping' });
  const before = api.lists;
  api.cut();
  await page.getByRole('link', { name: 'busy-20' }).waitFor();
  const { reads } = api;
  await eventually('some are read', () => api.reads >= reads + 8);
  assert.equal(api.lists, before + 1);
});

test('containers are started, stopped, restarted and deleted, and what cannot be undone is asked first', async () => {
  fill(api);
  const page = await enter();
  await page.getByRole('button', { name: 'Start report', exact: true }).click();
  await row(page, 'report').getByText('Running').waitFor();
  await page.getByRole('button', { name: 'Stop db' }).click();
  await page.getByRole('dialog', { name: 'Stop db?' }).getByRole('button', { name: 'Cancel' }).click();
  await page.getByRole('button', { name: 'Stop db' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Stop' }).click();
  await row(page, 'db').getByText('Stopped').waitFor();
  await page.getByRole('button', { name: 'Restart import' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Restart' }).click();
  await row(page, 'import').getByText('Running').waitFor();
  api.refusal = { status: 409, text: 'Cannot delete container in Running state' };
  await page.getByRole('button', { name: 'Delete web' }).click();
  await page.getByRole('button', { name: 'Stop and delete' }).click();
  await page.getByRole('alert').getByText('Cannot delete container').waitFor();
  await page.getByRole('button', { name: 'Stop and delete' }).click();
  await page.getByRole('link', { name: 'web', exact: true }).waitFor({ state: 'detached' });
  await page.getByRole('button', { name: 'Close the notice' }).click();
  const verbs = api.changes.map((change) => change.replace(/[0-9a-f-]{36}/, 'ID'));
  assert.deepEqual(verbs, ['POST /v1/containers/ID/start', 'POST /v1/containers/ID/stop', 'POST /v1/containers/ID/reboot', 'DELETE /v1/containers/ID?stop=true']);
  await page.getByRole('button', { name: 'Start search', exact: true, disabled: true }).waitFor();
});

test('a failed action is said', async () => {
  fill(api);
  const page = await enter();
  api.refusal = { status: 503, text: 'Host compute1 is down.' };
  await page.getByRole('button', { name: 'Start report', exact: true }).click();
  await page.getByRole('status').getByText('Host compute1 is down.').waitFor();
});

test('the form creates what was typed, and says what is wrong at the field', async () => {
  const page = await enter();
  await page.getByRole('button', { name: 'New container' }).click();
  await page.getByLabel('Image').fill('nginx');
  await page.getByLabel('Name').fill('Web');
  await page.getByLabel('Command').fill(`sh -c 'echo hi'`);
  await page.getByLabel('Memory in MiB').fill('64');
  await page.locator('summary').click();
  await page.getByLabel('Published ports').fill('8080:x');
  await page.getByLabel('Environment').fill('A=1');
  await page.getByLabel('When the process ends').selectOption('always');
  await page.getByRole('button', { name: 'Create and start' }).click();
  await page.getByText('“8080:x” must be a port').waitFor();
  await page.locator('#new-ports:focus').waitFor();
  await page.getByLabel('Published ports').fill('8080:80');
  api.refusal = { status: 400, text: "Invalid input for field 'name'. Value: 'Web'. It must be lower case." };
  await page.getByRole('button', { name: 'Create and start' }).click();
  await page.locator('#new-name-error').getByText('It must be lower case').waitFor();
  await page.getByLabel('Name').fill('web');
  await page.getByRole('button', { name: 'Create and start' }).click();
  await row(page, 'web').getByText('Pulling the image').waitFor();
  const [, path, ...body] = (api.changes.at(-1) ?? '').split(' ');
  assert.equal(path, '/v1/containers?run=true');
  assert.deepEqual(JSON.parse(body.join(' ')), {
    image: 'nginx',
    name: 'web',
    command: ['sh', '-c', 'echo hi'],
    cpu: 1,
    memory: 64,
    interactive: true,
    tty: true,
    exposed_ports: { '80/tcp': [{ host_port: 8080 }] },
    environment: { A: '1' },
    restart_policy: { Name: 'always' },
  });
  api.change('web', { status: 'Running', task_state: null }, 'start');
  await row(page, 'web').getByText('Running').waitFor();
});

test('the list is searched and filtered', async () => {
  fill(api);
  const page = await enter();
  const names = () => page.locator('.row-link').allTextContents();
  await page.getByRole('button', { name: /^Failed/ }).click();
  await eventually('only failed ones', async () => (await names()).join() === 'cache,import');
  await page.getByRole('button', { name: /^All/ }).click();
  await page.getByLabel('Search containers').fill('worker running');
  await eventually('only workers', async () => (await names()).join() === 'worker-1,worker-2');
  await page.getByLabel('Search containers').fill('nothing');
  await page.getByRole('button', { name: 'Show all' }).click();
  await eventually('all', async () => (await names()).length === 8);
});

test('a list that cannot be read says so, and comes back', async () => {
  fill(api);
  const page = await enter();
  const list = '**/v1/containers?*';
  await page.route(list, (route) => route.abort());
  api.cut();
  await page.getByText('The containers cannot be read').waitFor();
  await live(page);
  await page.unroute(list);
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.getByText('The containers cannot be read').waitFor({ state: 'detached' });
});

test('the output follows, is searched and is saved, what is missing is marked, and whoever may not read it is told once', async () => {
  const web = fill(api);
  printLines(api, 200);
  const page = await enter({}, `#/containers/${web.uuid}/logs`);
  await page.locator('.line').nth(199).waitFor();
  const output = page.getByRole('log');
  const distance = () => output.evaluate((box) => box.scrollHeight - box.scrollTop - box.clientHeight);
  assert.ok((await distance()) < 2);
  api.print('a new line');
  await output.getByText('a new line').waitFor();
  await eventually('it is in sight', async () => (await distance()) < 2);
  assert.equal(await page.locator('.line').count(), 201);

  await page.getByLabel('Search the output').fill('FAVICON');
  await page.getByText('75 of 75').waitFor();
  await page.keyboard.press('Enter');
  await page.getByText('74 of 75').waitFor();
  await page.getByRole('button', { name: 'Next match' }).click();
  await page.getByRole('button', { name: 'Next match' }).click();
  await page.getByText('1 of 75', { exact: true }).waitFor();
  await page.getByRole('button', { name: 'Previous match' }).click();
  await page.getByText('75 of 75').waitFor();
  assert.equal(await page.getByRole('button', { name: 'Follow' }).getAttribute('aria-pressed'), 'false');
  await page.getByRole('button', { name: 'Newest' }).click();
  await eventually('it is at its end', async () => (await distance()) < 2);
  await page.getByRole('button', { name: 'Times' }).click();
  await page.locator('.line time').first().waitFor();
  await page.getByRole('button', { name: 'Wrap' }).click();
  const download = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Download the output' }).click();
  const file = await (await download).path();
  assert.equal(readFileSync(file, 'utf8').split('\n').length, 202);
  assert.equal((await download).suggestedFilename(), 'web.log');

  api.output = '';
  api.cutLine = 'rest of a line';
  api.print('after the gap');
  await output.getByText('after the gap').waitFor();
  // A container that has ended prints nothing more.
  api.print('the last line');
  api.change('web', { status: 'Stopped', exit_code: 0 }, 'die');
  await output.getByText('the last line').waitFor();
  await page.getByText('exit code 0').waitFor();
  const { outputReads, reads: until } = api;
  await eventually('a second goes by', () => api.reads >= until + 4);
  assert.ok(api.outputReads <= outputReads + 1, `${api.outputReads - outputReads} reads`);
  api.change('web', { status: 'Running', started_at: stamp(Date.now()) }, 'start');
  api.outputRefusal = { status: 403, text: 'Policy doesn’t allow container:logs to be performed.' };
  await page.getByRole('alert').getByText('Policy doesn’t allow').waitFor();
  const shown = (await page.locator('.line').allTextContents()).slice(201).map((text) => text.replace(/^[\d-]+ [\d:.]+/, ''));
  assert.deepEqual(shown, ['Output is missing here.', 'after the gap', 'the last line']);
  const refused = api.outputReads;
  // Two containers are busy, which the page reads every second.
  const { reads } = api;
  await eventually('a second goes by', () => api.reads >= reads + 4);
  assert.equal(api.outputReads, refused);
});

test('usage is drawn while the container runs, and its operations and runs have their reasons', async () => {
  const web = fill(api);
  fillPast(api);
  const page = await enter({}, `#/containers/${web.uuid}`);
  const network = page.getByRole('img', { name: /^Network/ });
  await page.getByRole('img', { name: /^CPU: 12.5 % of 100 %/ }).waitFor();
  if (api.stats) api.stats = { ...api.stats, 'CPU %': 80, 'NET I/O(B)': '5000000/2000' };
  await page.getByRole('img', { name: /^CPU: 80 %/ }).waitFor();
  await eventually('the rate is shown', async () => /MiB\/s received/.test((await network.getAttribute('aria-label')) ?? ''));
  api.change('web', { status: 'Stopped', exit_code: 0, finished_at: stamp(Date.now()) }, 'die');
  await network.waitFor({ state: 'detached' });
  await page.getByRole('link', { name: 'History' }).click();
  await page.getByText('the host lost its engine').waitFor();
  await page.getByRole('row').filter({ hasText: 'Killed: out of memory' }).getByText('exit code 137').waitFor();
  api.actions.unshift({ action: 'start', request_id: 'req-new', user_id: 'ann', start_time: stamp(Date.now()), finish_time: null, message: null });
  api.change('web', { task_state: 'container_starting' }, 'update');
  await page.getByText('In progress').waitFor();
});

test('recordings of a container are listed, and play in a tab of their own', async () => {
  const web = fill(api);
  gates = [await FakeGate.start()];
  const [gate] = gates as [FakeGate];
  gate.cast = `${JSON.stringify({ version: 2, width: 80, height: 24 })}\n${JSON.stringify([0.1, 'o', 'what was seen'])}\n`;
  const page = await enter({ bypassCSP: true }, `#/containers/${web.uuid}/history`);
  await page.getByText('No session was recorded').waitFor();
  fillPast(api);
  api.recordings.unresponsive_hosts = ['compute2'];
  await page.getByRole('link', { name: 'Overview' }).click();
  await page.getByRole('link', { name: 'History' }).click();
  const section = page.getByRole('region', { name: 'Recordings' });
  await section.getByText('compute2 did not answer').waitFor();
  const rows = section.getByRole('row');
  // The newest is the first.
  await rows.nth(1).getByText('In progress').waitFor();
  assert.match(await rows.nth(2).innerText(), /Exec 8c1f8c1f8c1f[^]*The process exited with 130[^]*2 hours ago[^]*3:47[^]*1\.9 MiB/);
  assert.match(await rows.nth(3).innerText(), /Main process[^]*40:00[^]*79\.1 KiB/);
  assert.deepEqual(await violations(page), []);
  const play = section.getByRole('button', { name: /^Play the recording of Exec/ });
  await play.click();
  await section.getByRole('alert').getByText('no name for clients with tickets').waitFor();
  api.recordingUrl = gate.player();
  const [player] = await Promise.all([page.waitForEvent('popup'), play.press('Enter')]);
  await player.getByText('80 × 24').waitFor();
  await player.keyboard.press('End');
  await player.locator('.xterm-rows').getByText('what was seen').waitFor();
  assert.equal(await player.evaluate(() => window.opener), null);
  assert.equal(api.changes.at(-1), `POST /v1/recordings/${api.recordings.recordings[1]?.id}/ticket`);
  // They outlive their container.
  api.containers = api.containers.filter((container) => container !== web);
  await page.reload();
  await page.getByRole('heading', { name: 'This container is gone' }).waitFor();
  await section.getByText('In progress').waitFor();
});

test('consoles open beside each other, and stay open while the user looks elsewhere', async () => {
  const web = fill(api);
  gates = [await FakeGate.start(), await FakeGate.start()];
  const [main, shell] = gates as [FakeGate, FakeGate];
  for (const gate of gates) gate.ancestors = api.origin;
  const page = await enter({}, `#/containers/${web.uuid}/consoles`);
  api.ticketUrl = main.link();
  await page.getByRole('button', { name: 'Attach' }).click();
  await eventually('the main process is attached', () => main.isLinked);
  api.ticketUrl = shell.link();
  await page.getByLabel('Command to run').fill(`sh -c 'exec ash'`);
  await page.getByRole('button', { name: 'Run' }).click();
  await eventually('the command runs', () => shell.isLinked);
  assert.ok(api.changes.some((change) => change.includes('/execute') && change.includes('["sh","-c","exec ash"]')));
  await page.frameLocator('iframe[title*="exec ash"]').locator('#dot[data-state=live]').waitFor();
  await eventually('one console is shown', async () => (await page.locator('iframe:visible').count()) === 1);
  await page.getByRole('button', { name: 'Split' }).click();
  await eventually('both are shown', async () => (await page.locator('iframe:visible').count()) === 2);

  await page.getByRole('link', { name: 'Logs' }).click();
  await page.getByRole('log').waitFor();
  await page.getByRole('link', { name: 'Consoles' }).click();
  await page.frameLocator('iframe[title*="exec ash"]').locator('.xterm-screen').click();
  await page.keyboard.type('still here');
  await eventually('it is typed', () => shell.typed === 'still here');
  assert.deepEqual([main.hellos.length, shell.hellos.length], [1, 1]);
  await page.evaluate(() => navigator.clipboard.writeText('cd /\nls\n'));
  await page.keyboard.press('Control+Shift+V');
  await page.frameLocator('iframe[title*="exec ash"]').getByRole('button', { name: 'Paste', exact: true }).click();
  await eventually('both lines are pasted', () => shell.typed === 'still herecd /\rls\r');

  shell.exit(0);
  await page.locator('.console-tab').filter({ hasText: 'exec ash' }).getByText('ended').waitFor();
  await page.getByRole('button', { name: /^Close sh -c/ }).click();
  await page.getByRole('button', { name: 'Close Main process' }).click();
  await page.getByText('No console is open').waitFor();
});

test('consoles of the same host keep their sessions apart when their frames are loaded again', async () => {
  const web = fill(api);
  gates = [await FakeGate.start()];
  const [gate] = gates as [FakeGate];
  gate.ancestors = api.origin;
  const page = await enter({}, `#/containers/${web.uuid}/consoles`);
  for (const number of [1, 2]) {
    api.ticketUrl = gate.link(`ticket${number}`);
    gate.hello = { session: `s${number}`, token: `t${number}` };
    await page.getByRole('button', { name: 'Attach' }).click();
    await page.frameLocator('iframe:visible').locator('#dot[data-state=live]').waitFor();
  }
  const frames = page.frames().filter((frame) => frame.url().startsWith(gate.origin));
  assert.equal(frames.length, 2);
  for (const [index, frame] of frames.entries()) {
    gate.hello = {};
    await frame.evaluate(() => location.reload()).catch(() => {});
    await eventually('it is loaded again', () => gate.hellos.length === 3 + index);
    const { session, token } = gate.hellos.at(-1)?.resume ?? {};
    assert.deepEqual([session, token], [`s${index + 1}`, `t${index + 1}`]);
  }
});

test('a console that cannot be shown opens in a tab of its own, and a host without a gate says so', async () => {
  const web = fill(api);
  gates = [await FakeGate.start()];
  const [gate] = gates as [FakeGate];
  const page = await enter({}, `#/containers/${web.uuid}/consoles`);
  await page.getByRole('button', { name: 'Run' }).click();
  await page.getByRole('alert').getByText('its console gate has no name').waitFor();
  api.ticketUrl = gate.link();
  await page.getByRole('button', { name: 'Attach' }).click();
  await page.getByText('This console opens in a tab of its own').waitFor();
  await page.getByText(`add ${api.origin} to origins`).waitFor();
  const popup = page.waitForEvent('popup');
  await page.getByRole('button', { name: 'Open in a new tab' }).click();
  await (await popup).locator('#dot[data-state=live]').waitFor();
  await (await popup).close();
  // The browser has reported the refused frame.
  opened?.faults.splice(0, Infinity, ...opened.faults.filter((fault) => !fault.includes('frame-ancestors')));
});

test('administrators see the hosts and what is left on them, and others do not', async () => {
  fill(api);
  const page = await enter();
  await page.getByRole('link', { name: 'web' }).waitFor();
  assert.equal(await page.getByRole('link', { name: 'Hosts' }).count(), 0);
  api.isAdmin = true;
  fillHosts(api);
  await page.reload();
  await page.getByRole('link', { name: 'Hosts' }).click();
  const host = page.getByRole('row').filter({ has: page.getByRole('rowheader', { name: /^compute2/ }) });
  await host.getByText('6.5 of 8').waitFor();
  await page.getByText('no heartbeat').waitFor();
  await page.getByRole('link', { name: 'Containers' }).click();
  const red = api.add('of-another-project', { project_id: 'red' });
  await page.getByRole('switch', { name: 'All projects' }).check();
  await page.getByRole('link', { name: 'of-another-project' }).click();
  await page.getByRole('heading', { name: 'of-another-project' }).waitFor();
  // The list does not have it, and the page keeps it.
  await page.goto(`${api.origin}/ui#/containers/${red.uuid}`);
  await page.reload();
  await page.getByRole('heading', { name: 'of-another-project' }).waitFor();
  await live(page);
  const list = page.waitForResponse((response) => response.url().includes('/v1/containers?'));
  api.cut();
  await list;
  await live(page);
  await page.getByRole('heading', { name: 'of-another-project' }).waitFor();
  await page.getByRole('link', { name: 'Containers', exact: true }).first().click();
  await page.getByRole('link', { name: 'db' }).waitFor();
  assert.equal(await page.getByRole('link', { name: 'of-another-project' }).count(), 0);
});

test('a container that is gone says so, and its consoles are there until the user has left them', async () => {
  const web = fill(api);
  gates = [await FakeGate.start()];
  const [gate] = gates as [FakeGate];
  gate.ancestors = api.origin;
  api.ticketUrl = gate.link();
  // The address can have the container's name. An invalid name leads to the list.
  const page = await enter({}, '#/containers/%');
  for (const bad of ['..', 'a%2Fb', '%']) {
    await page.goto(`${api.origin}/ui#/containers/${bad}`);
    await page.getByRole('heading', { name: 'Containers' }).waitFor();
  }
  await page.goto(`${api.origin}/ui#/containers/web/consoles`);
  const tab = page.locator('.console-tab');
  for (const count of [1, 2]) {
    await page.getByRole('button', { name: 'Attach' }).click();
    await eventually('it is open', async () => (await tab.count()) === count && (await tab.locator('.sub').count()) === count - 1);
    gate.exit(0);
    await tab.getByText('ended').nth(count - 1).waitFor();
    await page.goto(`${api.origin}/ui#/containers/web/consoles`);
  }
  api.containers.shift();
  api.event(web, 'destroy');
  await page.getByRole('heading', { name: 'This container is gone' }).waitFor();
  await page.frameLocator('iframe:visible').getByText('The process exited').waitFor();
  await page.getByRole('button', { name: 'Close Main process' }).first().click();
  await eventually('one console is left', async () => (await page.locator('iframe').count()) === 1);
  await page.getByRole('link', { name: 'Containers' }).click();
  await page.getByRole('link', { name: 'db' }).waitFor();
  await page.locator('iframe').waitFor({ state: 'detached' });
});

test('the keyboard alone is enough', async () => {
  fill(api);
  const page = await enter();
  await page.reload();
  await live(page);
  await page.keyboard.press('Tab');
  assert.equal((await focusedName(page)).trim(), 'Skip to the content');
  await page.keyboard.press('Enter');
  await tabTo(page, 'New container');
  await page.keyboard.press('Enter');
  await eventually('the first field has the focus', () => page.evaluate(() => document.activeElement?.id === 'new-image'));
  await page.keyboard.press('Escape');
  assert.equal((await focusedName(page)).trim(), 'New container');
  await tabTo(page, 'Stop db');
  await page.keyboard.press('Space');
  await page.getByRole('dialog').waitFor();
  await tabTo(page, 'Stop');
  await page.keyboard.press('Enter');
  await row(page, 'db').getByText('Stopped').waitFor();
  await tabTo(page, 'web');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'web' }).waitFor();
  assert.equal((await focusedName(page)).trim(), 'web');
  assert.equal(await page.title(), 'web · Zun');
});

for (const colorScheme of ['dark', 'light'] as const) {
  test(`axe finds nothing in the dashboard, ${colorScheme}`, async () => {
    api.strategy = 'keystone';
    api.isAdmin = true;
    const page = await visit({ colorScheme, bypassCSP: true });
    const check = async (state: string) => assert.deepEqual(await violations(page), [], state);
    await page.getByLabel('User', { exact: true }).fill('ann');
    await page.getByLabel('Password').fill('guess');
    await page.getByLabel('Project', { exact: true }).fill('blue');
    await page.keyboard.press('Enter');
    await page.getByRole('alert').waitFor();
    await check('a failed sign-in');
    await page.getByLabel('Password').fill('secret');
    await page.keyboard.press('Enter');
    await page.getByText('No containers yet').waitFor();
    await check('no containers');
    const web = fill(api);
    fillPast(api);
    fillHosts(api);
    printLines(api, 20);
    await page.reload();
    await page.getByRole('link', { name: 'web' }).waitFor();
    await check('containers');
    await page.getByRole('button', { name: 'New container' }).click();
    await page.locator('summary').click();
    await page.getByLabel('Image').fill('x');
    await page.getByLabel('Published ports').fill('x');
    await page.getByRole('button', { name: 'Create and start' }).click();
    await page.locator('.field-error').waitFor();
    await check('the form');
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Delete web' }).click();
    await check('a question');
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Start report', exact: true }).click();
    await page.locator('.notice').waitFor();
    await check('a notice');
    await page.goto(`${api.origin}/ui#/containers/${web.uuid}`);
    await page.getByRole('heading', { name: 'Details' }).waitFor();
    await check('a container');
    await page.getByRole('link', { name: 'History' }).click();
    await page.getByRole('heading', { name: 'Runs' }).waitFor();
    await check('the history');
    await page.getByRole('link', { name: 'Consoles' }).click();
    await page.getByRole('button', { name: 'Run' }).click();
    await page.getByRole('alert').waitFor();
    await check('no console');
    await page.getByRole('link', { name: 'Hosts' }).click();
    await page.getByRole('row').nth(1).waitFor();
    await check('the hosts');
    await page.goto(`${api.origin}/ui#/containers/${web.uuid}/logs`);
    await page.locator('.line').first().waitFor();
    await page.getByLabel('Search the output').fill('favicon');
    await page.locator('mark.current').waitFor();
    await check('the output');
    api.isExpired = true;
    api.cut();
    await page.getByRole('dialog').waitFor();
    await check('an expired sign-in');
  });
}

test('the page is small, and there at once', async () => {
  fill(api);
  const files = readdirSync('dist/dashboard/assets').filter((file) => file.endsWith('.gz') && !file.startsWith('licenses'));
  const size = files.reduce((sum, file) => sum + statSync(join('dist/dashboard/assets', file)).size, 0);
  console.log(`the dashboard has ${Math.round(size / 1024)} KiB with gzip`);
  assert.ok(size < BUDGET, `${size} bytes`);
  const page = await enter();
  await page.reload();
  await page.getByRole('link', { name: 'web' }).waitFor();
  const painted = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0);
  console.log(`first paint after ${Math.round(painted)} ms`);
  // Other tests use the machine too.
  assert.ok(painted > 0 && painted < (process.env['ZUN_TEST_LONG'] === undefined ? 3000 : 1000), `${painted} ms`);
});
