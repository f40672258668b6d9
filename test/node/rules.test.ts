import { connect, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { AGENT_FINALIZER, CHECKPOINTABLE_CONDITION } from '../../src/domain/labels.ts';
import { mayReadLimits } from '../../src/agent/probe/agent-rights.ts';
import type { KubeObject } from '../../src/kube/transport.ts';
import { condition, field } from '../cluster/story/history.ts';
import { conditionIn } from '../cluster/story/seen.ts';
import { NodeBed } from './bed/bed.ts';
import { clear, displace, restoredFrom, victimOf, type Victim } from './bed/displace.ts';
import { HOG_PORT, hog, hogPast } from './bed/hog.ts';
import { keeper } from './bed/keeper.ts';

/** What a policy, or a user, says about sockets, volumes and sizes, on pods that have them. */
let bed: NodeBed;

const policy = (app: string, checkpoint: object): object => ({
  apiVersion: 'reprieve.dev/v1alpha1',
  kind: 'ReprievePolicy',
  metadata: { name: app },
  spec: { match: { podSelector: { matchLabels: { app } } }, preemption: { decision: 'Always' }, checkpoint },
});

beforeAll(async () => {
  bed = await NodeBed.start({ agents: {} });
  await bed.cluster.applyObjects(policy('bare-of-files', { volumes: 'None' }));
});
afterAll(async () => {
  await bed?.[Symbol.asyncDispose]();
});
const connections: Socket[] = [];
afterEach(async () => {
  for (const connection of connections.splice(0)) connection.destroy();
  await clear(bed);
});

/** A checkpoint as a user asks for it, once it is over. */
async function saved(name: string, victim: Victim, rules: object): Promise<KubeObject> {
  const spec = { pod: { name: victim.name, uid: victim.uid }, node: victim.node, reason: 'Manual', ...rules };
  const metadata = { name, finalizers: [AGENT_FINALIZER] };
  await bed.cluster.applyObjects({ apiVersion: 'reprieve.dev/v1alpha1', kind: 'PodCheckpoint', metadata, spec });
  const isOver = (object: KubeObject): boolean =>
    object.metadata.name === name && ['Ready', 'Failed'].some((type) => condition(object, type) === 'True');
  return (await bed.history.until('PodCheckpoint', `${name} is over`, isOver)).object;
}

describe('sockets: Refuse', () => {
  /** It takes a connection on this port, and keeps it. */
  const port = 9000;
  const listening = (name: string): object => {
    const object = hog(name) as { spec: { containers: { command: string[] }[] } };
    const [main] = object.spec.containers;
    if (main !== undefined) {
      main.command = ['sh', '-c', `tail -f /dev/null | nc -l -p ${port} >/dev/null & exec hog 16 ${HOG_PORT}`];
    }
    return object;
  };

  it('does not save a pod with a TCP connection, says so beforehand, and saves it without', async () => {
    await bed.cluster.applyObjects(policy('talker', { sockets: 'Refuse' }), listening('talker'));
    const victim = await victimOf(bed, 'talker');
    const { count } = await hogPast(victim.ip, 5);
    expect(condition(await saved('before', victim, { sockets: 'Refuse' }), 'Ready')).toBe('True');

    const connection = connect({ host: victim.ip, port });
    connections.push(connection);
    await new Promise((resolve) => connection.once('connect', resolve));
    const { object: told } = await bed.history.until(
      'Pod',
      'cannot be saved',
      (pod) => pod.metadata.uid === victim.uid && condition(pod, CHECKPOINTABLE_CONDITION) === 'False',
    );
    expect(conditionIn(told, CHECKPOINTABLE_CONDITION)).toMatchObject({ reason: 'TcpEstablished' });
    const refused = conditionIn(await saved('with', victim, { sockets: 'Refuse' }), 'Failed');
    expect(refused?.reason).toBe('TcpEstablished');
    expect(refused?.message).toContain('container main: it has an established TCP connection to ');
    // It was thawed, and the other end has noticed nothing.
    await hogPast(victim.ip, count);
    expect(connection.destroyed).toBe(false);
    expect(condition(await saved('closing', victim, {}), 'Ready')).toBe('True');
  });
});

describe('a pod that does not run as root', () => {
  const ofUser = (name: string): object => {
    const object = hog(name) as { spec: { securityContext?: object; containers: { command: string[] }[] } };
    object.spec.securityContext = { runAsUser: 1000, runAsGroup: 1000 };
    const [main] = object.spec.containers;
    if (main !== undefined) main.command = ['hog', '16', String(HOG_PORT), '/tmp/count'];
    return object;
  };

  it('is saved, or called not checkpointable beforehand where root lacks CAP_SYS_RESOURCE', async () => {
    await bed.cluster.applyObjects(policy('of-user', {}), ofUser('of-user'));
    const victim = await victimOf(bed, 'of-user');
    await hogPast(victim.ip, 5);
    if (mayReadLimits()) {
      expect(condition(await saved('of-user', victim, {}), 'Ready')).toBe('True');
      return;
    }
    const { object: told } = await bed.history.until(
      'Pod',
      'cannot be saved',
      (pod) => pod.metadata.uid === victim.uid && condition(pod, CHECKPOINTABLE_CONDITION) === 'False',
    );
    expect(conditionIn(told, CHECKPOINTABLE_CONDITION)).toMatchObject({ reason: 'AgentRightsMissing' });
    expect(conditionIn(await saved('of-user', victim, {}), 'Failed')?.message).toContain('CAP_SYS_RESOURCE');
    await hogPast(victim.ip, 5);
  });
});

describe('maxBytes', () => {
  it('does not save a pod that is larger, and leaves nothing of it on the disk', async () => {
    await bed.cluster.applyObjects(hog('large', { mebibytes: 64 }));
    const victim = await victimOf(bed, 'large');
    const { count } = await hogPast(victim.ip, 5);
    const failed = conditionIn(await saved('too-large', victim, { maxBytes: '32Mi' }), 'Failed');
    expect(failed?.reason).toBe('TooLarge');
    expect(failed?.message).toMatch(/of memory .* may have 32 MiB$/);
    // The agent tells the failure first, for somebody waits for that, and then removes the files.
    const isEmpty = 'until [ -z "$(ls /var/lib/reprieve/checkpoints)" ]; do sleep 0.1; done';
    await bed.node(victim.node).run('timeout', '30', 'sh', '-c', isEmpty);
    await hogPast(victim.ip, count);
    const ready = await saved('fits', victim, { maxBytes: '128Mi' });
    expect(field(ready, 'status', 'bytes')).toBeLessThan(128 * 2 ** 20);
  });
});

describe('volumes: None', () => {
  it('brings a pod back with its memory and its files, and with empty volumes', async () => {
    await bed.cluster.applyObjects(keeper('bare-of-files', 'bare'));
    const victim = await victimOf(bed, 'bare-of-files');
    const { count } = await hogPast(victim.ip, 5);
    await displace(bed, victim);
    const again = await restoredFrom(bed, victim);
    expect((await hogPast(again.ip, count)).data).toBe('ok');
    const files = await bed.cluster.kubectl('exec', again.name, '--', 'find', '/work', '/cache', '/fast', '/dev/shm');
    const found = files.trim().split('\n').sort();
    expect(found).toContain('/work/sub/created');
    expect(found.filter((path) => !path.startsWith('/work'))).toEqual(['/cache', '/dev/shm', '/fast']);
  });
});
