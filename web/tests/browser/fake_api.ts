// A scripted service, for behaviour that is rare in a real one: it serves the built page and has the containers of the
// test.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Container, ContainerAction, Host, RecordingList, Run, Stats, Status } from '../../src/dashboard/types.ts';
import { serve } from './static.ts';

/** The gates of the tests have no certificates. */
const POLICY = readFileSync(join('..', 'zun-api', 'src', 'http', 'ui', 'policy.txt'), 'utf8').trim().replace('frame-src https:', 'frame-src https: http://127.0.0.1:*');

const NO_GATE = 'Host compute1 does not offer this: its console gate has no name for clients with tickets.';

export const TOKEN = 'a-token-of-ann';

/** A UUID that is the same in each run, for pictures. */
function uuidOf(text: string): string {
  const hex = createHash('sha256').update(text).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/** The API's form of a time. */
export function stamp(time: number): string {
  return new Date(time).toISOString().replace('T', ' ').replace('Z', '000');
}

export class FakeApi {
  strategy: 'token' | 'keystone' | 'none' = 'token';
  containers: Container[] = [];
  hosts: Host[] = [];
  actions: ContainerAction[] = [];
  runs: Run[] = [];
  /** Those of all containers. */
  recordings: RecordingList = { recordings: [], more: false, unresponsive_hosts: [] };
  /** The link that plays a recording. */
  recordingUrl: string | undefined;
  stats: Stats | undefined;
  isAdmin = false;
  /** Whether the token is no longer accepted. */
  isExpired = false;
  /** Whether connections are closed. */
  isDown = false;
  /** The error for the next request that changes something. */
  refusal: { status: number; text: string } | undefined;
  /** Each request that changed something: method, path and body. */
  readonly changes: string[] = [];
  /** The output of all containers, with times. */
  output = '';
  /** The rest of the first line, if the service omits the beginning of the output. */
  cutLine: string | undefined;
  /** Why the output is refused. */
  outputRefusal: { status: number; text: string } | undefined;
  /** The number of requests for the output. */
  outputReads = 0;
  /** The answer to `console_ticket`. */
  ticketUrl: string | undefined;
  /** The requests for a stream of events: the time, and the ID of the newest event that the page has. */
  readonly asked: { at: number; lastId: string }[] = [];
  /** How many of the next streams end at once. */
  shortStreams = 0;
  /** The next stream is refused, with this many seconds in `Retry-After`. */
  streamPause: number | undefined;
  /** The lists that were read. */
  lists = 0;
  /** The reads of single containers. */
  reads = 0;
  /** Lists are answered when this resolves, with the containers at the time of the request. */
  held: Promise<void> = Promise.resolve();
  #server: Server;
  #streams = new Set<ServerResponse>();
  #position = 1;

  private constructor(server: Server) {
    this.#server = server;
    server.on('request', (request, response) => void this.#answer(request, response));
  }

  static async start(): Promise<FakeApi> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new FakeApi(server);
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get streams(): number {
    return this.#streams.size;
  }

  add(name: string, part: Partial<Container> = {}): Container {
    const container: Container = {
      uuid: uuidOf(`${name} ${this.containers.length}`),
      name,
      project_id: 'blue',
      image: 'nginx',
      cpu: 1,
      memory: '512',
      disk: 0,
      command: null,
      entrypoint: null,
      status: 'Running',
      status_reason: null,
      task_state: null,
      environment: {},
      labels: {},
      workdir: null,
      hostname: null,
      user: null,
      interactive: false,
      tty: false,
      attached: 0,
      exit_code: null,
      auto_remove: false,
      restart_policy: null,
      published_ports: [],
      addresses: {},
      health: null,
      created_at: stamp(Date.now() - 3_600_000),
      updated_at: null,
      started_at: stamp(Date.now() - 3_600_000),
      finished_at: null,
      ...part,
    };
    this.containers.push(container);
    return container;
  }

  /** Changes a container and sends an event. */
  change(name: string, part: Partial<Container>, action = 'update'): void {
    const container = this.containers.find((one) => one.name === name);
    if (container === undefined) throw new Error(`no container ${name}`);
    Object.assign(container, part);
    this.event(container, action);
  }

  event({ uuid, name }: Container, action: string): void {
    const event = { time: new Date().toISOString(), type: 'container', action, actor: { id: uuid, attributes: { name } }, project_id: 'blue' };
    for (const stream of this.#streams) stream.write(`id: 1.${this.#position++}\ndata: ${JSON.stringify(event)}\n\n`);
  }

  /** The streams of events break. */
  cut(): void {
    for (const stream of this.#streams) stream.destroy();
  }

  print(text: string): void {
    this.output += `${new Date().toISOString().replace('Z', '000000Z')} ${text}\n`;
  }

  async stop(): Promise<void> {
    this.cut();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.isDown) {
      request.socket.destroy();
      return;
    }
    let body = '';
    for await (const part of request) body += String(part);
    const url = new URL(request.url ?? '/', this.origin);
    if (url.pathname === '/ui/sign_in') this.#signIn(JSON.parse(body) as Record<string, string>, response);
    else if (url.pathname.startsWith('/ui')) serve({ page: 'dashboard', path: '/ui', policy: POLICY }, request, response);
    else if (!this.#knows(request)) this.#refuse(response, 401, 'The request you have made requires authentication.');
    else if (url.pathname === '/v1/events') this.#stream(request, response);
    else this.#serve(request.method ?? 'GET', url, body, response);
  }

  #knows(request: IncomingMessage): boolean {
    return this.strategy === 'none' || (request.headers['x-auth-token'] === TOKEN && !this.isExpired);
  }

  #signIn({ user, password, project }: Record<string, string>, response: ServerResponse): void {
    const isRight = this.strategy === 'keystone' && user === 'ann' && password === 'secret' && project === 'blue';
    if (isRight) this.#json(response, 200, { token: TOKEN, expires_at: '2030-01-01T00:00:00Z' });
    else this.#refuse(response, 401, 'Keystone does not accept this user, password or project. Check them, and their domains.');
  }

  #stream(request: IncomingMessage, response: ServerResponse): void {
    this.asked.push({ at: Date.now(), lastId: String(request.headers['last-event-id'] ?? '') });
    if (this.streamPause !== undefined) {
      response.setHeader('Retry-After', this.streamPause);
      this.streamPause = undefined;
      this.#refuse(response, 503, 'Too many clients follow events.');
      return;
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(`: alive\nid: 1.${this.#position}\n\n`);
    if (this.shortStreams > 0) {
      this.shortStreams--;
      response.end();
      return;
    }
    this.#streams.add(response);
    response.on('close', () => this.#streams.delete(response));
  }

  #serve(method: string, url: URL, body: string, response: ServerResponse): void {
    const [, , collection, id, verb] = url.pathname.split('/');
    if (collection === 'hosts') {
      if (this.isAdmin) this.#json(response, 200, { hosts: this.hosts, next: null });
      else this.#refuse(response, 403, 'Policy doesn’t allow host:get_all to be performed.');
      return;
    }
    if (method !== 'GET' && this.refusal !== undefined) {
      const { status, text } = this.refusal;
      this.refusal = undefined;
      this.#refuse(response, status, text);
      return;
    }
    if (method !== 'GET') this.changes.push([method, url.pathname + url.search, body].filter((part) => part !== '').join(' '));
    if (collection === 'recordings') {
      if (id === undefined) this.#json(response, 200, this.recordings);
      else if (this.recordingUrl === undefined) this.#refuse(response, 501, NO_GATE);
      else this.#json(response, 200, { id: 'ticket-1', url: this.recordingUrl, expires_at: new Date().toISOString() });
      return;
    }
    if (id === undefined) {
      if (method === 'POST') this.#json(response, 202, this.#create(JSON.parse(body) as Partial<Container>));
      else {
        const sees = ({ project_id: project }: Container) => project === 'blue' || url.searchParams.has('all_projects');
        const answer = structuredClone({ containers: this.containers.filter(sees), next: null });
        this.lists++;
        void this.held.then(() => this.#json(response, 200, answer));
      }
      return;
    }
    const container = this.containers.find(({ uuid, name }) => uuid === id || name === id);
    if (container === undefined) this.#refuse(response, 404, `Container ${id} could not be found.`);
    else if (method === 'DELETE') this.#delete(container, response);
    else this.#ofContainer(container, verb, response, url);
  }

  #create(part: Partial<Container>): Container {
    const container = this.add(part.name ?? 'quick-otter', { ...part, status: 'Creating', task_state: 'image_pulling', started_at: null });
    return container;
  }

  #delete(container: Container, response: ServerResponse): void {
    this.containers = this.containers.filter((other) => other !== container);
    this.event(container, 'destroy');
    response.writeHead(204).end();
  }

  #ofContainer(container: Container, verb: string | undefined, response: ServerResponse, url: URL): void {
    const become = (status: Status) => {
      Object.assign(container, { status, started_at: stamp(Date.now()), finished_at: stamp(Date.now()), exit_code: 0 });
      this.#json(response, 202, null);
      this.event(container, status === 'Running' ? 'start' : 'stop');
    };
    switch (verb) {
      case undefined:
        this.reads++;
        return this.#json(response, 200, container);
      case 'start':
      case 'reboot':
        return become('Running');
      case 'stop':
        return become('Stopped');
      case 'logs': {
        this.outputReads++;
        if (this.outputRefusal !== undefined) return this.#refuse(response, this.outputRefusal.status, this.outputRefusal.text);
        if (this.cutLine !== undefined) response.setHeader('x-zun-logs-cut', 'true');
        const since = Number(url.searchParams.get('since') ?? 0) * 1000;
        const lines = this.output.split('\n').filter((line) => line !== '' && Date.parse(line.slice(0, 30)) >= since);
        response.writeHead(200, { 'content-type': 'application/octet-stream' }).end([...(this.cutLine === undefined ? [] : [this.cutLine]), ...lines].map((line) => `${line}\n`).join(''));
        return;
      }
      case 'container_actions':
        return this.#json(response, 200, { containerActions: this.actions });
      case 'runs':
        return this.#json(response, 200, { runs: this.runs });
      case 'stats':
        return this.stats === undefined ? this.#refuse(response, 409, 'The container does not run.') : this.#json(response, 200, this.stats);
      case 'execute':
        if (this.ticketUrl === undefined) return this.#refuse(response, 501, NO_GATE);
        return this.#json(response, 200, { exec_id: 'e'.repeat(64), proxy_url: null });
      case 'console_ticket':
        if (this.ticketUrl === undefined) return this.#refuse(response, 501, NO_GATE);
        return this.#json(response, 200, { url: this.ticketUrl, tty: true });
      default:
        return this.#refuse(response, 404, 'Not Found');
    }
  }

  #json(response: ServerResponse, status: number, body: unknown): void {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  }

  #refuse(response: ServerResponse, status: number, detail: string): void {
    if (status === 401) response.setHeader('WWW-Authenticate', this.strategy === 'keystone' ? 'Keystone uri="https://keystone.test/v3"' : 'Bearer realm="zun"');
    this.#json(response, status, { errors: [{ status, detail, title: detail, code: '', request_id: '', links: [] }] });
  }
}
