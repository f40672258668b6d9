import { RESTORE_GATE, RUNTIME_CLASS } from '../../src/domain/labels.ts';
import type { Checkpoint } from '../../src/domain/checkpoint.ts';
import type { CheckpointRules } from '../../src/domain/checkpoint-rules.ts';
import type { DisruptionBudget } from '../../src/domain/disruption-budget.ts';
import type { NodeName, PodUid } from '../../src/domain/ids.ts';
import type { Node } from '../../src/domain/node.ts';
import type { Pod } from '../../src/domain/pod.ts';
import type { Policy } from '../../src/domain/policy.ts';
import type { Resources } from '../../src/domain/resources.ts';
import type { Beneficiary, DisplacedPod, Preemption, SavedPod } from '../../src/domain/displacement.ts';
import type { Ticket } from '../../src/domain/ticket.ts';

/** Domain values with sensible defaults; each call overrides what its test is about. Names make UIDs, so that tests read well. */

export const GI = 2 ** 30;

export function makeResources(overrides: Partial<Resources> = {}): Resources {
  return { cpuMilli: 1000, memoryBytes: GI, ephemeralBytes: 0, pods: 1, extended: null, ...overrides };
}

/** A running pod of priority 0; `nodeName: null` makes it pending. */
export function makePod(overrides: Partial<Omit<Pod, 'nodeName' | 'uid' | 'nominatedNodeName'>> & Names = {}): Pod {
  const name = overrides.name ?? 'pod';
  const nodeName = overrides.nodeName ?? null;
  return {
    namespace: 'default',
    resourceVersion: '1',
    labels: {},
    owner: null,
    hasGeneratedName: false,
    schedulerName: 'default-scheduler',
    priority: 0,
    priorityClassName: '',
    preemptionPolicy: 'PreemptLowerPriority',
    requests: makeResources(),
    phase: nodeName === null ? 'Pending' : 'Running',
    creationMs: 0,
    startMs: nodeName === null ? null : 0,
    deletionMs: null,
    evictedMs: null,
    gates: [],
    preemptionDeferred: false,
    ready: nodeName !== null,
    resizeDeferred: false,
    disruptionTarget: false,
    disrupted: false,
    neverStarted: false,
    frozenBy: null,
    restored: null,
    restoreFailure: null,
    toldHeld: false,
    queuedAs: null,
    ticket: null,
    gateExpired: false,
    displaceFor: null,
    stateBytes: null,
    displacements: 0,
    completionIndex: null,
    indexFailures: 0,
    runtimeClassName: overrides.gates?.includes(RESTORE_GATE) || overrides.ticket ? RUNTIME_CLASS : null,
    notCheckpointable: null,
    restoreShape: null,
    memoryLimitBytes: null,
    nodeSelector: null,
    tolerations: [],
    constraints: null,
    unschedulable: false,
    ...overrides,
    name,
    uid: (overrides.uid ?? `uid-${name}`) as PodUid,
    nodeName: nodeName as NodeName | null,
    nominatedNodeName: (overrides.nominatedNodeName ?? null) as NodeName | null,
  };
}

interface Names {
  readonly uid?: string;
  readonly nodeName?: string | null;
  readonly nominatedNodeName?: string | null;
}

/** A ready node with 4 CPUs and 8 GiB whose agent saves pods. */
export function makeNode(overrides: Partial<Omit<Node, 'name'>> & { readonly name?: string } = {}): Node {
  const name = overrides.name ?? 'n1';
  return {
    uid: `uid-${name}`,
    resourceVersion: '1',
    labels: { 'kubernetes.io/hostname': name },
    allocatable: { cpuMilli: 4000, memoryBytes: 8 * GI, ephemeralBytes: 0, pods: 110, extended: null },
    unschedulable: false,
    ready: true,
    taints: [],
    canCheckpoint: true,
    agentSilent: false,
    compatibility: null,
    dumpBytesPerSecond: null,
    evacuateFor: null,
    ...overrides,
    name: name as NodeName,
  };
}

/** How a pod is saved where nobody says otherwise. */
export const DEFAULT_RULES: CheckpointRules = { sockets: 'Close', volumes: 'EmptyDir', maxBytes: 0 };

/** A policy that protects everything, always. */
export function makePolicy(overrides: Partial<Policy> = {}): Policy {
  const name = overrides.name ?? 'everything';
  return {
    name,
    uid: `uid-${name}`,
    creationMs: 0,
    resourceVersion: '1',
    generation: 1,
    match: { namespaceSelector: null, podSelector: null, priorityClassNames: null },
    precedence: 0,
    preemption: { decision: 'Always', maxDelayMs: 60_000, onFailure: 'Evict', freshForMs: 0 },
    displacement: { servingPods: 'Evict' },
    checkpoint: DEFAULT_RULES,
    store: { ttlMs: 86_400_000 },
    restore: { nodes: 'Any', attempts: 2, onFailure: 'ColdStart', maxWaitMs: 3_600_000, identityLabels: [] },
    status: null,
    ...overrides,
  };
}

