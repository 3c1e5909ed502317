// Programs ask the terminal for its type, its cursor, its colours. An answer to a question that is not live, or that
// another viewer answers too, would arrive at the shell as if it were typed. Such questions are swallowed here.

import type { Terminal } from '@xterm/xterm';

/** Installs handlers that swallow questions while `isMuted`. */
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
