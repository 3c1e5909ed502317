// Lines of a container's output. The page polls for new lines. The service returns the time of a line to the nanosecond
// but accepts only whole seconds, so each answer repeats the lines of the last second.

/** Lines that are kept. */
export const MOST_LINES = 10_000;

export interface LogLine {
  /** A number that increases. */
  number: number;
  /** Such as `2026-11-30T02:27:27.123456789Z`; empty if the line has none. */
  time: string;
  text: string;
  /** Whether it stands for output that is missing. */
  isGap?: boolean;
}

export const GAP = 'Output is missing here.';

/** Control sequences of terminals, and other characters that are not shown. */
const CONTROLS = /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])|[\x00-\x08\x0b-\x1f\x7f]/g;

const STAMPED = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z) ?(.*)$/s;

/** How far back the service is asked again, in seconds: the lines of two streams are not always in the order of their times. */
const OVERLAP = 1;

export class LogLines {
  lines: LogLine[] = [];
  /** How many lines were dropped. */
  dropped = 0;
  #next = 1;
  #newest = '';
  /** How many times each line occurs in the period that is requested again. */
  #known = new Map<string, number>();

  /** The start of the next request, in seconds since 1970; `undefined` before the first line. */
  get since(): number | undefined {
    return this.#newest === '' ? undefined : Math.floor(Date.parse(this.#newest) / 1000) - OVERLAP;
  }

  /** Adds the lines of an answer with times. The service may have left out its beginning. Returns whether there are new lines. */
  take(answer: string, isCut = false): boolean {
    const before = this.#next;
    const counts = new Map<string, number>();
    // The first of the remaining lines is incomplete.
    const lines = (isCut ? answer.slice(answer.indexOf('\n') + 1) : answer).split('\n');
    // If no line is known, lines before these may be missing.
    if (isCut && !this.#known.has(lines[0] ?? '')) this.lines.push({ number: this.#next++, time: '', text: '', isGap: true });
    for (const line of lines) {
      if (line === '') continue;
      const count = (counts.get(line) ?? 0) + 1;
      counts.set(line, count);
      if (count > (this.#known.get(line) ?? 0)) this.#add(line);
    }
    const since = this.since ?? 0;
    this.#known = new Map([...this.#known, ...counts].filter(([line]) => second(line) >= since));
    const tooMany = this.lines.length - MOST_LINES;
    if (tooMany > 0) {
      this.lines.splice(0, tooMany);
      this.dropped += tooMany;
    }
    return this.#next > before;
  }

  #add(line: string): void {
    const [, time = '', text = line] = STAMPED.exec(line) ?? [];
    if (time > this.#newest) this.#newest = time;
    this.lines.push({ number: this.#next++, time, text: text.replace(CONTROLS, '') });
  }
}

function second(line: string): number {
  return Math.floor(Date.parse(STAMPED.exec(line)?.[1] ?? '') / 1000);
}

/** Where a text occurs in a line, without regard to case. */
export function matches(line: string, wanted: string): number[] {
  if (wanted === '') return [];
  const [text, sought] = [line.toLowerCase(), wanted.toLowerCase()];
  const found: number[] = [];
  for (let at = text.indexOf(sought); at >= 0; at = text.indexOf(sought, at + sought.length)) found.push(at);
  return found;
}
