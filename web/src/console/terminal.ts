// The terminal on the page: xterm.js with the addons, and its size.

import { FitAddon } from '@xterm/addon-fit';
import { SearchAddon } from '@xterm/addon-search';
import { UnicodeGraphemesAddon } from '@xterm/addon-unicode-graphemes';
import { WebLinksAddon } from '@xterm/addon-web-links';
import { WebglAddon } from '@xterm/addon-webgl';
import { Terminal } from '@xterm/xterm';
import type { Size } from '../pty/frame.ts';
import { FONT_SIZES } from './preferences.ts';
import { onSystemChange, reducesMotion, theme } from '../shared/theme.ts';

/** Lines that can be scrolled back. At 200 columns they take about 24 MB. */
const SCROLLBACK = 10_000;

const FONTS =
  'ui-monospace, "SF Mono", "Cascadia Mono", "Segoe UI Mono", "DejaVu Sans Mono", "Liberation Mono", Menlo, Consolas, monospace';

/** Sizes outside of these limits are bogus, such as that of a window that is being closed. */
const LARGEST: Size = { Width: 1000, Height: 500 };

export class TerminalView {
  readonly terminal: Terminal;
  readonly search = new SearchAddon();
  #fit = new FitAddon();
  #stage: HTMLElement;
  #fontSize: number;
  /** The size of another viewer, whose size the terminal has. */
  #foreign: Size | undefined;
  #webgl: WebglAddon | undefined;

  constructor(stage: HTMLElement, options: { fontSize: number; screenReader: boolean }) {
    this.#stage = stage;
    this.#fontSize = options.fontSize;
    this.terminal = new Terminal({
      allowProposedApi: true,
      cursorBlink: !reducesMotion(),
      fontFamily: FONTS,
      fontSize: options.fontSize,
      lineHeight: 1.15,
      linkHandler: { activate: (_event, uri) => openLink(uri) },
      minimumContrastRatio: 4.5,
      screenReaderMode: options.screenReader,
      scrollback: SCROLLBACK,
      theme: theme(),
    });
    this.terminal.loadAddon(this.#fit);
    this.terminal.loadAddon(this.search);
    this.terminal.loadAddon(new WebLinksAddon((_event, uri) => openLink(uri)));
    this.terminal.loadAddon(new UnicodeGraphemesAddon());
    this.terminal.unicode.activeVersion = '15-graphemes';
    this.terminal.open(stage);
    this.#useWebgl();
    new ResizeObserver(() => this.fit()).observe(stage);
    onSystemChange(() => {
      this.terminal.options.theme = theme();
      this.terminal.options.cursorBlink = !reducesMotion();
    });
    this.fit();
  }

  /** Draws with WebGL. Without a graphics card, DOM elements are faster. */
  #useWebgl(): void {
    if (!hasGraphicsCard()) return;
    try {
      this.#webgl = new WebglAddon();
      this.#webgl.onContextLoss(() => this.#webgl?.dispose());
      this.terminal.loadAddon(this.#webgl);
    } catch {
      this.#webgl?.dispose();
    }
  }

  /** The size that fits into the page. */
  ownSize(): Size {
    const { fontSize } = this.terminal.options;
    this.terminal.options.fontSize = this.#fontSize;
    const fits = this.#fit.proposeDimensions();
    if (fontSize !== undefined) this.terminal.options.fontSize = fontSize;
    return {
      Width: Math.min(Math.max(fits?.cols || 80, 2), LARGEST.Width),
      Height: Math.min(Math.max(fits?.rows || 24, 1), LARGEST.Height),
    };
  }

  get fontSize(): number {
    return this.#fontSize;
  }

  set fontSize(size: number) {
    this.#fontSize = size;
    this.fit();
  }

  /** Whether the terminal has the size of another viewer. */
  get isLetterboxed(): boolean {
    return this.#foreign !== undefined;
  }

  /** Shows the size of another viewer; `undefined`: its own. */
  letterbox(size: Size | undefined): void {
    this.#foreign = size && atMostLargest(size);
    this.fit();
  }

  /** Called with the page's own size when it changes. */
  onSize: (size: Size) => void = () => {};

  fit(): void {
    const own = this.ownSize();
    const shown = this.#foreign ?? own;
    const scale = Math.min(1, own.Width / shown.Width, own.Height / shown.Height);
    const fontSize = Math.max(FONT_SIZES.least - 2, Math.floor(this.#fontSize * scale));
    if (this.terminal.options.fontSize !== fontSize) this.terminal.options.fontSize = fontSize;
    if (this.terminal.cols !== shown.Width || this.terminal.rows !== shown.Height) {
      this.terminal.resize(shown.Width, shown.Height);
    }
    this.#stage.classList.toggle('letterboxed', this.isLetterboxed);
    this.onSize(own);
  }

  /** Clears everything, and draws a screen of this size. */
  draw(size: Size, data: Uint8Array, shown: () => void): void {
    this.terminal.reset();
    const { Width, Height } = atMostLargest(size);
    this.terminal.resize(Width, Height);
    this.terminal.write(data, () => {
      shown();
      this.fit();
    });
  }

  /** Shows a notice of the page within the output. */
  note(text: string): void {
    this.terminal.write(`\r\n\x1b[0;2m[${text}]\x1b[0m\r\n`);
  }
}

/** xterm.js allocates memory for the whole size, which another client may have chosen. */
function atMostLargest({ Width, Height }: Size): Size {
  return { Width: Math.min(Width, LARGEST.Width), Height: Math.min(Height, LARGEST.Height) };
}

/** Whether WebGL is available and not emulated. */
function hasGraphicsCard(): boolean {
  const context = document.createElement('canvas').getContext('webgl2', { failIfMajorPerformanceCaveat: true });
  if (context === null) return false;
  const names = context.getExtension('WEBGL_debug_renderer_info');
  const renderer: unknown = names && context.getParameter(names.UNMASKED_RENDERER_WEBGL);
  context.getExtension('WEBGL_lose_context')?.loseContext();
  return !/SwiftShader|llvmpipe|software/i.test(String(renderer));
}

/** Opens a link that a program has printed. Only links to the web: others could start programs. */
function openLink(uri: string): void {
  let url: URL;
  try {
    url = new URL(uri);
  } catch {
    return;
  }
  if (url.protocol === 'https:' || url.protocol === 'http:') window.open(url, '_blank', 'noopener,noreferrer');
}
