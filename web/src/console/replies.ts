// Programs query the terminal for its type, its cursor and its colours. If the query was replayed, or another viewer
// also replies, the reply would reach the shell like typed input. Such queries are dropped here.

import type { Terminal } from '@xterm/xterm';

/** Installs handlers that drop queries while `isMuted`. */
export function muteReplies(terminal: Terminal, isMuted: () => boolean): void {
  const { parser } = terminal;
  for (const final of ['c', 'n']) {
    parser.registerCsiHandler({ final }, isMuted);
    for (const prefix of ['?', '>', '=']) parser.registerCsiHandler({ prefix, final }, isMuted);
  }
  parser.registerCsiHandler({ prefix: '>', final: 'q' }, isMuted);
  parser.registerCsiHandler({ intermediates: '$', final: 'p' }, isMuted);
  parser.registerCsiHandler({ prefix: '?', intermediates: '$', final: 'p' }, isMuted);
  parser.registerDcsHandler({ intermediates: '$', final: 'q' }, isMuted);
  // A colour is set by the same sequence that asks for it.
  for (const colour of [4, 10, 11, 12]) {
    parser.registerOscHandler(colour, (data) => data.split(';').includes('?') && isMuted());
  }
}
