import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DEFAULT_RULES } from '../../../test/support/builders.ts';
import type { CheckpointRules } from '../../domain/checkpoint-rules.ts';
import type { KubeObject } from '../../kube/transport.ts';
import { CommandError, type RunCommand } from '../runtime/command.ts';
import type { ContainerIndex, RuntimeContainer } from '../runtime/containers.ts';
import type { SaveFailure } from '../orders/savable-pod.ts';
import { DumpError, type Runc } from '../runtime/runc.ts';
import { VirtualClock } from '../../sim/virtual-clock.ts';
import { CriuCheckpointer } from './criu-checkpointer.ts';

const POD = { namespace: 'shop', name: 'web-0', uid: 'u1' };
const OBJECT: KubeObject = { metadata: POD, spec: { containers: [{ name: 'web' }] } };
const REQUEST = {
  pod: POD,
  key: 'key',
  containers: ['c1'],
  token: 't',
  rules: DEFAULT_RULES,
  longestFreezeMs: null,
};
const SAID = 'container web: it has the unix socket /run/s connected to a process of another container';

let proc: string;
let id: string;
let status: RuntimeContainer['status'];
let dumps: number;
let memoryBytes: number;
let usedUp: SaveFailure | null;
let clock: VirtualClock;
beforeEach(async () => {
  clock = new VirtualClock();
  proc = await mkdtemp(join(tmpdir(), 'proc-'));
  id = 'c1';
  status = 'running';
  dumps = 0;
  memoryBytes = 0;
  usedUp = null;
});
afterEach(() => rm(proc, { recursive: true }));

/** Its only process holds these sockets now, and all of them lead outside. */
async function holds(...inodes: readonly number[]): Promise<void> {
  await rm(join(proc, '1'), { recursive: true, force: true });
  await mkdir(join(proc, '1/fd'), { recursive: true });
  await mkdir(join(proc, '1/net'));
  await writeFile(join(proc, '1/net/unix'), inodes.map((inode) => `0: 3 0 0 0001 03 ${inode}\n`).join(''));
  await Promise.all(inodes.map((inode, fd) => symlink(`socket:[${inode}]`, join(proc, `1/fd/${fd}`))));
}

function makeCheckpointer(failing?: unknown): CriuCheckpointer {
  const container = {
    id: 'c1',
    kind: 'container',
    name: 'web',
    podUid: 'u1',
    pid: 1,
    sandboxId: 's1',
    spec: {
      linux: { namespaces: [{ type: 'pid' }] },
      mounts: [
        { destination: '/data', source: '/var/lib/kubelet/pods/u1/volumes/kubernetes.io~empty-dir/data' },
        { destination: '/dev/shm', source: '/run/containerd/sandboxes/s1/shm' },
        { destination: '/config', source: '/var/lib/kubelet/pods/u1/volumes/kubernetes.io~configmap/config' },
      ],
    },
  };
  const run: RunCommand = () => {
    const lines = [11, 12].map((inode) => `u_str ESTAB 0 0 /run/s ${inode} * 99\n`);
    return Promise.resolve({ stdout: lines.join(''), stderr: '' });
  };
  return new CriuCheckpointer({
    index: {
      podContainers: () => Promise.resolve([{ ...container, id, status }]),
      identity: () => Promise.resolve(container),
    } as unknown as ContainerIndex,
    runc: { pids: () => Promise.resolve([1]), pidsWith: () => [1] } as unknown as Runc,
    run,
    proc,
    memoryOf: () => memoryBytes,
    clock,
    desk: {
      bytesPerSecond: null,
      progress: () => Promise.resolve(null),
      quotaUsedUp: () => Promise.resolve(usedUp),
      dump: () => {
        dumps++;
        const error = typeof failing === 'function' ? (failing as () => unknown)() : failing;
        if (error === null)
          return Promise.resolve({ failure: null, saved: { containers: [], bytes: 0, manifestDigest: '' } });
        if (error !== undefined) return Promise.reject(error);
        return Promise.resolve({ failure: { reason: 'DumpFailed', message: 'of the test' } });
      },
    },
  });
}

