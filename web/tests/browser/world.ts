// Containers for tests and pictures.

import type { Container, Host, Recording } from '../../src/dashboard/types.ts';
import { type FakeApi, stamp } from './fake_api.ts';

const MINUTE = 60_000;
const ago = (minutes: number) => stamp(Date.now() - minutes * MINUTE);

/** Adds containers in each status. Returns the first one, which runs. */
export function fill(api: FakeApi): Container {
  const web = api.add('web', {
    image: 'docker.io/library/nginx:1.29',
    health: 'healthy',
    created_at: ago(9000),
    started_at: ago(4321),
    published_ports: [
      { port: 80, protocol: 'tcp', host_address: '192.0.2.17', host_port: 8080 },
      { port: 443, protocol: 'tcp', host_address: '192.0.2.17', host_port: 8443 },
    ],
    environment: { NGINX_HOST: 'example.org', NGINX_PORT: '80', TZ: 'Europe/Berlin' },
    labels: { tier: 'front', 'org.example.team': 'web' },
    addresses: { bridge: [{ addr: '172.17.0.4', version: 4 }] },
    mounts: [{ type: 'volume', source: 'site', destination: '/usr/share/nginx/html', read_only: true }],
    restart_policy: { Name: 'unless-stopped' },
    command: ['nginx', '-g', 'daemon off;'],
    host: 'compute1',
    interactive: true,
    tty: true,
  });
  api.add('db', { image: 'postgres:17', cpu: 2, memory: '4096', started_at: ago(125), published_ports: [{ port: 5432, protocol: 'tcp', host_address: '127.0.0.1', host_port: 20011 }], host: 'compute2' });
  api.add('worker-1', { image: 'registry.example.org/team/worker:2026-11-28', memory: '1024', started_at: ago(1600), health: 'unhealthy', host: 'compute2' });
  api.add('worker-2', { image: 'registry.example.org/team/worker:2026-11-28', memory: '1024', status: 'Running', task_state: 'container_stopping', started_at: ago(17), host: 'compute1' });
  api.add('report', { image: 'python:3.13-slim', status: 'Stopped', exit_code: 0, started_at: ago(80), finished_at: ago(62), host: 'compute1' });
  api.add('import', { image: 'python:3.13-slim', status: 'Stopped', exit_code: 137, started_at: ago(340), finished_at: ago(335), status_reason: 'killed: out of memory (limit 512 MiB)', host: 'compute2' });
  api.add('cache', { image: 'redis:9-beta', status: 'Error', started_at: null, status_reason: 'cannot pull image `redis:9-beta`: manifest unknown; check the name and the tag' });
  api.add('search', {
    image: 'opensearch:3',
    status: 'Creating',
    task_state: 'image_pulling',
    started_at: null,
    cpu: 4,
    memory: '8192',
    image_pull: { layers: [{ id: 'a', state: 'Downloading', current: 60, total: 100 }, { id: 'b', state: 'Done', current: 50, total: 50 }] },
    host: 'compute1',
  });
  return web;
}

const LINES = [
  '/docker-entrypoint.sh: Configuration complete; ready for start up',
  '2026/11/30 02:11:09 [notice] 1#1: using the "epoll" event method',
  '2026/11/30 02:11:09 [notice] 1#1: start worker processes',
  '192.0.2.81 - - [30/Nov/2026:02:11:31 +0000] "GET / HTTP/1.1" 200 615 "-" "curl/8.14.1"',
  '192.0.2.81 - - [30/Nov/2026:02:11:33 +0000] "GET /favicon.ico HTTP/1.1" 404 153 "-" "curl/8.14.1"',
  '2026/11/30 02:11:33 [error] 29#29: *2 open() "/usr/share/nginx/html/favicon.ico" failed (2: No such file or directory), client: 192.0.2.81, server: localhost, request: "GET /favicon.ico HTTP/1.1"',
  '192.0.2.12 - - [30/Nov/2026:02:12:02 +0000] "POST /api/orders HTTP/1.1" 201 88 "-" "shop/2.4"',
  '192.0.2.12 - - [30/Nov/2026:02:12:04 +0000] "GET /api/orders/8841 HTTP/1.1" 200 412 "-" "shop/2.4"',
];

