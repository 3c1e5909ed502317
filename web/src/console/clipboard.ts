// Copy and paste. Programs may write to the clipboard (OSC 52), and the page notifies the user. They can never read it.

import { byId } from '../shared/dom.ts';
import type { TerminalView } from './terminal.ts';
import type { Toast } from './toast.ts';

/** The longest text that a program may copy, in characters of base64. */
const LONGEST_COPY = 1 << 20;

/** How much of the text is shown before it is pasted. */
const PREVIEW = 2000;

/** Copies the selection. */
export async function copySelection(view: TerminalView, toast: Toast): Promise<void> {
  const text = view.terminal.getSelection();
  if (text === '') {
    toast.show('Nothing is selected.');
    return;
  }
  await write(text, toast, 'Copied.');
}

async function write(text: string, toast: Toast, done: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    toast.show(done);
  } catch {
    // Some browsers require a click for it.
    toast.show('The browser did not allow copying.', { label: 'Copy', act: () => void write(text, toast, done) });
  }
}

/** Lets programs write to the clipboard. */
export function acceptCopies(view: TerminalView, toast: Toast): void {
  view.terminal.parser.registerOscHandler(52, (data) => {
    const [, content = ''] = data.split(';');
    const text = content.length <= LONGEST_COPY ? decodeBase64(content) : undefined;
    if (text !== undefined && text !== '') {
      void write(text, toast, `The program has copied ${text.length} characters to your clipboard.`);
    }
    return true;
  });
}

function decodeBase64(content: string): string | undefined {
  try {
    const bytes = Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** Pastes what is on the clipboard. */
export async function pasteClipboard(view: TerminalView, toast: Toast): Promise<void> {
  try {
    await pasteText(view, await navigator.clipboard.readText());
  } catch {
    toast.show('The browser does not allow reading the clipboard. Paste with Ctrl+Shift+V.');
  }
}

/** Asks before each paste that a shell would run line by line. */
export function guardPaste(view: TerminalView): void {
  byId('terminal').addEventListener(
    'paste',
    (event) => {
      event.preventDefault();
      event.stopPropagation();
      void pasteText(view, event.clipboardData?.getData('text/plain') ?? '');
    },
    { capture: true },
  );
}

async function pasteText(view: TerminalView, text: string): Promise<void> {
  if (text === '') return;
  const lines = text.replace(/\r?\n$/, '').split(/\r\n|\r|\n/).length;
  const runsLines = /[\r\n]/.test(text) && !view.terminal.modes.bracketedPasteMode;
  if (!runsLines || (await confirmPaste(text, lines))) view.terminal.paste(text);
  view.terminal.focus();
}

function confirmPaste(text: string, lines: number): Promise<boolean> {
  const dialog = byId<HTMLDialogElement>('paste-dialog');
  byId('paste-title').textContent = lines === 1 ? 'Paste a line and run it?' : `Paste ${lines} lines?`;
  byId('paste-preview').textContent = text.length > PREVIEW ? `${text.slice(0, PREVIEW)}…` : text;
  dialog.returnValue = 'cancel';
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'paste'), { once: true });
  });
}
