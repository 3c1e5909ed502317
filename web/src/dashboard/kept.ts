// Keeps the token, so that a reload of this tab stays signed in. Nothing is kept after the tab is closed.

import type { Session } from './sign_in.tsx';

const KEY = 'zun.dashboard';

/** Keeps the session until the tab is closed. */
export function keep(session: Session): void {
  try {
    sessionStorage.setItem(KEY, JSON.stringify(session));
  } catch {
    // Without storage, a reload signs out.
  }
}

export function forget(): void {
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    // There is no session storage.
  }
}

export function kept(): Session | undefined {
  try {
    const { token, user } = JSON.parse(sessionStorage.getItem(KEY) ?? '{}') as Session;
    return typeof token === 'string' ? { token, ...(typeof user === 'string' && { user }) } : undefined;
  } catch {
    return undefined;
  }
}
