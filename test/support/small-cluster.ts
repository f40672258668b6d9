import { RESTORE_GATE } from '../../src/domain/labels.ts';
import type { NodeName, PodUid } from '../../src/domain/ids.ts';
import { occupiesNode, type Pod, type PodOwner } from '../../src/domain/pod.ts';
import { addResources, dominantShare, fits, subtractResources, type Resources } from '../../src/domain/resources.ts';
import { interruptionsOf, isFinal, type Ticket } from '../../src/domain/ticket.ts';
import type { Command, CommandOf } from '../../src/engine/core/commands.ts';
import { DEFAULT_ENGINE_SETTINGS } from '../../src/engine/core/steps.ts';
import { filter } from '../../src/engine/preemption/placement.ts';
import type { NodeSnapshot } from '../../src/index/types.ts';
import { makeCheckpoint, makeNode, makePod, makeResources, makeTicket } from './builders.ts';
import { TestWorld } from './world.ts';

/** A pod that is made once, and made again by its controller for as long as it has not run for `runMs`. */
export interface Load {
  readonly name: string;
  readonly atMs: number;
  readonly namespace: string;
  readonly priority: number;
  readonly cpuMilli: number;
  readonly runMs: number;
  /** Its ticket exists when it comes: it was displaced elsewhere. */
  readonly comesBack: boolean;
  /** kube-scheduler may preempt for it. */
  readonly preempts: boolean;
}

/** What happened, in order. */
export interface Happening {
  readonly atMs: number;
  readonly what: 'admitted' | 'let go' | 'bound' | 'restored' | 'displaced' | 'ended';
  readonly pod: Pod;
  readonly node?: NodeName;
}

export const STEP_MS = 5_000;
/** What a node needs to save a pod, and to restore one. */
const SAVE_MS = 5_000;
const RESTORE_MS = 15_000;
/** Steps of the reconciler that follow from one another within a moment. */
const MOST_PASSES = 12;

/**
 * The engine's pure functions with the least that a cluster needs around them: nodes that save and restore, one controller a pod,
 * a kube-scheduler that takes the emptiest node and preempts. Everything happens in steps of five seconds, in one order.
 */
export class SmallCluster {
  readonly world = new TestWorld();
  readonly happened: Happening[] = [];
  /** Called between what Reprieve decides and what kube-scheduler does. */
  onPass: (commands: readonly Command[]) => void = () => undefined;
  /** Called before kube-scheduler binds a pod. */
  onBind: (pod: Pod, node: NodeName) => void = () => undefined;
  /** Called with each question of kube-scheduler, and the answer. */
  onPreempt: (preemptor: Pod, offers: ReadonlyMap<NodeName, readonly Pod[]>, chosen: NodeName | null) => void = () =>
    undefined;
  readonly #loads: Load[];
  readonly #ends = new Map<PodUid, number>(); // running pod -> when its work is done
  readonly #left = new Map<string, number>(); // load -> work that is left
  readonly #due: { readonly atMs: number; readonly act: () => void }[] = [];
  #incarnations = 0;
  #isChanged = true;
  #wakeAtMs = 0; // when Reprieve looks again though nothing changed

