// The page that plays a recording of a session.

import '@xterm/xterm/css/xterm.css';
import '../shared/base.css';
import '../shared/terminal_page.css';
import './style.css';
import { byId, onClick, showText } from '../shared/dom.ts';
import { install } from '../shared/shortcuts.ts';
import { adoptStyles } from '../shared/styles.ts';
import { reducesMotion } from '../shared/theme.ts';
import { clock } from '../shared/units.ts';
import { takeOpening, type Opening } from './address.ts';
import { CastReader, InvalidCast } from './cast.ts';
import { download, NoRecording, TooLong } from './download.ts';
import { load, save, SPEEDS } from './preferences.ts';
import { Screen } from './screen.ts';
import { Timeline } from './timeline.ts';

/** How far the arrow keys go, in seconds. */
const STEP = 5;

/** The longest time between two frames that counts, in seconds. A tab that is not visible draws none, so it waits. */
const LONGEST_FRAME = 0.25;

const SHAPES = {
  play: 'M4 2v12l10-6L4 2Z',
  pause: 'M3 2h3.500v12H3V2Zm6.500 0H13v12H9.500V2Z',
  again: 'M8 2.500a5.500 5.500 0 1 1-5.200 3.700l1.420.48A4 4 0 1 0 8 4v2.500L4 3.250 8 0v2.500Z',
};

class Player {
  #opening: Opening;
  #timeline = new Timeline();
  #screen = new Screen(byId('terminal'), this.#timeline);
  #preferences = load();
  /** In seconds since the beginning of the recording. */
  #position = 0;
  #isPlaying = false;
  /** Whether everything was downloaded that will be. */
  #isComplete = false;
  #isInProgress = false;
  /** Whether only the beginning of the recording was downloaded. */
  #isCutOff = false;
  #frameAt: number | undefined;
  #seek = byId<HTMLInputElement>('seek');
  #speed = byId<HTMLSelectElement>('speed');

  constructor(opening: Opening) {
    this.#opening = opening;
    const name = opening.name === '' ? 'Recording' : opening.name;
    byId('name').textContent = name;
    document.title = opening.name === '' ? name : `${name} · Recording`;
    this.#connectControls();
    this.#connectPreferences();
    this.#connectKeys();
  }

  async start(): Promise<void> {
    byId('ending').hidden = true;
    document.body.classList.remove('without-session');
    showText('state', 'Loading…');
    const reader = new CastReader();
    try {
      const { isInProgress, parts } = await download(this.#opening);
      this.#isInProgress = isInProgress;
      byId('in-progress').hidden = !isInProgress;
      for await (const part of parts) this.#add(reader, part);
      this.#timeline.add(reader.end());
      if (reader.header === undefined) throw new InvalidCast('It is empty.');
    } catch (error) {
      if (!this.#failed(error, reader)) return;
    }
    this.#isComplete = true;
    this.#show();
  }

  #add(reader: CastReader, part: string): void {
    const isFirst = reader.header === undefined;
    this.#timeline.add(reader.read(part));
    if (isFirst && reader.header !== undefined) {
      const { size, began } = reader.header;
      this.#screen.begin(size);
      showText('state', began === undefined ? '' : `Recorded ${date(began)}`);
      byId('size').hidden = false;
      // Somebody who wants less motion begins it.
      if (reducesMotion()) byId('begin').hidden = false;
      else this.#play(true);
    }
    this.#show();
  }

  /** Shows why the download failed. Returns whether there is something to play nevertheless. */
  #failed(error: unknown, reader: CastReader): boolean {
    if (reader.header !== undefined && this.#timeline.events.length > 0) {
      this.#isCutOff = true;
      if (error instanceof TooLong) this.#tell('neutral', 'This is only the beginning of the recording', 'It is too long for this page. The command zun recording download saves all of it.');
      else if (error instanceof InvalidCast) this.#tell('bad', 'The rest of the recording cannot be played', error.message);
      else this.#tell('bad', 'The connection was lost', 'This is only the beginning of the recording. Open it again from the dashboard for the rest.');
      return true;
    }
    document.body.classList.add('without-session');
    showText('state', '');
    byId('begin').hidden = true;
    if (error instanceof NoRecording) this.#tell('bad', error.message, error.detail, error.mayRetry);
    else if (error instanceof InvalidCast) this.#tell('bad', 'This is not a recording', error.message);
    else this.#tell('bad', 'The connection was lost', 'Open the recording again from the dashboard.');
    return false;
  }

