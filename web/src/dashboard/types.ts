// The parts of the API's answers that the page uses. See docs/api.md.

export type Status =
  | 'Creating'
  | 'Created'
  | 'Running'
  | 'Stopped'
  | 'Paused'
  | 'Restarting'
  | 'Rebuilding'
  | 'Deleting'
  | 'Deleted'
  | 'Dead'
  | 'Error'
  | 'Unknown';

export interface PublishedPort {
  port: number;
  protocol: 'tcp' | 'udp';
  host_address: string;
  host_port: number;
}

export interface Container {
  uuid: string;
  name: string;
  project_id: string;
  image: string;
  cpu: number;
  /** In MiB. */
  memory: string;
  disk: number;
  command: string[] | null;
  entrypoint: string[] | null;
  status: Status;
  status_reason: string | null;
  task_state: string | null;
  environment: Record<string, string>;
  labels: Record<string, string>;
  workdir: string | null;
  hostname: string | null;
  user: string | null;
  interactive: boolean;
  tty: boolean;
  attached: number;
  exit_code: number | null;
  auto_remove: boolean;
  restart_policy: { Name: string; MaximumRetryCount?: string } | null;
  published_ports: PublishedPort[];
  addresses: Record<string, { addr: string; version: number }[]>;
  health: 'starting' | 'healthy' | 'unhealthy' | null;
  mounts?: { type: string; source?: string | null; destination: string; read_only?: boolean }[];
  network?: string;
  image_pull?: { layers: { id: string; state: string; current: number; total: number }[] };
  created_at: string | null;
  updated_at: string | null;
  started_at: string | null;
  finished_at: string | null;
  run?: number;
  /** Administrators see it. */
  host?: string;
}

export interface ContainerList {
  containers: Container[];
  /** The address of the next page. */
  next: string | null;
}

export interface Event {
  time: string;
  type: string;
  action: string;
  actor: { id: string; attributes: Record<string, string> };
  project_id: string;
  host?: string;
}

export interface Host {
  uuid: string;
  hostname: string;
  mem_total: number;
  mem_used: number;
  total_containers: number;
  cpus: number;
  cpu_used: number;
  disk_total: number;
  disk_used: number;
  architecture: string;
  os: string;
  kernel_version: string;
  engine: string;
  labels: Record<string, string>;
  state: string;
  state_reason: string | null;
}

export interface ContainerAction {
  action: string;
  request_id: string;
  user_id: string;
  start_time: string | null;
  finish_time: string | null;
  message: string | null;
}

export interface Run {
  number: number;
  started_at: string | null;
  finished_at: string | null;
  exit_code: number | null;
  reason: string | null;
  message: string | null;
}

export interface Stats {
  'CPU %': number;
  'MEM USAGE(MiB)': number;
  'MEM LIMIT(MiB)': number;
  'MEM %': number;
  'BLOCK I/O(B)': string;
  'NET I/O(B)': string;
  PIDS: number;
}

export interface Ticket {
  url: string;
  tty: boolean;
}

export interface Recording {
  id: string;
  container: string;
  container_name: string;
  /** The exec; absent for the main process. */
  exec_id?: string;
  host: string;
  started_at: string;
  /** Absent while it is in progress. */
  ended_at?: string;
  /** How the session ended, in a few words. */
  end: string;
  /** In bytes. */
  size: number;
}

export interface RecordingList {
  recordings: Recording[];
  more: boolean;
  unresponsive_hosts: string[];
}
