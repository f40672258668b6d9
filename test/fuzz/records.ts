import { podCheckpoint } from '../../src/kube/crd/pod-checkpoint.ts';
import { reprieve } from '../../src/kube/crd/reprieve.ts';
import { reprievePolicy } from '../../src/kube/crd/reprieve-policy.ts';
import { KubeApiError } from '../../src/kube/api-error.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import type { KubeObject } from '../../src/kube/transport.ts';
import { nodeSpec } from '../../src/sim/nodes/node-spec.ts';
import { Story } from '../../src/sim/story.ts';
import { PRIORITY_CLASSES, savesBatch } from '../support/scenario-actions.ts';
import { schemaValue } from './schema-value.ts';
import { one, type FuzzCase, type FuzzSubject, type Outcome } from './subject.ts';

const RECORDS = { ticket: reprieve, checkpoint: podCheckpoint, policy: reprievePolicy } as const;
type RecordKind = keyof typeof RECORDS;
const KINDS: readonly RecordKind[] = ['ticket', 'ticket', 'checkpoint', 'policy'];
const TENANT = 'tenant';
/** Few, so that records take each other's place. */
const NAMES = ['a', 'b', 'c'];
const PLANS = ['Evict', 'Save', 'Reuse'] as const;
/** Of virtual time, after each record: longer than Reprieve and the agents take for a step. */
const AFTER_MS = 5_000;

/** A pod of the cluster, as a forger knows it. */
interface Target {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/**
 * Records that whoever administers one namespace may write where nothing but RBAC is in the way: every field as the schema allows, about
 * pods that there are. No pod of another namespace may be frozen, evicted, nominated or made for it.
 */
export const records: FuzzSubject = {
  name: 'records',
  share: 2,
  maker(random) {
    const cluster = new TenantCluster();
    const next = (): FuzzCase => {
      const kind = one(KINDS, random);
      const name = one(NAMES, random);
      const { spec, status } = RECORDS[kind];
      const value = { spec: schemaValue(spec.json, random), status: status && schemaValue(status.json, random) };
      const picks = Array.from({ length: 16 }, random);
      return {
        input: JSON.stringify(value),
        recipe: [kind, name],
        ask: (input) => cluster.take(kind, name, input.toString(), picks),
      };
    };
    return { next, end: () => cluster.end() };
  },
};

/** `payments/db` is protected, `kube-system/dns` of the system, `payments/big` waits and preempts no pod, and a tenant has pods of its own. */
class TenantCluster {
  readonly #story = new Story({
    seed: 1,
    withReprieve: true,
    scenario: { nodes: [nodeSpec('node-1')], endMs: 1e12, actions: [...PRIORITY_CLASSES, savesBatch()] },
  });
  #started: Promise<readonly Target[]> | null = null;
  #before = '';
  #epochMs = 0; // of the API server's clock, when the story began

  async take(kind: RecordKind, name: string, input: string, picks: readonly number[]): Promise<Outcome> {
    const targets = await (this.#started ??= this.#start());
    const { spec, status } = JSON.parse(aimed(input, targets, picks, this.#epochMs + this.#story.elapsedMs)) as {
      readonly spec: object;
      readonly status?: object;
    };
    const { resource } = RECORDS[kind];
    const { client } = this.#story.cluster;
    const namespace = resource.namespaced ? TENANT : null;
    const attempt = async (): Promise<string> => {
      await client.delete(resource, namespace, name).catch(() => undefined);
      await client.create(resource, namespace, { metadata: { name }, spec });
      if (status !== undefined && resource.namespaced)
        await client.patch(resource, namespace, name, { status }, { type: 'merge', subresource: 'status' });
      return 'taken';
    };
    const answer = await attempt().catch((error: unknown) => {
      if (error instanceof KubeApiError) return 'refused';
      throw error;
    });
    await this.#story.play(this.#story.elapsedMs + AFTER_MS);
    const now = this.#others();
    const frozen = this.#story.cluster.nodes.frozen().filter(({ pod }) => pod !== 'own');
    const violations = [
      ...(now === this.#before ? [] : [`pods of others were ${this.#before} and are ${now}`]),
      ...frozen.map(({ pod }) => `${pod} stands frozen`),
    ];
    return { answer: `${kind} ${answer}`, violations };
  }

  async end(): Promise<void> {
    if (this.#started !== null) await this.#story.cluster.stop();
  }

  async #start(): Promise<readonly Target[]> {
    const story = this.#story;
    await story.start();
    await story.play(1_000);
    const { client } = story.cluster;
    for (const name of ['payments', 'kube-system', TENANT])
      await client.create(RESOURCES.namespaces, null, { metadata: { name } }).catch(() => undefined);
    const critical = { metadata: { name: 'system-cluster-critical' }, value: 2_000_000_000 };
    await client.create(RESOURCES.priorityClasses, null, critical).catch(() => undefined);
    const patient = { metadata: { name: 'patient' }, value: 1_000, preemptionPolicy: 'Never' };
    await client.create(RESOURCES.priorityClasses, null, patient);
    const begunMs = story.elapsedMs;
    const made = [
      await this.#pod('payments', 'db', 'batch', '2'),
      await this.#pod('payments', 'big', 'patient', '6'),
      await this.#pod('kube-system', 'dns', 'system-cluster-critical', '1'),
      await this.#pod(TENANT, 'own', 'batch', '1'),
      await this.#pod(TENANT, 'pending', 'batch', '500'),
    ];
    this.#epochMs = Date.parse((made[0] as KubeObject).metadata.creationTimestamp ?? '') - begunMs;
    await story.play(20_000);
    this.#before = this.#others();
    return made.map(({ metadata: { namespace = '', name, uid = '' } }) => ({ namespace, name, uid }));
  }

  #pod(namespace: string, name: string, priorityClassName: string, cpu: string): Promise<KubeObject> {
    const container = { name: 'main', image: 'app:1', resources: { requests: { cpu, memory: '256Mi' } } };
    const metadata = { name, annotations: { 'sim.reprieve.dev/memory': '64Mi' } };
    return this.#story.cluster.client.create(RESOURCES.pods, namespace, {
      metadata,
      spec: { priorityClassName, containers: [container] },
    });
  }

  /** What must stay as it is. */
  #others(): string {
    return this.#story.cluster.api
      .list(RESOURCES.pods)
      .filter(({ metadata }) => metadata.namespace !== TENANT)
      .map(({ metadata: { namespace, name, uid, deletionTimestamp }, status }) => {
        const { nominatedNodeName } = status as { readonly nominatedNodeName?: string };
        return `${namespace}/${name} ${uid} ${deletionTimestamp ?? 'stands'} ${nominatedNodeName ?? '-'}`;
      })
      .sort()
      .join(', ');
  }
}

