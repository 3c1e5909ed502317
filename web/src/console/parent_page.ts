// Reports the session's state to a page that shows this one in a frame. Only pages that the gate's policy permits can
// show it.

export type SessionState = 'ready' | 'live' | 'ended';

/** Notifies the page around this one, if there is one. */
export function notifyParentPage(state: SessionState): void {
  // The state is not secret, and the policy limits which pages receive it.
  if (window.parent !== window) window.parent.postMessage({ zun: 'console', state }, '*');
}
