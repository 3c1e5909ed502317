// The built pages, as the programs serve them.

import { existsSync, readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { extname, join } from 'node:path';

const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
};

export interface Site {
  /** The directory in dist. */
  page: string;
  /** The path of the page. */
  path: string;
  policy: string;
}

/** Answers with a file of a page, or with 404. */
export function serve({ page, path, policy }: Site, request: IncomingMessage, response: ServerResponse): void {
  const { pathname } = new URL(request.url ?? '/', 'http://site');
  const name = pathname === path ? 'index.html' : pathname.slice(path.length + 1);
  const file = join('dist', page, name);
  if (!pathname.startsWith(path) || name.includes('..') || !existsSync(file)) {
    response.writeHead(404).end();
    return;
  }
  const type = TYPES[extname(file)] ?? 'application/octet-stream';
  const headers = { 'content-type': type, 'content-security-policy': policy, 'referrer-policy': 'no-referrer', 'cross-origin-opener-policy': 'same-origin' };
  response.writeHead(200, headers).end(readFileSync(file));
}
