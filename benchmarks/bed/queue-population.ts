import type { NodeName, PodUid } from '../../src/domain/ids.ts';
import { RESTORE_GATE } from '../../src/domain/labels.ts';
import type { Node } from '../../src/domain/node.ts';
import type { Pod, PodOwner } from '../../src/domain/pod.ts';
import type { Resources } from '../../src/domain/resources.ts';
import type { NodeSelector } from '../../src/domain/node-selector.ts';
import { LONGEST_DELAY_MS, type Displacement } from '../../src/domain/displacement.ts';
import type { TicketWord } from '../../src/ports/cluster-writer.ts';
import type { Ticket, TicketPhase } from '../../src/domain/ticket.ts';
import type { ClusterIndex } from '../../src/index/cluster-index.ts';
import type { IndexedKind, IndexedKinds, IndexEvent } from '../../src/index/types.ts';
import {
  DEFAULT_RULES,
  GI,
  makeCheckpoint,
  makeDisplacement,
  makeNode,
  makePod,
  makePolicy,
  makeTicket,
} from '../../test/support/builders.ts';

export interface QueueSize {
  readonly nodes: number;
  readonly pods: number;
  /** Open tickets. */
  readonly tickets: number;
}

const PODS_OF_AN_OWNER = 50;
/** Pod templates among those that wait for capacity. */
const TEMPLATES = 64;
const VICTIMS_OF_A_DECISION = 2;
const PODS_IN_ITS_WAY = 8;
const ALLOCATABLE: Resources = {
  cpuMilli: 32_000,
  memoryBytes: 128 * GI,
  ephemeralBytes: 0,
  pods: 110,
  extended: null,
};
const SMALL: Resources = { cpuMilli: 500, memoryBytes: GI, ephemeralBytes: 0, pods: 1, extended: null };
const ONE_ZONE: NodeSelector = {
  terms: null,
  requirements: [{ key: 'topology.kubernetes.io/zone', operator: 'In', values: ['zone-1'] }],
};

/**
 * A cluster in an index, with open tickets that all stand where they stay: of each twenty, six wait for a pod, eight have a
 * gated pod for which no node has capacity (one of the eight tried before), two are admitted and not bound, two are being
 * restored, two are being saved.
 */
export class QueuePopulation {
  readonly #index: ClusterIndex;
  readonly #size: QueueSize;
  readonly #nowMs: number;
  readonly #places: Pod[] = []; // the pods that come and go, by number
  #version = 0;
  #events = 0;
  readonly #missing: number[] = []; // places whose pods were deleted and are not replaced yet, oldest first
  #made = 0;

  constructor(index: ClusterIndex, size: QueueSize, nowMs: number) {
    this.#index = index;
    this.#size = size;
    this.#nowMs = nowMs;
  }

  fill(): void {
    const { nodes, pods, tickets } = this.#size;
    this.#put('policy', { ...makePolicy(), preemption: { ...makePolicy().preemption, decision: 'Adaptive' } });
    for (let number = 0; number < nodes; number++) this.#put('node', nodeOf(number));
    for (let number = 0; number < pods; number++) {
      const pod = this.#newPod(number);
      this.#places.push(pod);
      this.#put('pod', pod);
    }
    for (let number = 0; number < tickets; number++) this.#addTicket(number);
  }

  /** UIDs of so many pods of each of the first nodes. */
  victims(nodes: number, perNode: number): Record<string, readonly string[]> {
    return Object.fromEntries(
      Array.from({ length: nodes }, (_, number) => {
        const on = this.#index.node(nodeName(number));
        const standing = on?.pods.filter(({ deletionMs }) => deletionMs === null).slice(-perNode) ?? [];
        return [nodeName(number), standing.map(({ uid }) => uid)];
      }),
    );
  }

