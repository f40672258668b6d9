import { preemptionIn } from '../support/preemption.ts';
import { AGENT_LEASE_LABEL } from '../../src/domain/labels.ts';
import { agentLeaseOf } from '../../src/kube/agent-lease.ts';
import { checkpointOf, nodeOf, podOf, ticketOf } from './parsed.ts';
import { LEASE } from './replica.ts';
import type { KubeObject, KubeRequest } from '../../src/kube/transport.ts';
import type { ServerWrite } from '../../src/sim/api-server/server-options.ts';
import type { WorkEvent } from '../../src/sim/nodes/work-ledger.ts';
import type { CloseReason } from '../../src/engine/displace/close-reasons.ts';
import type { Policy } from '../../src/domain/policy.ts';
import type { WebhookReach } from '../../src/domain/webhook-reach.ts';
import type { NodeName } from '../../src/domain/ids.ts';
import type { Displacement } from '../../src/domain/displacement.ts';
import { isFinal, type Ticket } from '../../src/domain/ticket.ts';
import { comparePolicies } from '../../src/domain/protection.ts';
import { policyOf } from '../../src/kube/project/policy.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { deletionBegun, isCalm, isGated, podWith, tickets, type Seen } from './evidence.ts';
import type { PreemptQuestion } from './answers.ts';
import { RefusedCreations } from './creations.ts';
import { FailedAttempts } from './failed-attempts.ts';
import { FailedJobs } from './failed-jobs.ts';
import { INVARIANTS } from './invariants.ts';
import { noteOwnerEnds } from './owner-invariants.ts';
import { Replacements } from './replacements.ts';
import { UnsavedEvictions } from './unsaved.ts';
import type { World } from './world.ts';

/** More than come in the time after which an agent is silent. */
const RENEWALS = 8;

/** What really happened, remembered as far as an invariant needs it. Nothing here asks Reprieve. */
export class Truth {
  readonly world: World;
  /** Progress of each state that was written to a disk, newest last. */
  readonly savedProgress = new Map<string, number>(); // victim uid -> seconds
  /** Pods as they were when they were saved. */
  readonly savedPods = new Map<string, KubeObject>(); // uid -> pod
  /** Pods that were thawed after they were saved: nothing may be restored from that state. */
  readonly outlived = new Set<string>(); // pod uid
  /** Until when the agent may keep the pod of an order frozen, also of one that is gone. */
  readonly deadlines = new Map<string, number>(); // uid of a checkpoint -> time
  /** Pods that Reprieve deleted while they stood frozen: they must never go on. */
  readonly committed = new Map<string, { readonly atMs: number; readonly boundMs: number }>(); // pod uid
  /** Pods that a person let go from behind the gate. */
  readonly ungatedByHand = new Set<string>(); // pod uid
  /** Tickets of bare pods that their user deleted while they waited for a node. */
  readonly unwanted = new Set<string>(); // ticket uid
  /** Tickets that a person put back into the queue. */
  readonly decidedByHand = new Set<string>(); // ticket uid
  /** When the deletion of a pod began. */
  readonly deletedMs = new Map<string, number>(); // pod uid -> time
  /** When a node last changed in what decides who may run there. */
  readonly nodesChangedMs = new Map<string, number>(); // name -> time
  /** Nodes that were emptied for a preemptor which was not bound there. */
  readonly inVain = new Map<string, { readonly by: string; readonly atMs: number; readonly times: number }>(); // `${preemptor uid} ${node}`
  /** Pods that a node has restored. */
  readonly restoredPods = new Set<string>(); // uid
  /** Since when the controller of a ticket that waits for a pod makes none for it, and why. */
  readonly ownerEnds = new Map<string, { readonly reason: string; readonly atMs: number }>(); // ticket uid
  /** When that was so last. */
  readonly ownerEndsSeen = new Map<string, number>(); // `${ticket uid} ${reason}` -> time
  readonly failedAttempts = new FailedAttempts();
  readonly failedJobs = new FailedJobs();
  readonly creations = new RefusedCreations();
  readonly replacements = new Replacements();
  readonly unsaved = new UnsavedEvictions();
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
  readonly goneCheckpoints = new Map<string, number>(); // name, which no two displacements use -> time
  /** Who began to delete a checkpoint, and when. */
  readonly goingCheckpoints = new Map<string, { readonly by: string | null; readonly atMs: number }>(); // name
  /** Pods that stood frozen a second ago though a request that lets them run on had saved them. */
  readonly copied = new Set<string>(); // pod uid
  /** Checkpoints of which an agent has said that they failed. */
  readonly failuresSent = new Set<string>(); // uid
  /** How often each excuse of an invariant was used. */
  readonly excuses: Record<string, number> = {};
  /** What kube-scheduler has asked a process last. */
  readonly questions = new Map<string, PreemptQuestion>(); // name of the process
  /** When an object left the API server. */
  readonly goneMs = new Map<string, number>(); // uid -> time

