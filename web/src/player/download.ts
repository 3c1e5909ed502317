// Downloads the recording from the gate that serves this page.

import type { Opening } from './address.ts';

/** How long the gate may take to answer, in milliseconds. */
const ANSWER = 30_000;

/** How long the next part may take, in milliseconds. The gate gives up at the same time. */
const PART = 60_000;

/** Characters that the page keeps. The rest is not downloaded. */
const MOST = 128 << 20;

/** Why there is no recording, in words. */
export class NoRecording extends Error {
  readonly detail: string;
  /** Whether another attempt with the same ticket may succeed. */
  readonly mayRetry: boolean;

  constructor(title: string, detail: string, mayRetry = false) {
    super(title);
    this.detail = detail;
    this.mayRetry = mayRetry;
  }
}

export interface Download {
  /** Whether the session has not ended. */
  isInProgress: boolean;
  /** The parts of the text. Throws an error if the connection is lost. */
  parts: AsyncIterable<string>;
}

/** Whether the download was stopped because the page keeps no more. */
export class TooLong extends Error {}

/** Begins the download. Throws `NoRecording`. */
export async function download({ ticket, id }: Opening): Promise<Download> {
  const abort = new AbortController();
  const response = await within(ANSWER, abort, () =>
    fetch(`/recordings/v1/${id}`, {
      headers: { Authorization: `Zun-Ticket ${ticket}` },
      cache: 'no-store',
      credentials: 'omit',
      redirect: 'error',
      signal: abort.signal,
    }),
  ).catch(() => undefined);
  if (response === undefined) throw new NoRecording('The host does not answer', 'Check your connection, and try again.', true);
  if (!response.ok || response.body === null) throw refused(response.status);
  return { isInProgress: response.headers.get('zun-recording') === 'in-progress', parts: parts(response.body, abort) };
}

async function* parts(body: ReadableStream<Uint8Array>, abort: AbortController): AsyncIterable<string> {
  const [reader, decoder] = [body.getReader(), new TextDecoder()];
  let length = 0;
  for (;;) {
    const { done, value } = await within(PART, abort, () => reader.read());
    const text = done ? decoder.decode() : decoder.decode(value, { stream: true });
    if (text !== '') yield text;
    if (done) return;
    length += text.length;
    if (length > MOST) {
      abort.abort();
      throw new TooLong();
    }
  }
}

/** Aborts if it takes longer. */
async function within<T>(milliseconds: number, abort: AbortController, act: () => Promise<T>): Promise<T> {
  const timer = window.setTimeout(() => abort.abort(), milliseconds);
  try {
    return await act();
  } finally {
    window.clearTimeout(timer);
  }
}

function refused(status: number): NoRecording {
  switch (status) {
    case 403:
      return new NoRecording('This link no longer works', 'A link plays a recording once, within a minute. Open the recording again from the dashboard.');
    case 404:
      return new NoRecording('This recording no longer exists', 'It was deleted, or the host needed its space.');
    case 503:
      return new NoRecording('The host is busy', 'It sends too many recordings at the moment. Try again in a moment.', true);
    default:
      return new NoRecording('The host cannot read the recording', `It answered with status ${status}. Its administrator finds the reason in the log of zun-console.`, true);
  }
}