describe('a dump', () => {
  it('is none of a pod of which one container died while it stood frozen', async () => {
    await holds();
    status = 'paused';
    const request = { ...REQUEST, containers: [...REQUEST.containers, 'dead'] };
    const { failure } = await makeCheckpointer().save(request, new AbortController().signal);
    expect(failure).toEqual({ reason: 'DumpFailed', message: 'container dead ended while it stood frozen' });
    expect(dumps).toBe(0);
  });
});

describe('a dump that fails', () => {
  const errno = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  it.each([
    ['criu met the end of the disk', new DumpError({ reason: 'NoSpace', message: 'full' }, null), 'NoSpace'],
    ['tar met it', new CommandError('tar', 2, 'failed (2)', 'tar: a.tar: No space left on device'), 'NoSpace'],
    ['this process met it', errno, 'NoSpace'],
    ['criu refused something', new DumpError({ reason: 'FileLocks', message: 'locks' }, null), 'DumpFailed'],
    ['anything else', new Error('no such file'), 'DumpFailed'],
  ])('because %s is told apart', async (_, error, reason) => {
    await holds();
    status = 'paused';
    const { failure } = await makeCheckpointer(error).save(REQUEST, new AbortController().signal);
    expect(failure).toMatchObject({ reason });
  });
});

describe('a pod that could not be saved', () => {
  const byCriu = new DumpError({ reason: 'Other', message: 'criu: some new trouble' }, null);
  const save = async (checkpointer: CriuCheckpointer): Promise<void> => {
    status = 'paused';
    await checkpointer.save(REQUEST, new AbortController().signal);
    status = 'running';
  };
  const told = async (checkpointer: CriuCheckpointer) => checkpointer.lastingObstacle(OBJECT, DEFAULT_RULES);
  beforeEach(() => holds());

  it('is an obstacle at once where CRIU refused it, until it begins anew', async () => {
    const checkpointer = makeCheckpointer(byCriu);
    await save(checkpointer);
    expect(await told(checkpointer)).toEqual({
      reason: 'SaveFailed',
      message:
        'it could not be saved: criu: some new trouble; the next try is after 2026-01-01T00:10:00.000Z, or when its containers have started anew',
    });
    id = 'c2';
    expect(await told(checkpointer)).toBeNull();
    id = 'c1';
    expect(await told(checkpointer)).toBeNull();
  });

  it('is an obstacle for a time that doubles, and then may be tried again', async () => {
    const checkpointer = makeCheckpointer(byCriu);
    for (const restMs of [600_000, 1_200_000, 2_400_000]) {
      await save(checkpointer);
      await clock.advance(restMs - 1);
      expect(await told(checkpointer)).not.toBeNull();
      await clock.advance(1);
      expect(await told(checkpointer)).toBeNull();
    }
  });

  it('is not even frozen after three failures in a row, whatever failed', async () => {
    const checkpointer = makeCheckpointer(new Error('no such file'));
    for (let failures = 1; failures < 3; failures++) {
      await save(checkpointer);
      expect(await told(checkpointer)).toBeNull();
      expect(await checkpointer.obstacle(OBJECT)).toBeNull();
    }
    await save(checkpointer);
    const message = expect.stringContaining('3 times in a row, at last: no such file') as string;
    expect(await told(checkpointer)).toEqual({ reason: 'SaveFailed', message });
    expect(await checkpointer.obstacle(OBJECT)).toEqual({ reason: 'NotCheckpointable', message });
    await clock.advance(600_000);
    expect(await checkpointer.obstacle(OBJECT)).toBeNull();
  });

  it('is not frozen where the quota is used up, and not blamed for it', async () => {
    const checkpointer = makeCheckpointer();
    usedUp = { reason: 'QuotaExceeded', message: 'namespace shop has 2 states on this node, of 2' };
    for (let tries = 0; tries < 4; tries++) expect(await checkpointer.obstacle(OBJECT)).toEqual(usedUp);
    usedUp = null;
    expect(await checkpointer.obstacle(OBJECT)).toBeNull();
    expect(await told(checkpointer)).toBeNull();
  });

  it('is not blamed for the disk of its node', async () => {
    const checkpointer = makeCheckpointer(new DumpError({ reason: 'NoSpace', message: 'full' }, null));
    for (let failures = 0; failures < 4; failures++) await save(checkpointer);
    expect(await told(checkpointer)).toBeNull();
  });

  it('begins from zero once it was saved', async () => {
    let failing: Error | null = new Error('no such file');
    const checkpointer = makeCheckpointer(() => failing);
    await save(checkpointer);
    await save(checkpointer);
    failing = null;
    await save(checkpointer);
    failing = new Error('no such file');
    await save(checkpointer);
    expect(await told(checkpointer)).toBeNull();
  });
});

