// What each status allows: mirrors zun-common/src/status/mod.rs; a test compares the tables.

import type { Container, Status } from './types.ts';

export type Action = 'start' | 'stop' | 'reboot' | 'pause' | 'unpause' | 'kill' | 'execute' | 'attach' | 'logs' | 'stats' | 'delete' | 'delete_stop' | 'delete_force';

const ALLOWED: Record<Status, readonly Action[]> = {
  Creating: ['delete_force'],
  Created: ['start', 'reboot', 'attach', 'logs', 'delete', 'delete_stop', 'delete_force'],
  Running: ['stop', 'reboot', 'pause', 'kill', 'execute', 'attach', 'logs', 'stats', 'delete_stop', 'delete_force'],
  Stopped: ['start', 'reboot', 'logs', 'delete', 'delete_stop', 'delete_force'],
  Paused: ['stop', 'reboot', 'unpause', 'kill', 'logs', 'delete_stop', 'delete_force'],
  Restarting: ['stop', 'reboot', 'kill', 'logs', 'delete_stop', 'delete_force'],
  Rebuilding: ['logs', 'delete_stop', 'delete_force'],
  Deleting: ['delete_force'],
  Deleted: ['delete', 'delete_stop', 'delete_force'],
  Dead: ['delete', 'delete_stop', 'delete_force'],
  Error: ['start', 'reboot', 'logs', 'delete', 'delete_stop', 'delete_force'],
  Unknown: ['logs', 'delete_force'],
};

export const ACTIONS: readonly Action[] = ['start', 'stop', 'reboot', 'pause', 'unpause', 'kill', 'execute', 'attach', 'logs', 'stats', 'delete', 'delete_stop', 'delete_force'];

/** Whether a container in this status allows an action. A status of a newer service allows none. */
export function allows(status: Status, action: Action): boolean {
  return ALLOWED[status]?.includes(action) ?? false;
}

/** The words for an operation that is in progress. */
const TASKS: Record<string, string> = {
  image_pulling: 'Pulling the image',
  container_creating: 'Creating',
  container_starting: 'Starting',
  container_deleting: 'Deleting',
  container_stopping: 'Stopping',
  container_rebooting: 'Restarting',
  container_rebuilding: 'Rebuilding',
  container_pausing: 'Pausing',
  container_unpausing: 'Unpausing',
  container_killing: 'Killing',
};

/** The operation in progress, in words; `undefined` if there is none. */
export function task(container: Container): string | undefined {
  const { task_state: state, status } = container;
  if (state !== null) return TASKS[state] ?? state.replaceAll('_', ' ');
  return status === 'Creating' || status === 'Deleting' || status === 'Rebuilding' ? status : undefined;
}

export type Tone = 'good' | 'warn' | 'bad' | 'busy' | 'idle';

/** The colour for a container's status. */
export function tone(container: Container): Tone {
  if (task(container) !== undefined) return 'busy';
  switch (container.status) {
    case 'Running':
      return container.health === 'unhealthy' ? 'warn' : 'good';
    case 'Paused':
    case 'Restarting':
    case 'Unknown':
      return 'warn';
    case 'Error':
    case 'Dead':
      return 'bad';
    case 'Stopped':
      return (container.exit_code ?? 0) === 0 ? 'idle' : 'bad';
    default:
      return 'idle';
  }
}
