import type { Checkpoint } from '../domain/checkpoint.ts';
import type { DisruptionBudget } from '../domain/disruption-budget.ts';
import { objectKey, type NodeName, type ObjectKey, type PodUid } from '../domain/ids.ts';
import type { Node } from '../domain/node.ts';
import type { Pod } from '../domain/pod.ts';
import type { Policy } from '../domain/policy.ts';
import type { Decision, Ticket } from '../domain/ticket.ts';
import type { WebhookReach } from '../domain/webhook-reach.ts';
import type { ClusterView, IndexedKind, Namespace, NodeSnapshot } from '../index/types.ts';
import { isUnreviewed } from '../index/unreviewed-pods.ts';
import { claimGroupOf } from './claims.ts';
import type { Decisions } from './steps.ts';

/** One thing that can be read and can change; equal for the reader and for the change. */
type Part = string;

const PARTS = {
  pod: (uid: string): Part => `pod ${uid}`,
  podNamed: (namespace: string, name: string): Part => `pod named ${namespace}/${name}`,
  gatedOf: (group: string): Part => `gated ${group}`,
  unreviewedOf: (owner: string): Part => `unreviewed ${owner}`,
  podsOfTicket: (key: ObjectKey): Part => `pods of ${key}`,
  node: (name: string): Part => `node ${name}`,
  namespace: (name: string): Part => `namespace ${name}`,
  budgets: (namespace: string): Part => `budgets ${namespace}`,
  ticket: (key: ObjectKey): Part => `ticket ${key}`,
  victim: (uid: string): Part => `victim ${uid}`,
  owner: (uid: string): Part => `owner ${uid}`,
  claimant: (uid: string): Part => `claimant ${uid}`,
  checkpoint: (key: ObjectKey): Part => `checkpoint ${key}`,
  checkpointsOfPod: (uid: string): Part => `checkpoints of ${uid}`,
  checkpointsOn: (node: string): Part => `checkpoints on ${node}`,
  decision: (preemptor: string): Part => `decision ${preemptor}`,
  all: (kind: IndexedKind | 'decision'): Part => `all ${kind}`,
};
export const POLICIES: Part = 'policies';
const OVERRULED: Part = 'overruled';

/** What a version of an object is part of: whoever read one of these must look again when the version comes or goes. */
export function partsOf(kind: IndexedKind, value: object): readonly Part[] {
  switch (kind) {
    case 'pod': {
      const pod = value as Pod;
      const parts = [PARTS.all(kind), PARTS.pod(pod.uid), PARTS.podNamed(pod.namespace, pod.name)];
      if (pod.gates.length > 0) parts.push(PARTS.gatedOf(claimGroupOf(pod)));
      if (pod.ticket !== null) parts.push(PARTS.podsOfTicket(objectKey(pod.namespace, pod.ticket)));
      if (pod.nodeName !== null) parts.push(PARTS.node(pod.nodeName));
      else if (pod.nominatedNodeName !== null) parts.push(PARTS.node(pod.nominatedNodeName));
      return parts;
    }
    case 'node':
      return [PARTS.all(kind), PARTS.node((value as Node).name)];
    case 'namespace':
      return [PARTS.namespace((value as Namespace).name)];
    case 'budget':
      return [PARTS.budgets((value as DisruptionBudget).namespace)];
    case 'policy':
      return []; // noticed by another array, see ClusterView.policies
    case 'checkpoint': {
      const { namespace, name, podUid, nodeName } = value as Checkpoint;
      const key = PARTS.checkpoint(objectKey(namespace, name));
      return [PARTS.all(kind), key, PARTS.checkpointsOfPod(podUid), PARTS.checkpointsOn(nodeName)];
    }
    case 'ticket': {
      const { namespace, name, pod, owner, claim } = value as Ticket;
      const parts = [PARTS.all(kind), PARTS.ticket(objectKey(namespace, name)), PARTS.victim(pod.uid)];
      if (owner !== null) parts.push(PARTS.owner(owner.uid));
      if (claim !== null) parts.push(PARTS.claimant(claim.uid));
      return parts;
    }
    default:
      return kind satisfies never;
  }
}

