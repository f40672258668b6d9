import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FROZEN_CONDITION, TICKET_ANNOTATION } from '../../../src/domain/labels.ts';
import { compareVersions } from '../../../src/index/object-table.ts';
import type { KubeObject } from '../../../src/kube/transport.ts';
import { condition, field, type Version } from './history.ts';
import { Lab } from './lab.ts';
import { conditionIn, isRunning, nameOf, nodeOf, phaseOf, progressOf, running, ticketIn, workLost } from './seen.ts';
import { deployment, job, pod, policy, statefulSet } from './workloads.ts';

/** The story of Reprieve under the real kube-scheduler and kube-controller-manager, on simulated nodes. */
let lab: Lab;

beforeAll(async () => {
  lab = await Lab.start(20);
});
afterAll(async () => {
  await lab?.[Symbol.asyncDispose]();
});

const isOwnedBy = (owner: string) => (object: KubeObject) =>
  object.metadata.ownerReferences?.[0]?.name.startsWith(owner) ?? false;

const rise = (...versions: readonly Version[]): void => {
  const places = versions.map(({ at }) => at);
  expect(places).toEqual([...places].sort(compareVersions));
};

describe('(a) preempt, {}, tickets, checkpoints, eviction, bound', () => {
  it('saves the victim before it is evicted, and binds the preemptor to the planned node', async () => {
    await lab.cluster.applyObjects(
      policy('batch', 'batch'),
      pod('bare-a', { priorityClassName: 'batch', cpu: '3', state: '250Mi' }),
    );
    const victim = await running(lab, 'bare-a');
    await lab.cluster.applyObjects(pod('serving-a', { priorityClassName: 'serving', cpu: '3', node: victim.node }));

    const { history } = lab;
    const isTicket = (ticket: KubeObject): boolean => field(ticket, 'spec', 'pod', 'uid') === victim.uid;
    const isCheckpoint = (checkpoint: KubeObject): boolean => field(checkpoint, 'spec', 'pod', 'uid') === victim.uid;
    const ticket = await history.until('Reprieve', 'a ticket', isTicket);
    const ordered = await history.until('PodCheckpoint', 'an order', isCheckpoint);
    const ready = await history.until(
      'PodCheckpoint',
      'Ready',
      (object) => isCheckpoint(object) && condition(object, 'Ready') === 'True',
    );
    const marked = await history.until(
      'Pod',
      'DisruptionTarget',
      (object) => object.metadata.uid === victim.uid && condition(object, 'DisruptionTarget') === 'True',
    );
    const evicted = await history.until(
      'Pod',
      'deletionTimestamp',
      (object) => object.metadata.uid === victim.uid && object.metadata.deletionTimestamp !== undefined,
    );
    // kube-scheduler counts the room as free when the pod has ended, a moment before its object goes.
    const ended = await history.until(
      'Pod',
      'ended',
      (object) => object.metadata.uid === victim.uid && phaseOf(object) === 'Failed',
    );
    const bound = await history.until(
      'Pod',
      'bound',
      (object) => nameOf(object) === 'serving-a' && nodeOf(object) !== undefined,
    );
    rise(ticket, ordered, ready, marked, evicted, ended, bound);

    const planned = field(ticket.object, 'spec', 'displacement', 'cause', 'preemption', 'node');
    expect(planned).toBe(victim.node);
    expect(nodeOf(bound.object)).toBe(planned);
    // The pod was deleted in the state in which it was seen frozen, and never went on after it.
    const afterFreeze = history
      .of('Pod', 'bare-a')
      .filter(({ object, at }) => object.metadata.uid === victim.uid && compareVersions(at, ready.at) >= 0);
    expect(new Set(afterFreeze.map(({ object }) => condition(object, FROZEN_CONDITION)))).toEqual(new Set(['True']));
    // kube-scheduler asked, was told {}, and killed nobody itself.
    expect(await lab.cluster.schedulerLog()).not.toMatch(/"Preempting victims?"|victims? deleted/i);
    expect(await lab.reprieveLog()).toMatch(/"reason":"Saving"/);
    const nominated = history
      .of('Pod', 'serving-a')
      .find(({ object }) => field(object, 'status', 'nominatedNodeName') === planned);
    expect(nominated).toBeDefined();
  });
});

