// The page: connects the session, the terminal and the controls around it.

import '@xterm/xterm/css/xterm.css';
import '../shared/base.css';
import '../shared/terminal_page.css';
import './style.css';
import { Driver } from '../pty/driver.ts';
import { noTicket, type Closing } from '../pty/ending.ts';
import type { Screen, Session } from '../pty/session.ts';
import { forget, keep, takeOpening, type Opening } from './address.ts';
import { acceptCopies, copySelection, guardPaste, pasteClipboard } from './clipboard.ts';
import { byId, onClick } from '../shared/dom.ts';
import { readEvent } from './events.ts';
import { Files } from './files.ts';
import { ExtraKeys } from './keys.ts';
import { PipeInput } from './pipe.ts';
import { clampFontSize, load, save } from './preferences.ts';
import { muteReplies } from './replies.ts';
import { SearchBar } from './search.ts';
import { install, letter, withCtrl } from '../shared/shortcuts.ts';
import { Status } from './status.ts';
import { adoptStyles } from '../shared/styles.ts';
import { notifyParentPage } from './parent_page.ts';
import { TerminalView } from './terminal.ts';
import { Toast } from './toast.ts';
import { Viewers } from './viewers.ts';

/** How many bytes the gate may send before they were shown. */
const WINDOW = 256 << 10;

/** How long a command that this page has started keeps running after the page was lost, in seconds, such as while a laptop is closed. */
const GRACE = 15 * 60;

/** How long after the start output may be a replay of earlier output, in milliseconds. */
const REPLAY = 500;

/** How many characters may be typed before there is a session. */
const TYPED_AHEAD = 1000;

/** How long the gate may take to answer a request, in milliseconds. */
const REACH = 5000;

/** The websocket of the console, at the gate that serves this page. */
const PATH = '/v1/console';

class Page {
  #opening: Opening;
  #preferences = load();
  #status: Status;
  #toast = new Toast();
  #view: TerminalView;
  #keys: ExtraKeys;
  #pipe: PipeInput;
  #driver: Driver;
  #files: Files;
  #session: Session | undefined;
  #viewers = new Viewers();
  /** Input that was typed before there was a session. */
  #typedAhead = '';
  /** Queries of a program are not answered before this time, because they may be old. */
  #replayUntil = 0;

