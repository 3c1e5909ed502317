// The status of a container.

import { since } from './format.ts';
import { task, tone } from './rules.ts';
import type { Container } from './types.ts';
import { WithCode } from './with_code.tsx';

export function StatusCell({ container, now }: { container: Container; now: number }) {
  const doing = task(container);
  const detail = doing === undefined ? since(container, now) : pulled(container);
  const health = container.status === 'Running' && container.health !== null ? container.health : undefined;
  return (
    <div class="status" data-tone={tone(container)}>
      <span class="mark" aria-hidden="true" />
      <span class="status-words">
        <span class="status-name">{doing === undefined ? container.status : `${doing}…`}</span>
        {health !== undefined && <span class={`health ${health}`}>{health}</span>}
        {detail !== '' && <span class="detail">{detail}</span>}
        {container.status_reason !== null && doing === undefined && (
          <span class="reason" title={container.status_reason}>
            <WithCode text={container.status_reason} />
          </span>
        )}
      </span>
    </div>
  );
}

/** How much of the image has been pulled. */
function pulled({ image_pull: pull }: Container): string {
  const layers = pull?.layers ?? [];
  const total = layers.reduce((sum, layer) => sum + layer.total, 0);
  const current = layers.reduce((sum, layer) => sum + Math.min(layer.current, layer.total), 0);
  return total === 0 ? '' : `${Math.floor((current / total) * 100)} %`;
}
