// Recordings of a container's sessions. Its host plays them, in a tab of its own.

import { useEffect, useState } from 'preact/hooks';
import { words } from './api.ts';
import { Loading } from './containers.tsx';
import { useDesk } from './context.ts';
import { Failure } from './dialog.tsx';
import { bytes, clock, moment, time } from './format.ts';
import { useNow } from './hooks.ts';
import { Icon } from './icons.tsx';
import { openTab } from './tab.ts';
import type { Recording, RecordingList } from './types.ts';
import { WithCode } from './with_code.tsx';

/** How often they are read while one is in progress, in milliseconds. */
const INTERVAL = 15_000;

const NONE = 'No session was recorded. Containers that are created with `zun run --record` have their sessions recorded.';

/** The recordings of a container, which are read again when `version` changes. Those of a removed container are shown if there are any. */
export function Recordings({ container, version, isRemoved = false }: { container: string; version: string; isRemoved?: boolean }) {
  const { store } = useDesk();
  const now = useNow(5000);
  const [list, setList] = useState<RecordingList>();
  const [error, setError] = useState<string>();
  const read = () => {
    const query = new URLSearchParams({ container, ...(store.allProjects && { all_projects: 'true' }) });
    return store.api.get<RecordingList>(`/v1/recordings?${query}`).then(
      (answer) => {
        setList(answer);
        setError(undefined);
      },
      (failure: unknown) => setError(words(failure)),
    );
  };
  useEffect(() => void read(), [version]);
  const isGrowing = list?.recordings.some(({ ended_at: ended }) => ended === undefined) === true;
  useEffect(() => {
    if (!isGrowing) return undefined;
    const timer = window.setInterval(() => document.visibilityState === 'visible' && void read(), INTERVAL);
    return () => window.clearInterval(timer);
  }, [isGrowing]);
  const silent = list?.unresponsive_hosts ?? [];
  if (isRemoved && (list === undefined || list.recordings.length === 0)) return null;
  return (
    <section aria-labelledby="recordings-title">
      <h2 id="recordings-title">Recordings</h2>
      {error !== undefined && <Failure text={`The recordings cannot be read: ${error}`} retry={() => void read()} />}
      {list === undefined && error === undefined && <Loading />}
      {silent.length > 0 && <Failure text={`${silent.join(', ')} did not answer, and may have more recordings.`} retry={() => void read()} />}
      {list?.more === true && <p class="note">Only the newest recordings are listed.</p>}
      {list?.recordings.length === 0 && silent.length === 0 && (
        <p class="note">
          <WithCode text={NONE} />
        </p>
      )}
      {list !== undefined && list.recordings.length > 0 && <List recordings={list.recordings} now={now} />}
    </section>
  );
}

function List({ recordings, now }: { recordings: Recording[]; now: number }) {
  const { store } = useDesk();
  const [error, setError] = useState<string>();
  const play = async ({ id }: Recording) => {
    setError(undefined);
    try {
      await openTab(async () => (await store.api.post<{ url: string }>(`/v1/recordings/${id}/ticket`)).url);
    } catch (failure) {
      setError(words(failure));
    }
  };
  return (
    <>
      {error !== undefined && <Failure text={`The recording cannot be played: ${error}`} />}
      <table class="list stacks">
        <thead>
          <tr>
            <th scope="col">Session</th>
            <th scope="col">End</th>
            <th scope="col">Began</th>
            <th scope="col">Length</th>
            <th scope="col">Size</th>
            <th scope="col">
              <span class="visually-hidden">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {[...recordings].reverse().map((recording) => (
            <Row key={recording.id} recording={recording} now={now} play={() => void play(recording)} />
          ))}
        </tbody>
      </table>
    </>
  );
}

function Row({ recording, now, play }: { recording: Recording; now: number; play: () => void }) {
  const { id, exec_id: exec, host, size } = recording;
  const at = moment(recording.started_at, now);
  const [began, ended] = [time(recording.started_at), time(recording.ended_at)];
  const name = exec === undefined ? 'Main process' : `Exec ${exec.slice(0, 12)}`;
  return (
    <tr>
      <th scope="row">
        {name}
        <span class="sub mono">{id}</span>
      </th>
      <td>
        <div class="status" data-tone={recording.ended_at === undefined ? 'busy' : 'idle'}>
          <span class="mark" aria-hidden="true" />
          <span class="status-words">
            <span>{recording.ended_at === undefined ? 'In progress' : sentence(recording.end)}</span>
            <span class="detail">on {host}</span>
          </span>
        </div>
      </td>
      <td data-label="Began" title={at?.full}>
        {at?.words ?? '–'}
      </td>
      <td data-label="Length" class="number">
        {began === undefined ? '–' : clock(Math.max(0, (ended ?? now) - began) / 1000)}
      </td>
      <td data-label="Size" class="number">
        {bytes(size)}
      </td>
      <td class="play-cell">
        <button type="button" class="button" title="Play in a new tab" aria-label={`Play the recording of ${name}, ${at?.words ?? id}`} onClick={play}>
          <Icon name="start" />
          Play
        </button>
      </td>
    </tr>
  );
}

/** A part of a sentence as one of its own. */
function sentence(text: string): string {
  return text === '' ? 'Ended' : text.charAt(0).toUpperCase() + text.slice(1);
}
