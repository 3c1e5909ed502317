// The content of the terminal in the pictures.

const PROMPT = '\x1b[1;32mroot@web\x1b[0m:\x1b[1;34m/srv\x1b[0m# ';

export const SHELL = [
  `${PROMPT}ls --color`,
  '\x1b[1;34mconfig\x1b[0m  \x1b[1;34mstatic\x1b[0m  \x1b[1;32mserve\x1b[0m  README.md  \x1b[1;36mcurrent\x1b[0m  data.tar.gz',
  `${PROMPT}./serve --port 8080 &`,
  '[1] 17',
  '\x1b[2m22:41:07\x1b[0m \x1b[32mINFO\x1b[0m  listening on http://0.0.0.0:8080',
  '\x1b[2m22:41:09\x1b[0m \x1b[33mWARN\x1b[0m  cache is cold: 0 of 512 entries',
  '\x1b[2m22:41:12\x1b[0m \x1b[31mERROR\x1b[0m upstream \x1b[4mdb:5432\x1b[0m refused the connection',
  `${PROMPT}uname -sr && nproc`,
  'Linux 6.1.0-28-amd64',
  '2',
  `${PROMPT}`,
].join('\r\n');
