import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Clock } from '../ports/clock.ts';
import { ApiServer } from '../sim/api-server/api-server.ts';
import { VirtualClock } from '../sim/virtual-clock.ts';
import { KubeClient } from './client.ts';
import { FencedTransport } from './fenced-transport.ts';
import { LeaseElector } from './lease-elector.ts';
import { RESOURCES } from './resources.ts';
import { NotSentError, type KubeRequest, type KubeTransport } from './transport.ts';

const SECOND = 1000;

/** A replica whose whole process can be paused, as by SIGSTOP: no timer fires and no answer arrives, but time goes on. */
class Replica {
  readonly elector: LeaseElector;
  readonly notices: string[] = [];
  readonly seen: (number | null)[] = [];
  #isPaused = false;
  #wallSkewMs = 0;
  readonly #backlog: (() => void)[] = [];
  readonly user: string;

  constructor(identity: string, server: ApiServer, clock: VirtualClock) {
    this.user = identity;
    const ownClock: Clock = {
      now: () => clock.now() + this.#wallSkewMs,
      monotonic: () => clock.monotonic(),
      setTimer: (delayMs, run) => clock.setTimer(delayMs, () => this.#whenRunning(run)),
    };
    const transport = server.transport(identity);
    this.elector = new LeaseElector({
      transport: {
        request: async (request) => this.#held(await transport.request(request)),
        watch: (request) => transport.watch(request),
      },
      clock: ownClock,
      namespace: 'default',
      settings: {
        leaseName: 'reprieve',
        leaseDurationMs: 15 * SECOND,
        renewDeadlineMs: 10 * SECOND,
        retryPeriodMs: 2 * SECOND,
      },
      identity,
      random: () => 0.5,
      onChange: () => this.seen.push(this.elector.term()),
      onNotice: (message) => this.notices.push(message),
    });
    this.elector.start();
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    for (const run of this.#backlog.splice(0)) run();
  }

  stepWallClock(byMs: number): void {
    this.#wallSkewMs += byMs;
  }

  #whenRunning(run: () => void): void {
    if (this.#isPaused) this.#backlog.push(run);
    else run();
  }

  #held<T>(answer: T): Promise<T> {
    return new Promise((resolve) => this.#whenRunning(() => resolve(answer)));
  }
}

let clock: VirtualClock;
let server: ApiServer;
let client: KubeClient;
let replicas: Replica[];
/** `user METHOD` of every write. */
let writes: string[];
let refuse: ((user: string) => boolean) | null;

beforeEach(() => {
  clock = new VirtualClock();
  server = new ApiServer({ clock });
  client = new KubeClient(server.transport());
  replicas = [];
  writes = [];
  refuse = null;
  server.hooks.intercept = async (request) => {
    if (request.method !== 'GET') writes.push(`${request.user} ${request.method}`);
    return refuse?.(request.user) ? 'reset' : null;
  };
});

afterEach(async () => {
  server.hooks.intercept = async () => null;
  for (const replica of replicas) replica.resume();
  const ends = Promise.all(replicas.map(({ elector }) => elector.release()));
  await clock.advance(60 * SECOND);
  await ends;
});

function start(identity: string): Replica {
  const replica = new Replica(identity, server, clock);
  replicas.push(replica);
  return replica;
}

const leaders = (): string[] => replicas.filter(({ elector }) => elector.term() !== null).map(({ user }) => user);
const leaseNow = async () => (await client.get(RESOURCES.leases, 'default', 'reprieve'))['spec'];

describe('winning', () => {
  it('the first candidate makes the Lease and leads', async () => {
    const a = start('a');
    await clock.advance(0);
    expect(a.elector.term()).toBe(1);
    expect(a.seen).toContain(1);
    expect(await leaseNow()).toMatchObject({ holderIdentity: 'a', leaseDurationSeconds: 15, leaseTransitions: 0 });
  });

  it('of several at once exactly one wins, and the others know who', async () => {
    for (const name of ['a', 'b', 'c']) start(name);
    await clock.advance(30 * SECOND);
    const [leader] = leaders();
    expect(leaders()).toHaveLength(1);
    expect(replicas.map(({ elector }) => elector.holder())).toEqual([leader, leader, leader]);
  });

  it('keeps its term and acquireTime while it renews', async () => {
    const a = start('a');
    await clock.advance(0);
    const before = (await leaseNow()) as { acquireTime: string; renewTime: string };
    await clock.advance(60 * SECOND);
    const after = (await leaseNow()) as typeof before;
    expect(a.elector.term()).toBe(1);
    expect(after.acquireTime).toBe(before.acquireTime);
    expect(Date.parse(after.renewTime)).toBeGreaterThan(Date.parse(before.renewTime) + 50 * SECOND);
  });
});

describe('taking over', () => {
  it('a crashed leader is followed once its lease has run out, not before', async () => {
    const a = start('a');
    await clock.advance(10 * SECOND);
    const b = start('b');
    await clock.advance(SECOND);
    a.pause(); // for ever
    await clock.advance(13 * SECOND);
    expect(b.elector.term()).toBeNull();
    await clock.advance(6 * SECOND);
    expect(b.elector.term()).toBe(1);
    expect(await leaseNow()).toMatchObject({ holderIdentity: 'b', leaseTransitions: 1 });
  });

  it('a released Lease is taken over at once', async () => {
    const a = start('a');
    await clock.advance(10 * SECOND);
    const b = start('b');
    await clock.advance(SECOND);
    await a.elector.release();
    expect(a.elector.term()).toBeNull();
    await clock.advance(0);
    expect(b.elector.term()).toBe(1);
  });

  it('a deleted Lease is made again', async () => {
    const a = start('a');
    await clock.advance(SECOND);
    await client.delete(RESOURCES.leases, 'default', 'reprieve');
    await clock.advance(5 * SECOND);
    expect(a.elector.term()).not.toBeNull();
    expect(await leaseNow()).toMatchObject({ holderIdentity: 'a' });
  });

  it('a leader that sees another holder stops at once', async () => {
    const a = start('a');
    await clock.advance(SECOND);
    await client.patch(
      RESOURCES.leases,
      'default',
      'reprieve',
      { spec: { holderIdentity: 'somebody' } },
      { type: 'merge' },
    );
    await clock.advance(0);
    expect(a.elector.term()).toBeNull();
  });

  it('times that others wrote prove nothing: a lease from the future expires as any other', async () => {
    const now = new Date(clock.now() + 3_600_000).toISOString().replace('Z', '000Z');
    await client.create(RESOURCES.leases, 'default', {
      metadata: { name: 'reprieve' },
      spec: { holderIdentity: 'dead', leaseDurationSeconds: 15, acquireTime: now, renewTime: now, leaseTransitions: 3 },
    });
    const a = start('a');
    await clock.advance(14 * SECOND);
    expect(a.elector.term()).toBeNull();
    await clock.advance(2 * SECOND);
    expect(a.elector.term()).toBe(1);
    expect(await leaseNow()).toMatchObject({ leaseTransitions: 4 });
  });
});

describe('a leader that cannot renew', () => {
  it('stops after renewDeadline, before anybody else may lead', async () => {
    const a = start('a');
    await clock.advance(SECOND);
    start('b');
    refuse = (user) => user === 'a';
    let both = 0;
    for (let ms = 0; ms < 40 * SECOND; ms += 100) {
      await clock.advance(100);
      if (leaders().length > 1) both++;
    }
    expect(both).toBe(0);
    expect(leaders()).toEqual(['b']);
    expect(a.notices.some((notice) => notice.includes('could not be renewed'))).toBe(true);
  });

  it('leads on, in another term, when the server is back and nobody took the Lease', async () => {
    const a = start('a');
    await clock.advance(SECOND);
    refuse = () => true;
    await clock.advance(30 * SECOND);
    expect(a.elector.term()).toBeNull();
    refuse = null;
    await clock.advance(5 * SECOND);
    expect(a.elector.term()).toBe(2);
  });
});

describe('a paused process', () => {
  it('does not lead in the moment it wakes up, and writes nothing', async () => {
    const a = start('a');
    await clock.advance(10 * SECOND);
    const b = start('b');
    await clock.advance(SECOND);
    a.pause();
    await clock.advance(60 * SECOND);
    expect(b.elector.term()).toBe(1);
    writes = [];
    // Before a single timer of it has run.
    expect(a.elector.term()).toBeNull();
    a.resume();
    await clock.advance(60 * SECOND);
    expect(writes.filter((write) => write.startsWith('a '))).toEqual([]);
    expect(leaders()).toEqual(['b']);
  });

  it('whose last renewal is answered only then does not start a term with it', async () => {
    const a = start('a');
    await clock.advance(10 * SECOND);
    start('b');
    server.hooks.intercept = async ({ user, method }) => {
      if (user === 'a' && method === 'PUT') a.pause(); // after it was sent, before the answer
      return null;
    };
    await clock.advance(40 * SECOND);
    server.hooks.intercept = async () => null;
    const before = a.seen.length;
    a.resume();
    await clock.advance(10 * SECOND);
    expect(a.seen.slice(before).every((term) => term === null)).toBe(true);
    expect(leaders()).toEqual(['b']);
  });

  it('notices a suspended machine by its wall clock', async () => {
    const a = start('a');
    await clock.advance(SECOND);
    a.stepWallClock(60 * SECOND);
    expect(a.elector.term()).toBeNull();
  });

  it('is not fooled by a wall clock that is set back', async () => {
    const a = start('a');
    await clock.advance(SECOND);
    a.pause();
    a.stepWallClock(-3600 * SECOND);
    await clock.advance(11 * SECOND);
    expect(a.elector.term()).toBeNull();
  });
});

describe('after a restore of etcd, the versions of the Lease begin again where they were', () => {
  it('the leader leads on within its retry period', async () => {
    const a = start('a');
    await clock.advance(10 * SECOND);
    const backup = server.backup();
    await clock.advance(60 * SECOND);
    server.restore(backup);
    await clock.advance(30 * SECOND);
    expect(leaders()).toEqual(['a']);
    expect(a.notices.join()).toContain('went back to an earlier version');
    expect(a.elector.settledAgeMs()).toBeLessThanOrEqual(2 * SECOND);
  });

  it('with a holder who is gone: the present leader gives up, and one leads within a minute', async () => {
    const a = start('a');
    await clock.advance(10 * SECOND);
    const backup = server.backup();
    a.pause();
    start('b');
    await clock.advance(60 * SECOND);
    expect(leaders()).toContain('b');
    server.restore(backup);
    await clock.advance(60 * SECOND);
    expect(leaders().filter((user) => user !== 'a')).toEqual(['b']);
  });

  it('a follower takes over from a holder who is not back', async () => {
    const a = start('a');
    await clock.advance(SECOND);
    const backup = server.backup();
    start('b');
    await clock.advance(60 * SECOND);
    a.pause();
    server.restore(backup);
    await clock.advance(30 * SECOND);
    expect(leaders()).toEqual(['b']);
  });
});

describe('a replica that can neither lead nor follow', () => {
  it('is told by the age of what it knows', async () => {
    const a = start('a');
    await clock.advance(10 * SECOND);
    server.hooks.intercept = async ({ method }) =>
      method === 'PUT' ? { status: 409, headers: {}, body: { kind: 'Status', reason: 'Conflict' } } : null;
    await clock.advance(40 * SECOND);
    expect(a.elector.settledAgeMs()).toBeGreaterThanOrEqual(40 * SECOND);
    server.hooks.intercept = async () => null;
    await clock.advance(5 * SECOND);
    expect(a.elector.settledAgeMs()).toBeLessThanOrEqual(2 * SECOND);
  });
});

describe('the fence', () => {
  it('lets a write through while its replica leads, and none after', async () => {
    const a = start('a');
    await clock.advance(0);
    const sent: KubeRequest[] = [];
    const inner: KubeTransport = {
      request: async (request) => {
        sent.push(request);
        return { status: 200, headers: {}, body: {} };
      },
      watch: () => Promise.reject(new Error('unused')),
    };
    const fenced = new FencedTransport(inner, a.elector);
    await fenced.request({ method: 'POST', path: '/x' });
    expect(sent[0]?.maySend?.()).toBe(true);
    a.pause();
    await clock.advance(11 * SECOND);
    expect(sent[0]?.maySend?.()).toBe(false);
    await expect(fenced.request({ method: 'POST', path: '/x' })).rejects.toThrow(NotSentError);
    await fenced.request({ method: 'GET', path: '/x' });
    expect(sent.map(({ method }) => method)).toEqual(['POST', 'GET']);
  });
});