  constructor(nodes: readonly number[], loads: readonly Load[]) {
    this.world.nowMs = 0;
    this.world.index.onChange(() => void (this.#isChanged = true));
    for (const [at, cpuMilli] of nodes.entries())
      this.world.put('node', makeNode({ name: `n${at}`, allocatable: makeResources({ cpuMilli, pods: 110 }) }));
    this.#loads = [...loads];
    for (const { name, runMs } of loads) this.#left.set(name, runMs);
  }

  get nowMs(): number {
    return this.world.nowMs;
  }

  /** Until then, or until all work is done. */
  run(untilMs: number): void {
    const isLeft = (): boolean => this.#loads.some(({ name }) => (this.#left.get(name) ?? 0) > 0);
    for (; this.world.nowMs < untilMs && isLeft(); this.world.nowMs += STEP_MS) this.#step();
  }

  pods(): readonly Pod[] {
    const { index } = this.world;
    return [...index.pendingPods(), ...[...index.nodes()].flatMap(({ pods }) => pods)];
  }

  #step(): void {
    for (const due of this.#due.filter(({ atMs }) => atMs <= this.nowMs)) {
      this.#due.splice(this.#due.indexOf(due), 1);
      due.act();
    }
    for (const pod of this.pods()) {
      if (pod.deletionMs !== null) this.#remove(pod);
      else if ((this.#ends.get(pod.uid) ?? Infinity) <= this.nowMs) this.#end(pod);
    }
    for (const load of this.#loads.filter(({ atMs }) => atMs === this.nowMs)) this.#create(load);
    this.#reconcile();
    this.#schedule();
    this.#reconcile();
  }

  #later(afterMs: number, act: () => void): void {
    this.#due.push({ atMs: this.nowMs + afterMs, act });
  }

  #note(what: Happening['what'], pod: Pod, node: NodeName | null = pod.nodeName): void {
    this.happened.push({ atMs: this.nowMs, what, pod, ...(node !== null && { node }) });
  }

  #create(load: Load): void {
    const { name, namespace, priority, cpuMilli } = load;
    const uid = `${name}-${++this.#incarnations}`;
    const owner: PodOwner = { apiVersion: 'apps/v1', kind: 'StatefulSet', name, uid: `set-${name}` };
    if (load.comesBack && this.#ticketsOf(owner, namespace).length === 0) this.#displaceElsewhere(load, owner);
    const continues = this.#ticketsOf(owner, namespace).some(({ phase }) => !isFinal(phase));
    const requests = REQUESTS.get(cpuMilli) ?? makeResources({ cpuMilli, memoryBytes: 0 });
    REQUESTS.set(cpuMilli, requests);
    const pod = makePod({
      name,
      uid,
      namespace,
      owner,
      priority,
      requests,
      tolerations: TOLERATIONS,
      creationMs: this.nowMs,
    });
    this.world.put('pod', continues ? { ...pod, ...GATED } : pod);
  }

  #ticketsOf(owner: PodOwner, namespace: string): readonly Ticket[] {
    return [...this.world.index.tickets()].filter((one) => one.owner?.uid === owner.uid && one.namespace === namespace);
  }

  #displaceElsewhere({ name, namespace, priority }: Load, owner: PodOwner): void {
    const victim = `${name}-0`;
    const checkpoint = makeCheckpoint({ namespace, name: victim, podUid: victim, ready: true, frozen: false });
    const pod = { ...makeTicket().pod, name, uid: victim as PodUid };
    const record = { namespace, name: victim, owner, priority, pod, checkpoint: victim, phase: 'Waiting' } as const;
    const displacement = { ...makeTicket().displacement, id: victim };
    this.world.put('checkpoint', checkpoint);
    this.world.put('ticket', makeTicket({ ...record, displacement, creationMs: this.nowMs, phaseMs: this.nowMs }));
  }

  #remove(pod: Pod): void {
    this.world.remove('pod', pod);
    this.world.seen.add(pod.uid);
    this.#ends.delete(pod.uid);
    const load = this.#loads.find(({ name }) => name === pod.name);
    if (load !== undefined && (this.#left.get(load.name) ?? 0) > 0) this.#create(load);
  }

  #end(pod: Pod): void {
    this.#left.set(pod.name, 0);
    this.#note('ended', pod);
    this.#remove(pod);
  }

