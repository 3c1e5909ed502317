// Dialogs, questions and short notices.

import type { ComponentChildren } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { words } from './api.ts';
import { Icon } from './icons.tsx';
import { WithCode } from './with_code.tsx';

/** A dialog, open as long as it is there. */
export function Dialog({ title, close, wide, children }: { title: string; close: () => void; wide?: boolean; children: ComponentChildren }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const before = useRef(document.activeElement);
  useLayoutEffect(() => {
    const element = dialog.current;
    element?.showModal();
    return () => {
      element?.close();
      if (before.current instanceof HTMLElement) before.current.focus();
    };
  }, []);
  const cancelled = (event: Event) => {
    event.preventDefault();
    close();
  };
  return (
    <dialog ref={dialog} class={wide === true ? 'wide' : ''} aria-labelledby="dialog-title" onCancel={cancelled}>
      <h2 id="dialog-title">{title}</h2>
      {children}
    </dialog>
  );
}

export interface Question {
  title: string;
  text: string;
  /** The word on the button. */
  verb: string;
  isDangerous: boolean;
  act: () => Promise<void>;
}

/** Asks before something happens that cannot be undone, and shows why it failed. */
export function Confirm({ question, close }: { question: Question; close: () => void }) {
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<string>();
  const act = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    try {
      await question.act();
      close();
    } catch (failure) {
      setError(words(failure));
      setBusy(false);
    }
  };
  return (
    <Dialog title={question.title} close={close}>
      <form onSubmit={act}>
        <p>{question.text}</p>
        {error !== undefined && <Failure text={error} />}
        <div class="buttons">
          <button type="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" class={question.isDangerous ? 'danger' : 'primary'} disabled={isBusy}>
            {question.verb}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

/** Says what has failed. */
export function Failure({ text, retry }: { text: string; retry?: () => void }) {
  return (
    <div class="failure" role="alert">
      <Icon name="alert" />
      <span>
        <WithCode text={text} />
      </span>
      {retry && (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

/** How long a notice stays, in milliseconds. */
const STAYS = 5000;

export interface Notice {
  text: string;
  isError: boolean;
}

/** Shows the newest notice for some time. */
export function Notices({ notice, close }: { notice: Notice | undefined; close: () => void }) {
  useEffect(() => {
    if (notice === undefined || notice.isError) return undefined;
    const timer = window.setTimeout(close, STAYS);
    return () => window.clearTimeout(timer);
  }, [notice]);
  return (
    <div class="notices" role="status">
      {notice && (
        <div class={`notice ${notice.isError ? 'bad' : ''}`}>
          <Icon name={notice.isError ? 'alert' : 'check'} />
          <span>{notice.text}</span>
          <button type="button" class="icon" aria-label="Close the notice" onClick={close}>
            <Icon name="close" />
          </button>
        </div>
      )}
    </div>
  );
}
