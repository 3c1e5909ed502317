// The operations on a container, and their outcomes.

import { useEffect, useState } from 'preact/hooks';
import { words } from './api.ts';
import { Loading } from './containers.tsx';
import { useDesk } from './context.ts';
import { Failure } from './dialog.tsx';
import { moment, span, time } from './format.ts';
import { useNow } from './hooks.ts';
import { Recordings } from './recordings.tsx';
import type { Container, ContainerAction, Run } from './types.ts';
import { WithCode } from './with_code.tsx';

interface Past {
  actions: ContainerAction[];
  runs: Run[];
}

export function History({ container }: { container: Container }) {
  const { store } = useDesk();
  const now = useNow(5000);
  const [past, setPast] = useState<Past>();
  const [error, setError] = useState<string>();
  // Each change of the container also changes its history.
  const version = `${container.uuid} ${container.updated_at ?? ''} ${container.status} ${container.task_state ?? ''}`;
  const read = async () => {
    try {
      const path = `/v1/containers/${container.uuid}`;
      const [{ containerActions: actions }, { runs }] = await Promise.all([
        store.api.get<{ containerActions: ContainerAction[] }>(`${path}/container_actions`),
        store.api.get<{ runs: Run[] }>(`${path}/runs`),
      ]);
      setPast({ actions, runs });
      setError(undefined);
    } catch (failure) {
      setError(words(failure));
    }
  };
  useEffect(() => void read(), [version]);
  if (error !== undefined) return <Failure text={`The history cannot be read: ${error}`} retry={() => void read()} />;
  if (past === undefined) return <Loading />;
  return (
    <div class="history">
      <section aria-labelledby="operations-title">
        <h2 id="operations-title">Operations</h2>
        {past.actions.length === 0 ? <p class="note">None is recorded.</p> : <Operations actions={past.actions} now={now} />}
      </section>
      <section aria-labelledby="runs-title">
        <h2 id="runs-title">Runs</h2>
        {past.runs.length === 0 ? <p class="note">Its process has not run yet.</p> : <Runs runs={past.runs} now={now} />}
      </section>
      <Recordings container={container.uuid} version={version} />
    </div>
  );
}

function outcome({ finish_time: finished, message }: ContainerAction): { tone: string; words: string } {
  if (finished === null) return { tone: 'busy', words: 'In progress' };
  return message === null ? { tone: 'good', words: 'Done' } : { tone: 'bad', words: 'Failed' };
}

function Operations({ actions, now }: { actions: ContainerAction[]; now: number }) {
  return (
    <table class="list stacks">
      <thead>
        <tr>
          <th scope="col">Operation</th>
          <th scope="col">Outcome</th>
          <th scope="col">Requested</th>
          <th scope="col">By</th>
        </tr>
      </thead>
      <tbody>
        {actions.map((action) => {
          const { tone, words: result } = outcome(action);
          const [began, ended] = [time(action.start_time), time(action.finish_time)];
          const at = moment(action.start_time, now);
          return (
            <tr key={`${action.request_id} ${action.action}`}>
              <th scope="row">{action.action === 'reboot' ? 'restart' : action.action}</th>
              <td>
                <div class="status" data-tone={tone}>
                  <span class="mark" aria-hidden="true" />
                  <span class="status-words">
                    <span>{result}</span>
                    {began !== undefined && ended !== undefined && <span class="detail">after {took(ended - began)}</span>}
                    {action.message !== null && (
                      <span class="reason">
                        <WithCode text={action.message} />
                      </span>
                    )}
                  </span>
                </div>
              </td>
              <td data-label="Requested" title={at?.full}>
                {at?.words ?? '–'}
              </td>
              <td data-label="By" class="by">
                <div>
                  {action.user_id}
                  <span class="sub mono">{action.request_id}</span>
                </div>
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

function took(milliseconds: number): string {
  return milliseconds < 60_000 ? `${(Math.max(0, milliseconds) / 1000).toFixed(1)} s` : span(milliseconds);
}

const REASONS: Record<string, string> = {
  exited: 'Exited',
  signal: 'Ended by a signal',
  out_of_memory: 'Killed: out of memory',
  removed: 'Container removed',
  restarted: 'Restarted',
  host_lost: 'Host lost',
  unseen: 'End not observed',
  not_started: 'Could not start',
};

function Runs({ runs, now }: { runs: Run[]; now: number }) {
  return (
    <table class="list stacks">
      <thead>
        <tr>
          <th scope="col">Run</th>
          <th scope="col">End</th>
          <th scope="col">Began</th>
          <th scope="col">Lasted</th>
        </tr>
      </thead>
      <tbody>
        {runs.map((run) => {
          const [began, ended] = [time(run.started_at), time(run.finished_at)];
          const at = moment(run.started_at, now);
          const isBad = run.reason !== null && (run.exit_code ?? 1) !== 0 && run.reason !== 'restarted' && run.reason !== 'removed';
          return (
            <tr key={run.number}>
              <th scope="row">{run.number}</th>
              <td>
                <div class="status" data-tone={run.reason === null ? 'good' : isBad ? 'bad' : 'idle'}>
                  <span class="mark" aria-hidden="true" />
                  <span class="status-words">
                    <span>{run.reason === null ? 'Running' : (REASONS[run.reason] ?? run.reason)}</span>
                    {run.exit_code !== null && <span class="detail">exit code {run.exit_code}</span>}
                    {run.message !== null && (
                      <span class="reason">
                        <WithCode text={run.message} />
                      </span>
                    )}
                  </span>
                </div>
              </td>
              <td data-label="Began" title={at?.full}>
                {at?.words ?? '–'}
              </td>
              <td data-label="Lasted">{began === undefined ? '–' : span((ended ?? now) - began)}</td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
