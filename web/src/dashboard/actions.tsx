// Buttons for what can be done with a container.

import { words } from './api.ts';
import { type Desk, useDesk } from './context.ts';
import { Icon, type IconName } from './icons.tsx';
import { type Action, allows, task } from './rules.ts';
import type { Container } from './types.ts';

interface Choice {
  action: Action;
  label: string;
  icon: IconName;
  act: (desk: Desk, container: Container) => void;
}

const START: Choice = {
  action: 'start',
  label: 'Start',
  icon: 'start',
  act: (desk, container) => void send(desk, container, 'start').catch((error: unknown) => desk.say(words(error), true)),
};
const STOP: Choice = {
  action: 'stop',
  label: 'Stop',
  icon: 'stop',
  act: (desk, container) =>
    desk.ask({
      title: `Stop ${container.name}?`,
      text: 'Its process gets its stop signal, and SIGKILL if it has not ended within its stop timeout (10 seconds by default). You can start it again.',
      verb: 'Stop',
      isDangerous: false,
      act: () => send(desk, container, 'stop'),
    }),
};
const RESTART: Choice = {
  action: 'reboot',
  label: 'Restart',
  icon: 'restart',
  act: (desk, container) =>
    desk.ask({
      title: `Restart ${container.name}?`,
      text: 'The process is stopped and started again. This closes its consoles.',
      verb: 'Restart',
      isDangerous: false,
      act: () => send(desk, container, 'reboot'),
    }),
};
const DELETE: Choice = {
  action: 'delete_stop',
  label: 'Delete',
  icon: 'remove',
  act: (desk, container) => {
    const { verb, before, query } = deletion(container);
    desk.ask({
      title: `Delete ${container.name}?`,
      text: `${before}Its files and its output are lost. This cannot be undone.`,
      verb,
      isDangerous: true,
      act: async () => {
        await desk.store.api.delete(`/v1/containers/${container.uuid}${query}`);
        desk.store.reread(container.uuid);
        desk.say(`${container.name} is being deleted.`);
      },
    });
  },
};

/** How a container in its status is deleted. */
function deletion({ status }: Container): { verb: string; before: string; query: string } {
  if (allows(status, 'delete')) return { verb: 'Delete', before: '', query: '' };
  if (allows(status, 'delete_stop')) return { verb: 'Stop and delete', before: 'It is stopped first. ', query: '?stop=true' };
  return { verb: 'Delete by force', before: 'Its process is killed immediately. ', query: '?force=true' };
}

async function send(desk: Desk, { uuid, name }: Container, action: 'start' | 'stop' | 'reboot'): Promise<void> {
  await desk.store.api.post(`/v1/containers/${uuid}/${action}`);
  desk.store.reread(uuid);
  const doing = { start: 'starting', stop: 'stopping', reboot: 'restarting' };
  desk.say(`${name} is ${doing[action]}.`);
}

/** The choices for a container: what starts or stops it, and the rest. */
function choices({ status }: Container): Choice[] {
  return [allows(status, 'stop') ? STOP : START, RESTART, DELETE];
}

/** Buttons with an icon only, for lists, or with a word too. */
export function Actions({ container, withWords }: { container: Container; withWords?: boolean }) {
  const desk = useDesk();
  const isBusy = task(container) !== undefined;
  return (
    <div class={`actions ${withWords === true ? 'with-words' : ''}`} role="group" aria-label={`Actions for ${container.name}`}>
      {choices(container).map((choice) => {
        // Administrators may delete in any status.
        const isForced = choice === DELETE && desk.seesHosts;
        const isOff = !isForced && (!allows(container.status, choice.action) || (isBusy && choice !== DELETE));
        return (
          <button
            key={choice.label}
            type="button"
            class={`${withWords === true ? 'button' : 'icon'} ${choice === DELETE ? 'removes' : ''}`}
            aria-label={withWords === true ? undefined : `${choice.label} ${container.name}`}
            title={withWords === true ? undefined : choice.label}
            disabled={isOff}
            onClick={() => choice.act(desk, container)}
          >
            <Icon name={choice.icon} />
            {withWords === true && choice.label}
          </button>
        );
      })}
    </div>
  );
}
