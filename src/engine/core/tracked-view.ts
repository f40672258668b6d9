import type { Checkpoint } from '../../domain/checkpoint.ts';
import { objectKey, type NodeName, type ObjectKey, type OwnerKey, type PodKey, type PodUid } from '../../domain/ids.ts';
import type { Node } from '../../domain/node.ts';
import type { OwnerFacts } from '../../domain/owner-facts.ts';
import type { Pod } from '../../domain/pod.ts';
import type { PodConstraints } from '../../domain/pod-constraints.ts';
import type { Ticket } from '../../domain/ticket.ts';
import type { CsiNode, StorageClass, Volume, VolumeClaim } from '../../domain/volume.ts';
import type { PodQuestion } from '../../index/pod-matches.ts';
import type { ClusterView, NodeSnapshot } from '../../index/types.ts';
import { ONLY } from './parts.ts';
import { TrackedRules } from './tracked-rules.ts';

/** More are noted as all of them. */
const MAX_SINGLE_NODES = 16;

/** A view that notes what is read of it. Whole collections are noted as such: every change of that kind is one of them. */
export class TrackedView extends TrackedRules implements ClusterView {
  pod(uid: PodUid): Pod | undefined {
    this.readers.read('pod', uid);
    return this.view.pod(uid);
  }

  podOf(record: PodKey): Pod | undefined {
    this.readers.read('pod', record.uid);
    return this.view.podOf(record);
  }

  podNamed(namespace: string, name: string): Pod | undefined {
    this.readers.read('podNamed', objectKey(namespace, name));
    return this.view.podNamed(namespace, name);
  }

  pendingPods(): Iterable<Pod> {
    return this.#all('pod', this.view.pendingPods());
  }

  gatedPods(): Iterable<Pod> {
    return this.#all('pod', this.view.gatedPods());
  }

  gatedPodsOfOwner(owner: OwnerKey): readonly Pod[] {
    this.readers.read('gatedOf', owner);
    return this.view.gatedPodsOfOwner(owner);
  }

  unreviewedPodsOfOwner(owner: OwnerKey, sinceMs: number): readonly Pod[] {
    this.readers.read('unreviewedOf', owner);
    return this.view.unreviewedPodsOfOwner(owner, sinceMs);
  }

  activePodsOfOwner(owner: OwnerKey): readonly Pod[] {
    this.readers.read('podsOf', owner);
    return this.view.activePodsOfOwner(owner);
  }

  podsOfTicket(ticket: ObjectKey): readonly Pod[] {
    this.readers.read('podsOfTicket', ticket);
    return this.view.podsOfTicket(ticket);
  }

  parkedPods(): Iterable<Pod> {
    return this.#all('pod', this.view.parkedPods());
  }

  podsToMove(node: NodeName): readonly Pod[] {
    this.readers.read('node', node);
    return this.view.podsToMove(node);
  }

  nodesToMoveFrom(): Iterable<NodeName> {
    this.readers.read('all', 'node');
    return this.#all('pod', this.view.nodesToMoveFrom());
  }

  node(name: NodeName): NodeSnapshot | undefined {
    this.readers.read('node', name);
    return this.view.node(name);
  }

  nodes(): Iterable<NodeSnapshot> {
    this.readers.read('all', 'node');
    return this.#all('pod', this.view.nodes());
  }

  bareNode(name: NodeName): Node | undefined {
    this.readers.read('bareNode', name);
    return this.view.bareNode(name);
  }

  isListed(resource: string): boolean {
    this.readers.read('listed', resource);
    return this.view.isListed(resource);
  }

  /** Whoever stops after a few nodes depends on these alone. */
  *bareNodes(): Iterable<Node> {
    let count = 0;
    for (const node of this.view.bareNodes()) {
      if (count < MAX_SINGLE_NODES) this.readers.read('bareNode', node.name);
      else if (count === MAX_SINGLE_NODES) this.readers.read('all', 'node');
      count++;
      yield node;
    }
    this.readers.read('all', 'node');
  }

  countPods(question: PodQuestion): ReadonlyMap<NodeName, number> {
    return this.#all('pod', this.view.countPods(question));
  }

  repelling(): ReadonlyMap<PodConstraints, ReadonlyMap<NodeName, number>> {
    this.readers.read('repelling', ONLY);
    return this.view.repelling();
  }

  volumeClaim(key: ObjectKey): VolumeClaim | undefined {
    return this.#all('volume', this.view.volumeClaim(key));
  }

  podsOfClaim(claim: ObjectKey): Iterable<Pod> {
    this.readers.read('repelling', ONLY);
    return this.view.podsOfClaim(claim);
  }

  volume(name: string): Volume | undefined {
    return this.#all('volume', this.view.volume(name));
  }

  availableVolumes(storageClass: string): readonly Volume[] {
    return this.#all('volume', this.view.availableVolumes(storageClass));
  }

  storageClass(name: string): StorageClass | undefined {
    return this.#all('volume', this.view.storageClass(name));
  }

  csiNode(name: NodeName): CsiNode | undefined {
    return this.#all('volume', this.view.csiNode(name));
  }

  ticket(key: ObjectKey): Ticket | undefined {
    this.readers.read('ticket', key);
    return this.view.ticket(key);
  }

  tickets(): Iterable<Ticket> {
    return this.#all('ticket', this.view.tickets());
  }

  ticketOfVictim(pod: PodKey): Ticket | undefined {
    this.readers.read('victim', pod.uid);
    return this.view.ticketOfVictim(pod);
  }

  ticketsOfVictim(uid: PodUid): readonly Ticket[] {
    this.readers.read('victim', uid);
    return this.view.ticketsOfVictim(uid);
  }

  ticketsOfOwner(owner: OwnerKey): readonly Ticket[] {
    this.readers.read('owner', owner);
    return this.view.ticketsOfOwner(owner);
  }

  /** Asked in decisions only, which no step makes. */
  failingOwners(): ReadonlySet<OwnerKey> {
    return this.view.failingOwners();
  }

  ownerFacts(owner: OwnerKey): OwnerFacts | undefined {
    this.readers.read('owner', owner);
    return this.view.ownerFacts(owner);
  }

  ticketsOfBarePod(pod: ObjectKey): readonly Ticket[] {
    this.readers.read('barePod', pod);
    return this.view.ticketsOfBarePod(pod);
  }

  ticketsOfClaimant(pod: PodKey): readonly Ticket[] {
    this.readers.read('claimant', pod.uid);
    return this.view.ticketsOfClaimant(pod);
  }

  checkpoint(key: ObjectKey): Checkpoint | undefined {
    this.readers.read('checkpoint', key);
    return this.view.checkpoint(key);
  }

  checkpoints(): Iterable<Checkpoint> {
    return this.#all('checkpoint', this.view.checkpoints());
  }

  checkpointsOfPod(pod: PodKey): readonly Checkpoint[] {
    this.readers.read('checkpointsOfPod', pod.uid);
    return this.view.checkpointsOfPod(pod);
  }

  checkpointsOn(node: NodeName): readonly Checkpoint[] {
    this.readers.read('checkpointsOn', node);
    return this.view.checkpointsOn(node);
  }

  #all<T>(kind: 'pod' | 'node' | 'volume' | 'ticket' | 'checkpoint', answer: T): T {
    this.readers.read('all', kind);
    return answer;
  }
}
