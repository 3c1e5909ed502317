// The containers that the page shows. Events say which of them have changed; the page asks for those again.

import { type Api, ApiError, refusal, words } from './api.ts';
import { task } from './rules.ts';
import { EventReader } from './sse.ts';
import type { Container, ContainerList, Event } from './types.ts';

/** The pages of a list that are read at most, of 1000 containers each. */
const MOST_PAGES = 5;

/** The interval between full refreshes in milliseconds, in case an event was lost. */
const REFRESH = 30_000;

/** The interval between refreshes of containers with an operation in progress: its steps cause no events. */
const TASKS = 1000;

/** How many of them are read one by one. For the others the list is read, at most this often. */
const MOST_TASKS = 8;
const TASKS_IN_LIST = 10_000;

/** The pauses between attempts to connect again. */
const FIRST_PAUSE = 200;
const LONGEST_PAUSE = 5000;

/** The longest pause that the service can request. */
const LONGEST_WAIT = 60_000;

/** A stream that lasted less counts as a failed attempt. */
const STABLE = 10_000;

/** The service sends something every 15 seconds. */
const SILENCE = 40_000;

export type Link = 'connecting' | 'live' | 'away';

export class Store {
  readonly api: Api;
  containers: ReadonlyMap<string, Container> = new Map();
  link: Link = 'connecting';
  isLoaded = false;
  /** Why the list cannot be read. */
  error: string | undefined;
  /** Whether there are more containers than the page reads. */
  isPartial = false;
  #allProjects = false;
  #listeners = new Set<() => void>();
  #events = new Set<(event: Event) => void>();
  #stop = new AbortController();
  #lastId = '';
  #wanted = new Set<string>();
  #isReading = false;
  #isRefreshing = false;
  #refreshedAt = 0;
  #asleepSince = 0;
  /** The containers that have changed or were removed since the list was requested. */
  #newer = new Set<string>();
  /** The container that the user is viewing, a UUID or a name, if the list does not contain it, such as one of another project. */
  #sought: string | undefined;
  #foreign: Container | undefined;
  #timers: number[] = [];

  constructor(api: Api) {
    this.api = api;
  }