/** Prints so many lines. */
export function printLines(api: FakeApi, count: number): void {
  for (let index = 0; index < count; index++) api.print(LINES[index % LINES.length] ?? '');
}

/** Adds operations and runs of a container, and what it uses. */
export function fillPast(api: FakeApi): void {
  const action = (name: string, minutes: number, seconds: number, message: string | null) => ({
    action: name,
    request_id: `req-8d0f2f6e-5b1c-4c58-9d0e-${String(minutes).padStart(12, '0')}`,
    user_id: 'ann',
    start_time: ago(minutes),
    finish_time: stamp(Date.now() - minutes * MINUTE + seconds * 1000),
    message,
  });
  api.actions = [
    action('reboot', 4321, 2.4, null),
    action('start', 4330, 0.8, 'cannot start: the host lost its engine; try again once it is back'),
    action('stop', 5760, 10.2, null),
    action('create', 9000, 6.1, null),
  ];
  api.runs = [
    { number: 3, started_at: ago(4321), finished_at: null, exit_code: null, reason: null, message: null },
    { number: 2, started_at: ago(5800), finished_at: ago(5760), exit_code: 0, reason: 'exited', message: null },
    { number: 1, started_at: ago(9000), finished_at: ago(5805), exit_code: 137, reason: 'out_of_memory', message: 'killed: out of memory (limit 512 MiB)' },
  ];
  const recording = (id: string, minutes: number, part: Partial<Recording>) => ({
    id: `${id}-0f3b-4d53-9c0e-2f6f8f0f7a11`,
    container: api.containers[0]?.uuid ?? '',
    container_name: 'web',
    host: 'compute1',
    started_at: new Date(Date.now() - minutes * MINUTE).toISOString(),
    end: '',
    size: 0,
    ...part,
  });
  const after = (minutes: number, seconds: number) => new Date(Date.now() - minutes * MINUTE + seconds * 1000).toISOString();
  const exec = '8c1f'.repeat(16);
  api.recordings = {
    recordings: [
      recording('91b2d7f0', 5800, { ended_at: after(5800, 2400), end: 'the process exited with 0', size: 81_000 }),
      recording('5c2d8a4e', 130, { exec_id: exec, ended_at: after(130, 227), end: 'the process exited with 130', size: 1_940_000 }),
      recording('e07a5514', 17, { size: 12_300 }),
    ],
    more: false,
    unresponsive_hosts: [],
  };
  api.stats = { 'CPU %': 12.5, 'MEM USAGE(MiB)': 148.3, 'MEM LIMIT(MiB)': 512, 'MEM %': 29, 'BLOCK I/O(B)': '4096/0', 'NET I/O(B)': '1000/2000', PIDS: 3 };
}

/** Adds hosts in several states. */
export function fillHosts(api: FakeApi): void {
  const host = (hostname: string, part: Partial<Host>): Host => ({
    uuid: hostname,
    hostname,
    mem_total: 32_768,
    mem_used: 9216,
    total_containers: 6,
    cpus: 16,
    cpu_used: 5,
    disk_total: 480,
    disk_used: 60,
    architecture: 'x86_64',
    os: 'Debian GNU/Linux 13 (trixie)',
    kernel_version: '6.12.48',
    engine: 'Docker 28.4.0',
    labels: {},
    state: 'up',
    state_reason: null,
    ...part,
  });
  api.hosts = [
    host('compute1', {}),
    host('compute2', { cpus: 8, cpu_used: 6.5, mem_total: 16_384, mem_used: 15_000, total_containers: 11 }),
    host('compute3', { cpus: 8, cpu_used: 9, mem_used: 2048, state: 'down', state_reason: 'no heartbeat for 2 minutes; check zun-compute on the host, and its connection to RabbitMQ', total_containers: 2 }),
  ];
}
