// Hooks that several components share.

import { useEffect, useReducer, useState } from 'preact/hooks';
import type { Store } from './store.ts';

/** Renders the component again whenever the store has changed. */
export function useStore(store: Store): Store {
  const [, draw] = useReducer((count: number) => count + 1, 0);
  useEffect(() => store.subscribe(() => draw(undefined)), [store]);
  return store;
}

/** The time, updated every this many milliseconds. */
export function useNow(step: number): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = window.setInterval(() => setNow(Date.now()), step);
    return () => window.clearInterval(timer);
  }, [step]);
  return now;
}

export type Route = { page: 'containers' } | { page: 'hosts' } | { page: 'container'; id: string; tab: string };

/** UUIDs and names of containers. Others, such as `..`, could lead requests elsewhere. */
const IDENT = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/;

/** The page that the address names. */
export function readRoute(hash: string): Route {
  const [page, id, tab] = hash.replace(/^#\/?/, '').split('/');
  if (page === 'hosts') return { page: 'hosts' };
  if (page === 'containers' && id !== undefined && IDENT.test(id)) return { page: 'container', id, tab: tab ?? '' };
  return { page: 'containers' };
}

export function useRoute(): Route {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const changed = () => setHash(location.hash);
    window.addEventListener('hashchange', changed);
    return () => window.removeEventListener('hashchange', changed);
  }, []);
  return readRoute(hash);
}

/** Sets the title of the page. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · Zun`;
  }, [title]);
}
