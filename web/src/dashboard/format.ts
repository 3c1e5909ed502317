// Values in words.

import { number } from '../shared/units.ts';
import type { Container, PublishedPort } from './types.ts';

export { bytes, clock, number } from '../shared/units.ts';

/** Reads a time of the API, which is in UTC; `undefined` if there is none. */
export function time(text: string | null | undefined): number | undefined {
  if (text === null || text === undefined) return undefined;
  const value = Date.parse(/Z$|[+-]\d\d:\d\d$/.test(text) ? text : `${text.replace(' ', 'T')}Z`);
  return Number.isNaN(value) ? undefined : value;
}

const UNITS: readonly [string, number][] = [
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
];

/** A span of milliseconds in words, such as `3 minutes`. */
export function span(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  for (const [unit, length] of UNITS) {
    const count = Math.floor(seconds / length);
    if (count >= 1) return `${count} ${unit}${count === 1 ? '' : 's'}`;
  }
  return seconds < 5 ? 'a moment' : `${seconds} seconds`;
}

/** A time in words and in full. */
export function moment(text: string | null | undefined, now: number): { words: string; full: string } | undefined {
  const at = time(text);
  if (at === undefined) return undefined;
  return { words: `${span(now - at)} ago`, full: new Date(at).toLocaleString() };
}

/** How long a container has been in its status. */
export function since(container: Container, now: number): string {
  const started = time(container.started_at);
  const finished = time(container.finished_at);
  switch (container.status) {
    case 'Running':
    case 'Paused':
      return started === undefined ? '' : `for ${span(now - started)}`;
    case 'Stopped':
      return [`exit code ${container.exit_code ?? '?'}`, finished === undefined ? '' : `${span(now - finished)} ago`].filter((part) => part !== '').join(', ');
    default:
      return '';
  }
}

export function mebibytes(value: number): string {
  if (value < 1024) return `${number(value)} MiB`;
  return `${number(value / 1024)} GiB`;
}

export function cpus(value: number): string {
  return `${number(value)} CPU${value === 1 ? '' : 's'}`;
}

export function port({ port: inner, protocol, host_address: address, host_port: outer }: PublishedPort): string {
  const host = address.includes(':') ? `[${address}]` : address;
  return `${host}:${outer} → ${inner}/${protocol}`;
}

/** An image name without its defaults: Docker's registry and the tag `latest`. */
export function image(name: string): string {
  return name.replace(/^docker\.io\/(library\/)?/, '').replace(/:latest$/, '');
}

/** A command as it could be typed. */
export function command(list: string[] | null): string {
  return (list ?? []).map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)).join(' ');
}
