import { DEFAULT_NAMESPACE } from '../../src/domain/labels.ts';
import { agentLeaseOf } from '../../src/kube/agent-lease.ts';
import { LEASE } from './replica.ts';
import type { KubeRequest } from '../../src/kube/transport.ts';
import type { ServerWrite } from '../../src/sim/api-server/server-options.ts';
import type { WorkEvent } from '../../src/sim/nodes/work-ledger.ts';
import type { CloseReason } from '../../src/engine/close-reasons.ts';
import type { Policy } from '../../src/domain/policy.ts';
import type { WebhookReach } from '../../src/domain/webhook-reach.ts';
import type { NodeName } from '../../src/domain/ids.ts';
import { isFinal, type Decision, type Ticket } from '../../src/domain/ticket.ts';
import { comparePolicies } from '../../src/domain/protection.ts';
import { checkpointOf } from '../../src/kube/project/checkpoint.ts';
import { policyOf } from '../../src/kube/project/policy.ts';
import { ticketOf } from '../../src/kube/project/ticket.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { isGated, type Seen } from './evidence.ts';
import { INVARIANTS } from './invariants.ts';
import type { World } from './world.ts';

/** More than come in the time after which an agent is silent. */
const RENEWALS = 8;

/** What really happened, remembered as far as an invariant needs it. Nothing here asks Reprieve. */
export class Truth {
  readonly world: World;
  /** Progress of each state that was written to a disk, newest last. */
  readonly savedProgress = new Map<string, number>(); // victim uid -> seconds
  /** Pods that were thawed after they were saved: nothing may be restored from that state. */
  readonly outlived = new Set<string>(); // pod uid
  /** Until when the agent may keep the pod of an order frozen, also of one that is gone. */
  readonly deadlines = new Map<string, number>(); // uid of a checkpoint -> time
  /** Pods that Reprieve deleted while they stood frozen: they must never go on. */
  readonly committed = new Map<string, { readonly atMs: number; readonly boundMs: number }>(); // pod uid
  /** Pods that a person let go from behind the gate. */
  readonly ungatedByHand = new Set<string>(); // pod uid
  /** Who continued a victim's state. */
  readonly continuedBy = new Map<string, string[]>(); // victim uid -> pod uids
  /** Policies as they were, newest last. */
  readonly policies: { readonly fromMs: number; readonly list: readonly Policy[] }[] = [];
  /** When and where a pod was bound. */
  readonly bound = new Map<string, { readonly node: string; readonly atMs: number }>(); // pod uid
  /** Which processes of Reprieve have told a preemptor to wait, or written to it since. */
  readonly waitingFor = new Map<string, { readonly by: readonly string[]; readonly sinceMs: number }>(); // preemptor uid
  /** Since when the present holder of the Lease has it. */
  leadingSinceMs = 0;
  /** When a ticket came to its end. */
  readonly endedMs = new Map<string, number>(); // ticket uid -> time
  /** Checkpoints that are no more: whoever was to be saved by one goes as if that had failed. */
  readonly goneCheckpoints = new Map<string, number>(); // name, which no two decisions use -> time
  /** Who began to delete a checkpoint, and when. */
  readonly goingCheckpoints = new Map<string, { readonly by: string | null; readonly atMs: number }>(); // name
  /** How often each excuse of an invariant was used. */
  readonly excuses: Record<string, number> = {};
  /** When an object left the API server. */
  readonly goneMs = new Map<string, number>(); // uid -> time

  /** When the agent of a node renewed its Lease, the last few times. */
  readonly renewalsMs = new Map<string, readonly number[]>(); // node -> times, oldest first
  /** Whom each process takes for silent, of the nodes that it knows. */
  readonly #silent = new Map<string, ReadonlyMap<string, boolean>>(); // name of a process -> node

  isWebhookAway = false;
  /** When the webhook went away, or came back. */
  webhookTurnedMs = 0;

  /** When the leader last thought that pods of controllers would not come back. */
  #unreachedMs = 0;
  #holder: string | null = null;
  /** What each process decided. A request for one that is over may still be on its way. */
  #decisions: readonly DecisionMade[] = [];
  /** Tickets that a new leader adopts a decision from, for as long as they are such. */
  readonly #adoptable = new Map<string, RecordedDecision>(); // ticket uid
  /** Decisions that the present leader has closed, its own and those it adopted. */
  readonly #closed = new Set<string>(); // ids

  constructor(world: World) {
    this.world = world;
  }

