// Files that the user drops or selects, with the contents of directories.

import type { Entry } from './tar.ts';

/** The most files and directories of one upload. */
const MOST = 10_000;

/** The user dropped more entries than one upload may contain. */
export class TooMany extends Error {
  constructor() {
    super(`The limit for one upload is ${MOST} files and directories: pack them into an archive first.`);
  }
}

/** Whether files are being dragged, and not text. */
export function hasFiles(transfer: DataTransfer | null): boolean {
  return transfer?.types.includes('Files') === true;
}

/** Reads what was dropped. Must be called while the event is handled. */
export function dropped(transfer: DataTransfer): Promise<Entry[]> {
  const items = Array.from(transfer.items).filter(({ kind }) => kind === 'file');
  const roots = items.map((item) => item.webkitGetAsEntry()).filter((root) => root !== null);
  if (roots.length === 0) return Promise.resolve(selected(transfer.files));
  return walk(roots);
}

/** The files that were selected in the browser's dialog. */
export function selected(files: FileList): Entry[] {
  return Array.from(files, (file) => ({ path: file.name, modified: file.lastModified, content: file }));
}

async function walk(roots: FileSystemEntry[]): Promise<Entry[]> {
  const found: Entry[] = [];
  const waiting = roots.map((entry) => ({ entry, path: entry.name }));
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    const { entry, path } = next;
    if (found.length + waiting.length >= MOST) throw new TooMany();
    if (isDirectory(entry)) {
      found.push({ path, modified: Date.now() });
      waiting.push(...(await list(entry)).map((inner) => ({ entry: inner, path: `${path}/${inner.name}` })));
    } else {
      const content = await new Promise<File>((done, fail) => (entry as FileSystemFileEntry).file(done, fail));
      found.push({ path, modified: content.lastModified, content });
    }
  }
  return found;
}

function isDirectory(entry: FileSystemEntry): entry is FileSystemDirectoryEntry {
  return entry.isDirectory;
}

/** All entries of a directory, which the browser returns in portions. */
async function list(directory: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = directory.createReader();
  const all: FileSystemEntry[] = [];
  for (;;) {
    const portion = await new Promise<FileSystemEntry[]>((done, fail) => reader.readEntries(done, fail));
    if (portion.length === 0) return all;
    all.push(...portion);
    if (all.length > MOST) throw new TooMany();
  }
}