  /**
   * One event of the watch: of each twenty, thirteen pod statuses, three heartbeats, a deletion, a new pod in the place of the one
   * deleted before and its binding, so that capacity comes and goes, and a change of a ticket's pod.
   */
  next(): void {
    const turn = this.#events++ % 20;
    const number = (this.#events * 7907) % this.#size.pods;
    if (turn < 13) this.#put('pod', this.#places[number] as Pod);
    else if (turn < 16) this.#put('node', nodeOf(number % this.#size.nodes));
    else if (turn === 16) this.#remove(number);
    else if (turn === 19) this.#touchTicketPod();
    else if (this.#missing.length < 2) return;
    else if (turn === 17)
      this.#put('pod', { ...(this.#places[this.#missing[0] as number] as Pod), nodeName: null, phase: 'Pending' });
    else this.#put('pod', this.#places[this.#missing.shift() as number] as Pod);
  }

  /** Deletes pods of a node, until one of those that wait for capacity fits there, and no second one. */
  makeRoom(node: NodeName): void {
    const pods = this.#index.node(node)?.pods.filter(({ ticket }) => ticket === null) ?? [];
    for (const { uid } of pods.slice(0, PODS_IN_ITS_WAY)) this.#delete(uid);
  }

  /** A gated pod for which there is room is bound to that node at once. */
  ungate({ uid }: Pod, ticket: Ticket, node: NodeName): void {
    const pod = this.#index.pod(uid);
    if (pod !== undefined) this.#put('pod', { ...pod, gates: [], ticket: ticket.name, nodeName: node });
  }

  setPhase(ticket: Ticket, phase: TicketPhase): void {
    this.#put('ticket', { ...ticket, phase });
  }

  /** A gated pod gets its place in the queue as a condition. */
  tellQueued({ uid }: Pod, message: string): void {
    const pod = this.#index.pod(uid);
    if (pod !== undefined) this.#put('pod', { ...pod, queuedAs: message });
  }

  /** Its ticket says why. */
  tellTicket(ticket: Ticket, { waitsFor }: TicketWord): void {
    this.#put('ticket', { ...ticket, waitsFor });
  }

  #remove(number: number): void {
    const { uid } = this.#places[number] as Pod;
    this.#delete(uid);
    this.#missing.push(number);
    this.#places[number] = this.#newPod(number);
  }

  /** A gated pod, or one that is being restored, whose status changes. */
  #touchTicketPod(): void {
    if (this.#size.tickets === 0) return;
    const pod = this.#index.podNamed('team-0', `again-${(this.#events * 31) % this.#size.tickets}`);
    if (pod !== undefined) this.#put('pod', pod);
  }

  #newPod(number: number): Pod {
    return makePod({
      name: `pod-${number}-${this.#made++}`,
      uid: uuid(this.#made),
      namespace: `team-${number % 50}`,
      nodeName: nodeName(number % this.#size.nodes),
      owner: ownerOf(Math.floor(number / PODS_OF_AN_OWNER)),
      requests: SMALL,
      startMs: this.#nowMs - ((number * 7) % 300) * 1000,
      priorityClassName: 'low',
    });
  }

  #addTicket(number: number): void {
    const kind = number % 20;
    const name = `gone-${number}`;
    const nodeName_ = nodeName((number * 13) % this.#size.nodes);
    const owner = ownerOfTicket(Math.floor(number / 10));
    const checkpoint = makeCheckpoint({
      name: `${name}-state`,
      namespace: 'team-0',
      podName: name,
      podUid: name,
      nodeName: nodeName_,
      ready: true,
      location: { node: nodeName_, reference: name },
      compatibility: 'amd64-1',
    });
    const template = TEMPLATE_REQUESTS[number % TEMPLATES] as Resources;
    const ticket = makeTicket({
      name,
      namespace: 'team-0',
      creationMs: this.#nowMs - number,
      pod: {
        name,
        uid: name as PodUid,
        completionIndex: null,
        identityLabels: null,
        displacements: 0,
        memoryLimitBytes: null,
      },
      owner,
      priority: number % 3,
      checkpoint: checkpoint.name,
      displacement: makeDisplacement({
        id: `over-${number}`,
        preemptor: { ...PREEMPTOR, uid: `over-${number}` as PodUid },
      }),
      phaseMs: this.#nowMs,
      restore: { ...makePolicy().restore, maxWaitMs: 86_400_000 },
    });
    if (kind >= 18) return this.#addVictim(number, ticket);
    this.#put('checkpoint', checkpoint);
    if (kind < 6) return this.#put('ticket', ticket);
    const claimant = makePod({
      name: `again-${number}`,
      uid: uuid(10_000_000 + number),
      namespace: 'team-0',
      owner,
      requests: kind < 14 ? template : SMALL,
      nodeSelector: kind === 7 ? ONE_ZONE : null,
      gates: kind < 14 ? [RESTORE_GATE] : [],
      ticket: kind < 14 ? null : name,
      nodeName: kind < 16 ? null : nodeName_,
      phase: 'Pending',
      creationMs: this.#nowMs,
      restoreShape: 'shape',
    });
    this.#put('pod', claimant);
    this.#put('ticket', {
      ...ticket,
      claim: { name: claimant.name, uid: claimant.uid },
      phase: kind < 14 ? 'Waiting' : kind < 16 ? 'Admitted' : 'Restoring',
      attempts: kind === 6 ? 1 : 0,
      failedNodes:
        kind === 6
          ? [{ node: nodeName(number % this.#size.nodes), pod: 'gone' as PodUid, reason: 'RestoreFailed' }]
          : [],
      restore: { ...ticket.restore, nodes: kind === 8 ? 'Same' : 'Any' },
    });
  }

  /** Pairs of tickets share a displacement, whose victims stand on one node. */
  #addVictim(number: number, ticket: Ticket): void {
    const pair = number - (number % VICTIMS_OF_A_DECISION);
    const node = nodeName(pair % this.#size.nodes);
    const uids = Array.from({ length: VICTIMS_OF_A_DECISION }, (_, at) => uuid(20_000_000 + pair + at));
    const preemptor = makePod({
      name: `urgent-${pair}`,
      uid: uuid(30_000_000 + pair),
      namespace: 'team-0',
      priority: 1000,
      nominatedNodeName: node,
      requests: SMALL,
    });
    const displacement: Displacement = makeDisplacement({
      id: `open-${pair}`,
      preemptor: { namespace: preemptor.namespace, name: preemptor.name, uid: preemptor.uid, priority: 1000 },
      node,
      pods: uids.map((uid) => ({
        uid: uid as PodUid,
        namespace: 'team-0',
        name: uid,
        node,
        plan: 'Save',
        checkpoint: `${uid}-state`,
        onFailure: 'Evict',
        terms: { policy: 'everything', maxDelayMs: 60_000, checkpoint: DEFAULT_RULES, restore: makePolicy().restore },
      })),
      decidedMs: this.#nowMs,
      deadlineMs: this.#nowMs + LONGEST_DELAY_MS, // a later one could not be true, and this run is over long before
    });
    const uid = uids[number - pair] as string;
    this.#put('pod', preemptor);
    this.#put('pod', makePod({ name: uid, uid, namespace: 'team-0', nodeName: node, requests: SMALL, priority: 1 }));
    this.#put('checkpoint', makeCheckpoint({ name: `${uid}-state`, namespace: 'team-0', podUid: uid, nodeName: node }));
    this.#put('ticket', {
      ...ticket,
      pod: { ...ticket.pod, name: uid, uid: uid as PodUid },
      checkpoint: `${uid}-state`,
      displacement,
      phase: 'Saving',
    });
  }

  #delete(uid: string): void {
    this.#index.apply({ type: 'delete', kind: 'pod', uid, resourceVersion: String(++this.#version) });
  }

