// How a session ended, and the sentence that says so.

/** Channel 3, as in zun-common/src/pty/ending.rs. */
export interface Ending {
  status: string;
  reason?: string;
  message?: string;
  zun: {
    reason: string;
    exit_code?: number;
    out_of_memory?: boolean;
    stdout_bytes?: number;
    stderr_bytes?: number;
  };
}

/** Codes with which a gate closes the websocket. */
export const CLOSE = {
  normal: 1000,
  protocolError: 1002,
  restarting: 1012,
  tryLater: 1013,
  revoked: 4403,
  unknownSession: 4404,
  tooSlow: 4408,
  replaced: 4409,
  notRecorded: 4410,
} as const;

/** What the page shows at the end of a session. */
export interface Closing {
  tone: 'good' | 'neutral' | 'bad';
  title: string;
  detail: string;
}

const LEAVES_RUNNING = 'The process may still be running. Open a new link to return to it.';
const OVER = 'You can close this page.';

/** Describes the gate's last message. */
export function closingOf(ending: Ending): Closing {
  const message = ending.message ?? '';
  const { reason, exit_code: code, out_of_memory: outOfMemory } = ending.zun;
  const because = (otherwise: string) => (message === '' ? otherwise : sentence(message));
  switch (reason) {
    case 'Exited':
      return exited(code, outOfMemory === true);
    case 'NotStarted':
      return bad('The process could not be started', because('The host gave no reason.'));
    case 'Detached':
      return neutral('You left the session', LEAVES_RUNNING);
    case 'Restarted': {
      const first = code === undefined ? '' : `The process exited with code ${code}. `;
      return neutral('The container was restarted', `${first}Open a new link for the new run.`);
    }
    case 'Removed':
      return neutral('The container was removed', OVER);
    case 'Revoked':
      return revoked(message);
    case 'Expired':
      return bad('Your access has expired', because('Ask for a new link.'));
    case 'HostLost':
      return bad('The host was lost', because('What happened to the process is not known.'));
    case 'EngineLost':
      return bad('The container engine ended the stream', because('What happened to the process is not known.'));
    default:
      return neutral('The host ended the session', because(LEAVES_RUNNING));
  }
}

function exited(code: number | undefined, outOfMemory: boolean): Closing {
  if (outOfMemory) return bad('The process ran out of memory', 'The kernel killed it. Give the container more memory.');
  if (code === undefined) return neutral('The process ended', OVER);
  if (code === 0) return { tone: 'good', title: 'The process exited with code 0', detail: OVER };
  const signal = code > 128 && code < 160 ? ` (signal ${code - 128})` : '';
  return bad(`The process exited with code ${code}${signal}`, OVER);
}

/** Describes a close code of the gate. `undefined` if the client resumes. */
export function closingOfCode(code: number, reason: string): Closing | undefined {
  switch (code) {
    case CLOSE.revoked:
      return revoked(reason);
    case CLOSE.unknownSession:
      return lostSession();
    case CLOSE.replaced:
      return neutral('The session continues elsewhere', 'Another page or terminal has taken over this connection.');
    case CLOSE.tooSlow:
      return bad('This page was too slow', `It did not read the output for too long. ${LEAVES_RUNNING}`);
    case CLOSE.notRecorded:
      return bad('The session could not be recorded', `It must be recorded, and its host cannot record it at present. ${LEAVES_RUNNING}`);
    case CLOSE.protocolError:
      return protocolError(reason === '' ? 'it reports a bad message' : reason);
    default:
      return undefined;
  }
}

/** The session that the client wants to resume does not exist. */
export function lostSession(): Closing {
  return bad('The host no longer has this session', LEAVES_RUNNING);
}

/** The link was not restored in time. */
export function tooLong(seconds: number): Closing {
  const limit = seconds >= 120 && seconds % 60 === 0 ? `${seconds / 60} minutes` : `${seconds} seconds`;
  return bad('The connection was lost', `The host could not be reached for ${limit}. ${LEAVES_RUNNING}`);
}

/** The ticket was not accepted. */
export function refusedTicket(): Closing {
  return bad('This link no longer works', 'It has expired, or it was used before. Ask for a new one.');
}

/** There is no ticket in the address. */
export function noTicket(): Closing {
  return neutral('This page needs a link', 'Run `zun share CONTAINER` to get one.');
}

/** The gate violated the protocol. */
export function protocolError(what: string): Closing {
  return bad('Protocol error between this page and the host', `Reload the page. The cause: ${sentence(what)}`);
}

function revoked(message: string): Closing {
  return bad('Your access was revoked', message === '' ? 'Ask whoever gave you the link.' : sentence(message));
}

function bad(title: string, detail: string): Closing {
  return { tone: 'bad', title, detail };
}

function neutral(title: string, detail: string): Closing {
  return { tone: 'neutral', title, detail };
}

/** Turns a message, which begins in lower case and has no full stop, into a sentence. */
function sentence(message: string): string {
  const text = message.charAt(0).toUpperCase() + message.slice(1);
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