describe('what people see', () => {
  it('tells both pods why, in Events that name each other', async () => {
    const { items } = JSON.parse(await lab.cluster.kubectl('get', 'events', '-o', 'json')) as {
      items: {
        reason: string;
        involvedObject: { name: string };
        related?: { name: string };
        reportingComponent: string;
      }[];
    };
    const told = items
      .filter(({ reportingComponent }) => reportingComponent === 'reprieve')
      .map(({ reason, involvedObject, related }) => `${involvedObject.name} ${reason} ${related?.name ?? '-'}`);
    expect(told).toEqual(
      expect.arrayContaining([
        'bare-a Displaced serving-a',
        'bare-a Checkpointing serving-a',
        'serving-a PreemptionHeld bare-a',
      ]),
    );
  });

  it('prints what an operator looks for', async () => {
    const tickets = await lab.cluster.kubectl('get', 'reprieves');
    expect(tickets.split('\n')[0]).toMatch(/NAME +PHASE +POD/);
    expect(tickets).toMatch(/bare-a-\w+ +(?:Waiting|Admitted|Restoring|Restored) +bare-a/);
    expect(await lab.cluster.kubectl('get', 'rpol')).toMatch(/batch +.*Always/);
  });

  it('needs no right that deploy/rbac.yaml does not give', async () => {
    expect(await lab.reprieveLog()).not.toMatch(/forbidden|"status":403/i);
  });
});

describe('(b) each kind of workload comes back with its progress', () => {
  const kinds: Record<
    string,
    { readonly make: (name: string) => object; readonly ofVictim: (name: string) => (object: KubeObject) => boolean }
  > = {
    job: { make: (name) => job(name, shape), ofVictim: isOwnedBy },
    statefulset: { make: (name) => statefulSet(name, shape), ofVictim: isOwnedBy },
    deployment: { make: (name) => deployment(name, shape), ofVictim: isOwnedBy },
    bare: { make: (name) => pod(name, shape), ofVictim: (name) => (object) => nameOf(object) === name },
  };
  const shape = { priorityClassName: 'batch', cpu: '3', state: '200Mi' };

  for (const [kind, { make, ofVictim }] of Object.entries(kinds)) {
    it(`${kind}: through gate and claim, on another node, where it stopped`, async () => {
      const name = `back-${kind}`;
      await lab.cluster.applyObjects(make(name));
      const victim = await running(lab, name, ofVictim(name));
      // Some work, so that there is something to lose.
      await new Promise((resolve) => setTimeout(resolve, 2_500));
      await lab.cluster.applyObjects(
        pod(`serving-${kind}`, { priorityClassName: 'serving', cpu: '3', node: victim.node }),
      );

      const { object: restored } = await ticketIn(lab, 'Restored', victim.uid);
      const claim = field(restored, 'status', 'claim') as { readonly name: string; readonly uid: string };
      expect(claim.uid).not.toBe(victim.uid);
      const versions = lab.history.of('Pod', claim.name).filter(({ object }) => object.metadata.uid === claim.uid);
      const [first] = versions as [Version];
      expect(field(first.object, 'spec', 'schedulingGates')).toEqual([{ name: 'reprieve.dev/restore' }]);
      expect(field(first.object, 'spec', 'runtimeClassName')).toBe('reprieve');
      const resumed = versions.find(({ object }) => isRunning(object)) as Version;
      expect(resumed.object.metadata.annotations?.[TICKET_ANNOTATION]).toBe(nameOf(restored));
      expect(nodeOf(resumed.object)).not.toBe(victim.node);

      const frozen = lab.history
        .of('Pod')
        .findLast(
          ({ object }) => object.metadata.uid === victim.uid && condition(object, FROZEN_CONDITION) === 'True',
        ) as Version;
      expect(progressOf(frozen.object)).toBeGreaterThanOrEqual(2);
      expect(progressOf(resumed.object)).toBe(progressOf(frozen.object));
      if (kind === 'job') {
        const last = lab.history.of('Job', name).at(-1) as Version;
        expect(field(last.object, 'status', 'failed') ?? 0).toBe(0);
        expect(condition(last.object, 'Failed')).toBeUndefined();
      }
      if (kind === 'statefulset') expect(claim.name).toBe(victim.name);
    });
  }
});