  /** When the agent of a node renewed its Lease, the last few times. */
  readonly renewalsMs = new Map<string, readonly number[]>(); // node -> times, oldest first
  /** Whom each process takes for silent, of the nodes that it knows. */
  readonly #silent = new Map<string, ReadonlyMap<string, boolean>>(); // name of a process -> node

  /** When a node was removed last. */
  nodeGoneMs = -Infinity;
  isWebhookAway = false;
  /** When the webhook went away, or came back. */
  webhookTurnedMs = 0;

  /** When the leader last thought that pods of controllers would not come back. */
  #unreachedMs = 0;
  /** When it last thought that they would. */
  #reachedMs = 0;
  #holder: string | null = null;
  /** What each process decided. A request for one that is over may still be on its way. */
  #displacements: readonly DisplacementMade[] = [];
  /** Tickets that a new leader adopts a displacement from, for as long as they are such. */
  readonly #adoptable = new Map<string, RecordedDisplacement>(); // ticket uid
  /** Displacements that the present leader has closed, its own and those it adopted. */
  readonly #closed = new Set<string>(); // ids

  constructor(world: World) {
    this.world = world;
  }

  decided(by: string, displacement: Displacement): void {
    this.#check({ kind: 'opened', by, displacement });
    const sinceMs = this.world.elapsedMs;
    const made = {
      by,
      displacement,
      sinceMs,
      overMs: Infinity,
      unreachedForMs: this.#isReached() ? 0 : sinceMs - this.#reachedMs,
    };
    this.#displacements = [...this.#displacements, made];
  }

  /** For how long that process had known that the webhook is not called when it made this displacement; null: it did not make it. */
  unreachedForMs(by: string, id: string): number | null {
    return this.#displacements.find((made) => made.by === by && made.displacement.id === id)?.unreachedForMs ?? null;
  }

  closed(by: string, displacement: Displacement, because: CloseReason): void {
    if (by === this.#holder) this.#closed.add(displacement.id);
    const { preemptor, node } = preemptionIn(displacement);
    if (because === 'NotBound') {
      const key = `${preemptor.uid} ${node}`;
      const before = this.inVain.get(key);
      const times = before?.by === by ? before.times + 1 : 1;
      this.inVain.set(key, { by, atMs: this.world.elapsedMs, times });
    }
    this.failedAttempts.closed(this, by, displacement, because);
    this.#check({ kind: 'closed', by, displacement, because });
    this.#displacements = this.#displacements.map((made) =>
      made.by === by && made.displacement.id === displacement.id ? { ...made, overMs: this.world.elapsedMs } : made,
    );
  }

  /** Displacements of that process that were open within the last `ms`. */
  displacementsOf(by: string, ms: number): readonly Displacement[] {
    const sinceMs = this.world.elapsedMs - ms;
    return this.#displacements
      .filter((made) => made.by === by && made.overMs >= sinceMs)
      .map(({ displacement }) => displacement);
  }