  start(): void {
    document.addEventListener('visibilitychange', this.#wakeOrSleep);
    if (document.visibilityState === 'hidden') this.#sleep();
    else this.#wake();
  }

  close(): void {
    document.removeEventListener('visibilitychange', this.#wakeOrSleep);
    this.#sleep();
    this.#wanted.clear();
    this.#listeners.clear();
  }

  /** The number of streams is limited, so a hidden tab has none. */
  #wakeOrSleep = (): void => {
    if (document.visibilityState === 'hidden') this.#sleep();
    else if (this.#stop.signal.aborted) this.#wake();
  };

  #wake(): void {
    this.#stop = new AbortController();
    // After a long time, reading the list is cheaper than replaying the events.
    if (Date.now() - this.#asleepSince > REFRESH) this.#lastId = '';
    void this.refresh();
    void this.#follow(this.#stop);
    this.#timers = [
      window.setInterval(() => void this.refresh(), REFRESH),
      window.setInterval(() => this.#pollTasks(), TASKS),
    ];
  }

  #sleep(): void {
    this.#stop.abort();
    this.#asleepSince = Date.now();
    for (const timer of this.#timers) window.clearInterval(timer);
    this.#setLink('connecting');
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Calls `act` with each event about containers. */
  onEvent(act: (event: Event) => void): () => void {
    this.#events.add(act);
    return () => this.#events.delete(act);
  }

  get allProjects(): boolean {
    return this.#allProjects;
  }

  set allProjects(all: boolean) {
    this.#allProjects = all;
    // Noted changes and event positions belong to the former list.
    this.#wanted.clear();
    this.#lastId = '';
    this.#sleep();
    this.#wake();
  }

  /** The container with this UUID or name. */
  find(ident: string): Container | undefined {
    const listed = this.containers.get(ident);
    if (listed !== undefined) return listed;
    const foreign = this.#foreign;
    if (foreign?.uuid === ident || foreign?.name === ident) return foreign;
    return [...this.containers.values()].find(({ name }) => name === ident);
  }

  /** Reads a container that the list does not have, and keeps it until `leave`. */
  async load(ident: string): Promise<void> {
    this.#sought = ident;
    const found = await this.api.get<Container>(`/v1/containers/${encodeURIComponent(ident)}`);
    if (this.#sought !== ident) return;
    this.#foreign = found;
    this.#changed();
  }

  leave(): void {
    this.#sought = undefined;
    this.#foreign = undefined;
  }

  /** Reads all containers. */
  async refresh(): Promise<void> {
    if (this.#isRefreshing) return;
    this.#isRefreshing = true;
    this.#refreshedAt = Date.now();
    await this.#readAll();
    this.#isRefreshing = false;
  }

  async #readAll(): Promise<void> {
    const all = new Map<string, Container>();
    const forAll = this.#allProjects;
    this.#newer.clear();
    try {
      let marker: string | undefined;
      let pages = 0;
      do {
        const query = new URLSearchParams({ ...(forAll && { all_projects: 'true' }), ...(marker !== undefined && { marker }) });
        const page = await this.api.get<ContainerList>(`/v1/containers?${query}`);
        for (const container of page.containers) all.set(container.uuid, container);
        marker = page.next === null ? undefined : (new URL(page.next, location.origin).searchParams.get('marker') ?? undefined);
      } while (marker !== undefined && ++pages < MOST_PAGES);
      if (forAll !== this.#allProjects) return await this.#readAll();
      for (const id of this.#newer) {
        const newer = this.containers.get(id);
        if (newer === undefined) all.delete(id);
        else all.set(id, newer);
      }
      const foreign = this.#foreign?.uuid;
      if (foreign !== undefined && all.has(foreign)) this.#foreign = undefined;
      else if (foreign !== undefined) this.reread(foreign);
      this.isPartial = marker !== undefined;
      this.error = undefined;
      this.isLoaded = true;
      this.#show(all);
    } catch (error) {
      this.error = words(error);
      this.#changed();
    }
  }

  /** Reads a container again, soon. */
  reread(id: string): void {
    this.#wanted.add(id);
    void this.#read();
  }

  /** Takes a container of the list that the service has just returned. */
  put(container: Container): void {
    this.#newer.add(container.uuid);
    this.#show(new Map(this.containers).set(container.uuid, container));
  }

  #remove(id: string): void {
    this.#newer.add(id);
    if (this.#foreign?.uuid === id) this.#foreign = undefined;
    const rest = new Map(this.containers);
    rest.delete(id);
    this.#show(rest);
  }

  /** Requests for containers one after another: many events at once must not become many requests at once. */
  async #read(): Promise<void> {
    if (this.#isReading) return;
    this.#isReading = true;
    for (let [id] = this.#wanted; id !== undefined; [id] = this.#wanted) {
      this.#wanted.delete(id);
      await this.#readOne(id);
    }
    this.#isReading = false;
  }

  async #readOne(id: string): Promise<void> {
    const forAll = this.#allProjects;
    try {
      const container = await this.api.get<Container>(`/v1/containers/${id}`);
      if (this.#foreign?.uuid === id) {
        this.#foreign = container;
        this.#changed();
      } else if (forAll === this.#allProjects) this.put(container);
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) this.#remove(id);
    }
  }

  #pollTasks(): void {
    const busy = [...this.containers.values(), ...(this.#foreign === undefined ? [] : [this.#foreign])].filter((container) => task(container) !== undefined);
    // The container that the user is viewing comes first.
    busy.sort((one, other) => Number(this.#isSought(other)) - Number(this.#isSought(one)));
    for (const { uuid } of busy.slice(0, MOST_TASKS)) this.reread(uuid);
    if (busy.length > MOST_TASKS && Date.now() - this.#refreshedAt >= TASKS_IN_LIST) void this.refresh();
  }

  #isSought({ uuid, name }: Container): boolean {
    return this.#sought === uuid || this.#sought === name;
  }

  async #follow(stop: AbortController): Promise<void> {
    let pause = FIRST_PAUSE;
    while (!stop.signal.aborted) {
      await this.api.renewed();
      let openedAt: number | undefined;
      let wait = 0;
      try {
        await this.#stream(stop.signal, () => (openedAt = Date.now()));
      } catch (error) {
        if (error instanceof ApiError) wait = Math.min(error.retryAfter, LONGEST_WAIT);
      }
      if (stop.signal.aborted) return;
      // An unreachable service is reported at once.
      this.#setLink('away');
      if (openedAt !== undefined && Date.now() - openedAt >= STABLE) pause = FIRST_PAUSE;
      await new Promise((resolve) => setTimeout(resolve, Math.max(wait, pause * (0.5 + Math.random() / 2))));
      pause = Math.min(pause * 2, LONGEST_PAUSE);
    }
  }

  /** Reads events until the stream ends. */
  async #stream(stop: AbortSignal, opened: () => void): Promise<void> {
    const reader = new EventReader();
    reader.lastId = this.#lastId;
    const ends = new AbortController();
    const end = () => ends.abort();
    stop.addEventListener('abort', end);
    const query = new URLSearchParams({ filters: '{"type":["container"]}', ...(this.#allProjects && { all_projects: 'true' }) });
    const headers: Record<string, string> = reader.lastId === '' ? {} : { 'Last-Event-ID': reader.lastId };
    let timer = window.setTimeout(end, SILENCE);
    try {
      const answer = await this.api.send('GET', `/v1/events?${query}`, { headers, signal: ends.signal });
      if (!answer.ok || answer.body === null) throw await refusal(answer);
      opened();
      const wasAway = this.link === 'away';
      this.#setLink('live');
      if (wasAway) void this.refresh();
      const stream = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let part = await stream.read(); !part.done; part = await stream.read()) {
        window.clearTimeout(timer);
        timer = window.setTimeout(end, SILENCE);
        for (const event of reader.feed(part.value)) if (event.type === 'message') this.#event(event.data);
        if (!stop.aborted) this.#lastId = reader.lastId;
      }
    } finally {
      window.clearTimeout(timer);
      stop.removeEventListener('abort', end);
    }
  }

  #event(data: string): void {
    let event: Event;
    try {
      event = JSON.parse(data) as Event;
    } catch {
      return;
    }
    this.reread(event.actor.id);
    for (const act of this.#events) act(event);
  }

  #show(containers: ReadonlyMap<string, Container>): void {
    this.containers = containers;
    this.#changed();
  }

  #setLink(link: Link): void {
    if (this.link === link) return;
    this.link = link;
    this.#changed();
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}
