// The form for a new container.

import { useState } from 'preact/hooks';
import { ApiError, words } from './api.ts';
import { useDesk } from './context.ts';
import { Dialog, Failure } from './dialog.tsx';
import { commandWords, InvalidInput, pairs, ports } from './input.ts';
import type { Container } from './types.ts';

interface Form {
  image: string;
  name: string;
  command: string;
  cpu: string;
  memory: string;
  terminal: boolean;
  ports: string;
  environment: string;
  restart: string;
  autoRemove: boolean;
}

const EMPTY: Form = {
  image: '',
  name: '',
  command: '',
  cpu: '1',
  memory: '512',
  terminal: true,
  ports: '',
  environment: '',
  restart: 'no',
  autoRemove: false,
};

/** What is wrong with a field, or with the request as a whole. */
type Trouble = { field?: keyof Form; text: string };

/** The form's fields, by the API's names. */
const FIELDS: Record<string, keyof Form> = {
  image: 'image',
  name: 'name',
  command: 'command',
  cpu: 'cpu',
  memory: 'memory',
  exposed_ports: 'ports',
  environment: 'environment',
  restart_policy: 'restart',
};

/** Reads one field, so that an error names it. */
function read<T>(field: keyof Form, reading: () => T): T {
  try {
    return reading();
  } catch (error) {
    throw error instanceof InvalidInput ? new FieldError(field, error.message) : error;
  }
}

class FieldError extends Error {
  readonly field: keyof Form;
  constructor(field: keyof Form, message: string) {
    super(message);
    this.field = field;
  }
}

/** The body of the request. */
function body(form: Form): object {
  const command = read('command', () => commandWords(form.command));
  const exposed = read('ports', () => ports(form.ports));
  const environment = read('environment', () => pairs(form.environment));
  const amount = (field: 'cpu' | 'memory') => {
    const value = Number(form[field]);
    if (form[field].trim() === '' || Number.isNaN(value)) throw new FieldError(field, 'It must be a number.');
    return value;
  };
  return {
    image: form.image.trim(),
    ...(form.name.trim() !== '' && { name: form.name.trim() }),
    ...(command.length > 0 && { command }),
    cpu: amount('cpu'),
    memory: amount('memory'),
    interactive: form.terminal,
    tty: form.terminal,
    ...(Object.keys(exposed).length > 0 && { exposed_ports: exposed }),
    ...(Object.keys(environment).length > 0 && { environment }),
    ...(form.restart !== 'no' && { restart_policy: { Name: form.restart } }),
    ...(form.autoRemove && { auto_remove: true }),
  };
}

function trouble(error: unknown): Trouble {
  if (error instanceof FieldError) return { field: error.field, text: error.message };
  const named = error instanceof ApiError ? /field '([\w]+)/.exec(error.message)?.[1] : undefined;
  const field = named === undefined ? undefined : FIELDS[named];
  return { ...(field !== undefined && { field }), text: words(error) };
}

export function Create({ close, created }: { close: () => void; created: (container: Container) => void }) {
  const { store } = useDesk();
  const [form, setForm] = useState(EMPTY);
  const [wrong, setWrong] = useState<Trouble>();
  const [isBusy, setBusy] = useState(false);
  const change = (part: Partial<Form>) => setForm((current) => ({ ...current, ...part }));
  const submit = async (event: Event) => {
    event.preventDefault();
    setWrong(undefined);
    setBusy(true);
    try {
      created(await store.api.post<Container>('/v1/containers?run=true', body(form)));
    } catch (error) {
      const found = trouble(error);
      setWrong(found);
      setBusy(false);
      if (found.field !== undefined) document.getElementById(`new-${found.field}`)?.focus();
    }
  };
  const text = (field: Exclude<keyof Form, 'terminal' | 'autoRemove'>) => ({
    id: `new-${field}`,
    value: form[field],
    'aria-invalid': wrong?.field === field,
    'aria-describedby': wrong?.field === field ? `new-${field}-error` : `new-${field}-hint`,
    autocomplete: 'off',
    spellcheck: false,
    onInput: (event: { currentTarget: { value: string } }) => change({ [field]: event.currentTarget.value }),
  });
  const below = (field: keyof Form, hint = '') =>
    wrong?.field === field ? (
      <span class="field-error" id={`new-${field}-error`} role="alert">
        {wrong.text}
      </span>
    ) : (
      <span class="hint" id={`new-${field}-hint`}>
        {hint}
      </span>
    );
  return (
    <Dialog title="New container" close={close} wide>
      <form onSubmit={submit} class="form">
        {wrong !== undefined && wrong.field === undefined && <Failure text={wrong.text} />}
        <div class="field">
          <label for="new-image">Image</label>
          <input type="text" required autofocus placeholder="debian:13" {...text('image')} />
          {below('image', 'Image name, such as nginx or registry.example.org/team/app:1.2')}
        </div>
        <div class="field-row">
          <div class="field">
            <label for="new-name">
              Name <span class="optional">optional</span>
            </label>
            <input type="text" {...text('name')} />
            {below('name')}
          </div>
          <div class="field">
            <label for="new-command">
              Command <span class="optional">optional</span>
            </label>
            <input type="text" class="mono" {...text('command')} />
            {below('command')}
          </div>
        </div>
        <div class="field-row narrow">
          <div class="field">
            <label for="new-cpu">CPUs</label>
            <input type="number" required min="0.1" max="16" step="0.1" {...text('cpu')} />
            {below('cpu')}
          </div>
          <div class="field">
            <label for="new-memory">Memory in MiB</label>
            <input type="number" required min="6" max="8192" {...text('memory')} />
            {below('memory')}
          </div>
        </div>
        <label class="check">
          <input type="checkbox" checked={form.terminal} onChange={(event) => change({ terminal: event.currentTarget.checked })} />
          <span>
            Terminal and open stdin
            <span class="hint">For shells and other programs that you type into</span>
          </span>
        </label>
        <details>
          <summary>Ports, environment and restarts</summary>
          <div class="field">
            <label for="new-ports">Published ports</label>
            <input type="text" class="mono" placeholder="8080:80, 53/udp" {...text('ports')} />
            {below('ports', 'HOST:CONTAINER, or only CONTAINER for any free port of the host')}
          </div>
          <div class="field">
            <label for="new-environment">Environment</label>
            <textarea rows={3} class="mono" placeholder="NAME=VALUE" {...text('environment')} />
            {below('environment', 'One variable per line')}
          </div>
          <div class="field">
            <label for="new-restart">When the process ends</label>
            <select id="new-restart" value={form.restart} disabled={form.autoRemove} onChange={(event) => change({ restart: event.currentTarget.value })}>
              <option value="no">Leave the container stopped</option>
              <option value="on-failure">Restart it after a failure</option>
              <option value="unless-stopped">Restart it unless it was stopped</option>
              <option value="always">Always restart it</option>
            </select>
            {below('restart')}
          </div>
          <label class="check">
            <input
              type="checkbox"
              checked={form.autoRemove}
              onChange={(event) => change({ autoRemove: event.currentTarget.checked, ...(event.currentTarget.checked && { restart: 'no' }) })}
            />
            <span>Delete the container when its process ends</span>
          </label>
        </details>
        <div class="buttons">
          <button type="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" class="primary" disabled={isBusy}>
            Create and start
          </button>
        </div>
      </form>
    </Dialog>
  );
}
