import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ApiServer } from '../sim/api-server/api-server.ts';
import type { Interception, ServerRequest } from '../sim/api-server/server-options.ts';
import { VirtualClock } from '../sim/virtual-clock.ts';
import { KubeClient } from './client.ts';
import { Reflector, type ReflectorNotice, type ReflectorOptions } from './reflector.ts';
import { RESOURCES } from './resources.ts';
import { TransportError, type KubeObject, type KubeTransport, type KubeWatch, type WatchEvent } from './transport.ts';

interface Item {
  readonly uid: string;
  readonly name: string;
  readonly resourceVersion: string;
  readonly label: string;
}

/** What an index does, as far as a reflector can tell. */
class Mirror {
  readonly items = new Map<string, Item>(); // uid -> item
  replacements = 0;

  upsert(item: Item): void {
    this.items.set(item.uid, item);
  }

  remove(uid: string): void {
    this.items.delete(uid);
  }

  replaceAll(items: readonly Item[]): { missed: string[]; redundant: string[] } {
    const before = new Map(this.items);
    this.replacements++;
    this.items.clear();
    for (const item of items) this.items.set(item.uid, item);
    const missed = items.filter(({ uid, resourceVersion }) => before.get(uid)?.resourceVersion !== resourceVersion);
    return {
      missed: missed.map(({ uid }) => uid),
      redundant: [...before.keys()].filter((uid) => !this.items.has(uid)),
    };
  }

  get names(): string[] {
    return [...this.items.values()].map(({ name, label }) => `${name}${label}`).sort();
  }
}

function project({ metadata }: KubeObject): Item {
  const label = metadata.labels?.['v'] ?? '';
  if (label === 'bad') throw new Error('cannot be read');
  return { uid: metadata.uid ?? '', name: metadata.name, resourceVersion: metadata.resourceVersion ?? '', label };
}

let clock: VirtualClock;
let server: ApiServer;
let client: KubeClient;
let mirror: Mirror;
let notices: ReflectorNotice[];
let stop: AbortController;
let running: Promise<void> | null;

beforeEach(() => {
  clock = new VirtualClock();
  server = new ApiServer({ clock });
  client = new KubeClient(server);
  mirror = new Mirror();
  notices = [];
  stop = new AbortController();
  running = null;
});

afterEach(async () => {
  stop.abort();
  await clock.advance(60_000);
  await running;
});

function start(options: Partial<ReflectorOptions<Item>> = {}): Reflector<Item> {
  const reflector = new Reflector<Item>({
    resource: RESOURCES.namespaces,
    transport: server,
    clock,
    project,
    sink: mirror,
    random: () => 0.5,
    relistEveryMs: 0,
    onNotice: (notice) => notices.push(notice),
    ...options,
  });
  running = reflector.run(stop.signal);
  return reflector;
}

const create = (name: string, v?: string): Promise<KubeObject> =>
  client.create(RESOURCES.namespaces, null, { metadata: { name, ...(v && { labels: { v } }) } });
const label = (name: string, v: string): Promise<KubeObject> =>
  client.patch(RESOURCES.namespaces, null, name, { metadata: { labels: { v } } }, { type: 'merge' });
const remove = (name: string): Promise<KubeObject> => client.delete(RESOURCES.namespaces, null, name);
/** What the server itself holds. */
const truth = (): string[] =>
  server
    .list(RESOURCES.namespaces)
    .map(({ metadata }) => `${metadata.name}${metadata.labels?.['v'] ?? ''}`)
    .sort();
const isKind = (kind: ReflectorNotice['kind']) => (notice: ReflectorNotice) => notice.kind === kind;

function failing(matches: (request: ServerRequest) => boolean, times: number, how: Interception): void {
  let left = times;
  server.hooks.intercept = (request) => Promise.resolve(matches(request) && left-- > 0 ? how : null);
}

const status = (code: number, headers: Record<string, string> = {}) => ({
  status: code,
  headers,
  body: { kind: 'Status', code },
});
const isWatch = ({ isWatch }: ServerRequest): boolean => isWatch;
const isWatchList = ({ isWatch, query }: ServerRequest): boolean => isWatch && query?.['sendInitialEvents'] === 'true';

