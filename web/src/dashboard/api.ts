// Requests to the API that serves this page.

/** The microversion that this page is written for. */
const VERSION = 'container 1.40';

/** How long a request may take, in milliseconds. */
const LIMIT = 30_000;

/** A request that was refused, or that did not reach the service (status 0). */
export class ApiError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** How callers authenticate, as the service says in its answer to a request without a valid token. */
export type Strategy = 'token' | 'keystone';

export class Api {
  readonly #token: string | undefined;
  /** Called when the service does not accept the token any more. */
  onExpired: () => void = () => {};

  /** Without a token, the service must accept every caller. */
  constructor(token: string | undefined) {
    this.#token = token;
  }

  get headers(): Record<string, string> {
    return {
      'OpenStack-API-Version': VERSION,
      ...(this.#token !== undefined && { 'X-Auth-Token': this.#token }),
    };
  }

  get<T>(path: string): Promise<T> {
    return this.#json<T>('GET', path);
  }

  post<T>(path: string, body?: object): Promise<T> {
    return this.#json<T>('POST', path, body);
  }

  delete(path: string): Promise<void> {
    return this.#json('DELETE', path);
  }

  /** Returns text as it is. */
  async text(path: string): Promise<string> {
    const answer = await this.#request('GET', path, undefined, { Accept: 'application/octet-stream' });
    return answer.text();
  }

  async #json<T>(method: string, path: string, body?: object): Promise<T> {
    const answer = await this.#request(method, path, body);
    return (answer.status === 204 ? undefined : await answer.json().catch(() => undefined)) as T;
  }

  async #request(method: string, path: string, body?: object, more: Record<string, string> = {}): Promise<Response> {
    const headers = { ...this.headers, ...more, ...(body !== undefined && { 'Content-Type': 'application/json' }) };
    const answer = await send(path, { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) });
    if (answer.ok) return answer;
    if (answer.status === 401) this.onExpired();
    throw await refusal(answer);
  }
}

/** Returns how callers authenticate; `undefined` if the service accepts every caller. */
export async function strategy(): Promise<Strategy | undefined> {
  const answer = await send('/v1/containers?limit=1', { headers: new Api(undefined).headers });
  if (answer.ok) return undefined;
  if (answer.status !== 401) throw await refusal(answer);
  return /^Keystone /i.test(answer.headers.get('WWW-Authenticate') ?? '') ? 'keystone' : 'token';
}

export interface Credentials {
  user: string;
  password: string;
  project: string;
  user_domain: string;
  project_domain: string;
}

/** Exchanges a password for a token of Keystone. */
export async function signIn(credentials: Credentials): Promise<string> {
  const answer = await send('/ui/sign_in', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(credentials),
  });
  if (!answer.ok) throw await refusal(answer);
  return ((await answer.json()) as { token: string }).token;
}

async function send(path: string, request: RequestInit): Promise<Response> {
  try {
    return await fetch(path, { cache: 'no-store', credentials: 'omit', signal: AbortSignal.timeout(LIMIT), ...request });
  } catch {
    throw new ApiError(0, 'The service does not answer. Check the network, and try again.');
  }
}

/** Reads the error of an answer. */
export async function refusal(answer: Response): Promise<ApiError> {
  const body = (await answer.json().catch(() => undefined)) as { errors?: { detail?: string }[] } | undefined;
  return new ApiError(answer.status, body?.errors?.[0]?.detail ?? `The service answered with status ${answer.status}.`);
}

/** The words of any error. */
export function words(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
