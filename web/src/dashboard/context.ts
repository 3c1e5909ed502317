// The parts of the page that all views need.

import { createContext } from 'preact';
import { useContext } from 'preact/hooks';
import type { Question } from './dialog.tsx';
import type { Store } from './store.ts';

export interface Desk {
  store: Store;
  /** Whether the user sees hosts: an administrator. */
  seesHosts: boolean;
  /** Asks the user before something is done. */
  ask: (question: Question) => void;
  /** Shows a notice. */
  say: (text: string, isError?: boolean) => void;
}

export const DeskContext = createContext<Desk | undefined>(undefined);

export function useDesk(): Desk {
  const desk = useContext(DeskContext);
  if (desk === undefined) throw new Error('a view is outside of the page');
  return desk;
}
