import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHECKPOINTABLE_CONDITION } from '../../src/domain/labels.ts';
import { condition } from '../cluster/story/history.ts';
import { conditionIn } from '../cluster/story/seen.ts';
import { policy } from '../cluster/story/workloads.ts';
import { NodeBed } from './bed/bed.ts';
import { clear, displace, restoredFrom, victimOf, type Victim } from './bed/displace.ts';
import { IMAGES, LANGUAGE_IMAGES } from './bed/images.ts';

/** What processes hold besides memory: it comes back, or the pod says beforehand that it does not. */
const SCRIPTS = { name: 'scripts', configMap: { name: 'scripts' } };
/** Process 1, which has its script open. */
const RUN = 'python3 -u /scripts/hold.py 10.77.0.1; exit';

let bed: NodeBed;

beforeAll(async () => {
  bed = await NodeBed.start({ agents: {}, images: [LANGUAGE_IMAGES] });
  const hold = await readFile(new URL('./bed/programs/hold.py', import.meta.url), 'utf8');
  const scripts = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'scripts' },
    data: { 'run.sh': `${RUN}\n`, 'hold.py': hold },
  };
  await bed.cluster.applyObjects(policy('batch', 'batch'), scripts);
}, 300_000);
afterAll(async () => {
  await bed?.[Symbol.asyncDispose]();
});

interface Shape {
  readonly command: readonly string[];
  readonly image?: string;
  readonly mounts?: readonly object[];
  readonly cpu?: string;
  /** Besides the main one. */
  readonly others?: readonly object[];
}

function pod(
  name: string,
  { command, image = IMAGES.languages, mounts = [], cpu = '50m', others = [] }: Shape,
): object {
  const main = { name: 'main', image, imagePullPolicy: 'Never', command, volumeMounts: mounts };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { app: name } },
    spec: {
      priorityClassName: 'batch',
      restartPolicy: 'OnFailure',
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 1,
      containers: [{ ...main, resources: { requests: { cpu } } }, ...others],
      volumes: [SCRIPTS, { name: 'work', emptyDir: {} }],
    },
  };
}

describe('what a program holds', () => {
  afterAll(() => clear(bed));

  const stateOf = async ({ name }: Victim): Promise<{ readonly ticks: number; readonly holds: string }> => {
    const state = await bed.cluster.kubectl('exec', name, '--', 'cat', '/state');
    const [ticks = '', ...holds] = state.trim().split(' ');
    return { ticks: Number(ticks), holds: holds.join(' ') };
  };

  it('comes back: timer, nameless file, file under another name, lock, datagrams, script, bound folder, hosts', async () => {
    const mounts = [
      { name: 'scripts', mountPath: '/scripts' },
      { name: 'work', mountPath: '/work', subPath: 'deep/work' },
    ];
    await bed.cluster.applyObjects(pod('holder', { command: ['sh', '/scripts/run.sh'], mounts, cpu: '1500m' }));
    const victim = await victimOf(bed, 'holder');
    await expect.poll(async () => (await stateOf(victim)).ticks, { timeout: 20_000 }).toBeGreaterThan(10);
    const before = await stateOf(victim);
    expect(before.holds).toBe(`2097152 kept ${victim.ip}`);
    await displace(bed, victim);
    const again = await restoredFrom(bed, victim);
    expect(again.node).not.toBe(victim.node);
    await expect.poll(async () => (await stateOf(again)).ticks, { timeout: 20_000 }).toBeGreaterThan(before.ticks + 10);
    expect((await stateOf(again)).holds).toBe(`2097152 kept ${again.ip}`);
    const inside = (...command: string[]): Promise<string> => bed.cluster.kubectl('exec', again.name, '--', ...command);
    expect((await inside('ls', '/work')).trim()).toBe('second');
    const hosts = await inside('cat', '/etc/hosts');
    expect(hosts).toContain('10.9.9.9 added-by-program');
    expect(hosts).toContain(again.ip);
    expect(hosts).not.toContain(victim.ip);
    const tryLock = `import fcntl, os
try: fcntl.flock(os.open('/lock', os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB); print('free')
except BlockingIOError: print('held')`;
    expect((await inside('python3', '-c', tryLock)).trim()).toBe('held');
    expect(bed.pod(again.name).restarts).toBe(0);
  });
});

describe('a pod says beforehand that it cannot be saved', () => {
  afterAll(() => clear(bed));

  const python = (script: string): readonly string[] => ['python3', '-c', `${script}\nimport time\ntime.sleep(1e6)`];
  const OWN_ADDRESS = `import os, socket
server = socket.create_server((os.environ['POD_IP'], 8080))`;
  const MPTCP = `import socket
server = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
server.bind(('', 8080)); server.listen()`;
  const fetched = { name: 'fetch', image: IMAGES.testTools, imagePullPolicy: 'Never', command: ['true'] };
  const CASES: readonly (Shape & { readonly name: string; readonly reason: string; readonly says: string })[] = [
    {
      name: 'own-address',
      command: ['sh', '-c', `POD_IP=$(awk 'END {print $1}' /etc/hosts) exec "$@"`, 'sh', ...python(OWN_ADDRESS)],
      reason: 'AddressBound',
      says: 'let it listen on 0.0.0.0',
    },
    { name: 'mptcp', command: python(MPTCP), reason: 'SocketUnsupported', says: 'kind MPTCP' },
    {
      name: 'hosts',
      command: python(`hosts = open('/etc/hosts')`),
      reason: 'FileUnsupported',
      says: '/etc/hosts open',
    },
    {
      name: 'ended',
      // Nothing is in its way but the other container: the first reason counts that the pod tells.
      command: ['sh', '-c', 'while true; do sleep 1; done'],
      image: IMAGES.testTools,
      others: [fetched],
      reason: 'ContainerEnded',
      says: 'container fetch has ended',
    },
  ];

  beforeAll(() => bed.cluster.applyObjects(...CASES.map(({ name, ...shape }) => pod(name, shape))));

  it.each(CASES)('$name', async ({ name, reason, says }) => {
    const { object } = await bed.history.until(
      'Pod',
      `${name} cannot be saved`,
      ({ metadata, ...rest }) =>
        metadata.name === name && condition({ metadata, ...rest }, CHECKPOINTABLE_CONDITION) === 'False',
    );
    const said = conditionIn(object, CHECKPOINTABLE_CONDITION);
    expect(said?.reason).toBe(reason);
    expect(said?.message).toContain(says);
  });
});
