// Reads a recording in asciicast v2, as it arrives: a header, and an event in each other line.

export interface Size {
  columns: number;
  rows: number;
}

export interface Header {
  size: Size;
  /** When the recording began, in milliseconds since the Unix epoch. */
  began: number | undefined;
}

/** What happened, and when: in seconds since the beginning. */
export type CastEvent =
  | { time: number; code: 'output'; text: string }
  | { time: number; code: 'size'; size: Size }
  /** A remark of the gate, such as about missing output. */
  | { time: number; code: 'remark'; text: string };

/** xterm.js allocates memory for the whole size. */
const LARGEST: Size = { columns: 1000, rows: 500 };

/** The content is not a recording. The message is a sentence. */
export class InvalidCast extends Error {}

export class CastReader {
  header: Header | undefined;
  #rest = '';
  #line = 0;
  #last = 0;

  /** Returns the events of the lines that are complete. Throws `InvalidCast` at a line that is none. */
  *read(text: string): Iterable<CastEvent> {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      const event = this.#read(line);
      if (event !== undefined) yield event;
    }
  }

  /** The last line may be without an end, and may be only a part of one. */
  *end(): Iterable<CastEvent> {
    try {
      yield* this.read('\n');
    } catch (error) {
      if (this.header === undefined) throw error;
    }
  }

  #read(line: string): CastEvent | undefined {
    this.#line++;
    if (line.trim() === '') return undefined;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      throw new InvalidCast(`Line ${this.#line} of the recording is not JSON.`);
    }
    if (this.header === undefined) {
      this.header = header(value);
      return undefined;
    }
    return this.#event(value);
  }

  #event(value: unknown): CastEvent | undefined {
    const [at, code, text] = Array.isArray(value) ? (value as unknown[]) : [];
    if (typeof at !== 'number' || !Number.isFinite(at) || typeof code !== 'string' || typeof text !== 'string') {
      throw new InvalidCast(`Line ${this.#line} of the recording is not an event.`);
    }
    // Time does not go back.
    const time = Math.max(at, this.#last);
    this.#last = time;
    switch (code) {
      case 'o':
        return { time, code: 'output', text };
      case 'm':
        return { time, code: 'remark', text };
      case 'r': {
        const [columns, rows] = text.split('x').map(Number);
        const size = sizeOf(columns, rows);
        return size && { time, code: 'size', size };
      }
      default:
        return undefined;
    }
  }
}

function header(value: unknown): Header {
  const { version, width, height, timestamp } = (value ?? {}) as Record<string, unknown>;
  const size = sizeOf(width, height);
  if (version !== 2 || size === undefined) throw new InvalidCast('It does not begin with a header of asciicast v2.');
  return { size, began: typeof timestamp === 'number' && timestamp > 0 ? timestamp * 1000 : undefined };
}

function sizeOf(columns: unknown, rows: unknown): Size | undefined {
  const isCount = (count: unknown): count is number => Number.isInteger(count) && (count as number) > 0;
  if (!isCount(columns) || !isCount(rows)) return undefined;
  return { columns: Math.min(Math.max(columns, 2), LARGEST.columns), rows: Math.min(rows, LARGEST.rows) };
}