  #put<K extends IndexedKind>(kind: K, value: IndexedKinds[K]): void {
    const resourceVersion = String(++this.#version);
    this.#index.apply({ type: 'upsert', kind, value: { ...value, resourceVersion } } as IndexEvent);
  }
}

const PREEMPTOR = makeDisplacement().cause.preemptor;

/** None of them fits beside thirty small pods; those of one template share it, as the projection shares them. */
const TEMPLATE_REQUESTS: readonly Resources[] = Array.from({ length: TEMPLATES }, (_, template) => ({
  ...SMALL,
  cpuMilli: 18_000 + template * 10,
}));

export function nodeName(number: number): NodeName {
  return `node-${String(number).padStart(5, '0')}` as NodeName;
}

function nodeOf(number: number): Node {
  const name = nodeName(number);
  return makeNode({
    name,
    labels: { 'kubernetes.io/hostname': name, 'topology.kubernetes.io/zone': `zone-${number % 3}` },
    allocatable: ALLOCATABLE,
    compatibility: 'amd64-1',
  });
}

function ownerOf(number: number): PodOwner {
  const uid = `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`;
  return { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: `app-${number}`, uid };
}

/** Of so many: ten tickets each. */
export function ownerOfTicket(number: number): PodOwner {
  return ownerOf(1_000_000 + number);
}

/** Of running pods, none of which was displaced. */
export function ownerWithoutTicket(number: number): PodOwner {
  return ownerOf(number);
}

function uuid(number: number): string {
  return `${number.toString(16).padStart(8, '0')}-0000-4000-8000-000000000000`;
}