describe('(c) no policy', () => {
  it('lets kube-scheduler evict by itself, and writes nothing of ours', async () => {
    const before = lab.history.versions.filter(({ kind }) => kind === 'Reprieve' || kind === 'PodCheckpoint').length;
    await lab.cluster.kubectl('delete', 'reprievepolicies', '--all');
    await lab.cluster.applyObjects(pod('scratch-c', { priorityClassName: 'batch', cpu: '3' }));
    const victim = await running(lab, 'scratch-c');
    await lab.cluster.applyObjects(pod('serving-c', { priorityClassName: 'serving', cpu: '3', node: victim.node }));
    const bound = await lab.history.until(
      'Pod',
      'serving-c bound',
      (object) => nameOf(object) === 'serving-c' && nodeOf(object) !== undefined,
    );
    expect(nodeOf(bound.object)).toBe(victim.node);
    const evicted = await lab.history.until(
      'Pod',
      'evicted',
      (object) => object.metadata.uid === victim.uid && object.metadata.deletionTimestamp !== undefined,
    );
    expect(condition(evicted.object, 'DisruptionTarget')).toBe('True');
    expect(condition(evicted.object, FROZEN_CONDITION)).toBeUndefined();
    const after = lab.history.versions.filter(
      ({ kind, object }) =>
        (kind === 'Reprieve' || kind === 'PodCheckpoint') && field(object, 'spec', 'pod', 'uid') === victim.uid,
    );
    expect(after).toEqual([]);
    expect(before).toBeGreaterThan(0);
    expect(await lab.reprieveLog()).toMatch(/"reason":"NothingProtected"/);
  });
});

describe('(d) the preemptor is deleted half-way', () => {
  it('lets the victims go on, with nothing lost and nobody evicted', async () => {
    await lab.cluster.applyObjects(policy('batch', 'batch'));
    await lab.cluster.applyObjects(pod('bare-d', { priorityClassName: 'batch', cpu: '3', state: '5Gi' }));
    const victim = await running(lab, 'bare-d');
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    await lab.cluster.applyObjects(pod('serving-d', { priorityClassName: 'serving', cpu: '3', node: victim.node }));
    // The dump takes ten seconds: the preemptor goes in the middle of it.
    const ordered = await lab.history.until(
      'PodCheckpoint',
      'an order',
      (object) => field(object, 'spec', 'pod', 'uid') === victim.uid,
    );
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    await lab.cluster.kubectl('delete', 'pod', 'serving-d', '--wait=false');

    await lab.history.until(
      'PodCheckpoint',
      'removed',
      (object, { type }) => nameOf(object) === nameOf(ordered.object) && type === 'DELETED',
    );
    await lab.history.until(
      'Reprieve',
      'removed',
      (object, { type }) => field(object, 'spec', 'pod', 'uid') === victim.uid && type === 'DELETED',
    );
    const versions = lab.history.of('Pod', 'bare-d');
    expect(
      versions.every(({ object, type }) => type !== 'DELETED' && object.metadata.deletionTimestamp === undefined),
    ).toBe(true);
    expect(versions.every(({ object }) => condition(object, 'DisruptionTarget') !== 'True')).toBe(true);
    const last = (versions.at(-1) as Version).object;
    expect(last.metadata.uid).toBe(victim.uid);
    expect(isRunning(last)).toBe(true);
    expect(condition(last, FROZEN_CONDITION)).not.toBe('True');
    // It runs, not only its record: its work goes on from where it stood.
    const before = lab.nodes.progressOf(victim.uid);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect(lab.nodes.progressOf(victim.uid)).toBeGreaterThan(before);
  });
});

describe('(e) by hand', () => {
  it('a StatefulSet whose cordoned node is evacuated goes on elsewhere, where it stopped', async () => {
    await lab.cluster.applyObjects(
      policy('batch', 'batch'),
      statefulSet('moved', { priorityClassName: 'batch', cpu: '3', state: '250Mi' }),
    );
    const victim = await running(lab, 'moved-0');
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    await lab.cluster.kubectl('cordon', victim.node);
    await lab.cluster.kubectl('annotate', 'node', victim.node, 'reprieve.dev/evacuate=new kernel');
    const restored = await ticketIn(lab, 'Restored', victim.uid);
    expect(field(restored.object, 'spec', 'displacement', 'cause')).toEqual({
      manual: { askedOn: 'Node', why: 'new kernel' },
    });
    expect(await workLost(lab, victim.uid)).toBe(0);
    const versions = lab.history.of('Pod', 'moved-0');
    const marked = versions.find(({ object }) => object.metadata.deletionTimestamp !== undefined) as Version;
    expect(conditionIn(marked.object, 'DisruptionTarget')).toMatchObject({ status: 'True', reason: 'DisplacedByHand' });
    expect(nodeOf((versions.at(-1) as Version).object)).not.toBe(victim.node);
    await lab.cluster.kubectl('annotate', 'node', victim.node, 'reprieve.dev/evacuate-');
    await lab.cluster.kubectl('uncordon', victim.node);
    await lab.cluster.kubectl('delete', 'statefulset', 'moved');
  });
});