  #tell(tone: 'bad' | 'neutral', title: string, detail: string, mayRetry = false): void {
    tell(tone, title, detail);
    byId('again').hidden = !mayRetry;
  }

  #connectControls(): void {
    onClick('play', () => this.#toggle());
    onClick('begin', () => {
      this.#toggle();
      byId('play').focus();
    });
    onClick('again', () => void this.start());
    this.#seek.addEventListener('input', () => this.#seekTo(Number(this.#seek.value)));
    this.#screen.terminal.onResize(() => this.#showSize());
  }

  #connectPreferences(): void {
    const preferences = this.#preferences;
    this.#speed.append(...SPEEDS.map((speed) => new Option(`${speed}×`, String(speed))));
    this.#speed.value = String(preferences.speed);
    this.#speed.addEventListener('change', () => this.#setSpeed(Number(this.#speed.value)));
    const shortens = byId<HTMLInputElement>('shortens');
    shortens.checked = preferences.shortens;
    shortens.addEventListener('change', () => {
      preferences.shortens = shortens.checked;
      save(preferences);
    });
    const screenReader = byId<HTMLInputElement>('reader');
    const apply = () => (this.#screen.terminal.options.screenReaderMode = preferences.screenReader);
    screenReader.checked = preferences.screenReader;
    apply();
    screenReader.addEventListener('change', () => {
      preferences.screenReader = screenReader.checked;
      apply();
      save(preferences);
    });
  }

  #connectKeys(): void {
    const help = byId<HTMLDialogElement>('help');
    const showHelp = () => {
      byId('menu').hidePopover();
      help.showModal();
    };
    onClick('open-help', showHelp);
    install([
      { keys: 'Space', does: 'Play and pause', act: () => this.#toggle(), matches: (event) => key(' ')(event) && !isPressed(event.target) },
      { keys: '←', does: `Go back ${STEP} seconds`, act: () => this.#seekTo(this.#position - STEP), matches: key('ArrowLeft') },
      { keys: '→', does: `Go forward ${STEP} seconds`, act: () => this.#seekTo(this.#position + STEP), matches: key('ArrowRight') },
      { keys: 'Home', does: 'Go to the beginning', act: () => this.#seekTo(0), matches: key('Home') },
      { keys: 'End', does: 'Go to the end', act: () => this.#seekTo(this.#timeline.duration), matches: key('End') },
      { keys: '>', does: 'Faster', act: () => this.#changeSpeed(1), matches: key('>') },
      { keys: '<', does: 'Slower', act: () => this.#changeSpeed(-1), matches: key('<') },
      { keys: '?', does: 'Show these shortcuts', act: showHelp, matches: key('?') },
    ]);
  }

  #toggle(): void {
    if (!this.#isPlaying && this.#isAtEnd) this.#seekTo(0);
    this.#play(!this.#isPlaying);
  }

  #play(isPlaying: boolean): void {
    if (isPlaying) byId('begin').hidden = true;
    this.#isPlaying = isPlaying;
    this.#frameAt = undefined;
    if (isPlaying) requestAnimationFrame((at) => this.#frame(at));
    this.#show();
  }

  #frame(at: number): void {
    if (!this.#isPlaying) return;
    const seconds = this.#frameAt === undefined ? 0 : Math.min((at - this.#frameAt) / 1000, LONGEST_FRAME);
    // The position waits for the terminal, which may be slower.
    if (!this.#screen.isBusy || this.#frameAt === undefined) {
      this.#frameAt = at;
      this.#position = this.#timeline.advance(this.#position, seconds, this.#preferences);
    }
    if (this.#isAtEnd && this.#isComplete) this.#play(false);
    else requestAnimationFrame((next) => this.#frame(next));
    this.#show();
  }

  get #isAtEnd(): boolean {
    return this.#position >= this.#timeline.duration;
  }

  #seekTo(position: number): void {
    this.#position = Math.min(Math.max(position, 0), this.#timeline.duration);
    byId('begin').hidden = true;
    this.#show();
  }

  #changeSpeed(by: number): void {
    const speed = SPEEDS[SPEEDS.indexOf(this.#preferences.speed) + by];
    if (speed !== undefined) this.#setSpeed(speed);
  }

  #setSpeed(speed: number): void {
    this.#preferences.speed = speed;
    this.#speed.value = String(speed);
    save(this.#preferences);
  }

  /** Draws the terminal and the controls for the position. */
  #show(): void {
    const { duration } = this.#timeline;
    const [position, length] = [clock(this.#position), clock(duration)];
    this.#screen.show(this.#timeline.countAt(this.#position));
    this.#seek.max = String(duration);
    this.#seek.value = String(this.#position);
    this.#seek.style.setProperty('--done', `${duration > 0 ? (100 * this.#position) / duration : 0}%`);
    this.#seek.setAttribute('aria-valuetext', `${position} of ${length}`);
    showText('position', position);
    showText('duration', length);
    const isOver = this.#isComplete && !this.#isPlaying && this.#isAtEnd && duration > 0;
    const action = this.#isPlaying ? 'pause' : isOver ? 'again' : 'play';
    const label = { play: 'Play', pause: 'Pause', again: 'Play again' }[action];
    byId('play-shape').setAttribute('d', SHAPES[action]);
    byId('play').setAttribute('aria-label', label);
    byId('play').title = `${label} (Space)`;
    if (this.#isInProgress && !this.#isCutOff) {
      if (isOver) tell('neutral', 'This is the end so far', 'The session continues. Open the recording again to see more.');
      else byId('ending').hidden = true;
    }
    showText('remark', this.#timeline.remarkAt(this.#position) ?? '');
    this.#showSize();
  }

  #showSize(): void {
    const { cols, rows } = this.#screen.terminal;
    showText('size', `${cols} × ${rows}`);
  }
}

function tell(tone: string, title: string, detail: string): void {
  byId('ending').dataset['tone'] = tone;
  showText('ending-title', title);
  showText('ending-detail', detail);
  byId('ending').hidden = false;
}

/** This key without others, unless the focus is on a control that uses it. */
function key(name: string): (event: KeyboardEvent) => boolean {
  return (event) => event.key === name && !event.ctrlKey && !event.altKey && !event.metaKey && !(event.target instanceof HTMLSelectElement);
}

/** Whether the browser presses this control when Space is typed. */
function isPressed(target: EventTarget | null): boolean {
  return target instanceof HTMLButtonElement || target instanceof HTMLAnchorElement || (target instanceof HTMLInputElement && target.type === 'checkbox');
}

function date(time: number): string {
  return new Date(time).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });
}

adoptStyles();
const opening = takeOpening();
window.addEventListener('hashchange', () => location.reload());
if (opening === undefined) {
  document.body.classList.add('without-session');
  tell('neutral', 'This page needs a link', 'A link plays a recording once, within a minute. Open the recording from the dashboard.');
} else {
  void new Player(opening).start();
}