describe('Reflector', () => {
  it('streams the initial state, then follows', async () => {
    await create('a');
    const requests: ServerRequest[] = [];
    server.hooks.intercept = (request) => {
      if (request.user === 'system:admin' && request.method === 'GET') requests.push(request);
      return Promise.resolve(null);
    };
    const reflector = start();
    expect(reflector.stats().synced).toBe(false);
    await reflector.synced;
    expect(mirror.names).toEqual(truth());
    await create('b');
    await label('a', '1');
    await clock.settle();
    expect(mirror.names).toEqual(truth());
    await remove('b');
    await clock.settle();
    expect(mirror.names).toEqual(truth());
    expect(mirror.replacements).toBe(1);
    expect(
      requests.map(({ isWatch, query }) => [isWatch, query?.['sendInitialEvents'], query?.['allowWatchBookmarks']]),
    ).toEqual([[true, 'true', 'true']]);
    expect(reflector.stats()).toMatchObject({
      synced: true,
      restarts: 0,
      relists: 0,
      missed: 0,
      redundant: 0,
      invalid: 0,
    });
  });

  it('lists in pages when the server refuses to stream, and remembers that', async () => {
    for (let i = 0; i < 1203; i++) await create(`n${i}`);
    const pages: (string | undefined)[] = [];
    server.hooks.intercept = (request) => {
      if (isWatchList(request)) return Promise.resolve(status(422));
      if (request.method === 'GET' && !request.isWatch) pages.push(request.query?.['limit']);
      return Promise.resolve(null);
    };
    const reflector = start();
    await reflector.synced;
    expect(mirror.names).toEqual(truth());
    expect(pages).toEqual(['500', '500', '500']);
    expect(notices.map(({ kind }) => kind)).toEqual(['watch-list-refused']);
    await create('later');
    await clock.settle();
    expect(mirror.names).toEqual(truth());
  });

  it('goes on where it was when the stream breaks, and loses nothing', async () => {
    const reflector = start();
    await reflector.synced;
    for (let i = 0; i < 5; i++) {
      await create(`n${i}`);
      server.closeWatches(i % 2 === 0 ? new TransportError('reset') : null);
      await remove(`n${i}`);
      await create(`m${i}`);
      await clock.advance(2000);
      expect(mirror.names).toEqual(truth());
    }
    expect(mirror.replacements).toBe(1);
    expect(reflector.stats()).toMatchObject({ restarts: 5, relists: 0 });
  });

  it('outlives compaction while it is quiet, thanks to bookmarks', async () => {
    const reflector = start();
    await reflector.synced;
    const other = (i: number): Promise<KubeObject> =>
      client.create(RESOURCES.podDisruptionBudgets, 'default', { metadata: { name: `b${i}` }, spec: {} });
    for (let i = 0; i < 3; i++) await other(i);
    await clock.advance(61_000);
    server.compact();
    server.closeWatches();
    await clock.advance(1000);
    expect(reflector.stats()).toMatchObject({ restarts: 1, relists: 0 });
    expect(notices).toEqual([]);
  });

  it('lists again when its version has expired, and drops what has gone meanwhile', async () => {
    await create('gone');
    const reflector = start();
    await reflector.synced;
    failing(isWatch, 1, 'reset');
    server.closeWatches();
    await remove('gone');
    await create('new');
    server.compact();
    await clock.advance(5000);
    expect(mirror.names).toEqual(truth());
    expect(notices.some(isKind('expired'))).toBe(true);
    expect(reflector.stats()).toMatchObject({ relists: 1, missed: 1, redundant: 1 });
  });

  it('tells since when it watches without a break', async () => {
    const reflector = start();
    expect(reflector.watchingSinceMs).toBeNull();
    await reflector.synced;
    const startMs = clock.monotonic();
    await clock.advance(5000);
    expect(reflector.watchingSinceMs).toBe(startMs);
    failing(isWatch, 1, 'reset');
    server.closeWatches(new TransportError('reset'));
    await clock.settle();
    expect(reflector.watchingSinceMs).toBeNull();
    await clock.advance(5000);
    const { watchingSinceMs } = reflector;
    expect(watchingSinceMs).toBeGreaterThan(startMs);
    expect(watchingSinceMs).toBeLessThanOrEqual(clock.monotonic());
  });

  it('waits as long as the server asks', async () => {
    failing(isWatch, 2, status(429, { 'retry-after': '7' }));
    const reflector = start();
    await clock.advance(6900);
    expect(reflector.stats().synced).toBe(false);
    await clock.advance(16_000);
    expect(reflector.stats().synced).toBe(true);
  });

  it.each([status(500), status(503), status(403), status(404), 'reset'] as const)(
    'retries with growing pauses: %j',
    async (how) => {
      let attempts = 0;
      server.hooks.intercept = () => {
        attempts++;
        return Promise.resolve(attempts > 8 ? null : how);
      };
      const reflector = start();
      await clock.advance(1000);
      expect(attempts).toBeGreaterThan(2);
      expect(attempts).toBeLessThan(5);
      await clock.advance(60_000);
      expect(attempts).toBe(9);
      expect(reflector.stats().synced).toBe(true);
    },
  );

  it('does not run hot against a server that closes every stream at once', async () => {
    let attempts = 0;
    const reflector = start();
    await reflector.synced;
    const empty: Interception = { status: 200, headers: {}, body: undefined };
    server.hooks.intercept = () => {
      attempts++;
      return Promise.resolve(empty);
    };
    server.closeWatches();
    await clock.advance(60_000);
    expect(attempts).toBeLessThan(15);
  });

  it('leaves out an object that it cannot read, and goes on', async () => {
    await create('odd', 'bad');
    await create('fine');
    const reflector = start();
    await reflector.synced;
    await create('odd2', 'bad');
    await create('fine2');
    await clock.settle();
    expect(mirror.names).toEqual(truth().filter((name) => !name.startsWith('odd')));
    expect(reflector.stats().invalid).toBe(2);
    expect(notices.filter(isKind('invalid-object'))).toHaveLength(2);
  });

  it('finds on its regular listing what a watch has lost', async () => {
    const losing: KubeTransport = {
      request: (request) => server.request(request),
      async watch(request) {
        const watch = await server.watch(request);
        return { ...watch, events: without(watch.events, 'lost') };
      },
    };
    async function* without(events: AsyncIterable<WatchEvent>, name: string): AsyncGenerator<WatchEvent> {
      for await (const event of events)
        if (event.object.metadata.name !== name || clock.now() > startMs + 500_000) yield event;
    }
    const startMs = clock.now();
    const reflector = start({ transport: losing, relistEveryMs: 600_000 });
    await reflector.synced;
    await create('lost');
    await clock.advance(1000);
    expect(mirror.names).not.toEqual(truth());
    await clock.advance(600_000);
    expect(mirror.names).toEqual(truth());
    expect(reflector.stats()).toMatchObject({ relists: 1, missed: 1, redundant: 0 });
    expect(notices.filter(isKind('diverged'))).toHaveLength(1);
  });

  it('lists when it is asked to, also in the middle of a listing, and answers only with one that began after', async () => {
    const reflector = start();
    let done = 0;
    const ask = (): void => void reflector.relist().then(() => done++);
    ask(); // before the first listing
    await reflector.synced;
    expect(done).toBe(1);
    await create('a');
    ask();
    ask();
    expect(done).toBe(1);
    await clock.advance(0);
    expect(done).toBe(3);
    expect(mirror.names).toEqual(truth());
    expect(reflector.stats().relists).toBe(1);
    expect(notices).toEqual([]);
  });

  it('keeps its pace when a listing fails that somebody waits for, also where watch-lists are refused', async () => {
    let attempts = 0;
    const status503 = status(503);
    let isDown = false;
    server.hooks.intercept = ({ isWatch }) => {
      if (isWatch) return Promise.resolve(isDown ? status503 : status(422));
      if (isDown) attempts++;
      return Promise.resolve(isDown ? status503 : null);
    };
    const reflector = start();
    await clock.advance(10_000);
    isDown = true;
    let isListed = false;
    void reflector.relist().then(() => (isListed = true));
    await clock.advance(60_000);
    expect(attempts).toBeGreaterThan(3);
    expect(attempts).toBeLessThan(30);
    expect(isListed).toBe(false);
    isDown = false;
    await clock.advance(15_000);
    expect(isListed).toBe(true);
  });

  it('lists at once when it is asked to in a pause after failures', async () => {
    const reflector = start({ relistEveryMs: 60_000 });
    await reflector.synced;
    server.hooks.intercept = () => Promise.resolve(status(503));
    await clock.advance(300_000);
    server.hooks.intercept = () => Promise.resolve(null);
    let isListed = false;
    void reflector.relist().then(() => (isListed = true));
    await clock.advance(0);
    expect(isListed).toBe(true);
  });

  it('lists at once when it is asked to while it asks for the present version', async () => {
    const answers: (() => void)[] = [];
    const asks: (() => void)[] = [];
    const transport: KubeTransport = {
      request: async (request) => {
        if (request.query?.['limit'] === '1') {
          asks.splice(0).forEach((ask) => ask());
          await new Promise<void>((resolve) => answers.push(resolve));
        }
        return await server.request(request);
      },
      watch: (request) => server.watch(request),
    };
    const reflector = start({ transport });
    await reflector.synced;
    let isListed = false;
    asks.push(() => void reflector.relist().then(() => (isListed = true)));
    await clock.advance(600_000); // the watch ends, and the next one begins with that question
    expect(answers).toHaveLength(1);
    answers[0]?.();
    await clock.advance(0);
    expect(isListed).toBe(true);
  });

  it('keeps retrying at a pace when the regular listing fails', async () => {
    const reflector = start({ relistEveryMs: 60_000 });
    await reflector.synced;
    let attempts = 0;
    server.hooks.intercept = () => {
      attempts++;
      return Promise.resolve(status(503));
    };
    await clock.advance(120_000);
    expect(attempts).toBeGreaterThan(3);
    expect(attempts).toBeLessThan(20);
    server.hooks.intercept = () => Promise.resolve(null);
    await clock.advance(60_000);
    expect(reflector.stats().relists).toBeGreaterThan(0);
  });

  it('lists when a stream breaks again and again at one place', async () => {
    await create('a');
    let broken = 0;
    const breaking: KubeTransport = {
      request: (request) => server.request(request),
      watch(request): Promise<KubeWatch> {
        if (request.query?.['resourceVersion'] === undefined) return server.watch(request);
        broken++;
        const next = (): Promise<never> => Promise.reject(new TransportError('a line of the watch is not JSON'));
        return Promise.resolve({ status: 200, headers: {}, events: { [Symbol.asyncIterator]: () => ({ next }) } });
      },
    };
    const reflector = start({ transport: breaking });
    await reflector.synced;
    server.closeWatches();
    await create('b');
    await clock.advance(20_000);
    expect(broken).toBe(3);
    expect(mirror.names).toEqual(truth());
    expect(reflector.stats().relists).toBe(1);
  });

  it('falls back to lists when the end of the initial events never comes', async () => {
    await create('a');
    const ignorant: KubeTransport = {
      request: (request) => server.request(request),
      async watch(request) {
        if (request.query?.['sendInitialEvents'] !== 'true') return server.watch(request);
        const event: WatchEvent = {
          type: 'ADDED',
          object: { metadata: { name: 'a', uid: 'a', resourceVersion: '1' } },
        };
        const events = (async function* (): AsyncGenerator<WatchEvent> {
          await Promise.resolve();
          yield event;
        })();
        return { status: 200, headers: {}, events };
      },
    };
    const reflector = start({ transport: ignorant });
    await clock.advance(10_000);
    expect(reflector.stats().synced).toBe(true);
    expect(mirror.names).toEqual(truth());
  });

  it('takes duplicated and repeated events', async () => {
    const doubling: KubeTransport = {
      request: (request) => server.request(request),
      async watch(request) {
        const watch = await server.watch(request);
        const events = (async function* (): AsyncGenerator<WatchEvent> {
          for await (const event of watch.events) {
            yield event;
            yield event;
          }
        })();
        return { ...watch, events };
      },
    };
    const reflector = start({ transport: doubling });
    await create('a');
    await reflector.synced;
    await create('b');
    await remove('a');
    await clock.settle();
    expect(mirror.names).toEqual(truth());
  });

  it('gives the event loop back while it reads much', async () => {
    let nowMs = 0;
    let breaths = 0;
    for (let i = 0; i < 100; i++) await create(`n${i}`);
    const reflector = start({
      clock: { now: () => 0, monotonic: () => nowMs++, setTimer: (delayMs, run) => clock.setTimer(delayMs, run) },
      breathe: () => {
        breaths++;
        return Promise.resolve();
      },
    });
    await reflector.synced;
    expect(breaths).toBeGreaterThan(20);
    expect(mirror.names).toEqual(truth());
  });

  it('ends when it is told to, wherever it is', async () => {
    const reflector = start();
    await reflector.synced;
    stop.abort();
    await running;
    expect(server.watchCount).toBe(0);
    stop = new AbortController();
    failing(() => true, 100, 'reset');
    start();
    await clock.advance(3000); // between two attempts
    stop.abort();
    await running;
  });
});
