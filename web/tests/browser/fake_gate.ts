// A scripted gate, for behaviour that is rare in a real one: it serves the built page, and sends what a test tells it
// to.

import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { WebSocketServer, type WebSocket } from 'ws';
import { decode, encode, type Frame, type Size } from '../../src/pty/frame.ts';
import type { ClientHello, ServerHello } from '../../src/pty/hello.ts';
import { serve } from './static.ts';

const POLICY = readFileSync(join('..', 'zun-compute', 'gate', 'src', 'page', 'policy.txt'), 'utf8').trim();

/** The ID of its recording. */
export const RECORDING = '5c2d8a4e-0f3b-4d53-9c0e-2f6f8f0f7a11';

/** What the process does with its input. */
export type Program = (input: string, gate: FakeGate) => void;

export class FakeGate {
  readonly hellos: ClientHello[] = [];
  readonly sizes: Size[] = [];
  /** Everything that was typed, over all links. */
  typed = '';
  /** The newest acknowledged offset of stdout. */
  acknowledged = 0;
  /** Whether websockets and requests are refused. */
  isDown = false;
  /** Whether tickets are refused. */
  refuses = false;
  hello: Partial<ServerHello> = {};
  /** Sites that may show the page in a frame. */
  ancestors = '';
  program: Program = () => {};
  /** The recording that it keeps. */
  cast = '';
  /** Whether the recording's session has not ended. */
  isRecording = false;
  /** The status with which it refuses to send the recording. */
  castRefusal: number | undefined;
  /** After how many bytes the link breaks while the recording is sent. */
  castBreaksAt: number | undefined;
  /** How often the recording was requested with this header. */
  readonly castRequests: string[] = [];
  /** Answers requests for files. */
  archive: (request: IncomingMessage, response: ServerResponse) => void = (_, response) => response.writeHead(403).end('this session may not copy files');
  #output = Buffer.alloc(0);
  #typedBytes = 0;
  #server: Server;
  #sockets = new WebSocketServer({ noServer: true, handleProtocols: () => 'zun.pty.v1' });
  #link: WebSocket | undefined;
  #silenced: WebSocket | undefined;

  private constructor(server: Server) {
    this.#server = server;
    server.on('request', (request, response) => this.#serve(request, response));
    server.on('upgrade', (request, socket, head) => {
      if (this.isDown || this.refuses) {
        socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
        return;
      }
      this.#sockets.handleUpgrade(request, socket, head, (link) => this.#open(link, request));
    });
  }

  static async start(): Promise<FakeGate> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new FakeGate(server);
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  link(ticket = 'dGlja2V0', name = 'web'): string {
    return `${this.origin}/console#ticket=${ticket}&name=${name}`;
  }

  /** The link that plays the recording. */
  player(name = 'web'): string {
    return `${this.origin}/recording#ticket=dGlja2V0&id=${RECORDING}&name=${name}`;
  }

  get isLinked(): boolean {
    return this.#link?.readyState === 1;
  }

  /** The process prints. */
  print(text: string | Buffer): void {
    const data = Buffer.from(text as string);
    this.#output = Buffer.concat([this.#output, data]);
    this.send({ type: 'stdout', data });
  }

  send(frame: Frame): void {
    if (this.isLinked) this.#link?.send(encode(frame));
  }

  exit(code: number): void {
    this.send({ type: 'status', ending: { status: 'x', zun: { reason: 'Exited', exit_code: code } } });
    this.close(1000);
  }

  close(code: number): void {
    this.#link?.close(code);
  }

  /** What the page sends on this link is lost, and nothing is answered. */
  silence(): void {
    this.#silenced = this.#link;
  }

  /** The link breaks without a close message. */
  cut(): void {
    this.#link?.terminate();
  }

  async stop(): Promise<void> {
    for (const link of this.#sockets.clients) link.terminate();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #open(link: WebSocket, request: IncomingMessage): void {
    this.#link = link;
    const offered = (request.headers['sec-websocket-protocol'] ?? '').split(', ');
    const encoded = offered.find((offer) => offer.startsWith('zun.hello.'))?.slice('zun.hello.'.length) ?? '';
    const hello = JSON.parse(Buffer.from(encoded, 'base64url').toString()) as ClientHello;
    this.hellos.push(hello);
    const from = hello.resume?.stdout ?? 0;
    link.send(encode({ type: 'hello', hello: { ...this.#defaults(hello), stdout_next: from, ...this.hello } }));
    if (from < this.#output.length) link.send(encode({ type: 'stdout', data: this.#output.subarray(from) }));
    link.on('message', (message: Buffer) => {
      const frame = decode(new Uint8Array(message));
      if (frame !== undefined && link === this.#link && link !== this.#silenced) this.#receive(frame);
    });
  }

  #defaults(hello: ClientHello): ServerHello {
    return {
      session: 's1',
      token: 't1',
      kind: 'container',
      tty: true,
      stdin: true,
      writes: true,
      running: true,
      resumed: hello.resume !== undefined,
      stdin_next: this.#typedBytes,
      stdin_ended: false,
      signal_next: 1,
      stdout_next: 0,
      stderr_next: 0,
      signals: true,
      resume_seconds: 900,
    };
  }

  #receive(frame: Frame): void {
    switch (frame.type) {
      case 'stdin': {
        const text = Buffer.from(frame.data).toString();
        this.typed += text;
        this.#typedBytes += frame.data.length;
        this.send({ type: 'ack', stream: 'stdin', offset: this.#typedBytes });
        this.program(text, this);
        return;
      }
      case 'ping':
        this.send({ type: 'pong', number: frame.number });
        return;
      case 'resize':
        this.sizes.push(frame.size);
        return;
      case 'ack':
        if (frame.stream === 'stdout') this.acknowledged = frame.offset;
        return;
      default:
    }
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    if (this.isDown) {
      request.socket.destroy();
      return;
    }
    if (request.url?.startsWith('/v1/console/archive?') === true) {
      this.archive(request, response);
      return;
    }
    if (request.url?.startsWith('/recordings/v1/') === true) {
      this.#sendCast(request, response);
      return;
    }
    if (request.url?.startsWith('/recording') === true) {
      serve({ page: 'player', path: '/recording', policy: `${POLICY}; frame-ancestors 'none'` }, request, response);
      return;
    }
    const policy = `${POLICY}; frame-ancestors 'self' ${this.ancestors}`;
    serve({ page: 'console', path: '/console', policy }, request, response);
  }

  #sendCast(request: IncomingMessage, response: ServerResponse): void {
    this.castRequests.push(`${request.url} ${request.headers.authorization ?? ''}`);
    if (this.castRefusal !== undefined) {
      response.writeHead(this.castRefusal).end();
      return;
    }
    const content = Buffer.from(this.cast);
    response.writeHead(200, { 'content-type': 'application/x-asciicast', 'content-length': content.length, 'zun-recording': this.isRecording ? 'in-progress' : 'ended' });
    if (this.castBreaksAt === undefined) response.end(content);
    else response.write(content.subarray(0, this.castBreaksAt), () => setTimeout(() => response.destroy(), 100));
  }
}