  #reconcile(): void {
    for (let pass = 0; pass < MOST_PASSES && (this.#isChanged || this.nowMs >= this.#wakeAtMs); pass++) {
      this.#isChanged = false;
      const steps = this.world.steps();
      for (const { displacement } of steps.closed) this.world.book.close(displacement);
      for (const displacement of steps.emptied) this.world.book.markEmptied(displacement, this.nowMs);
      this.onPass(steps.commands);
      const done = steps.commands.filter((command) => this.#carryOut(command));
      if (steps.closed.length + steps.emptied.length + done.length > 0) this.#isChanged = true;
      this.#wakeAtMs = steps.wakeAtMs;
    }
  }

  /** Whether it changed anything. */
  #carryOut(command: Command): boolean {
    const { world, nowMs } = this;
    switch (command.kind) {
      case 'CreateTicket':
        return this.#createTicket(command);
      case 'CreateCheckpoint':
        return this.#createCheckpoint(command);
      case 'ReleaseCheckpoint': {
        const { checkpoint, victim, because } = command;
        world.put('checkpoint', { ...checkpoint, release: because, released: true, frozen: false, thawed: true });
        world.put('pod', { ...victim, frozenBy: null });
        return true;
      }
      case 'DeleteTicket':
        world.remove('ticket', command.ticket);
        return true;
      case 'DeleteCheckpoint':
        world.remove('checkpoint', command.checkpoint);
        return true;
      case 'AdoptTicket':
        world.put('ticket', { ...command.ticket, displacement: command.displacement });
        return true;
      case 'Nominate': {
        const pod = world.index.pod(command.pod.uid);
        if (pod === undefined) return false;
        world.put('pod', { ...pod, nominatedNodeName: command.node });
        return true;
      }
      case 'Evict': {
        const pod = world.index.pod(command.order.victim.uid);
        if (pod === undefined || pod.deletionMs !== null) return false;
        this.#delete(pod);
        return true;
      }
      case 'SetTicketPhase': {
        const { ticket, phase, reason, message, replaced, evictedMs = ticket.evictedMs } = command;
        const attempts = ticket.attempts + (phase === 'Restoring' ? 1 : 0);
        const claim = replaced === undefined ? ticket.claim : null;
        const replacedPods = replaced === undefined ? ticket.replacedPods : [...ticket.replacedPods, replaced];
        const said = { reason, message };
        world.put('ticket', { ...ticket, phase, phaseMs: nowMs, attempts, said, evictedMs, claim, replacedPods });
        return true;
      }
      case 'EndPod':
        this.#delete(command.pod);
        return true;
      case 'Claim': {
        const { ticket, pod } = command;
        if (pod !== null)
          world.put('pod', {
            ...pod,
            ticket: ticket.name,
            displacements: ticket.pod.displacements + 1 + interruptionsOf(ticket),
          });
        world.put('ticket', { ...ticket, claim: pod === null ? null : { name: pod.name, uid: pod.uid } });
        return true;
      }
      case 'Ungate':
        this.#note(command.because === 'Admitted' ? 'admitted' : 'let go', command.pod);
        world.put('pod', { ...command.pod, gates: [], gateExpired: command.as?.placement.anywhere ?? false });
        return true;
      case 'Wake': // this kube-scheduler tries every pod in each step
        return false;
      default:
        throw new Error(`${command.kind} is not carried out here`);
    }
  }