  constructor(opening: Opening) {
    this.#opening = opening;
    this.#status = new Status(opening.name);
    this.#view = new TerminalView(byId('terminal'), this.#preferences);
    this.#keys = new ExtraKeys({
      type: (text) => this.#type(text),
      focus: () => this.#view.terminal.focus(),
      usesApplicationCursor: () => this.#view.terminal.modes.applicationCursorKeysMode,
    });
    this.#pipe = new PipeInput({
      send: (text) => this.#send(text),
      end: () => this.#session?.endStdin(),
      interrupt: () => {
        if (this.#session?.signal('SIGINT') !== true) this.#toast.show('The host cannot interrupt this process.');
      },
      echo: (text) => this.#view.terminal.write(text),
    });
    this.#driver = this.#createDriver();
    this.#files = new Files(this.#view, this.#toast, () => {
      const hello = this.#session?.hello;
      if (hello === undefined || this.#driver.isOver) return undefined;
      return { ticket: this.#opening.ticket, session: hello.session, token: hello.token, limit: hello.files };
    });
    this.#connectTerminal();
    this.#connectControls();
    this.#connectSystem();
  }

  start(): void {
    this.#view.terminal.focus();
    this.#driver.start();
  }

  #createDriver(): Driver {
    const { ticket, resume } = this.#opening;
    const url = new URL(PATH, location.href);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    return new Driver({
      url: url.href,
      ticket,
      wants: {
        size: this.#view.ownSize(),
        writes: true,
        replay: 'screen',
        window: WINDOW,
        // Nobody could end the shell of a closed tab.
        on_disconnect: { signal: 'hup', grace: GRACE },
        // After a reload the screen is empty, so the page requests everything that the gate still has.
        ...(resume && { resume: { ...resume, stdout: 0, stderr: 0 } }),
      },
      screen: this.#screen(),
      view: {
        connected: (session) => this.#connected(session),
        away: (retryAt) => this.#status.away(retryAt, this.#session !== undefined),
        ended: (closing) => this.#ended(closing),
      },
      isReachable: async () => {
        const signal = AbortSignal.timeout(REACH);
        const answer = await fetch(location.pathname, { cache: 'no-store', signal }).catch(() => undefined);
        return answer?.ok === true;
      },
    });
  }

  #screen(): Screen {
    const { terminal } = this.#view;
    let isEmpty = true;
    return {
      output: (_output, data, shown) => {
        isEmpty = false;
        terminal.write(data, shown);
        if (this.#session?.hello.running === false) this.#status.live(true);
      },
      snapshot: (size, draw, shown) => {
        isEmpty = false;
        this.#replayUntil = 0;
        this.#view.draw(size, draw, shown);
      },
      gap: (bytes) => {
        if (!isEmpty) this.#view.note(`${bytes} bytes of output are missing here`);
      },
      event: (event) => this.#event(event),
    };
  }

  #connected(session: Session): void {
    const isFirst = this.#session === undefined;
    this.#session = session;
    const { hello } = session;
    keep({ ...this.#opening, resume: { session: hello.session, token: hello.token } });
    this.#status.live(hello.running);
    notifyParentPage('live');
    this.#status.readOnly(!hello.writes);
    this.#files.update();
    const { options } = this.#view.terminal;
    options.disableStdin = !session.mayType;
    options.convertEol = !hello.tty;
    if (isFirst && hello.running && hello.has_screen !== true) this.#replayUntil = Date.now() + REPLAY;
    if (!session.mayType) options.cursorBlink = false;
    this.#type(this.#typedAhead);
    this.#typedAhead = '';
  }

  #ended(closing: Closing): void {
    forget();
    notifyParentPage('ended');
    const { terminal } = this.#view;
    terminal.options.disableStdin = true;
    this.#keys.show(false);
    this.#files.update();
    // The session is over: hide the cursor.
    terminal.write('\x1b[?25l');
    this.#status.ended(closing, this.#session !== undefined);
  }

  #event(event: unknown): void {
    const parsed = readEvent(event);
    switch (parsed?.type) {
      case 'viewers':
      case 'joined':
      case 'left': {
        const words = this.#viewers.follow(parsed);
        this.#viewers.show(this.#session?.mayType === true);
        if (words !== undefined) this.#toast.show(words);
        return;
      }
      case 'size_owner': {
        const size = parsed.viewer === this.#viewers.own ? undefined : parsed.size;
        this.#view.letterbox(size);
        this.#status.sized(size, this.#session?.mayType === true);
        return;
      }
      case 'recording':
        this.#status.recording(parsed.isOn);
        return;
      case undefined:
        return;
    }
  }

  #connectTerminal(): void {
    const { terminal } = this.#view;
    this.#view.onSize = (size) => this.#session?.resize(size);
    terminal.onData((text) => this.#type(this.#keys.apply(text)));
    terminal.onBinary((text) => this.#send(Uint8Array.from(text, (character) => character.charCodeAt(0))));
    terminal.onTitleChange((title) => this.#status.title(title));
    muteReplies(terminal, () => {
      const session = this.#session;
      return session?.mayType !== true || !session.hello.tty || this.#view.isLetterboxed || Date.now() < this.#replayUntil;
    });
    acceptCopies(this.#view, this.#toast);
    guardPaste(this.#view);
  }

  #connectControls(): void {
    const view = this.#view;
    const search = new SearchBar(view);
    this.#showFontSize();
    this.#connectMenu();
    onClick('retry', () => this.#driver.retry());
    onClick('take-control', () => this.#takeControl());
    const copy = () => void copySelection(view, this.#toast);
    const isInTerminal = (event: KeyboardEvent) => event.target === view.terminal.textarea;
    const keys = install([
      { keys: 'Ctrl+Shift+C or Ctrl+Insert', does: 'Copy the selection', act: copy, matches: (event) => letter('C')(event) || withCtrl('Insert')(event) },
      // The browser pastes by itself.
      { keys: 'Ctrl+Shift+V or Shift+Insert', does: 'Paste', act: () => {}, matches: () => false },
      { keys: 'Ctrl+Shift+F', does: 'Search', act: () => search.open(), matches: letter('F') },
      { keys: 'Ctrl++', does: 'Larger text', act: () => this.#zoom(1), matches: withCtrl('+', '=') },
      { keys: 'Ctrl+−', does: 'Smaller text', act: () => this.#zoom(-1), matches: withCtrl('-', '_') },
      {
        keys: 'Ctrl+Shift+B',
        does: 'Move between the terminal and the bar above it',
        act: () => (document.activeElement === view.terminal.textarea ? byId('open-search').focus() : view.terminal.focus()),
        matches: letter('B'),
      },
      { keys: 'Shift+Page Up', does: 'Scroll back', act: () => view.terminal.scrollPages(-1), matches: (event) => isInTerminal(event) && event.shiftKey && event.key === 'PageUp' },
      { keys: 'Shift+Page Down', does: 'Scroll forward', act: () => view.terminal.scrollPages(1), matches: (event) => isInTerminal(event) && event.shiftKey && event.key === 'PageDown' },
    ]);
    view.terminal.attachCustomKeyEventHandler(keys);
  }

  #connectMenu(): void {
    const menu = byId('menu');
    const choose = (id: string, act: () => void) =>
      onClick(id, () => {
        menu.hidePopover();
        act();
      });
    onClick('smaller', () => this.#zoom(-1));
    onClick('larger', () => this.#zoom(1));
    choose('copy', () => void copySelection(this.#view, this.#toast));
    choose('paste', () => void pasteClipboard(this.#view, this.#toast));
    choose('clear', () => this.#view.terminal.clear());
    for (const id of ['upload', 'download']) choose(id, () => {});
    choose('open-help', () => byId<HTMLDialogElement>('help').showModal());
    const reader = byId<HTMLInputElement>('reader');
    reader.checked = this.#preferences.screenReader;
    reader.addEventListener('change', () => {
      this.#view.terminal.options.screenReaderMode = reader.checked;
      this.#preferences.screenReader = reader.checked;
      save(this.#preferences);
    });
    const keys = byId<HTMLInputElement>('show-keys');
    keys.checked = this.#preferences.keys ?? window.matchMedia('(pointer: coarse)').matches;
    this.#keys.show(keys.checked);
    keys.addEventListener('change', () => {
      this.#keys.show(keys.checked);
      this.#preferences.keys = keys.checked;
      save(this.#preferences);
    });
  }

  #connectSystem(): void {
    window.addEventListener('online', () => this.#driver.check());
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible') this.#driver.check();
    });
    window.addEventListener('beforeunload', (event) => {
      if (this.#session !== undefined && !this.#driver.isOver) event.preventDefault();
    });
    // A reload continues the session. A process without a terminal would wait for the closed page, so the page leaves
    // its session.
    window.addEventListener('pagehide', () => {
      if (!this.#driver.isOver) this.#driver.leave(this.#session?.hello.tty === true);
    });
    // A page that is restored from the browser's cache has no link.
    window.addEventListener('pageshow', (event) => event.persisted && location.reload());
    window.addEventListener('hashchange', () => location.reload());
    const { visualViewport } = window;
    visualViewport?.addEventListener('resize', () => {
      // The keyboard of a phone covers the page, so the page is resized. A zoomed page is not.
      if (visualViewport.scale > 1) return;
      document.documentElement.style.setProperty('--height', `${visualViewport.height}px`);
    });
  }

  /** Sends what was typed. */
  #type(text: string): void {
    const session = this.#session;
    if (session === undefined) this.#typedAhead = (this.#typedAhead + text).slice(0, TYPED_AHEAD);
    else if (session.hello.tty) this.#send(text);
    else if (session.mayType) this.#pipe.type(text);
  }

  #send(input: string | Uint8Array): void {
    const session = this.#session;
    if (session === undefined || !session.mayType || input.length === 0) return;
    const data = typeof input === 'string' ? new TextEncoder().encode(input) : input;
    this.#replayUntil = 0;
    if (!session.write(data)) this.#toast.show('The input was too long and was not sent.');
  }

  #takeControl(): void {
    this.#session?.resize(this.#view.ownSize(), true);
    this.#view.terminal.focus();
  }

  #zoom(by: number): void {
    this.#preferences.fontSize = clampFontSize(this.#preferences.fontSize + by);
    this.#view.fontSize = this.#preferences.fontSize;
    save(this.#preferences);
    this.#showFontSize();
  }

  #showFontSize(): void {
    byId('font-size').textContent = String(this.#preferences.fontSize);
  }
}

adoptStyles();
notifyParentPage('ready');
const opening = takeOpening();
if (opening === undefined) {
  window.addEventListener('hashchange', () => location.reload());
  new Status('').ended(noTicket(), false);
} else {
  new Page(opening).start();
}
