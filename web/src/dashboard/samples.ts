// Measurements of a container, for plots.

import type { Stats } from './types.ts';

/** Measurements that are kept. */
export const MOST_SAMPLES = 90;

export interface Sample {
  /** In milliseconds. */
  at: number;
  /** 100 is one CPU. */
  cpu: number;
  /** In MiB. */
  memory: number;
  memoryLimit: number;
  /** Bytes per second; absent in the first sample. */
  received?: number;
  sent?: number;
  read?: number;
  written?: number;
  processes: number;
  /** The counters from which the rates are computed. */
  counters: readonly [number, number, number, number];
}

/** Appends a measurement. After a restart the counters begin again, so there are no rates then. */
export function append(samples: readonly Sample[], stats: Stats, at: number): Sample[] {
  const [received, sent] = pair(stats['NET I/O(B)']);
  const [read, written] = pair(stats['BLOCK I/O(B)']);
  const counters = [received, sent, read, written] as const;
  const last = samples.at(-1);
  const rate = (index: 0 | 1 | 2 | 3) => {
    if (last === undefined || at <= last.at || counters[index] < last.counters[index]) return undefined;
    return ((counters[index] - last.counters[index]) * 1000) / (at - last.at);
  };
  const rates = { received: rate(0), sent: rate(1), read: rate(2), written: rate(3) };
  const known = Object.fromEntries(Object.entries(rates).filter(([, value]) => value !== undefined));
  const sample: Sample = {
    at,
    cpu: stats['CPU %'],
    memory: stats['MEM USAGE(MiB)'],
    memoryLimit: stats['MEM LIMIT(MiB)'],
    processes: stats.PIDS,
    counters,
    ...known,
  };
  return [...samples, sample].slice(-MOST_SAMPLES);
}

function pair(text: string): [number, number] {
  const [one = 0, other = 0] = text.split('/').map(Number);
  return [Number.isFinite(one) ? one : 0, Number.isFinite(other) ? other : 0];
}

/** The points of a line over time, for a picture of this size. The newest is at the right. `undefined` values are left out. */
export function points(values: readonly (number | undefined)[], most: number, width: number, height: number): string {
  const step = width / (MOST_SAMPLES - 1);
  return values
    .map((value, index) => (value === undefined ? undefined : `${round(width - (values.length - 1 - index) * step)},${round(height - (Math.min(value, most) / most) * height)}`))
    .filter((point) => point !== undefined)
    .join(' ');
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

/** The upper end of a scale: a round number that is not below any value. */
export function scale(values: readonly (number | undefined)[], least: number): number {
  const most = Math.max(least, ...values.map((value) => value ?? 0));
  const power = 10 ** Math.floor(Math.log10(most));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= most) ?? 10;
  return step * power;
}