  #createTicket({ order }: CommandOf<'CreateTicket'>): boolean {
    const victim = this.world.index.pod(order.victim.uid);
    if (victim === undefined || victim.deletionMs !== null) return false;
    const { namespace, name, uid, owner, priority, requests, displacements } = victim;
    const pod = { ...makeTicket().pod, name, uid, displacements };
    const record = { namespace, name: order.name, owner, priority, requests, pod, restore: order.restore };
    const { displacement, planned } = order;
    const times = { creationMs: this.nowMs, phaseMs: this.nowMs };
    const phase = 'Saving' as const;
    this.world.put('ticket', makeTicket({ ...record, ...times, phase, displacement, checkpoint: planned.checkpoint }));
    return true;
  }

  #createCheckpoint({ order }: CommandOf<'CreateCheckpoint'>): boolean {
    const { world } = this;
    const { namespace, name, pod, node, deadlineMs, ticket } = order;
    const made = makeCheckpoint({ namespace, name, podUid: pod.uid, nodeName: node, owner: { ticket }, deadlineMs });
    world.put('checkpoint', made);
    this.#later(SAVE_MS, () => {
      const asked = world.index.checkpointsOfPod(pod).find((one) => one.name === name);
      const victim = world.index.pod(pod.uid);
      if (asked === undefined || asked.release !== null || victim === undefined || victim.deletionMs !== null) return;
      const saved = { ready: true, frozen: true, location: { node, reference: name } };
      world.put('checkpoint', { ...asked, ...saved, takenMs: this.nowMs, completedMs: this.nowMs });
      world.put('pod', { ...victim, frozenBy: name });
    });
    return true;
  }

  #delete(pod: Pod): void {
    if (pod.nodeName !== null) this.#note('displaced', pod);
    const { nowMs } = this;
    const doneMs = this.#ends.get(pod.uid);
    if (doneMs !== undefined) this.#left.set(pod.name, doneMs - nowMs);
    this.#ends.delete(pod.uid);
    this.world.put('pod', { ...pod, deletionMs: nowMs, evictedMs: nowMs, disrupted: true, disruptionTarget: true });
    this.world.evicted.set(pod.uid, nowMs);
    this.world.disrupted.add(pod.uid);
  }

  /** One turn of kube-scheduler for each pending pod. */
  #schedule(): void {
    const waiting = [...this.world.index.pendingPods()].filter(
      ({ gates, deletionMs }) => gates.length === 0 && deletionMs === null,
    );
    waiting.sort((a, b) => b.priority - a.priority || a.creationMs - b.creationMs || (a.uid < b.uid ? -1 : 1));
    for (const pod of waiting) {
      const node = this.#emptiestFor(pod);
      if (node !== null) this.#bind(pod, node);
      else if (this.#loads.find(({ name }) => name === pod.name)?.preempts === true) this.#preempt(pod);
      else if (!pod.unschedulable) this.world.put('pod', { ...pod, unschedulable: true });
    }
  }

  #emptiestFor(pod: Pod): NodeName | null {
    const { index, book, roomMemory } = this.world;
    const limits = { maxRestores: MAX_RESTORES, room: roomMemory };
    const nodeNames = [...index.bareNodes()].map(({ name }) => name);
    const { refused } = filter(index, book, limits, { pod, nodeNames });
    const roomy = [...index.nodes()].filter((on) => !refused.has(on.node.name) && fits(pod.requests, freeFor(pod, on)));
    const load = (on: NodeSnapshot): number =>
      dominantShare(subtractResources(on.node.allocatable, on.free), on.node.allocatable);
    return roomy.sort((a, b) => load(a) - load(b) || (a.node.name < b.node.name ? -1 : 1))[0]?.node.name ?? null;
  }

  #bind(pod: Pod, node: NodeName): void {
    const { world } = this;
    this.onBind(pod, node);
    const startMs = pod.ticket === null ? this.nowMs : null;
    const phase = pod.ticket === null ? 'Running' : 'Pending';
    world.put('pod', { ...pod, nodeName: node, nominatedNodeName: null, phase, startMs, unschedulable: false });
    this.#note('bound', pod, node);
    const begin = (): void => void this.#ends.set(pod.uid, this.nowMs + (this.#left.get(pod.name) ?? 0));
    if (pod.ticket === null) begin();
    else
      this.#later(RESTORE_MS, () => {
        const bound = world.index.pod(pod.uid);
        if (bound === undefined || bound.deletionMs !== null) return;
        const restored = { succeeded: true, reason: 'Restored', message: '' } as const;
        world.put('pod', { ...bound, phase: 'Running', startMs: this.nowMs, restored });
        this.#note('restored', bound);
        begin();
      });
  }

  /** Dry run as kube-scheduler's: without all lower pods, then as many of them stay as can, the most important first. */
  #preempt(pod: Pod): void {
    const { world } = this;
    if (!pod.unschedulable) world.put('pod', { ...pod, unschedulable: true });
    const offers = new Map<NodeName, readonly Pod[]>();
    for (const on of world.index.nodes()) {
      const lower = on.pods.filter(({ priority }) => priority < pod.priority);
      let free = lower.reduce((sum, { requests }) => addResources(sum, requests), freeFor(pod, on));
      if (lower.length === 0 || !fits(pod.requests, free)) continue;
      const victims: Pod[] = [];
      for (const one of lower.toReversed()) {
        const without = subtractResources(free, one.requests);
        if (fits(pod.requests, without)) free = without;
        else victims.push(one);
      }
      offers.set(on.node.name, victims);
    }
    if (offers.size === 0) return;
    const { verdict, opened, closed } = world.preempt({ ...pod, unschedulable: true }, Object.fromEntries(offers));
    if (opened !== null || closed.length > 0) this.#isChanged = true;
    const [evicted] = verdict.candidates;
    const chosen = opened === null ? null : (verdict.node ?? null);
    this.onPreempt(pod, offers, chosen);
    if (evicted === undefined) return;
    const nominated = world.index.pod(pod.uid) as Pod;
    world.put('pod', { ...nominated, nominatedNodeName: evicted.node });
    for (const uid of evicted.victims) {
      const victim = world.index.pod(uid);
      if (victim !== undefined && victim.deletionMs === null && occupiesNode(victim)) this.#delete(victim);
    }
  }
}

const TOLERATIONS = makePod().tolerations;
const REQUESTS = new Map<number, Resources>();
const GATED = { gates: [RESTORE_GATE], restoreShape: 'shape', runtimeClassName: 'reprieve' };
export const MAX_RESTORES = DEFAULT_ENGINE_SETTINGS.maxConcurrentRestoresPerNode;

/** As kube-scheduler counts: pods that are nominated there and at least as important have their room. */
function freeFor({ uid, priority }: Pod, { free, nominated }: NodeSnapshot): Resources {
  return nominated
    .filter((other) => other.uid !== uid && other.priority >= priority)
    .reduce((left, { requests }) => subtractResources(left, requests), free);
}