describe('the spec and the status of a pod', () => {
  it.each<[string, KubeObject, string, string]>([
    [
      'what its spec forbids',
      { ...OBJECT, spec: { hostUsers: false, containers: [{ name: 'web' }] } },
      'SpecUnsupported',
      'hostUsers',
    ],
    [
      'a container that has done its part',
      {
        ...OBJECT,
        spec: { restartPolicy: 'OnFailure', containers: [{ name: 'web' }, { name: 'fetch' }] },
        status: { containerStatuses: [{ name: 'fetch', state: { terminated: { exitCode: 0 } } }] },
      },
      'ContainerEnded',
      'container fetch has ended',
    ],
    [
      'a probe that allows no freeze',
      { ...OBJECT, spec: { containers: [{ name: 'web', livenessProbe: { failureThreshold: 1 } }] } },
      'ProbesTooStrict',
      'raise their failureThreshold',
    ],
  ])('tell of %s', async (_, object, reason, message) => {
    await holds();
    expect(await makeCheckpointer().lastingObstacle(object, DEFAULT_RULES)).toEqual({
      reason,
      message: expect.stringContaining(message) as string,
    });
  });

  it('allow a container that is started anew, and probes that are patient', async () => {
    await holds();
    const object: KubeObject = {
      ...OBJECT,
      spec: { restartPolicy: 'Always', containers: [{ name: 'web', livenessProbe: {} }] },
      status: { containerStatuses: [{ name: 'web', state: { terminated: { exitCode: 1 } } }] },
    };
    expect(await makeCheckpointer().lastingObstacle(object, DEFAULT_RULES)).toBeNull();
  });

  it('count no container that somebody debugs the pod with', async () => {
    await holds(11);
    const object: KubeObject = { ...OBJECT, spec: { containers: [], ephemeralContainers: [{ name: 'web' }] } };
    const checkpointer = makeCheckpointer();
    for (let look = 0; look < 2; look++) expect(await checkpointer.lastingObstacle(object, DEFAULT_RULES)).toBeNull();
  });
});

describe('a socket that leads out of its container', () => {
  it('is an obstacle once two looks have found it, and no longer when it is gone', async () => {
    const checkpointer = makeCheckpointer();
    await holds(11);
    expect(await checkpointer.lastingObstacle(OBJECT, DEFAULT_RULES)).toBeNull();
    const found = await checkpointer.lastingObstacle(OBJECT, DEFAULT_RULES);
    expect(found?.reason).toBe('SocketShared');
    expect(found?.message).toContain(SAID);
    await holds();
    expect(await checkpointer.lastingObstacle(OBJECT, DEFAULT_RULES)).toBeNull();
    await holds(11);
    expect(await checkpointer.lastingObstacle(OBJECT, DEFAULT_RULES)).toBeNull();
  });

  it('is none when each look finds another', async () => {
    const checkpointer = makeCheckpointer();
    for (const inode of [11, 12, 11, 12]) {
      await holds(inode);
      expect(await checkpointer.lastingObstacle(OBJECT, DEFAULT_RULES)).toBeNull();
    }
  });

  it('keeps no order from freezing the pod, only from saving it', async () => {
    const checkpointer = makeCheckpointer();
    await holds(11);
    expect(await checkpointer.obstacle(OBJECT)).toBeNull();
    status = 'paused';
    const { failure } = await checkpointer.save(REQUEST, new AbortController().signal);
    expect(failure).toEqual({ reason: 'NotCheckpointable', message: expect.stringContaining(SAID) as string });
    expect(dumps).toBe(0);
    await holds();
    await checkpointer.save(REQUEST, new AbortController().signal);
    expect(dumps).toBe(1);
  });
});

