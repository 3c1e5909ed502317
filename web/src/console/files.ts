// Copying files: what is dropped or selected is uploaded, and a path is downloaded. One copy runs at a time.

import { byId, onClick } from '../shared/dom.ts';
import { bytes } from '../shared/units.ts';
import { Archive, Collector, CopyError, resolve, type Credentials } from './archive.ts';
import { dropped, hasFiles, selected } from './dropped.ts';
import { FirstFile, pack, type Entry } from './tar.ts';
import type { TerminalView } from './terminal.ts';
import type { Toast } from './toast.ts';

/** The default directory for uploads. Nearly all images have it. */
const DEFAULT_DIRECTORY = '/tmp';

/** What the session allows. */
export interface FileAccess extends Credentials {
  /** The maximum size of a copy in bytes; `undefined` if copies are not allowed. */
  limit: number | undefined;
}

export class Files {
  #view: TerminalView;
  #toast: Toast;
  #access: () => FileAccess | undefined;
  #archive: Archive;
  /** The directory of the last upload. */
  #last: string | undefined;
  /** The shell's directory, if it reports it (OSC 7). */
  #current: string | undefined;
  #queue: Promise<void> = Promise.resolve();
  #input = byId<HTMLInputElement>('files-input');

  constructor(view: TerminalView, toast: Toast, access: () => FileAccess | undefined) {
    this.#view = view;
    this.#toast = toast;
    this.#access = access;
    this.#archive = new Archive(() => access() ?? { ticket: '', session: '', token: '' });
    this.#connectDrops();
    onClick('upload', () => this.#input.click());
    onClick('download', () => void this.#askDownload());
    this.#input.addEventListener('change', () => {
      if (this.#input.files !== null) void this.#askUpload(Promise.resolve(selected(this.#input.files)));
    });
    view.terminal.parser.registerOscHandler(7, (data) => {
      this.#current = directoryOf(data) ?? this.#current;
      return true;
    });
  }

  /** Shows what the session allows. */
  update(): void {
    const isAllowed = this.#access()?.limit !== undefined;
    for (const id of ['upload', 'download', 'files-line']) byId(id).hidden = !isAllowed;
  }

  #connectDrops(): void {
    const overlay = byId('drop');
    let depth = 0;
    const show = (isShown: boolean) => {
      if (!isShown) depth = 0;
      overlay.hidden = !isShown;
    };
    window.addEventListener('dragenter', (event) => {
      if (!hasFiles(event.dataTransfer)) return;
      depth++;
      byId('drop-text').textContent = this.#access()?.limit === undefined ? 'Files cannot be copied here' : 'Drop files and directories to upload them';
      show(document.querySelector('dialog[open]') === null);
    });
    window.addEventListener('dragleave', (event) => {
      if (hasFiles(event.dataTransfer) && --depth <= 0) show(false);
    });
    // Otherwise the browser would leave the page, and open the file instead.
    window.addEventListener('dragover', (event) => {
      if (hasFiles(event.dataTransfer)) event.preventDefault();
    });
    window.addEventListener('drop', (event) => {
      if (event.dataTransfer === null || !hasFiles(event.dataTransfer)) return;
      event.preventDefault();
      show(false);
      if (document.querySelector('dialog[open]') !== null) return;
      if (this.#access()?.limit === undefined) this.#toast.show('This link does not allow copying files.');
      else void this.#askUpload(dropped(event.dataTransfer));
    });
  }

  async #askUpload(reading: Promise<Entry[]>): Promise<void> {
    let entries: Entry[];
    try {
      entries = await reading;
    } catch (error) {
      this.#toast.show(error instanceof Error && error.message !== '' ? error.message : 'The files cannot be read.');
      return;
    } finally {
      this.#input.value = '';
    }
    if (entries.length === 0) return;
    const size = entries.reduce((sum, { content }) => sum + (content?.size ?? 0), 0);
    const what = named(entries);
    const limit = this.#access()?.limit ?? 0;
    if (size > limit) {
      this.#toast.show(`${what} has ${bytes(size)}, and the limit for one upload is ${bytes(limit)}.`);
      return;
    }
    byId('upload-title').textContent = `Upload ${what}`;
    byId('upload-detail').textContent = `${bytes(size)}. Files of the same name are replaced. They will belong to root in the container.`;
    const path = await ask('upload', this.#current ?? this.#last ?? DEFAULT_DIRECTORY);
    this.#view.terminal.focus();
    if (path === undefined) return;
    this.#last = path;
    this.#begin(`${what} to ${path}`, 'Uploaded', async (row) => {
      const found = await this.#archive.stat(path, row.signal);
      if (found === undefined) throw new CopyError(`There is no directory ${path}.`);
      if (!found.isDirectory) throw new CopyError(`${path} is not a directory.`);
      const archive = pack(entries);
      await this.#archive.write(path, archive, (sent) => row.progress(sent, archive.size), row.signal);
    });
  }

  async #askDownload(): Promise<void> {
    const path = await ask('download', `${(this.#current ?? '').replace(/\/$/, '')}/`);
    this.#view.terminal.focus();
    if (path === undefined) return;
    const limit = this.#access()?.limit ?? 0;
    this.#begin(path, 'Downloaded', async (row) => {
      const found = await this.#archive.stat(path, row.signal);
      if (found === undefined) throw new CopyError(`${path} does not exist.`);
      const { isDirectory, size } = found;
      const tooLarge = () => new CopyError(`${path} is too large: one download may have ${bytes(limit)}.`);
      if (!isDirectory && size > limit) throw tooLarge();
      const collector = new Collector();
      const file = new FirstFile((part) => collector.push(part));
      let received = 0;
      const read = async () => {
        for await (const part of parts(await this.#archive.read(found.path, row.signal))) {
          received += part.length;
          row.progress(received, isDirectory ? undefined : size);
          if (isDirectory) collector.push(part);
          else file.push(part);
        }
      };
      // The gate aborts a download that is too large.
      await read().catch((error: unknown) => {
        if (error instanceof CopyError || row.signal.aborted) throw error;
        throw received > limit - (1 << 20) ? tooLarge() : new CopyError('The connection was lost.');
      });
      if (!isDirectory && !file.isComplete) throw new CopyError(`${path} is not a regular file.`);
      const name = path.split('/').filter((part) => part !== '').at(-1) ?? 'container';
      save(collector.blob(), isDirectory ? `${name}.tar` : name);
    });
  }

  /** Shows a copy, and carries it out once those before it are done. */
  #begin(what: string, done: string, work: (row: Row) => Promise<void>): void {
    const row = new Row(what);
    this.#queue = this.#queue.then(async () => {
      try {
        row.signal.throwIfAborted();
        await work(row);
        row.end(`${done} ${what}`, 'good');
      } catch (error) {
        if (row.signal.aborted) row.end(`Cancelled: ${what}`, 'neutral');
        else row.end(error instanceof CopyError ? error.message : 'The connection was lost.', 'bad');
      }
    });
  }
}

