// Input for a process without a terminal. Nothing else echoes the input or edits lines, so the page does.

/** What a key does to a process without a terminal. */
export interface PipeActions {
  send(text: string): void;
  /** Ends stdin. */
  end(): void;
  interrupt(): void;
  echo(text: string): void;
}

export class PipeInput {
  #line = '';
  #actions: PipeActions;

  constructor(actions: PipeActions) {
    this.#actions = actions;
  }

  /** Takes what a terminal would send. */
  type(text: string): void {
    // Keys such as the arrows have no meaning in a line that cannot be edited in its middle.
    if (text.startsWith('\x1b')) return;
    for (const character of text) this.#key(character);
  }

  #key(character: string): void {
    const { send, end, interrupt, echo } = this.#actions;
    switch (character) {
      case '\r':
      case '\n':
        send(`${this.#line}\n`);
        this.#line = '';
        echo('\r\n');
        return;
      case '\x7f':
      case '\b': {
        const characters = Array.from(this.#line);
        if (characters.pop() === undefined) return;
        this.#line = characters.join('');
        echo('\b \b');
        return;
      }
      case '\x15':
        echo('\b \b'.repeat(Array.from(this.#line).length));
        this.#line = '';
        return;
      case '\x03':
        this.#line = '';
        echo('^C\r\n');
        interrupt();
        return;
      case '\x04':
        if (this.#line !== '') send(this.#line);
        else end();
        this.#line = '';
        return;
      default:
        if (character < ' ') return;
        this.#line += character;
        echo(character);
    }
  }
}