  /** The displacement for whose higher preemptor that process closed this one, in the same moment. */
  heirOf(by: string, over: Displacement): Displacement | undefined {
    const { id } = over;
    const cause = preemptionIn(over);
    const closed = this.#displacements.find((made) => made.by === by && made.displacement.id === id);
    return this.#displacements.find(
      ({ by: other, displacement, sinceMs, overMs }) =>
        other === by &&
        overMs === Infinity &&
        preemptionIn(displacement).node === cause.node &&
        sinceMs === closed?.overMs &&
        preemptionIn(displacement).preemptor.priority > cause.preemptor.priority,
    )?.displacement;
  }

  /** That process leads, maybe again: what it decided in an earlier term and no ticket records is forgotten, as by any successor. */
  termBegan(by: string): void {
    const recorded = new Set(
      [...this.#adoptable.values()].flatMap(({ displacement, untilMs }) =>
        untilMs === Infinity ? [displacement.id] : [],
      ),
    );
    this.#displacements = this.#displacements.map((made) =>
      made.by === by && made.overMs === Infinity && !recorded.has(made.displacement.id)
        ? { ...made, overMs: this.world.elapsedMs }
        : made,
    );
  }

  /** Displacements of the present leader that it has not closed: those it decided, and those it found and adopted. */
  openByLeader(): readonly Displacement[] {
    const made = this.#displacements.filter((one) => one.by === this.#holder && one.overMs === Infinity);
    const adopted = this.displacementsInherited().filter((displacement) => !this.#isOverruled(displacement));
    return [...made.map(({ displacement }) => displacement), ...adopted];
  }

  /** What the present leader may go by: what it decided since it leads, and what was recorded then or later. */
  displacementsKnown(): readonly Displacement[] {
    const { leadingSinceMs } = this;
    const made = this.#displacements.filter((one) => one.by === this.#holder && one.sinceMs >= leadingSinceMs);
    const recorded = [...this.#adoptable.values()].filter(({ untilMs }) => untilMs >= leadingSinceMs);
    return [...made, ...recorded].map(({ displacement }) => displacement);
  }

  /** The present leader has closed it, or knows of a newer one about the same preemptor. */
  isOver(displacement: Displacement): boolean {
    if (this.#closed.has(displacement.id)) return true;
    return this.displacementsKnown().some((other) => isNewerForSame(other, displacement));
  }

  /** The present leader found a newer one about the same preemptor beside it, and adopted that one. */
  #isOverruled(displacement: Displacement): boolean {
    return [...this.#adoptable.values()].some(
      ({ displacement: other, fromMs, untilMs }) =>
        fromMs < this.leadingSinceMs && untilMs >= this.leadingSinceMs && isNewerForSame(other, displacement),
    );
  }

  /** Displacements that were recorded before the present leader began, still are, and were not closed by it. */
  displacementsInherited(): readonly Displacement[] {
    return [...this.#adoptable.values()].flatMap(({ displacement, fromMs, untilMs }) =>
      fromMs < this.leadingSinceMs && untilMs === Infinity && !this.#closed.has(displacement.id) ? [displacement] : [],
    );
  }

  written(write: ServerWrite): void {
    const { kind, type, object } = write;
    if (this.world.tell !== null) this.#tell(write);
    if (kind === RESOURCES.reprievePolicies) {
      const list = this.world.api.list(RESOURCES.reprievePolicies).map(policyOf).sort(comparePolicies);
      this.policies.push({ fromMs: this.world.elapsedMs, list });
    }
    const isOfAgent = object.metadata.labels?.[AGENT_LEASE_LABEL] !== undefined;
    if (kind === RESOURCES.leases && isOfAgent && type !== 'DELETED') {
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
    if (kind === RESOURCES.nodes && type === 'DELETED') {
      this.nodeGoneMs = this.world.elapsedMs;
      // One of that name that comes later is another node, which may be free for the preemptor.
      for (const key of this.inVain.keys()) if (key.endsWith(` ${object.metadata.name}`)) this.inVain.delete(key);
      this.failedAttempts.nodeGone(object.metadata.name);
    }
    if (kind === RESOURCES.nodes && placesOf(object) !== placesOf(write.previous))
      this.nodesChangedMs.set(object.metadata.name, this.world.elapsedMs);
    if (kind === RESOURCES.reprieves) this.#noteTicket(ticketOf(object), type === 'DELETED');
    if (type === 'DELETED') this.goneMs.set(object.metadata.uid ?? '', this.world.elapsedMs);
    this.#noteDeletion(write);
    this.failedJobs.written(this, write);
    this.unsaved.written(this, write);
    this.#check({ kind: 'write', write });
    if (kind === RESOURCES.pods && type === 'ADDED') {
      this.creations.created(object);
      this.#noteCreation(write);
    }
  }

  worked(event: WorkEvent): void {
    const { kind, pod, podUid, node, progressSeconds } = event;
    this.world.say(`${node}: ${kind} ${pod} (${progressSeconds.toFixed(1)} s of work)`);
    if (kind === 'restored') this.restoredPods.add(podUid);
    if (kind === 'saved') this.savedProgress.set(podUid, progressSeconds);
    const object = kind === 'saved' ? podWith(this, podUid) : undefined;
    if (object !== undefined) this.savedPods.set(podUid, object);
    this.#check({ kind: 'work', event });
    if (kind === 'saved') this.outlived.delete(podUid);
    if (kind === 'thawed' && this.savedProgress.has(podUid)) this.outlived.add(podUid);
  }

  sent(process: string, request: KubeRequest): void {
    this.#check({ kind: 'sent', process, request });
  }

  /** Before that process sees the question. */
  asked(by: string, body: string): void {
    this.questions.set(by, JSON.parse(body) as PreemptQuestion);
  }

  answered(by: string, verb: string, body: string, answer: { readonly status: number; readonly body: string }): void {
    if (verb === 'preempt') {
      this.world.say(`preempt answered: ${answer.body.slice(0, 300)}`);
      const { uid } = (JSON.parse(body) as { readonly Pod: { readonly metadata: { readonly uid: string } } }).Pod
        .metadata;
      if (answer.body === '{}') this.#waitsFor(uid, by);
      else this.waitingFor.delete(uid);
    }
    this.#check({ kind: 'answer', by, verb, body, answer });
  }

  second(): void {
    const isAway = this.world.elapsedMs < this.world.until.webhookAway;
    if (isAway !== this.isWebhookAway) this.webhookTurnedMs = this.world.elapsedMs;
    this.isWebhookAway = isAway;
    if (this.#isReached()) this.#reachedMs = this.world.elapsedMs;
    else this.#unreachedMs = this.world.elapsedMs;
    noteOwnerEnds(this);
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
    for (const memory of [this.decidedByHand, this.restoredPods, this.ownerEndsSeen, this.deletedMs]) memory.clear();
    this.failedAttempts.clear();
    this.failedJobs.clear();
    this.creations.clear();
    this.inVain.clear();
    this.unwanted.clear();
    this.replacements.clear();
    this.unsaved.clear();
    this.failuresSent.clear();
    const { savedProgress, savedPods, committed, continuedBy, endedMs, goneMs, goneCheckpoints, goingCheckpoints } =
      this;
    const passed = [
      savedProgress,
      savedPods,
      committed,
      continuedBy,
      endedMs,
      goneMs,
      goneCheckpoints,
      goingCheckpoints,
    ];
    for (const memory of [...passed, this.bound, this.waitingFor, this.#closed]) memory.clear();
    this.#displacements = this.#displacements.filter(({ overMs }) => overMs === Infinity);
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

  /** As far as a process could know within the last `ms`. */
  isClassMissing(ms: number): boolean {
    return this.world.elapsedMs - this.world.until.classMissing < ms && this.world.until.classMissing > 0;
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
    else if (isUndone(object) && previous !== null && !isUndone(previous))
      this.goingCheckpoints.set(metadata.name, { by: by?.user ?? null, atMs });
  }

  /** A person who deletes a bare pod before it has a node, or while it is saved and held, does not want it back. */
  #noteDeletion(write: ServerWrite): void {
    const deleted = deletionBegun({ kind: 'write', write });
    if (deleted !== null) this.deletedMs.set(deleted.uid, this.world.elapsedMs);
    if (deleted === null || deleted.by !== 'admin') return;
    const { nodeName, disrupted } = podOf(deleted.object);
    const saving = tickets(this).find(({ pod, owner }) => owner === null && pod.uid === deleted.uid);
    if (saving?.phase === 'Saving' && !disrupted && this.#isSeenByLeader()) this.unwanted.add(saving.uid);
    if (nodeName !== null) return;
    const ticket = tickets(this).find(({ claim, owner }) => owner === null && claim?.uid === deleted.uid);
    if (ticket !== undefined && !isFinal(ticket.phase)) this.unwanted.add(ticket.uid);
  }

  /** A leader acts that has been there for a while, and its watches are well. */
  #isSeenByLeader(): boolean {
    const leading = this.world.replicas.find((replica) => replica?.process.name === this.#holder);
    return leading?.process.isAlive === true && leading.reprieve.leads && isCalm(this);
  }

  #noteCreation({ object }: ServerWrite): void {
    const pods = this.world.api.list(RESOURCES.pods);
    const missed = this.replacements.created(object, tickets(this), pods, this.world.elapsedMs);
    if (missed.length > 0) this.#check({ kind: 'passed', pod: object, tickets: missed });
  }

  #waitsFor(preemptor: string, by: string): void {
    const others = (this.waitingFor.get(preemptor)?.by ?? []).filter((other) => other !== by);
    this.waitingFor.set(preemptor, { by: [...others, by], sinceMs: this.world.clock.now() });
  }

  #noteTicket(ticket: Ticket, isGone: boolean): void {
    const { uid, phase, deleting, displacement } = ticket;
    const nowMs = this.world.elapsedMs;
    this.replacements.noteTicket(ticket, isGone, nowMs);
    if (ticket.decide !== null) this.decidedByHand.add(uid);
    if (this.endedMs.has(uid) && !isFinal(phase)) this.unwanted.delete(uid); // a person wants it back after all
    if (isFinal(phase) && !this.endedMs.has(uid)) this.endedMs.set(uid, nowMs);
    const known = this.#adoptable.get(uid);
    // A higher preemptor has taken it over: the ticket says so from now on.
    const before = known?.displacement.id === displacement.id ? known : undefined;
    const isAdoptable = !isGone && !deleting && (phase === 'Saving' || phase === 'Displacing');
    if (isAdoptable && before === undefined)
      this.#adoptable.set(uid, { displacement, fromMs: nowMs, untilMs: Infinity });
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

function isNewerForSame(displacement: Displacement, than: Displacement): boolean {
  return (
    displacement.decidedMs > than.decidedMs &&
    preemptionIn(displacement).preemptor.uid === preemptionIn(than).preemptor.uid
  );
}

interface DisplacementMade {
  readonly by: string;
  readonly displacement: Displacement;
  readonly sinceMs: number;
  readonly overMs: number;
  readonly unreachedForMs: number;
}

interface RecordedDisplacement {
  readonly displacement: Displacement;
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

/** What decides who may run on a node, beside its capacity. */
function placesOf(node: KubeObject | null): string {
  const { labels, taints, unschedulable, ready } = node === null ? {} : nodeOf(node);
  return JSON.stringify([labels, taints, unschedulable, ready]);
}

function isUndone(checkpoint: KubeObject): boolean {
  const { deleting, release } = checkpointOf(checkpoint);
  return deleting || release !== null;
}
