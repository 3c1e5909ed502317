// News about the session (channel 20). Unknown ones are ignored.

import type { Size } from '../pty/frame.ts';

export type News =
  | { type: 'viewers'; count: number }
  | { type: 'size_owner'; isOwn: boolean; size: Size }
  | { type: 'recording'; isOn: boolean };

/** Reads an event. `undefined` if this page does not show it. */
export function readEvent(event: unknown): News | undefined {
  if (typeof event !== 'object' || event === null) return undefined;
  const fields = event as Record<string, unknown>;
  switch (fields['type']) {
    case 'viewer_joined':
    case 'viewer_left':
    case 'viewers':
      return typeof fields['viewers'] === 'number' ? { type: 'viewers', count: fields['viewers'] } : undefined;
    case 'size_owner': {
      const size = fields['size'] as Partial<Size> | undefined;
      if (typeof size?.Width !== 'number' || typeof size.Height !== 'number') return undefined;
      return { type: 'size_owner', isOwn: fields['you'] === true, size: { Width: size.Width, Height: size.Height } };
    }
    case 'recording':
      return { type: 'recording', isOn: fields['on'] === true };
    default:
      return undefined;
  }
}
