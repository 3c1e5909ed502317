// The hosts with their free resources, for administrators.

import { useEffect, useState } from 'preact/hooks';
import { words } from './api.ts';
import { Loading } from './containers.tsx';
import { useDesk } from './context.ts';
import { Failure } from './dialog.tsx';
import { mebibytes, number } from './format.ts';
import { useTitle } from './hooks.ts';
import type { Host } from './types.ts';

/** How often they are read, in milliseconds. */
const INTERVAL = 10_000;

export function Hosts() {
  const { store } = useDesk();
  const [hosts, setHosts] = useState<Host[]>();
  const [error, setError] = useState<string>();
  useTitle('Hosts');
  const read = () =>
    store.api.get<{ hosts: Host[] }>('/v1/hosts').then(
      (answer) => {
        setHosts(answer.hosts);
        setError(undefined);
      },
      (failure: unknown) => setError(words(failure)),
    );
  useEffect(() => {
    void read();
    const timer = window.setInterval(() => document.visibilityState === 'visible' && void read(), INTERVAL);
    return () => window.clearInterval(timer);
  }, []);
  return (
    <>
      <div class="page-head">
        <h1 tabIndex={-1}>Hosts</h1>
      </div>
      {error !== undefined && <Failure text={`The hosts cannot be read: ${error}`} retry={() => void read()} />}
      {hosts === undefined && error === undefined && <Loading />}
      {hosts?.length === 0 && (
        <div class="empty small">
          <p>
            No host has registered yet. Start <code>zun-compute</code> on one.
          </p>
        </div>
      )}
      {hosts !== undefined && hosts.length > 0 && <List hosts={hosts} />}
    </>
  );
}

function List({ hosts }: { hosts: Host[] }) {
  return (
    <table class="list stacks">
      <thead>
        <tr>
          <th scope="col">Host</th>
          <th scope="col">State</th>
          <th scope="col">CPUs</th>
          <th scope="col">Memory</th>
          <th scope="col">Disk</th>
          <th scope="col">Containers</th>
        </tr>
      </thead>
      <tbody>
        {hosts.map((host) => (
          <tr key={host.uuid}>
            <th scope="row">
              {host.hostname}
              <span class="sub">{host.engine}</span>
              <span class="sub">
                {host.os}, {host.architecture}
              </span>
            </th>
            <td>
              <div class="status" data-tone={host.state === 'up' ? 'good' : host.state === 'recovering' ? 'warn' : 'bad'}>
                <span class="mark" aria-hidden="true" />
                <span class="status-words">
                  <span class="state-name">{host.state}</span>
                  {host.state_reason !== null && <span class="reason">{host.state_reason}</span>}
                </span>
              </div>
            </td>
            <td data-label="CPUs">
              <Meter name={`CPUs of ${host.hostname}`} used={host.cpu_used} total={host.cpus} text={`${number(host.cpu_used)} of ${number(host.cpus)}`} />
            </td>
            <td data-label="Memory">
              <Meter name={`Memory of ${host.hostname}`} used={host.mem_used} total={host.mem_total} text={of(host.mem_used, host.mem_total)} />
            </td>
            <td data-label="Disk">
              <Meter name={`Disk of ${host.hostname}`} used={host.disk_used} total={host.disk_total} text={`${host.disk_used} of ${host.disk_total} GiB`} />
            </td>
            <td data-label="Containers" class="number">
              {host.total_containers}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** Two sizes, with their unit once if it is the same. */
function of(used: number, total: number): string {
  const [one, other] = [mebibytes(used), mebibytes(total)];
  return `${one.slice(-3) === other.slice(-3) ? one.slice(0, -4) : one} of ${other}`;
}

/** How much is claimed. This can exceed the total if the settings allow overcommitment. */
function Meter({ name, used, total, text }: { name: string; used: number; total: number; text: string }) {
  const part = total > 0 ? used / total : 0;
  return (
    <div class="meter">
      <span>{text}</span>
      <meter aria-label={name} aria-valuetext={text} min={0} max={1} value={Math.min(1, part)} data-full={part > 1 ? 'over' : part > 0.85 ? 'nearly' : undefined} />
    </div>
  );
}
