import type { Checkpoint } from '../domain/checkpoint.ts';
import type { DisruptionBudget } from '../domain/disruption-budget.ts';
import { objectKey, type NodeName, type ObjectKey, type PodUid, type OwnerKey, type PodKey } from '../domain/ids.ts';
import type { Node } from '../domain/node.ts';
import type { OwnerFacts } from '../domain/owner-facts.ts';
import type { Pod } from '../domain/pod.ts';
import type { PodConstraints } from '../domain/pod-constraints.ts';
import type { Policy } from '../domain/policy.ts';
import { comparePolicies } from '../domain/protection.ts';
import type { Service } from '../domain/service.ts';
import type { Ticket } from '../domain/ticket.ts';
import type { CsiNode, StorageClass, Volume, VolumeClaim } from '../domain/volume.ts';
import { ASSUMED_REACH, type WebhookReach } from '../domain/webhook-reach.ts';
import type { WebhookReplica } from '../domain/webhook-replica.ts';
import { ListedResources } from './listed-resources.ts';
import { MultiMap } from './multi-map.ts';
import { ObjectTable } from './object-table.ts';
import type { PodQuestion } from './pod-matches.ts';
import { PodIndex } from './pod-index.ts';
import { RecordIndex } from './record-index.ts';
import type { ClusterView, IndexedKind, Namespace, NodeSnapshot } from './types.ts';

const NO_LABELS: Readonly<Record<string, string>> = {};