describe('an established TCP connection', () => {
  const refuse = { ...DEFAULT_RULES, sockets: 'Refuse' } as const;
  /** Its process holds the sockets 21 and 22, which are connected, and 23, which listens. */
  const connected = async (...inodes: readonly number[]): Promise<void> => {
    await holds();
    const row = (inode: number): string =>
      `   0: 0100007F:1F90 0200000A:1538 ${inode === 23 ? '0A' : '01'} 00000000:00000000 00:00000000 00000000     0        0 ${inode} 1\n`;
    await writeFile(join(proc, '1/net/tcp'), inodes.map(row).join(''));
    await Promise.all(inodes.map((inode, fd) => symlink(`socket:[${inode}]`, join(proc, `1/fd/${fd}`))));
  };
  const dumped = (rules: CheckpointRules = DEFAULT_RULES) =>
    makeCheckpointer().save({ ...REQUEST, rules }, new AbortController().signal);

  it('is refused with sockets: Refuse, and closed in the copy without', async () => {
    await connected(23, 21);
    status = 'paused';
    const { failure } = await dumped(refuse);
    const message = 'container web: it has an established TCP connection to 10.0.0.2:5432';
    expect(failure).toEqual({ reason: 'TcpEstablished', message: expect.stringContaining(message) as string });
    expect(dumps).toBe(0);
    await dumped();
    expect(dumps).toBe(1);
  });

  it('is none where the process only listens', async () => {
    await connected(23);
    status = 'paused';
    await dumped(refuse);
    expect(dumps).toBe(1);
  });

  it('is an obstacle once two looks have found it', async () => {
    const checkpointer = makeCheckpointer();
    await connected(21);
    expect(await checkpointer.lastingObstacle(OBJECT, refuse)).toBeNull();
    expect((await checkpointer.lastingObstacle(OBJECT, refuse))?.reason).toBe('TcpEstablished');
    await connected(22);
    expect(await checkpointer.lastingObstacle(OBJECT, refuse)).toBeNull();
    expect(await checkpointer.lastingObstacle(OBJECT, DEFAULT_RULES)).toBeNull();
  });
});

describe('a file of a volume that is not to be saved', () => {
  const none = { ...DEFAULT_RULES, volumes: 'None' } as const;
  for (const [place, found] of Object.entries({
    '/data/model.bin': true,
    '/dev/shm/ring': true,
    '/config/settings': false,
    '/database/file': false,
  })) {
    it(`${found ? 'keeps' : 'does not keep'} a pod from being saved whose process uses ${place}`, async () => {
      await holds();
      await symlink(place, join(proc, '1/fd/7'));
      status = 'paused';
      const { failure } = await makeCheckpointer().save({ ...REQUEST, rules: none }, new AbortController().signal);
      expect(failure?.reason).toBe(found ? 'NotCheckpointable' : 'DumpFailed'); // the dump of this test fails
      expect(dumps).toBe(found ? 0 : 1);
    });
  }
});

describe('memory beyond maxBytes', () => {
  it('is an obstacle for as long as it is, told without its size', async () => {
    await holds();
    const checkpointer = makeCheckpointer();
    const rules = { ...DEFAULT_RULES, maxBytes: 1000 };
    memoryBytes = 1001;
    expect(await checkpointer.lastingObstacle(OBJECT, DEFAULT_RULES)).toBeNull();
    const found = await checkpointer.lastingObstacle(OBJECT, rules);
    expect(found).toEqual({
      reason: 'TooLarge',
      message: 'its memory is larger than the 1000 bytes that its checkpoint may have',
    });
    memoryBytes = 1000;
    expect(await checkpointer.lastingObstacle(OBJECT, rules)).toBeNull();
  });
});
