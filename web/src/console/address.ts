// The ticket comes in the fragment of the page's address, which browsers do not send. It leaves the address at once. The
// tab keeps what a reload needs to continue the session. Several consoles of a host can be frames of one tab, and then share
// its session storage: the name of the frame keeps them apart.

import type { Resume } from '../pty/hello.ts';

const KEY = window.name === '' ? 'zun.console' : `zun.console.${window.name}`;

/** Base64url, as tickets are. */
const TICKET = /^[A-Za-z0-9_-]{1,512}$/;

/** What the page was opened with. */
export interface Opening {
  ticket: string;
  /** The container's name, for the title. */
  name: string;
  /** The session to continue after a reload. */
  resume?: Pick<Resume, 'session' | 'token'>;
}

/** Takes the ticket out of the address; without one, what the tab has kept. */
export function takeOpening(): Opening | undefined {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const ticket = fragment.get('ticket');
  if (ticket === null) return stored();
  history.replaceState(null, '', location.pathname + location.search);
  forget();
  return TICKET.test(ticket) ? { ticket, name: (fragment.get('name') ?? '').slice(0, 128) } : undefined;
}

/** Keeps the session for a reload of this tab. */
export function keep(opening: Opening): void {
  try {
    sessionStorage.setItem(KEY, JSON.stringify(opening));
  } catch {
    // Without storage, a reload does not continue the session.
  }
}

export function forget(): void {
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    // There is none.
  }
}

function stored(): Opening | undefined {
  try {
    const value = JSON.parse(sessionStorage.getItem(KEY) ?? 'null') as Partial<Opening> | null;
    const { ticket, name, resume } = value ?? {};
    if (typeof ticket !== 'string' || !TICKET.test(ticket) || typeof name !== 'string') return undefined;
    if (typeof resume?.session !== 'string' || typeof resume.token !== 'string') return undefined;
    return { ticket, name, resume };
  } catch {
    return undefined;
  }
}
