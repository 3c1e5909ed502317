// Copies files by way of the gate, with the right of the page's session.

/** Where the gate copies files. */
const PATH = '/v1/console/archive';
/** What the gate reports about a path. */
const STAT = 'x-docker-container-path-stat';
/** Bits of Go's `os.FileMode`. */
const DIRECTORY = 2 ** 31;
const LINK = 2 ** 27;
/** The maximum number of links that are followed. */
const MOST_LINKS = 10;
/** Parts of a download are put together from this size on, so that the browser may move them to its disk. */
const PART = 4 << 20;

/** The secrets that authorize copies. */
export interface Credentials {
  ticket: string;
  session: string;
  token: string;
}

/** The entry at a path. */
export interface Stat {
  /** The target, after all links are resolved. */
  path: string;
  isDirectory: boolean;
  /** In bytes, of a file. */
  size: number;
}

/** Why files are not copied, in a sentence for people. */
export class CopyError extends Error {}

export class Archive {
  #credentials: () => Credentials;

  constructor(credentials: () => Credentials) {
    this.#credentials = credentials;
  }

  /** Returns what is at a path; `undefined` if there is nothing. */
  async stat(path: string, signal: AbortSignal): Promise<Stat | undefined> {
    let at = path;
    for (let links = 0; links <= MOST_LINKS; links++) {
      const answer = await this.#fetch('HEAD', at, signal);
      if (answer.status === 404) return undefined;
      if (!answer.ok) {
        // The answer to HEAD has no error message.
        const again = await this.#fetch('GET', at, signal);
        throw new CopyError(await words(again));
      }
      const { mode, size, linkTarget } = readStat(answer.headers.get(STAT));
      if (!has(mode, LINK)) return { path: at, isDirectory: has(mode, DIRECTORY), size };
      at = resolve(linkTarget, at);
    }
    throw new CopyError(`${path} is a link that leads nowhere.`);
  }

  /** Returns the tar stream of a path. */
  async read(path: string, signal: AbortSignal): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
    const answer = await this.#fetch('GET', path, signal);
    if (!answer.ok || answer.body === null) throw new CopyError(await words(answer));
    return answer.body;
  }

  /** Unpacks an archive in a directory. */
  write(directory: string, archive: Blob, progress: (sent: number) => void, signal: AbortSignal): Promise<void> {
    // Requests of `fetch` do not report how much was sent.
    const request = new XMLHttpRequest();
    request.open('PUT', `${PATH}?noOverwriteDirNonDir=1&path=${encodePath(directory)}`);
    request.setRequestHeader('Authorization', this.#authorization());
    request.upload.onprogress = ({ loaded }) => progress(loaded);
    return new Promise((done, fail) => {
      signal.addEventListener('abort', () => request.abort());
      request.onload = () => (request.status === 200 ? done() : fail(new CopyError(sentence(request.status, request.responseText))));
      request.onerror = () => fail(new CopyError('The connection was lost. Some of the files may be there.'));
      request.onabort = () => fail(new DOMException('', 'AbortError'));
      request.send(archive);
    });
  }

  #fetch(method: 'HEAD' | 'GET', path: string, signal: AbortSignal): Promise<Response> {
    const headers = { Authorization: this.#authorization() };
    return fetch(`${PATH}?path=${encodePath(path)}`, { method, headers, signal, cache: 'no-store' });
  }

  #authorization(): string {
    const { ticket, session, token } = this.#credentials();
    return `Zun-Session ${ticket}.${session}.${token}`;
  }
}

/** Collects a download without holding all of it in the memory of the page. */
export class Collector {
  #parts: Blob[] = [];
  #recent: Uint8Array<ArrayBuffer>[] = [];
  #size = 0;

  push(part: Uint8Array<ArrayBuffer>): void {
    this.#recent.push(part);
    this.#size += part.length;
    if (this.#size >= PART) this.#join();
  }

  blob(): Blob {
    this.#join();
    return new Blob(this.#parts);
  }

  #join(): void {
    this.#parts.push(new Blob(this.#recent));
    this.#recent = [];
    this.#size = 0;
  }
}

async function words(answer: Response): Promise<string> {
  return sentence(answer.status, answer.ok ? '' : await answer.text());
}

/** The gate's words as a sentence. */
function sentence(status: number, text: string): string {
  if (text === '') return `The host refused with status ${status}.`;
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`;
}

function has(mode: number, bit: number): boolean {
  // Bitwise operators work on signed 32-bit numbers.
  return Math.floor(mode / bit) % 2 === 1;
}

function readStat(header: string | null): { mode: number; size: number; linkTarget: string } {
  try {
    const bytes = Uint8Array.from(atob(header ?? ''), (character) => character.charCodeAt(0));
    const { mode, size, linkTarget } = JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
    return { mode: Number(mode), size: Number(size), linkTarget: String(linkTarget ?? '') };
  } catch {
    throw new CopyError('The host sent no information about the file.');
  }
}

/** A link's target as an absolute path. */
export function resolve(target: string, from: string): string {
  const parts: string[] = [];
  const all = target.startsWith('/') ? target : `${from.replace(/\/[^/]*$/, '')}/${target}`;
  for (const part of all.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return `/${parts.join('/')}`;
}

/** Encodes a path as the gate expects it: exactly what must be, in capital digits. */
export function encodePath(path: string): string {
  const encoded = encodeURIComponent(path).replaceAll('%2F', '/');
  return encoded.replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}