  decided(by: string, decision: Decision): void {
    this.#decisions = [...this.#decisions, { by, decision, sinceMs: this.world.elapsedMs, overMs: Infinity }];
  }

  closed(by: string, decision: Decision, because: CloseReason): void {
    if (by === this.#holder) this.#closed.add(decision.id);
    this.#check({ kind: 'closed', by, decision, because });
    this.#decisions = this.#decisions.map((made) =>
      made.by === by && made.decision.id === decision.id ? { ...made, overMs: this.world.elapsedMs } : made,
    );
  }

  /** Decisions of that process that were open within the last `ms`. */
  decisionsOf(by: string, ms: number): readonly Decision[] {
    const sinceMs = this.world.elapsedMs - ms;
    return this.#decisions.filter((made) => made.by === by && made.overMs >= sinceMs).map(({ decision }) => decision);
  }

  /** The decision for whose higher preemptor that process closed this one, in the same moment. */
  heirOf(by: string, { id, node, preemptor }: Decision): Decision | undefined {
    const closed = this.#decisions.find((made) => made.by === by && made.decision.id === id);
    return this.#decisions.find(
      ({ by: other, decision, sinceMs, overMs }) =>
        other === by &&
        overMs === Infinity &&
        decision.node === node &&
        sinceMs === closed?.overMs &&
        decision.preemptor.priority > preemptor.priority,
    )?.decision;
  }

  /** What the present leader may go by: what it decided since it leads, and what was recorded then or later. */
  decisionsKnown(): readonly Decision[] {
    const { leadingSinceMs } = this;
    const made = this.#decisions.filter((one) => one.by === this.#holder && one.sinceMs >= leadingSinceMs);
    const recorded = [...this.#adoptable.values()].filter(({ untilMs }) => untilMs >= leadingSinceMs);
    return [...made, ...recorded].map(({ decision }) => decision);
  }

  /** The present leader has closed it, or knows of a newer one about the same preemptor. */
  isOver({ id, preemptor, decidedMs }: Decision): boolean {
    if (this.#closed.has(id)) return true;
    return this.decisionsKnown().some(
      (other) => other.preemptor.uid === preemptor.uid && other.id !== id && other.decidedMs > decidedMs,
    );
  }

  /** Decisions that were recorded before the present leader began, still are, and were not closed by it. */
  decisionsInherited(): readonly Decision[] {
    return [...this.#adoptable.values()].flatMap(({ decision, fromMs, untilMs }) =>
      fromMs < this.leadingSinceMs && untilMs === Infinity && !this.#closed.has(decision.id) ? [decision] : [],
    );
  }

  written(write: ServerWrite): void {
    const { kind, type, object } = write;
    if (this.world.tell !== null) this.#tell(write);
    if (kind === RESOURCES.reprievePolicies) {
      const list = this.world.api.list(RESOURCES.reprievePolicies).map(policyOf).sort(comparePolicies);
      this.policies.push({ fromMs: this.world.elapsedMs, list });
    }
    if (kind === RESOURCES.leases && object.metadata.namespace === DEFAULT_NAMESPACE && type !== 'DELETED') {
      const { node } = agentLeaseOf(object);
      this.renewalsMs.set(node, [...(this.renewalsMs.get(node) ?? []).slice(-RENEWALS), this.world.elapsedMs]);
    }
    if (kind === RESOURCES.leases && object.metadata.namespace === LEASE.namespace) {
      const { holderIdentity } = object['spec'] as { readonly holderIdentity?: string };
      if (holderIdentity !== this.#holder) {
        this.leadingSinceMs = this.world.elapsedMs;
        this.#closed.clear();
      }
      this.#holder = holderIdentity ?? null;
    }
    if (kind === RESOURCES.pods && this.waitingFor.has(object.metadata.uid ?? '')) {
      if (type === 'DELETED') this.waitingFor.delete(object.metadata.uid ?? '');
      else if (write.by?.user.startsWith('reprieve')) this.#waitsFor(object.metadata.uid ?? '', write.by.user);
    }
    if (kind === RESOURCES.pods && isGated(write.previous) && !isGated(object) && write.by?.user === 'admin')
      this.ungatedByHand.add(object.metadata.uid ?? '');
    const { nodeName } = (object['spec'] ?? {}) as { readonly nodeName?: string };
    if (kind === RESOURCES.pods && nodeName !== undefined && !this.bound.has(object.metadata.uid ?? '')) {
      this.bound.set(object.metadata.uid ?? '', { node: nodeName, atMs: this.world.elapsedMs });
    }
    if (kind === RESOURCES.podCheckpoints) this.#noteCheckpoint(write);
    if (kind === RESOURCES.reprieves) this.#noteTicket(ticketOf(object), type === 'DELETED');
    if (type === 'DELETED') this.goneMs.set(object.metadata.uid ?? '', this.world.elapsedMs);
    this.#check({ kind: 'write', write });
  }

  worked(event: WorkEvent): void {
    const { kind, pod, podUid, node, progressSeconds } = event;
    this.world.say(`${node}: ${kind} ${pod} (${progressSeconds.toFixed(1)} s of work)`);
    if (kind === 'saved') this.savedProgress.set(podUid, progressSeconds);
    this.#check({ kind: 'work', event });
    if (kind === 'saved') this.outlived.delete(podUid);
    if (kind === 'thawed' && this.savedProgress.has(podUid)) this.outlived.add(podUid);
  }

  sent(process: string, request: KubeRequest): void {
    this.#check({ kind: 'sent', process, request });
  }

  answered(by: string, verb: string, body: string, answer: { readonly status: number; readonly body: string }): void {
    if (verb === 'preempt') {
      this.world.say(`preempt answered: ${answer.body.slice(0, 300)}`);
      const { uid } = (JSON.parse(body) as { readonly Pod: { readonly metadata: { readonly uid: string } } }).Pod
        .metadata;
      if (answer.body === '{}') this.#waitsFor(uid, by);
      else this.waitingFor.delete(uid);
    }
    this.#check({ kind: 'answer', verb, body, answer });
  }

  second(): void {
    const isAway = this.world.elapsedMs < this.world.until.webhookAway;
    if (isAway !== this.isWebhookAway) this.webhookTurnedMs = this.world.elapsedMs;
    this.isWebhookAway = isAway;
    if (!this.#isReached()) this.#unreachedMs = this.world.elapsedMs;
    this.#check({ kind: 'second' });
  }

  /** Whether the process of that name takes the agent of `node` for silent; that this is true is an invariant of its own. */
  takesForSilent(by: string, node: NodeName): boolean {
    const replica = this.world.replicas.find((one) => one?.process.name === by);
    return replica?.reprieve.index.node(node)?.node.agentSilent === true;
  }

  /** Nodes whose agents a living process takes for silent since this second, and did not when it last looked at the node. */
  newlySilent(): readonly { readonly by: string; readonly node: string }[] {
    const found: { readonly by: string; readonly node: string }[] = [];
    for (const replica of this.world.replicas) {
      if (!replica?.process.isAlive) continue;
      const by = replica.process.name;
      const before = this.#silent.get(by);
      const now = new Map([...replica.reprieve.index.nodes()].map(({ node }) => [node.name, node.agentSilent]));
      for (const [node, isSilent] of now) if (isSilent && before?.get(node) === false) found.push({ by, node });
      this.#silent.set(by, now);
    }
    return found;
  }

  /** What a run of days need not remember. */
  forget(): void {
    this.outlived.clear();
    this.deadlines.clear();
    this.ungatedByHand.clear();
    const { savedProgress, committed, continuedBy, endedMs, goneMs, goneCheckpoints, goingCheckpoints } = this;
    const passed = [savedProgress, committed, continuedBy, endedMs, goneMs, goneCheckpoints, goingCheckpoints];
    for (const memory of [...passed, this.bound, this.waitingFor, this.#closed]) memory.clear();
    this.#decisions = this.#decisions.filter(({ overMs }) => overMs === Infinity);
    for (const [uid, { untilMs }] of this.#adoptable) if (untilMs < Infinity) this.#adoptable.delete(uid);
  }

  excuse(name: string): void {
    this.excuses[name] = (this.excuses[name] ?? 0) + 1;
  }

  /** Who holds the Lease. */
  get holder(): string | null {
    return this.#holder;
  }

  /** What the leader thinks of the webhook; null where nobody leads. */
  get reach(): WebhookReach | null {
    const leading = this.world.replicas.find((replica) => replica?.process.name === this.#holder);
    return leading?.reprieve.leads ? leading.reprieve.index.webhookReach() : null;
  }

  /** Within the last `ms`, the leader did not know whether a pod of a controller would come back. */
  isUnreached(ms: number): boolean {
    return !this.#isReached() || this.world.elapsedMs - this.#unreachedMs < ms;
  }

  #isReached(): boolean {
    const { reach } = this;
    return reach !== null && reach.isCalled && reach.missedIn.size === 0;
  }

  /** All versions of the policies that stood within the last `ms`, the present one included. */
  policiesWithin(ms: number): readonly (readonly Policy[])[] {
    const sinceMs = this.world.elapsedMs - ms;
    const first = this.policies.findLastIndex(({ fromMs }) => fromMs <= sinceMs);
    return this.policies.slice(Math.max(0, first)).map(({ list }) => list);
  }

  #noteCheckpoint({ type, object, previous, by }: ServerWrite): void {
    const { metadata } = object;
    const atMs = this.world.elapsedMs;
    if (type === 'DELETED') this.goneCheckpoints.set(metadata.name, atMs);
    if (type === 'ADDED') this.deadlines.set(metadata.uid ?? '', checkpointOf(object).deadlineMs ?? Infinity);
    if (type === 'ADDED') this.goingCheckpoints.delete(metadata.name);
    else if (metadata.deletionTimestamp !== undefined && previous?.metadata.deletionTimestamp === undefined)
      this.goingCheckpoints.set(metadata.name, { by: by?.user ?? null, atMs });
  }

  #waitsFor(preemptor: string, by: string): void {
    const others = (this.waitingFor.get(preemptor)?.by ?? []).filter((other) => other !== by);
    this.waitingFor.set(preemptor, { by: [...others, by], sinceMs: this.world.clock.now() });
  }

  #noteTicket({ uid, phase, deleting, decision }: Ticket, isGone: boolean): void {
    const nowMs = this.world.elapsedMs;
    if (isFinal(phase) && !this.endedMs.has(uid)) this.endedMs.set(uid, nowMs);
    const known = this.#adoptable.get(uid);
    // A higher preemptor has taken it over: the ticket says so from now on.
    const before = known?.decision.id === decision.id ? known : undefined;
    const isAdoptable = !isGone && !deleting && (phase === 'Saving' || phase === 'Displacing');
    if (isAdoptable && before === undefined) this.#adoptable.set(uid, { decision, fromMs: nowMs, untilMs: Infinity });
    else if (!isAdoptable && before?.untilMs === Infinity) this.#adoptable.set(uid, { ...before, untilMs: nowMs });
  }

  #check(seen: Seen): void {
    if (this.world.violation !== null) return;
    for (const [name, check] of Object.entries(INVARIANTS)) {
      const message = check(this, seen);
      if (message !== null) this.world.fail(name, message);
    }
  }

  #tell({ kind, type, object, by }: ServerWrite): void {
    if (kind === RESOURCES.leases || kind === RESOURCES.events) return;
    const { name, deletionTimestamp } = object.metadata;
    const verb =
      type === 'ADDED' ? 'created' : type === 'DELETED' ? 'gone' : deletionTimestamp ? 'is going' : 'changed';
    const { status, spec } = object as unknown as Told;
    const facts = [
      status?.phase ?? '',
      spec?.nodeName ? `on ${spec.nodeName}` : '',
      status?.nominatedNodeName ? `nominated ${status.nominatedNodeName}` : '',
      status?.claim ? `claims ${status.claim.name}` : '',
      spec?.schedulingGates ? 'gated' : '',
      ...(status?.conditions ?? [])
        .filter((condition) => !KUBELETS.has(condition.type) || kind === RESOURCES.podCheckpoints)
        .map((condition) => `${condition.type}=${condition.status}/${condition.reason ?? ''}`),
    ].filter((fact) => fact !== '');
    this.world.say(
      `${by?.user ?? '(webhook)'}: ${kind.kind} ${name} ${verb}${facts.length > 0 ? ` [${facts.join(' ')}]` : ''}`,
    );
  }
}

interface DecisionMade {
  readonly by: string;
  readonly decision: Decision;
  readonly sinceMs: number;
  readonly overMs: number;
}

interface RecordedDecision {
  readonly decision: Decision;
  readonly fromMs: number;
  readonly untilMs: number;
}

/** What a story shows of an object. */
interface Told {
  readonly status?: {
    readonly phase?: string;
    readonly nominatedNodeName?: string;
    readonly claim?: { readonly name: string };
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly reason?: string }[];
  };
  readonly spec?: { readonly nodeName?: string; readonly schedulingGates?: readonly unknown[] };
}

const KUBELETS: ReadonlySet<string> = new Set(['Initialized', 'ContainersReady', 'Ready', 'PodScheduled']);