/** What a change of a pod is part of beside that: whom the webhook did not review, which heartbeats do not change. */
export function partsOfReplacement(before: Pod | undefined, after: Pod | undefined): readonly Part[] {
  const [was, is] = [before, after].map((pod) => (pod !== undefined && isUnreviewed(pod) ? pod : null));
  if (was?.owner.uid === is?.owner.uid && was?.creationMs === is?.creationMs) return [];
  return [was, is].flatMap((pod) => (pod == null ? [] : [PARTS.unreviewedOf(pod.owner.uid)]));
}

/** What a change of the decision about `preemptor` is part of. */
export function partsOfDecision(preemptor: PodUid): readonly Part[] {
  return [PARTS.all('decision'), PARTS.decision(preemptor), OVERRULED];
}

/** Whoever has read something. */
export interface Reader {
  /** What it read last time; kept by {@link Readers}. */
  readonly parts: Read[];
}

interface Read {
  readonly part: Part;
  readonly readers: Set<Reader>;
}

/** Who read what, so that a change leads to those who must look again. */
export class Readers<R extends Reader> {
  readonly #byPart = new Map<Part, Read>();
  #current: R | null = null;

  of(part: Part): Iterable<R> {
    return (this.#byPart.get(part)?.readers ?? NOBODY) as Iterable<R>;
  }

  /** All that is read while `look` runs is read by `reader`, and nothing that it read before. */
  during<T>(reader: R, look: () => T): T {
    this.forget(reader);
    this.#current = reader;
    try {
      return look();
    } finally {
      this.#current = null;
    }
  }

  read(part: Part): void {
    const reader = this.#current;
    if (reader === null) return;
    let read = this.#byPart.get(part);
    if (read === undefined) this.#byPart.set(part, (read = { part, readers: new Set() }));
    if (read.readers.has(reader)) return;
    read.readers.add(reader);
    reader.parts.push(read);
  }

  forget(reader: R): void {
    for (const { part, readers } of reader.parts) {
      readers.delete(reader);
      if (readers.size === 0) this.#byPart.delete(part);
    }
    reader.parts.length = 0;
  }
}

const NOBODY: readonly never[] = [];

/** A view that notes what is read of it. Whole collections are noted as such: every change of that kind is one of them. */
export class TrackedView implements ClusterView {
  readonly #view: ClusterView;
  readonly #read: (part: Part) => void;

  constructor(view: ClusterView, read: (part: Part) => void) {
    this.#view = view;
    this.#read = read;
  }

  pod(uid: PodUid): Pod | undefined {
    this.#read(PARTS.pod(uid));
    return this.#view.pod(uid);
  }

  podNamed(namespace: string, name: string): Pod | undefined {
    this.#read(PARTS.podNamed(namespace, name));
    return this.#view.podNamed(namespace, name);
  }

  pendingPods(): Iterable<Pod> {
    this.#read(PARTS.all('pod'));
    return this.#view.pendingPods();
  }

  gatedPods(): Iterable<Pod> {
    this.#read(PARTS.all('pod'));
    return this.#view.gatedPods();
  }

  gatedPodsOfOwner(ownerUid: string): readonly Pod[] {
    this.#read(PARTS.gatedOf(ownerUid));
    return this.#view.gatedPodsOfOwner(ownerUid);
  }

  unreviewedPodsOfOwner(ownerUid: string, sinceMs: number): readonly Pod[] {
    this.#read(PARTS.unreviewedOf(ownerUid));
    return this.#view.unreviewedPodsOfOwner(ownerUid, sinceMs);
  }

  podsOfTicket(ticket: ObjectKey): readonly Pod[] {
    this.#read(PARTS.podsOfTicket(ticket));
    return this.#view.podsOfTicket(ticket);
  }

