import { handleExtender } from '../../src/http/extender-handler.ts';
import type { IndexedKind } from '../../src/index/types.ts';
import { ClusterReader } from '../../src/kube/cluster-reader.ts';
import { podCheckpoint } from '../../src/kube/crd/pod-checkpoint.ts';
import { reprievePolicy } from '../../src/kube/crd/reprieve-policy.ts';
import { reprieve } from '../../src/kube/crd/reprieve.ts';
import { INDEXED_RESOURCES } from '../../src/kube/project/kinds.ts';
import type { ReflectorNotice } from '../../src/kube/reflector.ts';
import { VirtualClock } from '../../src/sim/virtual-clock.ts';
import { violations } from '../wire/contract.ts';
import { RESTORED_TICKET, type Fixture } from '../wire/fixtures.ts';
import { makeCallbacks } from '../wire/make-callbacks.ts';
import { mutate } from '../wire/mutate.ts';
import { schemaValue } from './schema-value.ts';
import { ScriptedWatches } from './scripted-watches.ts';
import { one, type FuzzCase, type FuzzSubject, type Outcome } from './subject.ts';
import { knownNames, recordedBodies } from './verbs.ts';

const CUSTOM_RESOURCES = { policy: reprievePolicy, checkpoint: podCheckpoint, ticket: reprieve } as const;
type CustomKind = keyof typeof CUSTOM_RESOURCES;

const recordedPods = recordedBodies.map(({ text }) => (JSON.parse(text) as { Pod: Body }).Pod);
/** Kinds that kube-apiserver defines, in full. Ours are made from their schemas. */
const BODIES: Readonly<Record<Exclude<IndexedKind, CustomKind>, readonly Body[]>> = {
  pod: recordedPods.map(({ spec, status }) => ({ spec: { ...spec, nodeName: 'n1' }, status })),
  node: [
    {
      spec: { taints: [{ key: 'a', value: 'b', effect: 'NoSchedule' }], unschedulable: false },
      status: {
        allocatable: { cpu: '4', memory: '8Gi', pods: '110' },
        conditions: [{ type: 'Ready', status: 'True' }],
      },
    },
  ],
  namespace: [{ spec: { finalizers: ['kubernetes'] }, status: { phase: 'Active' } }],
  volumeClaim: [
    {
      spec: {
        volumeName: 'v',
        storageClassName: 'local',
        accessModes: ['ReadWriteOncePod'],
        resources: { requests: { storage: '1Gi' } },
      },
      status: { phase: 'Bound' },
    },
  ],
  volume: [
    {
      spec: {
        storageClassName: 'local',
        accessModes: ['ReadWriteOnce'],
        capacity: { storage: '1Gi' },
        csi: { driver: 'disk.example.com', volumeHandle: 'h' },
        nodeAffinity: {
          required: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'a', operator: 'In', values: ['b'] }] }] },
        },
      },
      status: { phase: 'Available' },
    },
  ],
  storageClass: [
    {
      provisioner: 'kubernetes.io/no-provisioner',
      volumeBindingMode: 'WaitForFirstConsumer',
      allowedTopologies: [{ matchLabelExpressions: [{ key: 'a', values: ['b'] }] }],
    },
  ],
  csiNode: [{ spec: { drivers: [{ name: 'disk.example.com', nodeID: 'n1', allocatable: { count: 4 } }] } }],
  service: [{ spec: { clusterIP: '10.0.0.1', selector: { app: 'a' } } }],
  budget: [
    {
      spec: {
        selector: { matchLabels: { app: 'a' }, matchExpressions: [{ key: 'a', operator: 'In', values: ['b'] }] },
      },
      status: { disruptionsAllowed: 1 },
    },
  ],
};
/** Few, so that objects take each other's place, and those of the recorded cluster are changed, too. */
const NAMES: Readonly<Record<IndexedKind, readonly string[]>> = {
  pod: ['web-0', 'web-1', ...knownNames.uids.slice(0, 3)],
  node: knownNames.nodes,
  namespace: ['default', 'other'],
  budget: ['budget'],
  service: ['service'],
  volumeClaim: ['claim'],
  volume: ['v'],
  storageClass: ['local'],
  csiNode: knownNames.nodes,
  policy: ['everything', 'first', 'second', 'third'],
  checkpoint: ['of-the-restored-pod', 'another'],
  ticket: [RESTORED_TICKET, 'waiting', 'other'],
};
const KINDS: readonly IndexedKind[] = [
  'policy',
  'policy',
  'ticket',
  'ticket',
  'checkpoint',
  'pod',
  'node',
  'budget',
  'service',
  'volumeClaim',
  'volume',
  'storageClass',
  'csiNode',
  'namespace',
];

