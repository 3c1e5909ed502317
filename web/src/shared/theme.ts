// Colours of the terminal, by the system's preference.

import type { ITheme } from '@xterm/xterm';

const DARK: ITheme = {
  background: '#0d1117',
  foreground: '#e6edf3',
  cursor: '#79b8ff',
  cursorAccent: '#0d1117',
  selectionBackground: '#2f5d9b',
  selectionForeground: '#ffffff',
  scrollbarSliderBackground: '#8b949e55',
  scrollbarSliderHoverBackground: '#8b949e88',
  scrollbarSliderActiveBackground: '#8b949eaa',
  black: '#484f58',
  red: '#ff7b72',
  green: '#56d364',
  yellow: '#e3b341',
  blue: '#79b8ff',
  magenta: '#d2a8ff',
  cyan: '#56d4dd',
  white: '#c9d1d9',
  brightBlack: '#8b949e',
  brightRed: '#ffa198',
  brightGreen: '#7ee787',
  brightYellow: '#f2cc60',
  brightBlue: '#a5d6ff',
  brightMagenta: '#e2c5ff',
  brightCyan: '#87e8ee',
  brightWhite: '#ffffff',
};

const LIGHT: ITheme = {
  background: '#ffffff',
  foreground: '#1f2328',
  cursor: '#0969da',
  cursorAccent: '#ffffff',
  selectionBackground: '#b6d7ff',
  selectionForeground: '#1f2328',
  scrollbarSliderBackground: '#6e778155',
  scrollbarSliderHoverBackground: '#6e778188',
  scrollbarSliderActiveBackground: '#6e7781aa',
  black: '#24292f',
  red: '#cf222e',
  green: '#116329',
  yellow: '#7d4e00',
  blue: '#0550ae',
  magenta: '#8250df',
  cyan: '#1b7c83',
  white: '#57606a',
  brightBlack: '#57606a',
  brightRed: '#a40e26',
  brightGreen: '#1a7f37',
  brightYellow: '#633c01',
  brightBlue: '#0969da',
  brightMagenta: '#6639ba',
  brightCyan: '#136061',
  brightWhite: '#24292f',
};

const isLight = window.matchMedia('(prefers-color-scheme: light)');
const isReduced = window.matchMedia('(prefers-reduced-motion: reduce)');

export function theme(): ITheme {
  return isLight.matches ? LIGHT : DARK;
}

/** The colours of matches of a search. */
export function matchColours(): { match: string; active: string } {
  return isLight.matches ? { match: '#fff8c5', active: '#ffc66b' } : { match: '#5a4a12', active: '#9a6700' };
}

export function reducesMotion(): boolean {
  return isReduced.matches;
}

/** Calls `act` when the system's preferences change. */
export function onSystemChange(act: () => void): void {
  isLight.addEventListener('change', act);
  isReduced.addEventListener('change', act);
}
