// Reads server-sent events.

/** An event. One without data is only a sign of life. */
export interface ServerEvent {
  type: string;
  data: string;
}

/** Events are at most this long, in characters. */
const LONGEST = 1 << 20;

export class EventReader {
  #rest = '';
  #data: string[] = [];
  #type = '';
  /** The ID of the newest event, with which a client continues. */
  lastId = '';

  /** Takes a part of the stream, and returns the events that it completes. */
  feed(text: string): ServerEvent[] {
    this.#rest += text;
    if (this.#rest.length > LONGEST) throw new RangeError('an event is too long');
    const lines = this.#rest.split(/\r\n|\n/);
    this.#rest = lines.pop() ?? '';
    return lines.map((line) => this.#line(line)).filter((event) => event !== undefined);
  }

  #line(line: string): ServerEvent | undefined {
    if (line === '') return this.#end();
    const [name, value] = split(line);
    if (name === 'data') this.#data.push(value);
    else if (name === 'event') this.#type = value;
    else if (name === 'id') this.lastId = value;
    return undefined;
  }

  #end(): ServerEvent | undefined {
    const event = { type: this.#type === '' ? 'message' : this.#type, data: this.#data.join('\n') };
    const isEmpty = this.#data.length === 0;
    this.#data = [];
    this.#type = '';
    return isEmpty ? undefined : event;
  }
}

/** Splits a line into its name and value. A comment has no name. */
function split(line: string): [string, string] {
  const colon = line.indexOf(':');
  return colon < 0 ? [line, ''] : [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, '')];
}