/** A copy in the list on the page. */
class Row {
  #abort = new AbortController();
  #item = document.createElement('li');
  #text = document.createElement('span');
  #amount = document.createElement('span');
  #bar = document.createElement('progress');
  #button = document.createElement('button');

  constructor(what: string) {
    this.#text.textContent = what;
    this.#text.className = 'copy-text';
    this.#amount.className = 'copy-amount';
    this.#amount.textContent = 'Waiting…';
    this.#bar.setAttribute('aria-label', what);
    this.#button.type = 'button';
    this.#button.textContent = 'Cancel';
    this.#button.setAttribute('aria-label', `Cancel ${what}`);
    this.#button.addEventListener('click', () => this.#abort.abort());
    this.#item.append(this.#text, this.#button, this.#amount, this.#bar);
    byId('copies-list').append(this.#item);
    byId('copies').hidden = false;
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Shows how many bytes were copied. `all` is `undefined` if the total is not known. */
  progress(copied: number, all: number | undefined): void {
    if (all !== undefined) {
      this.#bar.max = Math.max(all, 1);
      this.#bar.value = Math.min(copied, all);
    }
    this.#amount.textContent = `${bytes(copied)}${all === undefined ? '' : ` of ${bytes(all)}`}`;
  }

  end(text: string, tone: 'good' | 'neutral' | 'bad'): void {
    this.#item.dataset['tone'] = tone;
    this.#bar.remove();
    this.#amount.remove();
    // A new element, so that screen readers read it.
    const result = document.createElement('span');
    result.className = 'copy-text';
    result.textContent = text;
    this.#text.replaceWith(result);
    this.#button.replaceWith(this.#closer(text));
  }

  #closer(text: string): HTMLButtonElement {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = 'Close';
    button.setAttribute('aria-label', `Close: ${text}`);
    button.addEventListener('click', () => {
      this.#item.remove();
      byId('copies').hidden = byId('copies-list').childElementCount === 0;
      byId('terminal').querySelector('textarea')?.focus();
    });
    return button;
  }
}

/** Asks for an absolute path in a dialog. `undefined` if the user cancels. */
function ask(kind: 'upload' | 'download', proposed: string): Promise<string | undefined> {
  const dialog = byId<HTMLDialogElement>(`${kind}-dialog`);
  const input = byId<HTMLInputElement>(`${kind}-path`);
  input.value = proposed;
  dialog.returnValue = 'cancel';
  dialog.showModal();
  input.select();
  // A button that submits would be the one that Enter presses.
  dialog.querySelector('[data-cancel]')?.addEventListener('click', () => dialog.close('cancel'), { once: true });
  return new Promise((done) => {
    dialog.addEventListener('close', () => done(dialog.returnValue === kind ? resolve(input.value.trim(), '/') : undefined), { once: true });
  });
}

/** `one.txt`, or how many there are. */
function named(entries: Entry[]): string {
  const [first] = entries;
  if (first !== undefined && entries.every(({ path }) => path === first.path || path.startsWith(`${first.path}/`))) return first.path;
  const count = entries.filter(({ content }) => content !== undefined).length;
  return `${count} file${count === 1 ? '' : 's'}`;
}

/** The directory of a message `file://HOST/PATH`. */
function directoryOf(message: string): string | undefined {
  try {
    const { protocol, pathname } = new URL(message);
    return protocol === 'file:' ? decodeURIComponent(pathname) : undefined;
  } catch {
    return undefined;
  }
}

async function* parts(stream: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const reader = stream.getReader();
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value;
  } finally {
    reader.releaseLock();
  }
}

/** Saves a file as downloads are saved. */
function save(content: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  // The browser has begun to read it by then.
  window.setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
