// What the user has set, for all terminals of this host.

export interface Preferences {
  /** In CSS pixels. */
  fontSize: number;
  /** Whether the output is read out. */
  screenReader: boolean;
  /** Whether the extra keys are shown; `undefined` if the device decides. */
  keys?: boolean;
}

const KEY = 'zun.console.preferences';
const DEFAULTS: Preferences = { fontSize: 14, screenReader: false };
export const FONT_SIZES = { least: 8, most: 32 };

export function load(): Preferences {
  try {
    const { fontSize, screenReader, keys } = JSON.parse(localStorage.getItem(KEY) ?? '{}') as Partial<Preferences>;
    return {
      fontSize: typeof fontSize === 'number' ? clampFontSize(fontSize) : DEFAULTS.fontSize,
      screenReader: screenReader === true,
      ...(typeof keys === 'boolean' && { keys }),
    };
  } catch {
    return { ...DEFAULTS };
  }
}

export function save(preferences: Preferences): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(preferences));
  } catch {
    // Without storage, they last until the page is closed.
  }
}

export function clampFontSize(size: number): number {
  return Math.min(FONT_SIZES.most, Math.max(FONT_SIZES.least, Math.round(size)));
}