/**
 * The same record about pods and a node that there are, at times that count; a ticket nearly always so that its displacement contradicts
 * nothing in the record.
 */
function aimed(input: string, targets: readonly Target[], picks: readonly number[], nowMs: number): string {
  let at = 0;
  const next = (): number => picks[at++ % picks.length] as number;
  const target = (): Target => targets[Math.floor(next() * targets.length)] as Target;
  const time = (afterMs: number): string => new Date(nowMs + afterMs).toISOString();
  const record = JSON.parse(input, (key: string, value: unknown): unknown => {
    if (key === 'node' || key === 'nodeName') return 'node-1';
    if (key === 'thawAt') return time(60_000);
    if (value === null || typeof value !== 'object' || Array.isArray(value)) return value;
    if (!('uid' in value) || next() < 0.1) return value;
    const { namespace, name, uid } = target();
    return { ...value, uid, ...('name' in value && { name }), ...('namespace' in value && { namespace }) };
  }) as { spec: Record<string, unknown>; status: unknown };
  const { displacement, pod } = record.spec;
  if (typeof displacement !== 'object' || typeof pod !== 'object' || next() < 0.2) return JSON.stringify(record);
  const own = next() < 0.5 ? (targets.find(({ namespace }) => namespace === TENANT) as Target) : target();
  const onFailure = 'Evict';
  const others = targets.filter(({ uid }) => uid !== own.uid && next() < 0.5);
  const preemptor = { ...target(), priority: next() < 0.5 ? 2_000_000_000 : 1_000 };
  if (next() < 0.7) record.status = undefined; // as one that is just being carried out
  record.spec['pod'] = { ...pod, name: own.name, uid: own.uid };
  record.spec['checkpoint'] = 'a';
  record.spec['decision'] = undefined;
  record.spec['displacement'] = {
    ...displacement,
    cause: { preemption: { preemptor, node: 'node-1', numPDBViolations: 0 } },
    pods: [
      { ...own, namespace: TENANT, node: 'node-1', plan: 'Save', checkpoint: 'a', onFailure },
      ...others
        .filter(({ uid }) => uid !== preemptor.uid)
        .map((victim) => ({
          ...victim,
          node: 'node-1',
          plan: PLANS[Math.floor(next() * PLANS.length)],
          checkpoint: 'a',
          onFailure,
        })),
    ],
    decidedAt: time(0),
    deadline: time(60_000),
  };
  return JSON.stringify(record);
}
