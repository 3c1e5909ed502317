// Tells a page that shows this one in a frame how the session is doing. Only pages that the gate's policy permits can do so.

export type SessionState = 'ready' | 'live' | 'ended';

/** Tells the page around this one, if there is one. */
export function tellSurrounding(state: SessionState): void {
  // It is no secret, and the policy has checked who listens.
  if (window.parent !== window) window.parent.postMessage({ zun: 'console', state }, '*');
}
