// A container's output: it follows what is new, and searches.

import { Fragment } from 'preact';
import { memo } from './memo.ts';
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { ApiError, words } from './api.ts';
import { useDesk } from './context.ts';
import { Failure } from './dialog.tsx';
import { Icon } from './icons.tsx';
import { GAP, LogLines, type LogLine, matches } from './log_lines.ts';
import { allows } from './rules.ts';
import type { Container } from './types.ts';

/** The interval between requests for new lines, in milliseconds. */
const INTERVAL = 1000;
/** Containers with these statuses print nothing: their output is read once. */
const SILENT: ReadonlySet<string> = new Set(['Created', 'Stopped', 'Error', 'Dead', 'Paused']);

/** The longest interval after repeated failures. */
const LONGEST_INTERVAL = 30_000;

/** Lines that are read at first. */
const FIRST = 2000;

/** Lines that are drawn. Older ones appear on request. */
const DRAWN = 1000;

/** How far from its end the output may be scrolled and still count as at the end, in pixels. */
const NEAR = 24;

/** Reads lines as long as the view is there. */
function useLines(container: Container): { log: LogLines; version: number; isLoaded: boolean; error: string | undefined } {
  const { store } = useDesk();
  const log = useMemo(() => new LogLines(), [container.uuid]);
  const [version, setVersion] = useState(0);
  const [isLoaded, setLoaded] = useState(false);
  const [error, setError] = useState<string>();
  const status = useRef(container);
  status.current = container;
  // The service does not stream output, but its events show when a container starts and ends.
  const mayPrint = container.task_state !== null || !SILENT.has(container.status);
  useEffect(() => {
    let timer: number | undefined;
    let isOver = false;
    let interval = INTERVAL;
    const read = async () => {
      const { uuid, status: now } = status.current;
      let isDone = false;
      try {
        if (document.visibilityState === 'visible' && allows(now, 'logs')) {
          const part = log.since === undefined ? `tail=${FIRST}` : `since=${log.since}`;
          const { text, isCut } = await store.api.text(`/v1/containers/${uuid}/logs?timestamps=true&${part}`);
          if (isOver) return;
          if (log.take(text, isCut)) setVersion((count) => count + 1);
          setError(undefined);
          interval = INTERVAL;
          isDone = !mayPrint;
        }
        setLoaded(true);
      } catch (failure) {
        if (isOver) return;
        setError(words(failure));
        // A user without the right to read the output does not get it later, so there is no need to ask again.
        if (failure instanceof ApiError && failure.status === 403) return;
        interval = Math.min(interval * 2, LONGEST_INTERVAL);
      }
      if (!isOver && !isDone) timer = window.setTimeout(() => void read(), interval);
    };
    void read();
    return () => {
      isOver = true;
      window.clearTimeout(timer);
    };
  }, [container.uuid, container.started_at, mayPrint]);
  return { log, version, isLoaded, error };
}

/** A match: the line's index, and its place in the line. */
interface Match {
  line: number;
  at: number;
}

