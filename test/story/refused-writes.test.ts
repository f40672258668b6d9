import { afterEach, describe, expect, it } from 'vitest';
import { podOf } from '../../src/kube/project/pod.ts';
import { ticketOf } from '../../src/kube/project/ticket.ts';
import { pathOf, RESOURCES } from '../../src/kube/resources.ts';
import type { KubeObject, KubeResponse } from '../../src/kube/transport.ts';
import type { Pod } from '../../src/domain/pod.ts';
import type { Ticket } from '../../src/domain/ticket.ts';
import { REPRIEVE_USER } from '../../src/sim/embedded-cluster.ts';
import { nodeSpec } from '../../src/sim/nodes/node-spec.ts';
import { Story } from '../../src/sim/story.ts';
import { create, PRIORITY_CLASSES } from '../support/scenario-actions.ts';

const { pods, reprieves, reprievePolicies, events } = RESOURCES;
const SECOND = 1000;

const pod = (name: string, priorityClassName: string, cpu: string): object => ({
  metadata: { name, namespace: 'default', annotations: { 'sim.reprieve.dev/memory': '1Gi' } },
  spec: { priorityClassName, containers: [{ name: 'main', image: 'worker:1', resources: { requests: { cpu } } }] },
});

const running: Story[] = [];
afterEach(async () => {
  for (const story of running.splice(0)) await story.cluster.stop();
});

/** One node that `victim` fills; at 60 s `serving` comes for its room. */
async function begun(onFailure: 'Evict' | 'Refuse'): Promise<Story> {
  const policy = { match: { priorityClassNames: ['batch'] }, preemption: { decision: 'Always', onFailure } };
  const story = new Story({
    seed: 1,
    withReprieve: true,
    scenario: {
      nodes: [nodeSpec('node-1')],
      endMs: 900 * SECOND,
      actions: [
        ...PRIORITY_CLASSES,
        create(0, reprievePolicies, { metadata: { name: 'batch' }, spec: policy }),
        create(0, pods, pod('victim', 'batch', '5')),
        create(1 * SECOND, pods, pod('other', 'serving', '1')),
        create(60 * SECOND, pods, pod('serving', 'serving', '5')),
      ],
    },
  });
  running.push(story);
  await story.start();
  return story;
}

function refusalWith(code: number, message: string): KubeResponse {
  const reason = code === 422 ? 'Invalid' : 'Forbidden';
  return {
    status: code,
    headers: {},
    body: { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message },
  };
}

/** The API server refuses these requests of Reprieve from now on. */
function refuse({ cluster }: Story, method: string, path: string, code: number, message: string): { calls: number } {
  const refusal = { calls: 0 };
  const answer = refusalWith(code, message);
  cluster.api.hooks.intercept = (request) => {
    if (request.user !== REPRIEVE_USER || request.method !== method || !request.path.startsWith(path))
      return Promise.resolve(null);
    refusal.calls++;
    return Promise.resolve(answer);
  };
  return refusal;
}

const podNamed = ({ cluster }: Story, name: string): Pod | undefined =>
  cluster.api
    .list(pods)
    .map(podOf)
    .find((one) => one.name === name);
const ticketIn = ({ cluster }: Story): Ticket => ticketOf(cluster.api.list(reprieves)[0] as KubeObject);
const told = ({ cluster }: Story, reason: string): string[] =>
  cluster.api
    .list(events)
    .filter((event) => event['reason'] === reason)
    .map(
      (event) =>
        `${((event['regarding'] ?? event['involvedObject']) as object) && ((event['regarding'] ?? event['involvedObject']) as { name: string }).name}: ${String(event['note'] ?? event['message'])}`,
    );

describe('a ticket that the API server refuses', () => {
  const tooMany = 'Reprieve.reprieve.dev "x" is invalid: spec: Too many';

  it('has its pod evicted unsaved at once, where its policy says Evict', async () => {
    const story = await begun('Evict');
    refuse(story, 'POST', pathOf(reprieves, 'default'), 422, tooMany);
    await story.play(70 * SECOND);
    expect(podNamed(story, 'victim')).toBeUndefined();
    expect(podNamed(story, 'serving')?.nodeName).toBe('node-1');
    expect(told(story, 'WriteRefused')).toEqual([
      expect.stringMatching(/^victim: cannot be saved, .*Invalid: .*Too many/),
    ]);
    expect(told(story, 'EvictedUnsaved').join()).toMatch(/SaveRefused/);
  });

  it('leaves its pod alone at once, where its policy says Refuse, and saves it when that is over', async () => {
    const story = await begun('Refuse');
    const refusal = refuse(story, 'POST', pathOf(reprieves, 'default'), 500, 'etcdserver: request is too large');
    await story.play(65 * SECOND);
    expect(podNamed(story, 'victim')).toMatchObject({ phase: 'Running', deletionMs: null });
    expect(told(story, 'PreemptionCancelled').join()).toMatch(/too large/);
    await story.play(400 * SECOND);
    expect(refusal.calls).toBeLessThan(12);
    delete story.cluster.api.hooks.intercept;
    await story.play(900 * SECOND);
    expect(podNamed(story, 'serving')?.nodeName).toBe('node-1');
    expect(ticketIn(story).evictedMs).not.toBeNull();
  });
});