interface Body {
  readonly [field: string]: unknown;
  readonly spec?: object | undefined;
  readonly status?: object | undefined;
}

/**
 * Objects as an API server hands them to our watches: what their schema allows; what it does not allow, as a server with
 * another version of our CRDs may have stored; and lines that are no objects. After each the engine decides over what the
 * index made of it.
 */
export const objects: FuzzSubject = {
  name: 'objects',
  share: 3,
  maker(random) {
    const world = new WatchedWorld();
    const next = (): FuzzCase => {
      const kind = one(KINDS, random);
      const name = one(NAMES[kind], random);
      const { body, isValid, recipe } = bodyOf(kind, random);
      const type = random() < 0.1 ? 'DELETED' : 'MODIFIED';
      const line = random() < 0.03 ? one(ODD_LINES, random) : null;
      return {
        input: body,
        recipe: [kind, name, type, ...recipe, ...(line === null ? [] : ['an odd line'])],
        async ask(input) {
          if (line !== null) return await world.takeOddLine(kind, line);
          return await world.take(kind, type, name, JSON.parse(input.toString()) as Body | null, isValid);
        },
      };
    };
    return { next, end: () => world.end() };
  },
};

const ODD_LINES: readonly unknown[] = [
  null,
  {},
  [],
  5,
  { type: 'MODIFIED' },
  { type: 'MODIFIED', object: null },
  { type: 'MODIFIED', object: {} },
  { type: 'DELETED', object: { metadata: {} } },
  { type: 'BOOKMARK', object: { metadata: {} } },
  { type: 'BOOKMARK', object: {} },
  { type: 'NEWS', object: { metadata: { name: 'a', resourceVersion: '1' } } },
  { type: 'ERROR', object: {} },
  { type: 'ERROR', object: { code: 410, message: 'too old' } },
  { type: 'ERROR', object: { code: 'x', message: 5, details: { retryAfterSeconds: 'soon' } } },
  { type: 'ERROR' },
];

function bodyOf(
  kind: IndexedKind,
  random: () => number,
): { body: string; isValid: boolean; recipe: readonly string[] } {
  const valid = JSON.stringify(
    kind in CUSTOM_RESOURCES ? customBody(kind as CustomKind, random) : builtIn(kind, random),
  );
  if (random() < 0.4) return { body: valid, isValid: true, recipe: ['as its schema allows'] };
  const { body, recipe } = mutate(valid, random, knownNames);
  const text = body.toString();
  try {
    JSON.parse(text);
    return { body: text, isValid: false, recipe };
  } catch {
    return { body: valid, isValid: true, recipe: ['as its schema allows'] }; // a server sends JSON
  }
}

function customBody(kind: CustomKind, random: () => number): object {
  const { spec, status } = CUSTOM_RESOURCES[kind];
  const hasStatus = status !== undefined && random() < 0.8;
  return { spec: schemaValue(spec.json, random), ...(hasStatus && { status: schemaValue(status.json, random) }) };
}

function builtIn(kind: IndexedKind, random: () => number): object {
  return one(BODIES[kind as Exclude<IndexedKind, CustomKind>], random);
}