  parkedPods(): Iterable<Pod> {
    this.#read(PARTS.all('pod'));
    return this.#view.parkedPods();
  }

  node(name: NodeName): NodeSnapshot | undefined {
    this.#read(PARTS.node(name));
    return this.#view.node(name);
  }

  nodes(): Iterable<NodeSnapshot> {
    this.#read(PARTS.all('node'));
    this.#read(PARTS.all('pod'));
    return this.#view.nodes();
  }

  bareNodes(): Iterable<Node> {
    this.#read(PARTS.all('node'));
    return this.#view.bareNodes();
  }

  namespaceLabels(name: string): Readonly<Record<string, string>> {
    this.#read(PARTS.namespace(name));
    return this.#view.namespaceLabels(name);
  }

  policies(): readonly Policy[] {
    this.#read(POLICIES);
    return this.#view.policies();
  }

  webhookReach(): WebhookReach {
    this.#read(POLICIES); // another array with each change of it
    return this.#view.webhookReach();
  }

  budgets(namespace: string): readonly DisruptionBudget[] {
    this.#read(PARTS.budgets(namespace));
    return this.#view.budgets(namespace);
  }

  ticket(key: ObjectKey): Ticket | undefined {
    this.#read(PARTS.ticket(key));
    return this.#view.ticket(key);
  }

  tickets(): Iterable<Ticket> {
    this.#read(PARTS.all('ticket'));
    return this.#view.tickets();
  }

  ticketOfVictim(uid: PodUid): Ticket | undefined {
    this.#read(PARTS.victim(uid));
    return this.#view.ticketOfVictim(uid);
  }

  ticketsOfVictim(uid: PodUid): readonly Ticket[] {
    this.#read(PARTS.victim(uid));
    return this.#view.ticketsOfVictim(uid);
  }

  ticketsOfOwner(ownerUid: string): readonly Ticket[] {
    this.#read(PARTS.owner(ownerUid));
    return this.#view.ticketsOfOwner(ownerUid);
  }

  ticketsOfClaimant(uid: PodUid): readonly Ticket[] {
    this.#read(PARTS.claimant(uid));
    return this.#view.ticketsOfClaimant(uid);
  }

  checkpoint(key: ObjectKey): Checkpoint | undefined {
    this.#read(PARTS.checkpoint(key));
    return this.#view.checkpoint(key);
  }

  checkpoints(): Iterable<Checkpoint> {
    this.#read(PARTS.all('checkpoint'));
    return this.#view.checkpoints();
  }

  checkpointsOfPod(uid: PodUid): readonly Checkpoint[] {
    this.#read(PARTS.checkpointsOfPod(uid));
    return this.#view.checkpointsOfPod(uid);
  }

  checkpointsOn(node: NodeName): readonly Checkpoint[] {
    this.#read(PARTS.checkpointsOn(node));
    return this.#view.checkpointsOn(node);
  }
}

export class TrackedDecisions implements Decisions {
  readonly #book: Decisions;
  readonly #read: (part: Part) => void;

  constructor(book: Decisions, read: (part: Part) => void) {
    this.#book = book;
    this.#read = read;
  }

  get(preemptor: PodUid): Decision | undefined {
    this.#read(PARTS.decision(preemptor));
    return this.#book.get(preemptor);
  }

  all(): Iterable<Decision> {
    this.#read(PARTS.all('decision'));
    return this.#book.all();
  }

  on(node: NodeName, except?: PodUid): Generator<Decision> {
    this.#read(PARTS.all('decision'));
    return this.#book.on(node, except);
  }

  isOverruled(id: string): boolean {
    this.#read(OVERRULED);
    return this.#book.isOverruled(id);
  }

  /** Changes only by what the step about the decision itself says, which looks again by the time. */
  emptiedAt(decision: Decision): number | undefined {
    return this.#book.emptiedAt(decision);
  }
}