it('a victim whose deletion is refused is thawed at once', async () => {
  const story = await begun('Evict');
  refuse(story, 'DELETE', pathOf(pods, 'default', 'victim'), 403, 'admission webhook "x" denied the request: kept');
  await story.play(72 * SECOND);
  expect(podNamed(story, 'victim')).toMatchObject({ phase: 'Running', deletionMs: null });
  expect(story.cluster.nodes.frozen()).toEqual([]);
  expect(told(story, 'WriteRefused').join()).toMatch(/victim: cannot be evicted: Admission/);
  expect(told(story, 'PreemptionCancelled').join()).toMatch(/kept/);
});

it('a bare pod that the quota does not admit waits, says so, and comes back when there is quota', async () => {
  const story = await begun('Evict');
  const full = 'pods "victim" is forbidden: exceeded quota: pods, requested: pods=1, used: pods=1, limited: pods=1';
  const refusal = refuse(story, 'POST', pathOf(pods, 'default'), 403, full);
  await story.play(300 * SECOND);
  expect(ticketIn(story)).toMatchObject({ phase: 'Waiting', claim: null, said: { reason: 'Refused' } });
  expect(ticketIn(story).said.message).toMatch(/Quota: .*exceeded quota/);
  expect(told(story, 'WriteRefused').join()).toMatch(/exceeded quota/);
  expect(refusal.calls).toBeLessThan(10);
  delete story.cluster.api.hooks.intercept;
  await story.cluster.client.delete(pods, 'default', 'serving');
  await story.play(335 * SECOND);
  expect(podNamed(story, 'victim')).toMatchObject({ phase: 'Running', restored: { succeeded: true } });
  expect(ticketIn(story).phase).toBe('Restored');
});

describe('while the RuntimeClass of restored pods is missing', () => {
  const missing = 'pods "victim" is forbidden: pod rejected: RuntimeClass "reprieve" not found';

  /** It goes when the victim is being saved. */
  async function withoutClass(): Promise<Story> {
    const story = await begun('Evict');
    for (let ms = 0; story.cluster.api.list(RESOURCES.reprieves).length === 0;) await story.play((ms += SECOND));
    story.cluster.reprieve?.setRuntimeClass(false);
    story.cluster.api.hooks.intercept = ({ method, path, body }) => {
      const isRefused =
        method === 'POST' && path === pathOf(pods, 'default') && JSON.stringify(body).includes('runtimeClassName');
      return Promise.resolve(isRefused ? refusalWith(403, missing) : null);
    };
    await story.play(100 * SECOND);
    expect(ticketIn(story).said).toMatchObject({
      reason: 'Refused',
      message: expect.stringMatching(/RuntimeClass/) as string,
    });
    return story;
  }

  it('a pod that would start cold is not saved', async () => {
    const story = await begun('Evict');
    story.cluster.reprieve?.setRuntimeClass(false);
    await story.play(100 * SECOND);
    expect(podNamed(story, 'serving')?.nodeName).toBe('node-1');
    expect(story.cluster.api.list(RESOURCES.reprieves)).toEqual([]);
  });

  it('a bare pod is made again when it exists again', async () => {
    const story = await withoutClass();
    delete story.cluster.api.hooks.intercept;
    story.cluster.reprieve?.setRuntimeClass(true);
    await story.cluster.client.delete(pods, 'default', 'serving');
    await story.play(110 * SECOND);
    expect(podNamed(story, 'victim')).toMatchObject({ restored: { succeeded: true }, runtimeClassName: 'reprieve' });
    expect(ticketIn(story).phase).toBe('Restored');
  });

  it('a bare pod is made without it after maxGate, and starts cold', async () => {
    const story = await withoutClass();
    await story.cluster.client.delete(pods, 'default', 'serving');
    await story.play(380 * SECOND);
    expect(podNamed(story, 'victim')).toMatchObject({ phase: 'Running', runtimeClassName: null, gates: [] });
    expect(ticketIn(story)).toMatchObject({ phase: 'ColdStarted', said: { reason: 'OtherRuntimeClass' } });
    expect(story.cluster.api.list(RESOURCES.podCheckpoints)).toHaveLength(1); // kept for ticketRetention
  });
});

it('a bare pod is made without our RuntimeClass after maxGate, where a policy of the cluster refuses that class', async () => {
  const story = await begun('Evict');
  story.cluster.api.hooks.validate = (type, object, old) =>
    type === pods && old === null && JSON.stringify(object).includes('runtimeClassName') ? 'no such class here' : null;
  await story.play(100 * SECOND);
  expect(ticketIn(story).said).toMatchObject({ reason: 'Refused' });
  await story.cluster.client.delete(pods, 'default', 'serving');
  await story.play(380 * SECOND);
  expect(podNamed(story, 'victim')).toMatchObject({ phase: 'Running', runtimeClassName: null, gates: [] });
  expect(ticketIn(story)).toMatchObject({ phase: 'ColdStarted', said: { reason: 'OtherRuntimeClass' } });
});