/** The recorded cluster, watched through a reader, with an engine that is asked about it. */
class WatchedWorld {
  readonly #clock = new VirtualClock();
  readonly #watches = new ScriptedWatches();
  readonly #underTest = makeCallbacks({ withPolicy: true });
  readonly #reader: ClusterReader;
  readonly #notices: ReflectorNotice[] = [];
  #version = 2_000_000; // above those of the recorded cluster

  constructor() {
    this.#reader = new ClusterReader({
      transport: this.#watches,
      clock: this.#clock,
      index: this.#underTest.index,
      random: () => 0.5,
      relistEveryMs: 0,
      onNotice: (notice) => this.#notices.push(notice),
    });
    this.#reader.start();
  }

  async take(kind: IndexedKind, type: string, name: string, body: Body | null, isValid: boolean): Promise<Outcome> {
    await this.#reader.synced;
    const metadata = {
      name,
      ...(INDEXED_RESOURCES[kind].type.namespaced && { namespace: 'default' }),
      uid: knownNames.uids.includes(name) ? name : `uid-${name}`,
      resourceVersion: String(this.#version++),
      creationTimestamp: '2026-11-23T10:00:00Z',
      generation: 1,
    };
    // An array or a text in place of an object has no members of an object: they are absent.
    const { spec, status } = body ?? {};
    const isLeft = await this.#send(kind, { type, object: { metadata, spec, status } });
    const notices = this.#notices.splice(0);
    const isRefused = notices.some((notice) => notice.kind === 'invalid-object');
    const found = isLeft ? [`the watch was left: ${notices.map(({ message }) => message).join('; ')}`] : [];
    if (isValid && isRefused) found.push(`a valid object was not read: ${notices[0]?.message ?? ''}`);
    if (isLeft) await this.#resume();
    return {
      answer: `${kind} ${type} ${isRefused ? 'left out' : 'taken'}`,
      violations: [...found, ...(await this.#enginesFaults())],
    };
  }

  /** What is no object at all may end the stream, as a broken connection may; the next stream must come. */
  async takeOddLine(kind: IndexedKind, line: unknown): Promise<Outcome> {
    await this.#reader.synced;
    const isLeft = await this.#send(kind, line);
    if (isLeft) await this.#resume();
    this.#notices.length = 0;
    const isWatching = this.#watches.isWatching(INDEXED_RESOURCES[kind].type.plural);
    return {
      answer: `${kind} odd line, ${isLeft ? 'watched anew' : 'passed over'}`,
      violations: isWatching ? await this.#enginesFaults() : ['nobody watches any more'],
    };
  }

  end(): Promise<void> {
    return this.#reader.stop();
  }

  async #send(kind: IndexedKind, line: unknown): Promise<boolean> {
    return await this.#watches.send(INDEXED_RESOURCES[kind].type.plural, line);
  }

  /** As long as any pause before the next watch. */
  async #resume(): Promise<void> {
    await this.#clock.advance(120_000);
  }

  async #enginesFaults(): Promise<string[]> {
    const { callbacks, cluster } = this.#underTest;
    const found: string[] = [];
    // Two of them after each object: all would take most of the time of a run.
    for (const offset of [0, 1]) {
      const { verb, text } = recordedBodies[(this.#version * 2 + offset) % recordedBodies.length] as Fixture;
      const answer = handleExtender(callbacks, verb, text);
      const cause = answer.error instanceof Error ? answer.error.stack?.split('\n').slice(0, 3).join(' ') : '';
      for (const violation of violations({ verb, requestBody: text, ...answer }, cluster))
        found.push(`${verb}: ${violation} ${cause ?? ''}`);
    }
    const owner = { apiVersion: 'batch/v1', kind: 'Job', name: 'a', uid: 'a' };
    await callbacks.admitPod({
      namespace: 'default',
      name: null,
      owner,
      completionIndex: 0,
      labels: {},
      priorityClassName: '',
      dryRun: false,
      gated: false,
      plainFor: null,
      object: {},
    });
    return found;
  }
}