/** What is held of the cluster, and the answers from it. How changes come in is {@link ClusterIndex}'s (`cluster-index.ts`). */
export class HeldCluster implements ClusterView {
  protected readonly tables = {
    pod: new ObjectTable<Pod, ObjectKey>(keyOf),
    node: new ObjectTable<Node, NodeName>((node) => node.name),
    namespace: new ObjectTable<Namespace, string>((namespace) => namespace.name),
    budget: new ObjectTable<DisruptionBudget, ObjectKey>(keyOf),
    service: new ObjectTable<Service, ObjectKey>(keyOf),
    volumeClaim: new ObjectTable<VolumeClaim, ObjectKey>(keyOf),
    volume: new ObjectTable<Volume, string>((volume) => volume.name),
    storageClass: new ObjectTable<StorageClass, string>((storageClass) => storageClass.name),
    csiNode: new ObjectTable<CsiNode, NodeName>((csiNode) => csiNode.name),
    policy: new ObjectTable<Policy, string>((policy) => policy.name),
    checkpoint: new ObjectTable<Checkpoint, ObjectKey>(keyOf),
    ticket: new ObjectTable<Ticket, ObjectKey>(keyOf),
  } satisfies Record<IndexedKind, unknown>;
  readonly #ownNamespace: string;
  readonly #pods = new PodIndex();
  readonly #budgets = new MultiMap<string, DisruptionBudget>(({ namespace }) => namespace); // namespace -> its budgets
  readonly #services = new MultiMap<string, Service>(({ namespace }) => namespace); // namespace -> its Services
  readonly #available = new MultiMap<string, Volume>(({ isAvailable, storageClass }) =>
    isAvailable ? storageClass : null,
  ); // class -> its volumes
  readonly #records = new RecordIndex();
  readonly #listedResources = new ListedResources();
  #policies: readonly Policy[] = []; // in order of precedence; another array whenever somebody may be ruled by another one
  protected readonly owners = new Map<OwnerKey, OwnerFacts>(); // controller -> what was read of it
  protected readonly failing = new Set<OwnerKey>(); // those that an eviction would fail
  #webhookReach = ASSUMED_REACH;
  #hasRuntimeClass = true;
  #webhookReplicas: readonly WebhookReplica[] = [];

  protected constructor(ownNamespace: string) {
    this.#ownNamespace = ownNamespace;
  }

  /** Objects held of each kind. */
  count(kind: IndexedKind): number {
    return this.tables[kind].size;
  }

  pod(uid: PodUid): Pod | undefined {
    return this.tables.pod.get(uid);
  }

  podOf({ namespace, uid }: PodKey): Pod | undefined {
    const pod = this.tables.pod.get(uid);
    return pod?.namespace === namespace ? pod : undefined;
  }

  podNamed(namespace: string, name: string): Pod | undefined {
    return this.tables.pod.named(objectKey(namespace, name));
  }

  pendingPods(): Iterable<Pod> {
    return this.#pods.pending();
  }

  gatedPods(): Iterable<Pod> {
    return this.#pods.gated();
  }

  unreviewedPodsOfOwner(owner: OwnerKey, sinceMs: number): readonly Pod[] {
    return this.#pods.unreviewedOfOwner(owner, sinceMs);
  }

  activePodsOfOwner(owner: OwnerKey): readonly Pod[] {
    return this.#pods.activeOfOwner(owner);
  }

  gatedPodsOfOwner(owner: OwnerKey): readonly Pod[] {
    return this.#pods.gatedOfOwner(owner);
  }

  podsOfTicket(ticket: ObjectKey): readonly Pod[] {
    return this.#pods.ofTicket(ticket);
  }

  parkedPods(): Iterable<Pod> {
    return this.#pods.parked();
  }

  podsToMove(node: NodeName): readonly Pod[] {
    return this.#pods.toMoveFrom(node);
  }

  nodesToMoveFrom(): Iterable<NodeName> {
    return this.#pods.nodesToMoveFrom();
  }

  node(name: NodeName): NodeSnapshot | undefined {
    return this.#pods.node(name);
  }

  nodes(): Iterable<NodeSnapshot> {
    return this.#pods.nodes();
  }

  bareNode(name: NodeName): Node | undefined {
    return this.tables.node.named(name);
  }

  /** {@link ListedResources.ignore}. Before the first change. */
  ignoreResources(patterns: readonly string[]): void {
    this.#listedResources.ignore(patterns);
  }

  isListed(resource: string): boolean {
    return this.#listedResources.has(resource);
  }

  bareNodes(): Iterable<Node> {
    return this.tables.node.values();
  }

  countPods(question: PodQuestion): ReadonlyMap<NodeName, number> {
    return this.#pods.constraints.count(question);
  }

  repelling(): ReadonlyMap<PodConstraints, ReadonlyMap<NodeName, number>> {
    return this.#pods.constraints.repelling();
  }

  volumeClaim(key: ObjectKey): VolumeClaim | undefined {
    return this.tables.volumeClaim.named(key);
  }

  podsOfClaim(claim: ObjectKey): Iterable<Pod> {
    return this.#pods.constraints.usersOf(claim);
  }

  volume(name: string): Volume | undefined {
    return this.tables.volume.named(name);
  }

  availableVolumes(storageClass: string): readonly Volume[] {
    return this.#available.get(storageClass);
  }

  storageClass(name: string): StorageClass | undefined {
    return this.tables.storageClass.named(name);
  }

  csiNode(name: NodeName): CsiNode | undefined {
    return this.tables.csiNode.named(name);
  }

  namespaceLabels(name: string): Readonly<Record<string, string>> {
    return this.tables.namespace.named(name)?.labels ?? NO_LABELS;
  }

  pausedFor(): string | null {
    return this.tables.namespace.named(this.#ownNamespace)?.pauseFor ?? null;
  }

  policies(): readonly Policy[] {
    return this.#policies;
  }

  webhookReach(): WebhookReach {
    return this.#webhookReach;
  }

  /** Listeners are not told: no object changed. */
  setWebhookReach(reach: WebhookReach): void {
    this.#webhookReach = reach;
    this.#renewPolicies();
  }

  /** Steps and reports that have read the policies run again: what a policy comes to may be different now. */
  #renewPolicies(): void {
    this.#policies = this.#policies.slice();
  }

  hasRuntimeClass(): boolean {
    return this.#hasRuntimeClass;
  }

  /** Listeners are not told: no object of theirs changed. */
  setRuntimeClass(exists: boolean): void {
    this.#hasRuntimeClass = exists;
    this.#renewPolicies();
  }

  webhookReplicas(): readonly WebhookReplica[] {
    return this.#webhookReplicas;
  }

  /** Listeners are not told: no object changed. */
  setWebhookReplicas(replicas: readonly WebhookReplica[]): void {
    this.#webhookReplicas = replicas;
  }

  budgets(namespace: string): readonly DisruptionBudget[] {
    return this.#budgets.get(namespace);
  }

  services(namespace: string): readonly Service[] {
    return this.#services.get(namespace);
  }

  ticket(key: ObjectKey): Ticket | undefined {
    return this.tables.ticket.named(key);
  }

  tickets(): Iterable<Ticket> {
    return this.tables.ticket.values();
  }

  ticketOfVictim(pod: PodKey): Ticket | undefined {
    return this.#records.ticketOfVictim(pod);
  }

  ticketsOfVictim(uid: PodUid): readonly Ticket[] {
    return this.#records.ticketsOfVictim(uid);
  }

  ticketsOfOwner(owner: OwnerKey): readonly Ticket[] {
    return this.#records.ticketsOfOwner(owner);
  }

  ownerFacts(owner: OwnerKey): OwnerFacts | undefined {
    return this.owners.get(owner);
  }

  ticketsOfBarePod(pod: ObjectKey): readonly Ticket[] {
    return this.#records.ticketsOfBarePod(pod);
  }

  failingOwners(): ReadonlySet<OwnerKey> {
    return this.failing;
  }

  ticketsOfClaimant(pod: PodKey): readonly Ticket[] {
    return this.#records.ticketsOfClaimant(pod);
  }

  checkpoint(key: ObjectKey): Checkpoint | undefined {
    return this.tables.checkpoint.named(key);
  }

  checkpoints(): Iterable<Checkpoint> {
    return this.tables.checkpoint.values();
  }

  checkpointsOfPod(pod: PodKey): readonly Checkpoint[] {
    return this.#records.checkpointsOfPod(pod);
  }

  checkpointsOn(node: NodeName): readonly Checkpoint[] {
    return this.#records.checkpointsOn(node);
  }

  /** Brings what is derived from the tables in step. Both values are of `kind`; that is what the tables guarantee. */
  protected follow(kind: IndexedKind, before: unknown, after: unknown): void {
    switch (kind) {
      case 'pod':
        this.#pods.changePod(before as Pod | undefined, after as Pod | undefined);
        return;
      case 'node':
        this.#listedResources.change(before as Node | undefined, after as Node | undefined);
        this.#pods.changeNode(before as Node | undefined, after as Node | undefined);
        return;
      case 'namespace':
        this.#pods.constraints.namespaceChanged();
        this.#renewPolicies();
        return;
      case 'budget':
        this.#budgets.change(before as DisruptionBudget | undefined, after as DisruptionBudget | undefined);
        return;
      case 'service':
        this.#services.change(before as Service | undefined, after as Service | undefined);
        return;
      case 'volume':
        this.#available.change(before as Volume | undefined, after as Volume | undefined);
        return;
      case 'volumeClaim':
      case 'storageClass':
      case 'csiNode':
        return;
      case 'policy':
        this.#policies = [...this.tables.policy.values()].sort(comparePolicies);
        return;
      case 'checkpoint':
        this.#records.changeCheckpoint(before as Checkpoint | undefined, after as Checkpoint | undefined);
        return;
      case 'ticket':
        this.#records.changeTicket(before as Ticket | undefined, after as Ticket | undefined);
        return;
      default:
        kind satisfies never;
    }
  }
}

function keyOf({ namespace, name }: { readonly namespace: string; readonly name: string }): ObjectKey {
  return objectKey(namespace, name);
}
