// The resource usage of a container, as small plots.

import { useEffect, useState } from 'preact/hooks';
import { useDesk } from './context.ts';
import { bytes, mebibytes, number } from './format.ts';
import { allows } from './rules.ts';
import { append, points, type Sample, scale } from './samples.ts';
import type { Container, Stats } from './types.ts';

/** The interval between requests, in milliseconds. */
const INTERVAL = 2000;

const WIDTH = 240;
const HEIGHT = 56;

function useSamples({ uuid, status }: Container): Sample[] {
  const { store } = useDesk();
  const [samples, setSamples] = useState<Sample[]>([]);
  const runs = allows(status, 'stats');
  useEffect(() => {
    setSamples([]);
    if (!runs) return undefined;
    let timer: number | undefined;
    let isOver = false;
    const read = async () => {
      if (document.visibilityState === 'visible') {
        // Users with read-only access get none. This is not an error of this view.
        const stats = await store.api.get<Stats>(`/v1/containers/${uuid}/stats`).catch(() => undefined);
        if (isOver) return;
        if (stats !== undefined) setSamples((before) => append(before, stats, Date.now()));
      }
      if (!isOver) timer = window.setTimeout(() => void read(), INTERVAL);
    };
    void read();
    return () => {
      isOver = true;
      window.clearTimeout(timer);
    };
  }, [uuid, runs]);
  return samples;
}

export function Usage({ container }: { container: Container }) {
  const samples = useSamples(container);
  const last = samples.at(-1);
  if (!allows(container.status, 'stats')) return null;
  const rate = (value: number | undefined) => (value === undefined ? '–' : `${bytes(value)}/s`);
  const none = last === undefined;
  return (
    <section class="usage" aria-label="Usage">
      <Plot title="CPU" now={none ? '–' : `${number(last.cpu)} %`} detail={`of ${number(container.cpu * 100)} %`} lines={[samples.map(({ cpu }) => cpu)]} most={container.cpu * 100} />
      <Plot title="Memory" now={none ? '–' : mebibytes(last.memory)} detail={none ? '' : `of ${mebibytes(last.memoryLimit)}`} lines={[samples.map(({ memory }) => memory)]} most={last?.memoryLimit ?? 1} />
      <Plot title="Network" now={rate(last?.received)} detail={['received', `${rate(last?.sent)} sent`]} lines={[samples.map(({ received }) => received), samples.map(({ sent }) => sent)]} />
      <Plot title="Disk" now={rate(last?.read)} detail={['read', `${rate(last?.written)} written`]} lines={[samples.map(({ read }) => read), samples.map(({ written }) => written)]} />
    </section>
  );
}

/** A plot of one or two lines. Without `most`, its scale follows the values. */
function Plot({ title, now, detail, lines, most }: { title: string; now: string; detail: string | [string, string]; lines: (number | undefined)[][]; most?: number }) {
  const top = most ?? scale(lines.flat(), 1024);
  return (
    <figure class="plot">
      <figcaption>
        <span class="plot-title">{title}</span>
        <span class="plot-now">{now}</span>
        <span class="sub">
          {typeof detail === 'string' ? (
            detail
          ) : (
            <>
              <span class="first">{detail[0]}</span>, <span class="second">{detail[1]}</span>
            </>
          )}
        </span>
      </figcaption>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={`${title}: ${now} ${typeof detail === 'string' ? detail : detail.join(', ')}`}>
        <path class="grid" d={`M0 ${HEIGHT / 2}H${WIDTH}`} />
        {lines.map((values, index) => {
          const line = points(values, top, WIDTH, HEIGHT);
          const [first, last] = [line.split(',')[0], line.split(' ').at(-1)?.split(',')[0]];
          return (
            <g key={index} class={index === 0 ? 'first' : 'second'}>
              {index === 0 && line.includes(' ') && <polygon points={`${first},${HEIGHT} ${line} ${last},${HEIGHT}`} />}
              <polyline points={line} />
            </g>
          );
        })}
      </svg>
    </figure>
  );
}
