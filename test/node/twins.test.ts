import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { CHECKPOINTABLE_CONDITION } from '../../src/domain/labels.ts';
import { condition } from '../cluster/story/history.ts';
import { conditionIn, victimUidOf, wasEvicted } from '../cluster/story/seen.ts';
import { policy } from '../cluster/story/workloads.ts';
import { NodeBed } from './bed/bed.ts';
import { clear, displace, restoredFrom, victimOf, type Victim } from './bed/displace.ts';
import { HOG_PORT, hogPast, type HogAnswer } from './bed/hog.ts';
import { IMAGES } from './bed/images.ts';
import { preemptor } from './bed/keeper.ts';

/** Pods of several containers: frozen as one, restored as one. */
let bed: NodeBed;

beforeAll(async () => {
  bed = await NodeBed.start({ agents: {} });
  await bed.cluster.applyObjects(policy('batch', 'batch'));
});
afterAll(async () => {
  await bed?.[Symbol.asyncDispose]();
});
afterEach(() => clear(bed));

const [FIRST_PORT, SECOND_PORT] = [HOG_PORT, HOG_PORT + 1];

interface Shape {
  readonly command: readonly string[];
  readonly cpu?: string;
  readonly restartPolicy?: 'Always';
}

function container(name: string, { command, cpu = '10m', restartPolicy }: Shape): object {
  return {
    name,
    image: IMAGES.testTools,
    imagePullPolicy: 'Never',
    command,
    resources: { requests: { cpu } },
    volumeMounts: [{ name: 'shared', mountPath: '/shared' }],
    ...(restartPolicy !== undefined && { restartPolicy }),
  };
}

function pod(name: string, containers: readonly object[], initContainers: readonly object[] = []): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { app: name } },
    spec: {
      priorityClassName: 'batch',
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 1,
      volumes: [{ name: 'shared', emptyDir: {} }],
      initContainers,
      containers,
    },
  };
}

/** Each side of a pod of two, past a count. */
async function bothPast({ ip }: Victim, first: number, second: number): Promise<readonly [HogAnswer, HogAnswer]> {
  return [await hogPast(ip, first, undefined, FIRST_PORT), await hogPast(ip, second, undefined, SECOND_PORT)];
}

function twins(name: string, how: 'ask' | 'stay'): object {
  return pod(name, [
    // Made first, and so restored first: it may not run before the other is there.
    container('asker', { command: ['twin', how, '/shared/socket', String(FIRST_PORT)], cpu: '1500m' }),
    container('server', { command: ['twin', 'serve', '/shared/socket', String(SECOND_PORT)] }),
  ]);
}

describe('two containers that talk to each other', () => {
  it('go on together, and no message is lost', async () => {
    await bed.cluster.applyObjects(twins('talking', 'ask'));
    const victim = await victimOf(bed, 'talking');
    const [asker, server] = await bothPast(victim, 20, 20);

    await displace(bed, victim);
    const again = await restoredFrom(bed, victim);
    expect(again.node).not.toBe(victim.node);
    const [later] = await bothPast(again, asker.count, server.count);
    const [, after] = await bothPast(again, later.count + 20, later.count + 20);
    expect(after.data).toBe('ok');
    expect(bed.pod(again.name).restarts).toBe(0);
    expect(await bed.cluster.kubectl('logs', again.name, '--all-containers')).toBe('');
  });

  it('are refused as long as a socket connects them, and go on', async () => {
    await bed.cluster.applyObjects(twins('connected', 'stay'));
    const victim = await victimOf(bed, 'connected');
    await bothPast(victim, 20, 20);
    await bed.cluster.applyObjects(preemptor('serving-connected', victim.node));
    const { object: order } = await bed.history.until(
      'PodCheckpoint',
      'a failed order',
      (object) => victimUidOf(object) === victim.uid && condition(object, 'Failed') === 'True',
    );
    const failure = conditionIn(order, 'Failed');
    expect(failure).toMatchObject({ reason: 'NotCheckpointable' });
    expect(failure?.message).toContain('/shared/socket');
    const [asker, server] = await bothPast(victim, 20, 20);
    await bothPast(victim, asker.count + 10, server.count + 10);
    expect(wasEvicted(bed, victim.uid)).toBe(false);

    // Once the socket has been seen for a while it is said beforehand, and nobody asks for such a pod any more.
    const { object: said } = await bed.history.until(
      'Pod',
      'the obstacle',
      (object) => object.metadata.uid === victim.uid && condition(object, CHECKPOINTABLE_CONDITION) === 'False',
    );
    expect(conditionIn(said, CHECKPOINTABLE_CONDITION)).toMatchObject({
      reason: 'SocketShared',
      message: failure?.message,
    });
  });
});

describe('a pod with a sidecar and an init container', () => {
  it('goes on in both, with its volume as it was, after the init container ran anew', async () => {
    const setup = 'echo new >/shared/state; date +%s%N >/shared/started';
    await bed.cluster.applyObjects(
      pod(
        'escorted',
        [
          container('main', {
            command: ['sh', '-c', `echo old >/shared/state; exec hog 8 ${FIRST_PORT}`],
            cpu: '1500m',
          }),
        ],
        [
          container('setup', { command: ['sh', '-c', setup] }),
          container('sidecar', { command: ['hog', '8', String(SECOND_PORT)], restartPolicy: 'Always' }),
        ],
      ),
    );
    const victim = await victimOf(bed, 'escorted');
    const [main, sidecar] = await bothPast(victim, 20, 20);
    const show = ['exec', 'escorted', '-c', 'main', '--', 'cat', '/shared/state', '/shared/started'];
    const held = await bed.cluster.kubectl(...show);
    expect(held).toMatch(/^old\n/);

    await displace(bed, victim);
    const again = await restoredFrom(bed, victim);
    expect(again.node).not.toBe(victim.node);
    await bothPast(again, main.count, sidecar.count);
    expect(await bed.cluster.kubectl(...show)).toBe(held);
    expect(bed.pod('escorted').restarts).toBe(0);
  });
});
