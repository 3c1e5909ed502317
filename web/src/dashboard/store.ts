// The containers that the page shows. Events say which of them have changed; the page asks for those again.

import { type Api, ApiError, refusal, words } from './api.ts';
import { task } from './rules.ts';
import { EventReader } from './sse.ts';
import type { Container, ContainerList, Event } from './types.ts';

/** The pages of a list that are read at most, of 1000 containers each. */
const MOST_PAGES = 5;

/** How often everything is read again, in case that an event got lost, in milliseconds. */
const REFRESH = 30_000;

/** How often containers with an operation in progress are read again: its steps are no events. */
const TASKS = 1000;

/** The pauses between attempts to connect again. */
const FIRST_PAUSE = 200;
const LONGEST_PAUSE = 5000;

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
  #wanted = new Set<string>();
  #isReading = false;
  #isRefreshing = false;
  /** The container that the user looks at. The list may not have it, if it is of another project. */
  viewed: string | undefined;
  #timers: number[] = [];

  constructor(api: Api) {
    this.api = api;
  }

  start(): void {
    void this.refresh();
    void this.#follow(this.#stop);
    this.#timers = [
      window.setInterval(() => void this.refresh(), REFRESH),
      window.setInterval(() => this.#pollTasks(), TASKS),
    ];
  }

  close(): void {
    this.#stop.abort();
    for (const timer of this.#timers) window.clearInterval(timer);
    this.#listeners.clear();
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
    this.#stop.abort();
    this.#stop = new AbortController();
    void this.#follow(this.#stop);
    void this.refresh();
  }

  /** Reads all containers. */
  async refresh(): Promise<void> {
    if (this.#isRefreshing) return;
    this.#isRefreshing = true;
    await this.#readAll();
    this.#isRefreshing = false;
  }

  async #readAll(): Promise<void> {
    const all = new Map<string, Container>();
    const forAll = this.#allProjects;
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
      const viewed = this.viewed === undefined ? undefined : this.containers.get(this.viewed);
      if (viewed !== undefined && !all.has(viewed.uuid)) {
        all.set(viewed.uuid, viewed);
        this.reread(viewed.uuid);
      }
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

  /** Takes a container that the service has just returned. */
  put(container: Container): void {
    this.#show(new Map(this.containers).set(container.uuid, container));
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
    try {
      this.put(await this.api.get<Container>(`/v1/containers/${id}`));
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 404) return;
      const rest = new Map(this.containers);
      rest.delete(id);
      this.#show(rest);
    }
  }

  #pollTasks(): void {
    if (document.visibilityState === 'hidden') return;
    const busy = [...this.containers.values()].filter((container) => task(container) !== undefined);
    // Many at once are read with the list.
    if (busy.length > 8) void this.refresh();
    else for (const { uuid } of busy) this.reread(uuid);
  }

  async #follow(stop: AbortController): Promise<void> {
    let pause = FIRST_PAUSE;
    let lastId = '';
    while (!stop.signal.aborted) {
      const reader = new EventReader();
      reader.lastId = lastId;
      try {
        await this.#stream(reader, stop.signal, () => (pause = FIRST_PAUSE));
      } catch (error) {
        if (error instanceof ApiError && error.status === 401) {
          this.api.onExpired();
          return;
        }
      }
      if (stop.signal.aborted) return;
      lastId = reader.lastId;
      // Whether the service is there at all is said at once.
      if (this.link === 'live') void this.refresh();
      this.#setLink('away');
      await new Promise((resolve) => setTimeout(resolve, pause * (0.5 + Math.random() / 2)));
      pause = Math.min(pause * 2, LONGEST_PAUSE);
    }
  }

  /** Reads events until the stream ends. */
  async #stream(reader: EventReader, stop: AbortSignal, opened: () => void): Promise<void> {
    const ends = new AbortController();
    const end = () => ends.abort();
    stop.addEventListener('abort', end);
    const query = new URLSearchParams({ filters: '{"type":["container"]}', ...(this.#allProjects && { all_projects: 'true' }) });
    const headers = { ...this.api.headers, ...(reader.lastId !== '' && { 'Last-Event-ID': reader.lastId }) };
    let timer = window.setTimeout(end, SILENCE);
    try {
      const request: RequestInit = { headers, cache: 'no-store', credentials: 'omit', signal: ends.signal };
      const answer = await fetch(`/v1/events?${query}`, request);
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
