// Consoles of containers: pages of the hosts' gates, in frames. They stay open while the user looks at something else.

import { useEffect, useRef, useState } from 'preact/hooks';
import { words } from './api.ts';
import { pageOf, titled } from './console_link.ts';
import { type Desk, useDesk } from './context.ts';
import { Failure } from './dialog.tsx';
import { command } from './format.ts';
import { Icon } from './icons.tsx';
import { commandWords } from './input.ts';
import { allows } from './rules.ts';
import { openTab } from './tab.ts';
import type { Container, Ticket } from './types.ts';

/** Consoles that may be open at the same time. */
const MOST = 8;

/** A page that can be shown reports this within this time, in milliseconds. */
const READY_WITHIN = 6000;

interface Console {
  key: number;
  container: string;
  label: string;
  /** With the ticket in the fragment. It works once. */
  url: string;
  exec?: string;
}

/** The session's state, as the frame's page reports it. */
type State = 'opening' | 'ready' | 'live' | 'ended' | 'hidden';

/** The labels of the states. The normal state has none. */
const STATES: Record<State, string> = { opening: 'opening', ready: 'connecting', live: 'connected', ended: 'ended', hidden: 'not shown' };

/** Asks for a ticket to a container's console or to an exec. */
async function ticket({ store }: Desk, container: Container, exec?: string): Promise<string> {
  const body = { files: true, ...(exec !== undefined && { exec_id: exec }) };
  return (await store.api.post<Ticket>(`/v1/containers/${container.uuid}/console_ticket`, body)).url;
}

async function openShell(desk: Desk, container: Container, typed: string): Promise<Pick<Console, 'label' | 'url' | 'exec'>> {
  const list = commandWords(typed);
  const { uuid, name } = container;
  const body = { command: list.length === 0 ? ['/bin/sh'] : list, interactive: true, tty: true };
  const { exec_id: exec, proxy_url: address } = await desk.store.api.post<{ exec_id: string; proxy_url: string | null }>(`/v1/containers/${uuid}/execute`, body);
  const label = command(body.command);
  const title = `${name}: ${label}`;
  try {
    return { label, exec, url: titled(await ticket(desk, container, exec), title) };
  } catch (failure) {
    // Without the right to share consoles, the user can still use this one, but cannot copy files.
    const url = pageOf(address, title);
    if (url === undefined) throw failure;
    return { label, exec, url };
  }
}

/**
 * All open consoles. Those of the container with the UUID `owner` are shown, and the others stay open. `container` is
 * absent if it is gone.
 */
export function Consoles({ owner, container }: { owner: string | undefined; container: Container | undefined }) {
  const desk = useDesk();
  const [open, setOpen] = useState<Console[]>([]);
  const [shown, setShown] = useState<Record<string, number[]>>({});
  const [states, setStates] = useState<Record<number, State>>({});
  const [error, setError] = useState<string>();
  const [typed, setTyped] = useState('/bin/sh');
  const [isBusy, setBusy] = useState(false);
  const last = useRef(0);
  useEffect(() => setError(undefined), [owner]);
  useEffect(() => {
    // The consoles of a removed container stay open until the user leaves them.
    const isLeft = (one: Console) => one.container !== owner && !desk.store.containers.has(one.container) && (states[one.key] === 'ended' || states[one.key] === 'hidden');
    if (open.some(isLeft)) setOpen(open.filter((one) => !isLeft(one)));
  });

  const add = async (begin: () => Promise<Pick<Console, 'label' | 'url' | 'exec'>>) => {
    if (container === undefined) return;
    setBusy(true);
    setError(undefined);
    try {
      const added: Console = { key: ++last.current, container: container.uuid, ...(await begin()) };
      setOpen((all) => [...all, added]);
      show(added);
    } catch (failure) {
      setError(words(failure));
    }
    setBusy(false);
  };
  const show = ({ key, container: of }: Console) =>
    setShown((all) => {
      const before = all[of] ?? [];
      return { ...all, [of]: before.includes(key) ? before : before.length === 2 ? [before[0] as number, key] : [key] };
    });
  const close = ({ key, container: of }: Console) => {
    const rest = open.filter((other) => other.key !== key);
    const kept = (shown[of] ?? []).filter((other) => other !== key);
    const next = rest.filter((other) => other.container === of).at(-1);
    setOpen(rest);
    setShown({ ...shown, [of]: kept.length > 0 || next === undefined ? kept : [next.key] });
  };
  const own = open.filter((one) => one.container === owner);
  const visible = owner === undefined ? [] : (shown[owner] ?? []);
  const split = () => {
    if (owner === undefined) return;
    const other = own.filter(({ key }) => !visible.includes(key)).at(-1);
    const [first] = visible;
    if (first === undefined) return;
    setShown({ ...shown, [owner]: visible.length === 2 || other === undefined ? [first] : [first, other.key] });
  };
  const isFull = open.filter(({ key }) => states[key] !== 'ended').length >= MOST;
  return (
    <section class="consoles" hidden={container === undefined && own.length === 0} aria-label="Consoles">
      {(container !== undefined || own.length > 0) && (
        <div class="consoles-bar">
          <div class="console-tabs" role="group" aria-label="Open consoles">
            {own.map((one) => (
              <span key={one.key} class="console-tab" data-shown={visible.includes(one.key)}>
                <button type="button" aria-pressed={visible.includes(one.key)} onClick={() => show(one)}>
                  <span class="mark" data-state={states[one.key] ?? 'opening'} aria-hidden="true" />
                  {one.label}
                  {states[one.key] !== 'live' && <span class="sub">{STATES[states[one.key] ?? 'opening']}</span>}
                </button>
                <button type="button" class="icon small" aria-label={`Close ${one.label}`} title="Close" onClick={() => close(one)}>
                  <Icon name="close" />
                </button>
              </span>
            ))}
          </div>
          <div class="spacer" />
          {own.length > 1 && (
            <button type="button" class="toggle" aria-pressed={visible.length === 2} onClick={split}>
              Split
            </button>
          )}
          {container !== undefined && (
            <>
              <button
                type="button"
                class="button"
                disabled={isBusy || isFull || !allows(container.status, 'attach')}
                onClick={() => void add(async () => ({ label: 'Main process', url: await ticket(desk, container) }))}
              >
                <Icon name="terminal" />
                Attach
              </button>
              <form
                class="shell"
                onSubmit={(event) => {
                  event.preventDefault();
                  void add(() => openShell(desk, container, typed));
                }}
              >
                <input type="text" class="mono" aria-label="Command to run" value={typed} onInput={(event) => setTyped(event.currentTarget.value)} spellcheck={false} autocomplete="off" autocapitalize="off" />
                <button type="submit" class="button primary" disabled={isBusy || isFull || !allows(container.status, 'execute')}>
                  <Icon name="add" />
                  Run
                </button>
              </form>
            </>
          )}
        </div>
      )}
      {container !== undefined && error !== undefined && <Failure text={`The console cannot be opened: ${error}`} />}
      {container !== undefined && own.length === 0 && error === undefined && <NoConsole container={container} />}
      <div class="panes" data-count={visible.length} hidden={own.length === 0}>
        {open.map((one) => (
          <Pane
            key={one.key}
            console={one}
            isShown={visible.includes(one.key)}
            report={(state) => setStates((all) => ({ ...all, [one.key]: state }))}
          />
        ))}
      </div>
    </section>
  );
}