export function Logs({ container }: { container: Container }) {
  const { log, version, isLoaded, error } = useLines(container);
  const [wanted, setWanted] = useState('');
  const [current, setCurrent] = useState(0);
  const [isFollowing, setFollowing] = useState(true);
  const [wraps, setWraps] = useState(true);
  const [stamps, setStamps] = useState(false);
  const [drawn, setDrawn] = useState(DRAWN);
  const box = useRef<HTMLDivElement>(null);
  const { lines } = log;
  const found = useMemo(() => find(lines, wanted), [version, wanted]);
  const index = Math.min(current, Math.max(0, found.length - 1));
  const marked = wanted === '' ? undefined : found[index];
  // A match that is not drawn yet must be.
  const first = Math.max(0, Math.min(lines.length - drawn, marked?.line ?? lines.length));

  useLayoutEffect(() => {
    const element = box.current;
    if (element !== null && isFollowing) element.scrollTop = element.scrollHeight;
  }, [version, isFollowing, wraps, stamps]);
  useLayoutEffect(() => {
    const [element, mark] = [box.current, box.current?.querySelector('mark.current')];
    if (element === null || !mark) return;
    // Only the output is scrolled, not the page around it.
    const [outer, inner] = [element.getBoundingClientRect(), mark.getBoundingClientRect()];
    element.scrollTop += inner.top - outer.top - outer.height / 2;
    if (inner.right > outer.right || inner.left < outer.left) element.scrollLeft += inner.left - outer.left - outer.width / 2;
  }, [index, wanted]);

  const scrolled = () => {
    const element = box.current;
    if (element === null) return;
    const isAtEnd = element.scrollHeight - element.scrollTop - element.clientHeight < NEAR;
    // A match may be near the end.
    setFollowing(isAtEnd && (isFollowing || wanted === ''));
  };
  const step = (by: number) => {
    if (found.length === 0) return;
    setFollowing(false);
    setCurrent((index + by + found.length) % found.length);
  };
  const search = (text: string) => {
    setWanted(text);
    // The newest match is the first one that is shown.
    setCurrent(Math.max(0, find(lines, text).length - 1));
    if (text !== '') setFollowing(false);
  };
  const keys = (event: KeyboardEvent) => {
    if (event.key === 'Enter') {
      event.preventDefault();
      step(event.shiftKey ? 1 : -1);
    }
  };
  return (
    <section class="logs" aria-label="Output">
      <div class="logs-bar">
        <div class="search-field" role="search">
          <Icon name="search" />
          <input type="search" aria-label="Search the output" placeholder="Search the output" value={wanted} onInput={(event) => search(event.currentTarget.value)} onKeyDown={keys} spellcheck={false} autocomplete="off" />
          <output class="found">{wanted === '' ? '' : found.length === 0 ? 'None' : `${index + 1} of ${found.length}`}</output>
          <button type="button" class="icon" aria-label="Previous match" title="Previous (Enter)" disabled={found.length === 0} onClick={() => step(-1)}>
            <Icon name="up" />
          </button>
          <button type="button" class="icon" aria-label="Next match" title="Next (Shift+Enter)" disabled={found.length === 0} onClick={() => step(1)}>
            <Icon name="down" />
          </button>
        </div>
        <div class="spacer" />
        <Toggle label="Follow" isOn={isFollowing} set={setFollowing} />
        <Toggle label="Wrap" isOn={wraps} set={setWraps} />
        <Toggle label="Times" isOn={stamps} set={setStamps} />
        <button type="button" class="icon" aria-label="Download the output" title="Download" disabled={lines.length === 0} onClick={() => download(container, log)}>
          <Icon name="download" />
        </button>
      </div>
      {error !== undefined && <Failure text={`The output cannot be read: ${error}`} />}
      <div ref={box} class={`output mono ${wraps ? 'wraps' : ''}`} role="log" aria-label={`Output of ${container.name}`} aria-live="off" tabIndex={0} onScroll={scrolled}>
        {first > 0 && (
          <button type="button" class="older" onClick={() => setDrawn(drawn + DRAWN)}>
            Show older lines ({first})
          </button>
        )}
        {log.dropped > 0 && first === 0 && <p class="older">{log.dropped} older lines are not shown.</p>}
        {lines.slice(first).map((line) => (
          <Line key={line.number} line={line} wanted={wanted} marked={marked !== undefined && lines[marked.line] === line ? marked.at : -1} stamps={stamps} />
        ))}
        {isLoaded && lines.length === 0 && <p class="no-output">{allows(container.status, 'logs') ? 'There is no output yet.' : container.status === 'Creating' ? 'There is no output before the container is created.' : 'The output is not available in this status.'}</p>}
      </div>
      {!isFollowing && lines.length > 0 && (
        <button type="button" class="to-newest" onClick={() => setFollowing(true)}>
          <Icon name="down" />
          Newest
        </button>
      )}
    </section>
  );
}

function Toggle({ label, isOn, set }: { label: string; isOn: boolean; set: (isOn: boolean) => void }) {
  return (
    <button type="button" class="toggle" aria-pressed={isOn} onClick={() => set(!isOn)}>
      {label}
    </button>
  );
}

/** A line is drawn once, unless the search changes. */
const Line = memo(function Line({ line, wanted, marked, stamps }: { line: LogLine; wanted: string; marked: number; stamps: boolean }) {
  if (line.isGap === true) return <div class="line gap">{GAP}</div>;
  return (
    <div class="line">
      {stamps && <time dateTime={line.time}>{line.time.slice(0, 23).replace('T', ' ')}</time>}
      <span>{wanted === '' ? line.text || ' ' : highlighted(line.text, wanted, marked)}</span>
    </div>
  );
});

function highlighted(text: string, wanted: string, marked: number) {
  let end = 0;
  const parts = matches(text, wanted).map((at) => {
    const before = text.slice(end, at);
    end = at + wanted.length;
    return (
      <Fragment key={at}>
        {before}
        <mark class={at === marked ? 'current' : ''}>{text.slice(at, end)}</mark>
      </Fragment>
    );
  });
  return [...parts, text.slice(end) || (parts.length === 0 ? ' ' : '')];
}

function find(lines: readonly LogLine[], wanted: string): Match[] {
  return lines.flatMap((line, index) => matches(line.text, wanted).map((at) => ({ line: index, at })));
}

/** Saves the lines that are there as a file. */
function download(container: Container, log: LogLines): void {
  const text = log.lines.map((line) => (line.isGap === true ? `[${GAP}]\n` : `${line.time} ${line.text}\n`)).join('');
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type: 'text/plain' }));
  link.download = `${container.name}.log`;
  link.click();
  window.setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