/** A budget of all pods of the namespace that lets none of them go. */
export function makeBudget(overrides: Partial<DisruptionBudget> = {}): DisruptionBudget {
  const name = overrides.name ?? 'budget';
  return {
    namespace: 'default',
    name,
    uid: `uid-${name}`,
    resourceVersion: '1',
    selector: { requirements: [] },
    disruptionsAllowed: 0,
    isMet: false,
    ignoresUnhealthy: false,
    disruptedPods: [],
    ...overrides,
  };
}

export function makeCheckpoint(
  overrides: Partial<Omit<Checkpoint, 'nodeName' | 'podUid'>> & {
    readonly nodeName?: string;
    readonly podUid?: string;
  } = {},
): Checkpoint {
  const name = overrides.name ?? 'checkpoint';
  return {
    namespace: 'default',
    uid: `uid-${name}`,
    resourceVersion: '1',
    creationMs: 0,
    podName: 'pod',
    owner: { ticket: 'pod-uid-pod' },
    keepFrozen: true,
    rules: DEFAULT_RULES,
    deadlineMs: null,
    thawAtMs: null,
    release: null,
    released: false,
    deleting: false,
    deletionMs: null,
    ready: false,
    frozen: false,
    thawed: false,
    failure: null,
    takenMs: null,
    completedMs: null,
    bytes: 0,
    location: null,
    manifestDigest: null,
    compatibility: null,
    ...overrides,
    name,
    podUid: (overrides.podUid ?? 'uid-pod') as PodUid,
    nodeName: (overrides.nodeName ?? 'n1') as NodeName,
  };
}

/** A victim, `pod`, that is saved first. */
export function makeVictim(overrides: Partial<SavedPod> = {}): SavedPod {
  return {
    uid: 'uid-pod' as PodUid,
    namespace: 'default',
    name: 'pod',
    node: 'n1' as NodeName,
    plan: 'Save',
    checkpoint: 'pod-uid-pod-d1',
    onFailure: 'Evict',
    terms: { policy: 'everything', maxDelayMs: 60_000, checkpoint: DEFAULT_RULES, restore: makePolicy().restore },
    ...overrides,
  };
}

/** A victim that goes as it is. */
export function makeUnsavedVictim(name: string): DisplacedPod {
  const { namespace, onFailure } = makeVictim();
  const node = 'n1' as NodeName;
  return {
    uid: `uid-${name}` as PodUid,
    namespace,
    name,
    node,
    onFailure,
    plan: 'Evict',
    checkpoint: null,
    terms: null,
  };
}

interface DisplacementOverrides extends Partial<Omit<Preemption, 'cause'>> {
  readonly preemptor?: Beneficiary;
  /** Of the preemptor and of every pod. */
  readonly node?: NodeName;
  readonly numPdbViolations?: number;
}

/** A preemption of one pod, `pod` on `n1`, by the preemptor `high`. */
export function makeDisplacement(overrides: DisplacementOverrides = {}): Preemption {
  const {
    preemptor = { namespace: 'default', name: 'high', uid: 'uid-high' as PodUid, priority: 1000 },
    node = 'n1' as NodeName,
    numPdbViolations = 0,
    pods = [makeVictim()],
    ...others
  } = overrides;
  return {
    id: 'd1',
    cause: { kind: 'Preemption', preemptor, node, numPdbViolations },
    pods: pods.map((pod) => ({ ...pod, node })),
    commit: 'AllSaved',
    decidedMs: 0,
    deadlineMs: 60_000,
    ...others,
  };
}

type TicketOverrides = Partial<Omit<Ticket, 'pod'>> & { readonly pod?: Partial<Ticket['pod']> };

/** The ticket of `pod`, waiting in the queue. */
export function makeTicket(overrides: TicketOverrides = {}): Ticket {
  const name = overrides.name ?? 'pod-uid-pod';
  return {
    namespace: 'default',
    name,
    uid: `uid-${name}`,
    resourceVersion: '1',
    creationMs: 0,
    generation: 1,
    deleting: false,
    owner: null,
    priority: 0,
    requests: makeResources(),
    restoreShape: 'shape',
    displacement: makeDisplacement(),
    flaw: null,
    checkpoint: 'pod-uid-pod-d1',
    state: null,
    restore: makePolicy().restore,
    phase: 'Waiting',
    phaseMs: 0,
    evictedMs: null,
    claim: null,
    attempts: 0,
    failedNodes: [],
    replacedPods: [],
    waitsFor: null,
    said: { reason: 'Queued', message: '' },
    heldFor: null,
    decide: null,
    ...overrides,
    pod: {
      name: 'pod',
      uid: 'uid-pod' as PodUid,
      completionIndex: null,
      identityLabels: null,
      displacements: 0,
      memoryLimitBytes: null,
      ...overrides.pod,
    },
  };
}
