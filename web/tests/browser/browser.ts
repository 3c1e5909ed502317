// Chromium, and pages whose errors are recorded.

import { strict as assert } from 'node:assert';
import { resolve } from 'node:path';
import { chromium, type Browser, type BrowserContext, type BrowserContextOptions, type Page } from 'playwright-core';

/** Starts Debian's Chromium, or the one that ZUN_TEST_CHROMIUM names; with other fonts if `fonts` is fontconfig's file. */
export function launch(options: string[] = [], fonts?: string): Promise<Browser> {
  return chromium.launch({
    ...(fonts !== undefined && { env: { ...process.env, FONTCONFIG_FILE: resolve(fonts) } as Record<string, string> }),
    executablePath: process.env['ZUN_TEST_CHROMIUM'] ?? '/usr/bin/chromium',
    // Root has no sandbox. The pages are our own.
    args: ['--no-sandbox', '--disable-dev-shm-usage', ...options],
  });
}

/** A page with its errors. */
export interface Watched {
  context: BrowserContext;
  page: Page;
  /** Errors, violations of the content security policy, and requests to other origins. */
  faults: string[];
}

/** Opens a page and records its errors. It may send requests to `origin` and to `others`, which can change. */
export async function watched(browser: Browser, origin: string, options: BrowserContextOptions = {}, others: string[] = []): Promise<Watched> {
  const context = await browser.newContext({ permissions: ['clipboard-read', 'clipboard-write'], ...options });
  const page = await context.newPage();
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(`error: ${error.message}`));
  page.on('console', (message) => {
    // The browser reports each link that is lost.
    if (message.type() === 'error' && !/WebSocket|ERR_|status of [45]/.test(message.text())) faults.push(message.text());
  });
  page.on('request', (request) => {
    const { protocol, host } = new URL(request.url());
    const isKnown = [origin, ...others].some((known) => new URL(known).host === host);
    if (protocol !== 'data:' && protocol !== 'blob:' && !isKnown) faults.push(`request to ${request.url()}`);
  });
  return { context, page, faults };
}

/** The text on the visible part of the terminal. */
export function screenText(page: Page): Promise<string> {
  return page.locator('.xterm-rows').innerText();
}

/** Drags files and directories of this machine onto the middle of the page, and drops them. */
export async function drop(page: Page, files: string[]): Promise<void> {
  const session = await page.context().newCDPSession(page);
  const { width, height } = page.viewportSize() ?? { width: 100, height: 100 };
  const data = { items: [], files, dragOperationsMask: 1 };
  for (const type of ['dragEnter', 'dragOver', 'drop'] as const) {
    await session.send('Input.dispatchDragEvent', { type, x: width / 2, y: height / 2, data });
  }
  await session.detach();
}

/** Waits until a condition is true. */
export async function eventually(what: string, holds: () => boolean | Promise<boolean>, seconds = 15): Promise<void> {
  const end = Date.now() + seconds * 1000;
  while (!(await holds())) {
    assert.ok(Date.now() < end, `${what}: not within ${seconds} s`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
