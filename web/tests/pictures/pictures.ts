// Takes pictures, and compares those whose state matters with the expected ones in tests/pictures/expected. These have half
// the size, in which the edges of letters hardly differ between versions of Chromium. ZUN_WRITE_PICTURES=1 writes them.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import pixelmatch from 'pixelmatch';
import type { Locator, Page } from 'playwright-core';
import { PNG } from 'pngjs';

/** The directory of the pictures of all states. */
const OUT = '../target/web-pictures';
const EXPECTED = 'tests/pictures/expected';
/** How much the colour of a pixel may differ, from 0 to 1. */
const COLOUR = 0.2;
/** The part of all pixels that may differ by more. */
const PIXELS = 0.002;

export const SCHEMES = ['dark', 'light'] as const;
export const isWriting = (process.env['ZUN_WRITE_PICTURES'] ?? '') !== '';
const isLong = (process.env['ZUN_TEST_LONG'] ?? '') !== '';

/** The widest in dark and the smallest in light, or all. */
export function isWanted(scheme: (typeof SCHEMES)[number], width: number): boolean {
  return isLong || isWriting || (scheme === 'dark' ? width === 1280 : width === 390);
}

/** The pictures of one test. */
export class Pictures {
  #page: Page;
  #suffix: string;
  #different: string[] = [];

  constructor(page: Page, suffix: string) {
    this.#page = page;
    this.#suffix = suffix;
    mkdirSync(OUT, { recursive: true });
  }

  /** Takes a picture that is not compared. */
  async take(state: string): Promise<Buffer> {
    await this.#page.mouse.move(0, 0);
    return this.#page.screenshot({ path: `${OUT}/${state}-${this.#suffix}.png`, animations: 'disabled' });
  }

  /** Takes a picture, and compares it without what is in `varies`. */
  async compare(state: string, varies: Locator[] = []): Promise<void> {
    const name = `${state}-${this.#suffix}`;
    const boxes = await Promise.all(varies.map((locator) => locator.boundingBox()));
    const picture = PNG.sync.read(await this.take(state));
    for (const box of boxes) if (box !== null) cover(picture, box);
    const small = halve(picture);
    const file = `${EXPECTED}/${name}.png`;
    if (isWriting) {
      const isSame = existsSync(file) && difference(PNG.sync.read(readFileSync(file)), small, name) === undefined;
      if (!isSame) writeFileSync(file, PNG.sync.write(small, { colorType: 2, deflateLevel: 9 }));
      return;
    }
    const found = existsSync(file) ? difference(PNG.sync.read(readFileSync(file)), small, name) : `${name}: there is no picture to compare with`;
    if (found !== undefined) this.#different.push(found);
  }

  /** Fails if pictures differ. */
  check(): void {
    if (this.#different.length === 0) return;
    throw new Error(`${this.#different.join('\n')}\nIf this is intended, look at target/web-pictures, and run make web-pictures.`);
  }
}

/** Returns in words how much two pictures differ, if too much. */
function difference(expected: PNG, found: PNG, name: string): string | undefined {
  const { width, height } = expected;
  if (found.width !== width || found.height !== height) return `${name}: ${found.width} × ${found.height} instead of ${width} × ${height}`;
  const shown = new PNG({ width, height });
  const count = pixelmatch(expected.data, found.data, shown.data, width, height, { threshold: COLOUR });
  if (count <= width * height * PIXELS) return undefined;
  writeFileSync(`${OUT}/${name}.difference.png`, PNG.sync.write(shown));
  return `${name}: ${count} pixels differ, which target/web-pictures/${name}.difference.png shows`;
}

/** Paints over the lines of a part, because its width may vary too. */
function cover(picture: PNG, box: { y: number; height: number }): void {
  const line = picture.width * 4;
  picture.data.fill(0xff, Math.max(0, Math.floor(box.y)) * line, Math.min(picture.height, Math.ceil(box.y + box.height)) * line);
}

/** The mean of each four pixels. */
function halve(picture: PNG): PNG {
  const [width, height] = [picture.width >> 1, picture.height >> 1];
  const small = new PNG({ width, height });
  const at = (x: number, y: number, channel: number) => picture.data[(y * picture.width + x) * 4 + channel] ?? 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let channel = 0; channel < 4; channel++) {
        const sum = at(2 * x, 2 * y, channel) + at(2 * x + 1, 2 * y, channel) + at(2 * x, 2 * y + 1, channel) + at(2 * x + 1, 2 * y + 1, channel);
        // Fewer colours make the file smaller.
        small.data[(y * width + x) * 4 + channel] = Math.min(255, Math.round(sum / 4 / 8) * 8);
      }
    }
  }
  return small;
}
