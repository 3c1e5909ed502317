// The first message of each side, as in zun-common/src/pty/hello.rs.

import type { Size } from './frame.ts';

/** The subprotocol's name. */
export const PROTOCOL = 'zun.pty.v1';

/** What the client says first. */
export interface ClientHello {
  size?: Size;
  /** Whether the client sends input. */
  writes: boolean;
  /** Which earlier output to replay. */
  replay: 'all' | 'screen' | 'none';
  /** How many bytes of output the gate may send before they are acknowledged. */
  window: number;
  /** The session to continue; a new one if absent. */
  resume?: Resume;
  /** What happens to an exec that this client opens, if all its clients are lost for so many seconds. */
  on_disconnect?: { signal: 'hup' | 'kill'; grace: number };
}

/** The session to continue, with the offsets of the first bytes that were not received. */
export interface Resume {
  session: string;
  token: string;
  stdout: number;
  stderr: number;
}

/** What the gate says first. */
export interface ServerHello {
  session: string;
  token: string;
  kind: 'container' | 'exec';
  tty: boolean;
  stdin: boolean;
  writes: boolean;
  running: boolean;
  /** Whether the gate knows all that the terminal shows, so that it begins with a snapshot. */
  has_screen?: boolean;
  resumed: boolean;
  stdin_next: number;
  stdin_ended: boolean;
  signal_next: number;
  stdout_next: number;
  stderr_next: number;
  signals: boolean;
  resume_seconds: number;
  /** How many bytes one copy of files may have; absent if this client may copy none. */
  files?: number;
}

/** Returns the subprotocols to offer. The ticket and the hello are secrets, so they must not be logged. */
export function subprotocols(ticket: string, hello: ClientHello): string[] {
  const json = new TextEncoder().encode(JSON.stringify(hello));
  return [PROTOCOL, `zun.ticket.${ticket}`, `zun.hello.${base64url(json)}`];
}

function base64url(bytes: Uint8Array): string {
  const text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');
  return btoa(text).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}
