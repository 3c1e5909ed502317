// Tar archives: written for uploads, and read as far as a download needs. Only what Docker understands and produces: ustar
// with the names of pax.

/** A file or directory to upload. */
export interface Entry {
  /** Relative, with slashes between its parts. */
  path: string;
  /** In milliseconds since 1970. */
  modified: number;
  /** `undefined` for a directory. */
  content?: Blob;
}

const BLOCK = 512;
/** The longest name in a header without pax, in bytes. */
const SHORT_NAME = 100;
const encoder = new TextEncoder();

/** Returns an archive of these entries. Files are read when it is sent. They belong to root. */
export function pack(entries: Iterable<Entry>): Blob {
  const parts: BlobPart[] = [];
  for (const { path, modified, content } of entries) {
    const name = encoder.encode(content === undefined ? `${path}/` : path);
    const seconds = Math.max(0, Math.floor(modified / 1000));
    if (name.length > SHORT_NAME) {
      const record = paxRecord('path', name);
      parts.push(header(encoder.encode('pax'), 'x', record.length, seconds), record, padding(record.length));
    }
    const size = content?.size ?? 0;
    parts.push(header(name.slice(0, SHORT_NAME), content === undefined ? '5' : '0', size, seconds));
    if (content !== undefined) parts.push(content, padding(size));
  }
  parts.push(new Uint8Array(2 * BLOCK));
  return new Blob(parts, { type: 'application/x-tar' });
}

function header(name: Uint8Array, type: '0' | '5' | 'x', size: number, seconds: number): Uint8Array<ArrayBuffer> {
  const block = new Uint8Array(BLOCK);
  const put = (text: string, at: number) => block.set(encoder.encode(text), at);
  const octal = (value: number, digits: number) => value.toString(8).padStart(digits, '0');
  block.set(name);
  put(type === '5' ? '0000755\0' : '0000644\0', 100);
  put('0000000\0', 108);
  put('0000000\0', 116);
  put(`${octal(size, 11)}\0`, 124);
  put(`${octal(seconds, 11)}\0`, 136);
  put('        ', 148);
  put(type, 156);
  put('ustar\x0000', 257);
  put(`${octal(block.reduce((sum, byte) => sum + byte, 0), 6)}\0 `, 148);
  return block;
}

/** A record of pax: its length in digits, which counts itself, then `key=value` and a line feed. */
function paxRecord(key: string, value: Uint8Array): Uint8Array<ArrayBuffer> {
  const rest = encoder.encode(` ${key}=`).length + value.length + 1;
  let length = rest;
  while (length !== rest + String(length).length) length = rest + String(length).length;
  const record = new Uint8Array(length);
  const start = encoder.encode(`${length} ${key}=`);
  record.set(start);
  record.set(value, start.length);
  record[length - 1] = 0x0a;
  return record;
}

function padding(size: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array((BLOCK - (size % BLOCK)) % BLOCK);
}

/**
 * Finds the content of the first regular file in an archive that arrives in parts, and passes it on.
 */
export class FirstFile {
  #take: (part: Uint8Array<ArrayBuffer>) => void;
  #head = new Uint8Array(BLOCK);
  #filled = 0;
  /** How many bytes of an entry before the file are left, with their padding. */
  #skip = 0;
  /** How many bytes of the file are left. */
  #left: number | undefined;

  constructor(take: (part: Uint8Array<ArrayBuffer>) => void) {
    this.#take = take;
  }

  /** Whether the file is there as a whole. */
  get isComplete(): boolean {
    return this.#left === 0;
  }

  push(part: Uint8Array<ArrayBuffer>): void {
    let rest = part;
    const cut = (length: number) => {
      const front = rest.subarray(0, length);
      rest = rest.subarray(length);
      return front;
    };
    while (rest.length > 0 && !this.isComplete) {
      if (this.#left !== undefined) {
        const content = cut(Math.min(this.#left, rest.length));
        this.#left -= content.length;
        this.#take(content);
      } else if (this.#skip > 0) {
        this.#skip -= cut(Math.min(this.#skip, rest.length)).length;
      } else {
        const front = cut(Math.min(BLOCK - this.#filled, rest.length));
        this.#head.set(front, this.#filled);
        this.#filled += front.length;
        if (this.#filled === BLOCK) this.#begin();
      }
    }
  }

  /** An entry begins. */
  #begin(): void {
    this.#filled = 0;
    const size = numberOf(this.#head.subarray(124, 136));
    const type = this.#head[156];
    // The types `0` and NUL are regular files. What precedes them has their long names.
    if (type === 0x30 || (type === 0 && this.#head[0] !== 0)) this.#left = size;
    else this.#skip = Math.ceil(size / BLOCK) * BLOCK;
  }
}

/** Reads a number: octal digits, or bytes if the first bit is set. */
function numberOf(field: Uint8Array): number {
  const [first = 0, ...rest] = field;
  if ((first & 0x80) !== 0) return rest.reduce((sum, byte) => sum * 256 + byte, first & 0x7f);
  return parseInt(new TextDecoder().decode(field).replaceAll('\0', ' ').trim() || '0', 8);
}
