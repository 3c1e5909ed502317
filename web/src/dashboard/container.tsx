// One container.

import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Actions } from './actions.tsx';
import { words } from './api.ts';
import { Loading } from './containers.tsx';
import { useDesk } from './context.ts';
import { Failure } from './dialog.tsx';
import { command, cpus, mebibytes, moment, port } from './format.ts';
import { useNow, useStore, useTitle } from './hooks.ts';
import { History } from './history.tsx';
import { Icon } from './icons.tsx';
import { Logs } from './logs.tsx';
import { Recordings } from './recordings.tsx';
import { StatusCell } from './status.tsx';
import type { Container } from './types.ts';
import { Usage } from './usage.tsx';

const TABS: readonly { key: string; label: string; View: (props: { container: Container }) => ComponentChildren }[] = [
  { key: '', label: 'Overview', View: Overview },
  { key: 'logs', label: 'Logs', View: Logs },
  // The consoles are not inside this page, so that they stay open when it is closed.
  { key: 'consoles', label: 'Consoles', View: () => null },
  { key: 'history', label: 'History', View: History },
];

export function ContainerPage({ id, tab }: { id: string; tab: string }) {
  const { store } = useDesk();
  useStore(store);
  const now = useNow(5000);
  const container = store.find(id);
  const wasThere = useRef(false);
  wasThere.current ||= container !== undefined;
  const [error, setError] = useState<string>();
  useTitle(container?.name ?? 'Container');
  const isMissing = container === undefined;
  useEffect(() => {
    // It may belong to another project, which the list does not show.
    if (isMissing) store.load(id).catch((failure: unknown) => setError(words(failure)));
  }, [isMissing]);
  useEffect(() => () => store.leave(), []);
  if (container === undefined) {
    return (
      <>
        <Back />
        <h1 tabIndex={-1} class={store.isLoaded ? '' : 'visually-hidden'}>
          {store.isLoaded ? 'This container is gone' : 'Container'}
        </h1>
        {error === undefined && !store.isLoaded ? <Loading /> : <p class="note">{wasThere.current || error === undefined ? 'It was deleted.' : error}</p>}
        {store.isLoaded && <Recordings container={id} version="" isRemoved />}
      </>
    );
  }
  const { View } = TABS.find(({ key }) => key === tab) ?? (TABS[0] as (typeof TABS)[number]);
  return (
    <>
      <Back />
      <div class="page-head">
        <div class="title">
          <h1 tabIndex={-1}>{container.name}</h1>
          <StatusCell container={container} now={now} />
        </div>
        <div class="spacer" />
        <Actions container={container} withWords />
      </div>
      {store.error !== undefined && <Failure text={`This may be outdated: ${store.error}`} retry={() => void store.refresh()} />}
      <nav class="tabs" aria-label="Parts of the container">
        {TABS.map(({ key, label }) => (
          <a key={key} href={`#/containers/${encodeURIComponent(id)}${key === '' ? '' : `/${key}`}`} aria-current={key === tab ? 'page' : undefined}>
            {label}
          </a>
        ))}
      </nav>
      <View container={container} />
    </>
  );
}

function Back() {
  return (
    <a class="back" href="#/">
      <Icon name="back" />
      Containers
    </a>
  );
}

function Overview({ container }: { container: Container }) {
  return (
    <div class="cards">
      <Usage container={container} />
      <Details container={container} />
      <Pairs title="Environment" pairs={container.environment} none="No variables were set." />
      <Pairs title="Labels" pairs={container.labels} none="It has no labels." />
    </div>
  );
}

const RESTARTS: Record<string, string> = {
  no: 'No',
  always: 'Always',
  'on-failure': 'After a failure',
  'unless-stopped': 'Unless it was stopped',
};

function Details({ container }: { container: Container }) {
  const now = useNow(30_000);
  const created = moment(container.created_at, now);
  const addresses = Object.entries(container.addresses).flatMap(([network, all]) => all.map(({ addr }) => `${addr} (${network})`));
  const restart = container.restart_policy?.Name ?? 'no';
  const rows: [string, ComponentChildren][] = [
    ['Image', <code key="image">{container.image}</code>],
    ['Command', container.command === null ? 'The image’s own' : <code key="command">{command(container.command)}</code>],
    ['Limits', [cpus(container.cpu), mebibytes(Number(container.memory)), ...(container.disk > 0 ? [`${container.disk} GiB of disk`] : [])].join(', ')],
    ['Ports', container.published_ports.length === 0 ? 'None published' : <Lines key="ports" lines={container.published_ports.map(port)} />],
    ['Addresses', addresses.length === 0 ? 'None' : <Lines key="addresses" lines={addresses} />],
    ['Mounts', (container.mounts ?? []).length === 0 ? 'None' : <Lines key="mounts" lines={(container.mounts ?? []).map(({ source, destination, read_only: readOnly }) => `${source ?? 'anonymous'} → ${destination}${readOnly === true ? ', read-only' : ''}`)} />],
    ['Terminal', container.tty ? 'Yes' : container.interactive ? 'No, but stdin is open' : 'No'],
    ['Restarts', container.auto_remove ? 'No, it is deleted when its process ends' : RESTARTS[restart] ?? restart],
    ['Created', created === undefined ? '–' : <span key="created" title={created.full}>{created.words}</span>],
    ...(container.host === undefined ? [] : ([['Host', container.host]] as [string, ComponentChildren][])),
    ['Project', container.project_id],
    ['UUID', <code key="uuid">{container.uuid}</code>],
  ];
  return (
    <section class="card wide-card" aria-labelledby="details-title">
      <h2 id="details-title">Details</h2>
      <dl>
        {rows.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function Lines({ lines }: { lines: string[] }) {
  return (
    <ul class="plain mono">
      {lines.map((line) => (
        <li key={line}>{line}</li>
      ))}
    </ul>
  );
}

function Pairs({ title, pairs, none }: { title: string; pairs: Record<string, string>; none: string }) {
  const all = Object.entries(pairs);
  const id = `${title.toLowerCase()}-title`;
  return (
    <section class="card" aria-labelledby={id}>
      <h2 id={id}>{title}</h2>
      {all.length === 0 ? (
        <p class="note">{none}</p>
      ) : (
        <dl class="pairs mono">
          {all.map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
      )}
    </section>
  );
}