function NoConsole({ container }: { container: Container }) {
  const runs = allows(container.status, 'execute');
  return (
    <div class="empty">
      <Icon name="terminal" />
      <h2>No console is open</h2>
      <p>
        {runs
          ? 'Run a shell or another command beside the main process, or attach to the main process itself.'
          : allows(container.status, 'attach')
            ? 'The container has not been started. Attach to it to see everything that it prints.'
            : `The container is ${container.status.toLowerCase()}. A console needs a running container.`}
      </p>
    </div>
  );
}

function Pane({ console: one, isShown, report }: { console: Console; isShown: boolean; report: (state: State) => void }) {
  const frame = useRef<HTMLIFrameElement>(null);
  const [state, setState] = useState<State>('opening');
  const change = (next: State) => {
    setState(next);
    report(next);
  };
  useEffect(() => {
    const timer = window.setTimeout(() => change('hidden'), READY_WITHIN);
    const onMessage = (event: MessageEvent<unknown>) => {
      if (event.source !== frame.current?.contentWindow || event.origin !== new URL(one.url).origin) return;
      const { zun, state: next } = (event.data ?? {}) as { zun?: unknown; state?: unknown };
      if (zun !== 'console' || (next !== 'ready' && next !== 'live' && next !== 'ended')) return;
      window.clearTimeout(timer);
      change(next);
    };
    window.addEventListener('message', onMessage);
    return () => {
      window.clearTimeout(timer);
      window.removeEventListener('message', onMessage);
    };
  }, []);
  return (
    <div class="pane" hidden={!isShown}>
      {state === 'hidden' ? (
        <Elsewhere console={one} />
      ) : (
        <iframe
          ref={frame}
          name={`console-${one.key}`}
          src={one.url}
          title={`Console: ${one.label}`}
          allow="clipboard-read; clipboard-write"
          referrerpolicy="no-referrer"
          sandbox="allow-scripts allow-same-origin allow-forms allow-popups allow-popups-to-escape-sandbox allow-modals allow-downloads"
        />
      )}
    </div>
  );
}

/** Shown if the browser does not show the host's page in a frame. */
function Elsewhere({ console: one }: { console: Console }) {
  const desk = useDesk();
  const [error, setError] = useState<string>();
  const container = desk.store.find(one.container);
  const open = async () => {
    if (container === undefined) return;
    setError(undefined);
    try {
      await openTab(() => ticket(desk, container, one.exec));
    } catch (failure) {
      setError(words(failure));
    }
  };
  return (
    <div class="empty elsewhere">
      <Icon name="external" />
      <h2>This console opens in a tab of its own</h2>
      <p>
        The console page of <code>{new URL(one.url).host}</code> cannot be embedded here. Either the host does not allow this site to embed it, or this browser does not trust the host's certificate.
      </p>
      <button type="button" class="button primary" onClick={() => void open()}>
        <Icon name="external" />
        Open in a new tab
      </button>
      {error !== undefined && <Failure text={error} />}
      <p class="hint">
        Operators: add <code>{location.origin}</code> to <code>origins</code> in the section <code>[public]</code> of zun-console’s settings.
      </p>
    </div>
  );
}
