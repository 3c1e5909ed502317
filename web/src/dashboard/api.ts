// Requests to the API that serves this page.

/** The microversion that this page is written for. */
const VERSION = 'container 1.40';

/** How long a request may take, in milliseconds. */
const LIMIT = 30_000;

/** A request that was refused, or that did not reach the service (status 0). */
export class ApiError extends Error {
  readonly status: number;

  /** How long the service asks to wait before the next attempt, in milliseconds; 0 if it does not say. */
  readonly retryAfter: number;

  constructor(status: number, message: string, retryAfter = 0) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** How callers authenticate, according to the service's answer to a request without a valid token. */
export type Strategy = 'token' | 'keystone';

export class Api {
  #token: string | undefined;
  #isExpired = false;
  /** Requests that wait until the user has signed in again. */
  #waiting: (() => void)[] = [];
  /**
   * Called once when the service no longer accepts the token. Requests that read then wait for `renew`. Without it,
   * they fail.
   */
  onExpired: ((strategy: Strategy) => void) | undefined;

  /** Without a token, the service must accept every caller. */
  constructor(token: string | undefined) {
    this.#token = token;
  }

  /** Continues with another token. */
  renew(token: string | undefined): void {
    this.#token = token;
    this.#isExpired = false;
    for (const proceed of this.#waiting.splice(0)) proceed();
  }

  /** Waits until there is a token that the service accepts. */
  async renewed(): Promise<void> {
    if (this.#isExpired) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  get #headers(): Record<string, string> {
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

  /** Returns text as it is, and whether the service has left out its beginning. */
  async text(path: string): Promise<{ text: string; isCut: boolean }> {
    const answer = await this.#request('GET', path, undefined, { Accept: 'application/octet-stream' });
    return { text: await answer.text(), isCut: answer.headers.get('X-Zun-Logs-Cut') === 'true' };
  }

  /** Sends a request with the token. A refusal counts as an answer, but a read whose token has expired is sent again. */
  async send(method: string, path: string, request: RequestInit = {}): Promise<Response> {
    for (;;) {
      await this.renewed();
      const token = this.#token;
      const answer = await send(path, { ...request, method, headers: { ...this.#headers, ...(request.headers as Record<string, string>) } });
      if (answer.status !== 401 || this.onExpired === undefined) return answer;
      // The token may have been replaced meanwhile.
      if (token === this.#token && !this.#isExpired) {
        this.#isExpired = true;
        this.onExpired(strategyOf(answer));
      }
      if (method !== 'GET') return answer;
    }
  }

  async #json<T>(method: string, path: string, body?: object): Promise<T> {
    const answer = await this.#request(method, path, body);
    return (answer.status === 204 ? undefined : await answer.json().catch(() => undefined)) as T;
  }

  async #request(method: string, path: string, body?: object, more: Record<string, string> = {}): Promise<Response> {
    const headers = { ...more, ...(body !== undefined && { 'Content-Type': 'application/json' }) };
    const answer = await this.send(method, path, { headers, ...(body !== undefined && { body: JSON.stringify(body) }) });
    if (answer.ok) return answer;
    throw await refusal(answer);
  }
}

/** Returns how callers authenticate; `undefined` if the service accepts every caller. */
export async function strategy(): Promise<Strategy | undefined> {
  const answer = await send('/v1/containers?limit=1', { headers: { 'OpenStack-API-Version': VERSION } });
  if (answer.ok) return undefined;
  if (answer.status !== 401) throw await refusal(answer);
  return strategyOf(answer);
}

function strategyOf(refused: Response): Strategy {
  return /^Keystone /i.test(refused.headers.get('WWW-Authenticate') ?? '') ? 'keystone' : 'token';
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
  const seconds = Number(answer.headers.get('Retry-After') ?? 0);
  const retryAfter = seconds > 0 ? seconds * 1000 : 0;
  return new ApiError(answer.status, body?.errors?.[0]?.detail ?? `The service answered with status ${answer.status}.`, retryAfter);
}

/** The message of any error. */
export function words(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
