// The list of containers.

import { useMemo, useState } from 'preact/hooks';
import { Actions } from './actions.tsx';
import { useDesk } from './context.ts';
import { Create } from './create.tsx';
import { Failure } from './dialog.tsx';
import { cpus, image, mebibytes, port } from './format.ts';
import { useNow, useStore, useTitle } from './hooks.ts';
import { Icon } from './icons.tsx';
import { task, tone } from './rules.ts';
import { StatusCell } from './status.tsx';
import type { Container } from './types.ts';

const GROUPS = {
  all: { label: 'All', holds: () => true },
  running: { label: 'Running', holds: ({ status }: Container) => status === 'Running' || status === 'Restarting' || status === 'Paused' },
  stopped: { label: 'Stopped', holds: ({ status }: Container) => status === 'Stopped' || status === 'Created' },
  failed: { label: 'Failed', holds: (container: Container) => task(container) === undefined && tone(container) === 'bad' },
} as const;
type Group = keyof typeof GROUPS;

/** The containers that match each word, in their order by name. */
function select(containers: Iterable<Container>, group: Group, text: string): Container[] {
  const wanted = text.toLowerCase().split(/\s+/).filter((word) => word !== '');
  const fits = (container: Container) => {
    const all = [container.name, container.image, container.status, container.uuid, container.host ?? '', ...Object.entries(container.labels).flat()].join(' ').toLowerCase();
    return GROUPS[group].holds(container) && wanted.every((word) => all.includes(word));
  };
  return [...containers].filter(fits).sort((one, other) => one.name.localeCompare(other.name, 'en', { numeric: true }));
}

export function Containers() {
  const { store, seesHosts, say } = useDesk();
  useStore(store);
  const now = useNow(5000);
  const [text, setText] = useState('');
  const [group, setGroup] = useState<Group>('all');
  const [isCreating, setCreating] = useState(false);
  useTitle('Containers');
  const all = [...store.containers.values()];
  const shown = useMemo(() => select(store.containers.values(), group, text), [store.containers, group, text]);
  const created = (container: Container) => {
    setCreating(false);
    store.put(container);
    say(`${container.name} is being created.`);
  };
  return (
    <>
      <div class="page-head">
        <h1 tabIndex={-1}>Containers</h1>
        <div class="spacer" />
        {all.length > 0 && (
          <button type="button" class="button primary" onClick={() => setCreating(true)}>
            <Icon name="add" />
            New container
          </button>
        )}
      </div>
      {store.isLoaded && (all.length > 0 || seesHosts) && (
        <div class="filters">
          <div class="segments" role="group" aria-label="Show">
            {(Object.keys(GROUPS) as Group[]).map((key) => (
              <button key={key} type="button" aria-pressed={group === key} onClick={() => setGroup(key)}>
                {GROUPS[key].label} <span class="count">{all.filter(GROUPS[key].holds).length}</span>
              </button>
            ))}
          </div>
          {seesHosts && (
            <label class="check inline">
              <input type="checkbox" role="switch" checked={store.allProjects} onChange={(event) => (store.allProjects = event.currentTarget.checked)} />
              <span>All projects</span>
            </label>
          )}
          <div class="search-field">
            <Icon name="search" />
            <input type="search" aria-label="Search containers" placeholder="Name, image, label…" value={text} onInput={(event) => setText(event.currentTarget.value)} />
          </div>
        </div>
      )}
      {store.error !== undefined && <Failure text={`The containers cannot be read: ${store.error}`} retry={() => void store.refresh()} />}
      {store.isPartial && <p class="note">Only the first {all.length} containers are shown. Use `zun list` for all of them.</p>}
      <List containers={shown} now={now} />
      {store.isLoaded && all.length === 0 && store.error === undefined && <Empty create={() => setCreating(true)} />}
      {all.length > 0 && shown.length === 0 && (
        <div class="empty small">
          <p>No container matches.</p>
          <button
            type="button"
            class="button"
            onClick={() => {
              setText('');
              setGroup('all');
            }}
          >
            Show all
          </button>
        </div>
      )}
      {!store.isLoaded && store.error === undefined && <Loading />}
      {isCreating && <Create close={() => setCreating(false)} created={created} />}
    </>
  );
}

function List({ containers, now }: { containers: Container[]; now: number }) {
  const { store, seesHosts } = useDesk();
  if (containers.length === 0) return null;
  return (
    <table class="list containers">
      <thead>
        <tr>
          <th scope="col">Name</th>
          <th scope="col">Status</th>
          <th scope="col">Ports</th>
          <th scope="col">Limits</th>
          {seesHosts && <th scope="col">Host</th>}
          <th scope="col">
            <span class="visually-hidden">Actions</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {containers.map((container) => (
          <tr key={container.uuid}>
            <th scope="row">
              <a class="row-link" href={`#/containers/${container.uuid}`}>
                {container.name}
              </a>
              <span class="sub mono" title={container.image}>
                <Breakable text={image(container.image)} />
              </span>
            </th>
            <td>
              <StatusCell container={container} now={now} />
            </td>
            <td class="mono ports" data-label="Ports">
              {container.published_ports.slice(0, 2).map((published) => (
                <span key={port(published)}>{port(published)}</span>
              ))}
              {container.published_ports.length > 2 && <span>+{container.published_ports.length - 2} more</span>}
            </td>
            <td class="limits" data-label="Limits">
              <span>{cpus(container.cpu)}</span>
              <span class="sub">{mebibytes(Number(container.memory))}</span>
            </td>
            {seesHosts && (
              <td class="host" data-label="Host">
                {container.host ?? '–'}
                {store.allProjects && <span class="sub">{container.project_id}</span>}
              </td>
            )}
            <td class="buttons-cell">
              <Actions container={container} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** A name that is broken after a slash or a colon, if it must be. */
function Breakable({ text }: { text: string }) {
  const parts = text.split(/(?<=[/:])/);
  return (
    <>
      {parts.map((part, index) => (
        <span key={index} class="part">
          {part}
        </span>
      ))}
    </>
  );
}

function Empty({ create }: { create: () => void }) {
  return (
    <div class="empty">
      <Icon name="box" />
      <h2>No containers yet</h2>
      <p>A container runs an image, such as a web server or a shell, on one of the hosts.</p>
      <button type="button" class="button primary" onClick={create}>
        <Icon name="add" />
        New container
      </button>
      <p class="hint">
        Or from a terminal:
        <br />
        <code>zun run -i --name test cirros /bin/sh</code>
      </p>
    </div>
  );
}

/** Placeholders, which appear only if the answer takes a moment. */
export function Loading() {
  return (
    <div class="loading" role="status" aria-label="Loading">
      <span />
      <span />
      <span />
    </div>
  );
}
