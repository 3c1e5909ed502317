// The terminal that shows the recording.

import { FitAddon } from '@xterm/addon-fit';
import { UnicodeGraphemesAddon } from '@xterm/addon-unicode-graphemes';
import { Terminal } from '@xterm/xterm';
import { onSystemChange, theme } from '../shared/theme.ts';
import type { Size } from './cast.ts';
import type { Timeline } from './timeline.ts';

const SCROLLBACK = 10_000;
const FONTS = 'ui-monospace, "SF Mono", "Cascadia Mono", "Segoe UI Mono", "DejaVu Sans Mono", "Liberation Mono", Menlo, Consolas, monospace';

/** In CSS pixels. */
const FONT_SIZE = { least: 4, normal: 14, most: 22 };

/** How many characters are given to the terminal at once. */
const PART = 128 << 10;

/** A seek that takes longer than this is shown, in milliseconds. */
const QUIET = 150;

export class Screen {
  readonly terminal: Terminal;
  #stage: HTMLElement;
  #timeline: Timeline;
  #fit = new FitAddon();
  #first: Size = { columns: 80, rows: 24 };
  /** How many events the terminal shows, and how many it should show. */
  #shown = 0;
  #wanted = 0;
  #isBusy = false;

  constructor(stage: HTMLElement, timeline: Timeline) {
    this.#stage = stage;
    this.#timeline = timeline;
    this.terminal = new Terminal({
      allowProposedApi: true,
      cursorBlink: false,
      cursorInactiveStyle: 'block',
      disableStdin: true,
      fontFamily: FONTS,
      fontSize: FONT_SIZE.normal,
      lineHeight: 1.15,
      // Links of a recording may be old, or a trap.
      linkHandler: { activate: () => {} },
      minimumContrastRatio: 4.5,
      scrollback: SCROLLBACK,
      theme: theme(),
    });
    this.terminal.loadAddon(this.#fit);
    this.terminal.loadAddon(new UnicodeGraphemesAddon());
    this.terminal.unicode.activeVersion = '15-graphemes';
    this.terminal.open(stage);
    // All keys are the page's and the browser's.
    this.terminal.attachCustomKeyEventHandler(() => false);
    this.terminal.textarea?.setAttribute('aria-label', 'Recorded terminal');
    new ResizeObserver(() => this.#scale()).observe(stage);
    onSystemChange(() => (this.terminal.options.theme = theme()));
  }

  /** Whether it has not shown yet what it should. */
  get isBusy(): boolean {
    return this.#isBusy;
  }

  /** The size of the terminal at the beginning. */
  begin(size: Size): void {
    this.#first = size;
    this.#resize(size);
  }

  /** Shows the terminal after so many events. */
  show(count: number): void {
    this.#wanted = count;
    if (!this.#isBusy && this.#shown !== count) void this.#draw();
  }

  async #draw(): Promise<void> {
    this.#isBusy = true;
    const slow = window.setTimeout(() => this.#stage.classList.add('seeking'), QUIET);
    while (this.#shown !== this.#wanted) {
      // The wanted position may change while a part is drawn.
      if (this.#wanted < this.#shown) this.#restart();
      else await this.#drawPart();
    }
    window.clearTimeout(slow);
    this.#stage.classList.remove('seeking');
    this.#isBusy = false;
  }

  #restart(): void {
    this.terminal.reset();
    this.#resize(this.#first);
    this.#shown = 0;
  }

  async #drawPart(): Promise<void> {
    const { events } = this.#timeline;
    let text = '';
    for (; this.#shown < this.#wanted && text.length < PART; this.#shown++) {
      const event = events[this.#shown];
      if (event?.code === 'output') text += event.text;
      if (event?.code === 'size') {
        // What was printed before belongs to the former size.
        if (text !== '') break;
        this.#resize(event.size);
      }
    }
    if (text !== '') await new Promise<void>((resolve) => this.terminal.write(text, resolve));
  }

  #resize({ columns, rows }: Size): void {
    if (this.terminal.cols !== columns || this.terminal.rows !== rows) this.terminal.resize(columns, rows);
    this.#scale();
  }

  /** Chooses the largest font with which everything is visible. */
  #scale(): void {
    const { cols, rows, options } = this.terminal;
    options.fontSize = FONT_SIZE.normal;
    const fits = this.#fit.proposeDimensions();
    if (fits === undefined || !Number.isFinite(fits.cols) || !Number.isFinite(fits.rows)) return;
    const scale = Math.min((fits.cols + 1) / cols, (fits.rows + 1) / rows);
    let size = Math.floor(2 * Math.min(FONT_SIZE.most, Math.max(FONT_SIZE.least, FONT_SIZE.normal * scale))) / 2;
    for (; size > FONT_SIZE.least; size -= 0.5) {
      options.fontSize = size;
      const own = this.#fit.proposeDimensions();
      if (own === undefined || (own.cols >= cols && own.rows >= rows)) break;
    }
    options.fontSize = size;
  }
}
