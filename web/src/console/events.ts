// Events of the session (channel 20). Unknown ones are ignored.

import type { Size } from '../pty/frame.ts';

/** Another client of the process. */
export interface Viewer {
  id: number;
  mayType: boolean;
}

export type SessionEvent =
  | { type: 'viewers'; count: number; own?: number; others: Viewer[] }
  | { type: 'joined' | 'left'; count: number; viewer: Viewer | undefined }
  | { type: 'size_owner'; viewer: number; size: Size }
  | { type: 'recording'; isOn: boolean };

/** Reads an event. `undefined` if this page does not show it. */
export function readEvent(event: unknown): SessionEvent | undefined {
  if (typeof event !== 'object' || event === null) return undefined;
  const fields = event as Record<string, unknown>;
  switch (fields['type']) {
    case 'viewer_joined':
    case 'viewer_left': {
      if (typeof fields['viewers'] !== 'number') return undefined;
      const type = fields['type'] === 'viewer_joined' ? 'joined' : 'left';
      return { type, count: fields['viewers'], viewer: readViewer(fields['viewer']) };
    }
    case 'viewers': {
      if (typeof fields['viewers'] !== 'number') return undefined;
      const { own, others } = fields;
      const known = Array.isArray(others) ? others.flatMap((other) => readViewer(other) ?? []) : [];
      return { type: 'viewers', count: fields['viewers'], others: known, ...(typeof own === 'number' && { own }) };
    }
    case 'size_owner': {
      const size = fields['size'] as Partial<Size> | undefined;
      const viewer = fields['viewer'];
      if (typeof size?.Width !== 'number' || typeof size.Height !== 'number' || typeof viewer !== 'number') return undefined;
      return { type: 'size_owner', viewer, size: { Width: size.Width, Height: size.Height } };
    }
    case 'recording':
      return { type: 'recording', isOn: fields['on'] === true };
    default:
      return undefined;
  }
}

function readViewer(viewer: unknown): Viewer | undefined {
  if (typeof viewer !== 'object' || viewer === null) return undefined;
  const { id, mode } = viewer as Record<string, unknown>;
  return typeof id === 'number' ? { id, mayType: mode === 'read_write' } : undefined;
}
