import { preemptionIn } from '../support/preemption.ts';
import { handleAdmission } from '../../src/http/admission.ts';
import { handleExtender } from '../../src/http/extender-handler.ts';
import { KubeClient } from '../../src/kube/client.ts';
import { isNotFound } from '../../src/kube/api-error.ts';
import { RUNTIME_CLASS } from '../../src/domain/labels.ts';
import { pathOf, RESOURCES } from '../../src/kube/resources.ts';
import type { KubeObject, KubeTransport } from '../../src/kube/transport.ts';
import { sleep, type Clock } from '../../src/ports/clock.ts';
import type { AdmissionReview } from '../../src/sim/api-server/admission.ts';
import { ApiServer } from '../../src/sim/api-server/api-server.ts';
import { ClusterInformers } from '../../src/sim/controllers/cluster-informers.ts';
import { startControllers } from '../../src/sim/controllers/controllers.ts';
import type { NodeSpec } from '../../src/sim/nodes/node-spec.ts';
import type { NodeFaults } from '../../src/sim/nodes/simulated-pods.ts';
import { WorkLedger } from '../../src/sim/nodes/work-ledger.ts';
import { Random } from '../../src/sim/random.ts';
import type { ExtenderVerb } from '../../src/sim/scheduler/extender-transport.ts';
import { Scheduler } from '../../src/sim/scheduler/scheduler.ts';
import { VirtualClock } from '../../src/sim/virtual-clock.ts';
import { Coverage } from './coverage.ts';
import { FAULTS, type Fault } from './fault-table.ts';
import { Machine } from './machine.ts';
import { NodeLifecycle } from './node-lifecycle.ts';
import { isServing, namespaceOf } from './strikes.ts';
import type { Operation } from './operations.ts';
import { QUIET_MS, SECOND, type Plan, type PlannedFault, type Step } from './plan.ts';
import { Process } from './process.ts';
import { resumeJobs } from './owners.ts';
import { LEASE, Replica } from './replica.ts';
import { SCRIPTED_FAULTS } from './scripted-faults.ts';
import { StateBoard, type StateName } from './states.ts';
import { startTeamController, Teams, type TeamSpec } from './teams.ts';
import { Truth } from './truth.ts';
import { unsettled } from './liveness.ts';

/** How long the cluster may take to settle once everything was mended: kube-scheduler's flush, and the longest wait of ours. */
const SETTLE_MS = 1_500 * SECOND;
/** How often it is asked whether it has. */
const LOOK_EVERY_MS = 10 * SECOND;
/** `httpTimeout` of kube-scheduler's extender. */
const EXTENDER_TIMEOUT_MS = 5 * SECOND;
/** `timeoutSeconds` of the webhook. */
const WEBHOOK_TIMEOUT_MS = 2 * SECOND;

/** How many times longer everything takes on a slow disk. */
const SLOW_DISK = 20;
const RUNC_FAILS = 'runc list: exit status 1';

/** In one virtual second, of all processes together. */
const MOST_REQUESTS = 10_000;

/** What went wrong in a run: the invariant, and how it was broken. */
export interface Violation {
  readonly invariant: string;
  readonly message: string;
  readonly atMs: number;
}

/** A cluster in which every process can die, stand still or be cut off on its own, and the plan of what happens to it. */
export class World {
  readonly clock = new VirtualClock();
  readonly api: ApiServer;
  readonly admin: KubeClient;
  readonly ledger = new WorkLedger();
  readonly random: Random;
  readonly plan: Plan;
  readonly truth: Truth;
  readonly states: StateBoard;
  readonly coverage = new Coverage();
  readonly machines = new Map<string, Machine>(); // node -> its present boot
  readonly nodeLifecycle = new NodeLifecycle(this);
  readonly teams = new Teams();
  readonly replicas: (Replica | null)[] = [null, null];
  /** Where the extender Service leads. */
  endpoint: Replica | null = null;
  schedulerProcess: Process | null = null;
  scheduler: Scheduler | null = null;
  controllersProcess: Process | null = null;
  /** What goes wrong beside processes, until a time. */
  readonly until = {
    staleEndpoint: 0,
    webhookAway: 0,
    extenderAway: 0,
    answersLost: 0,
    podsRefused: 0,
    classRefused: 0,
    classMissing: 0,
  };
  /** Nodes that another extender allows no serving pod, until a time. */
  readonly refusedNodes = new Map<string, number>();
  readonly nodeFaults = { freezeFails: 0, dumpFails: 0, dumpHangs: 0, restoreFails: 0, thawFails: 0 };
  /** When a thaw failed last. */
  thawFailedMs = 0;
  /** Tickets that somebody edited. */
  readonly damaged = new Set<string>(); // name
  /** Until when the disk of a node is slow. */
  readonly slowDisks = new Map<string, number>();
  /** Written line by line where somebody listens. */
  readonly tell: ((line: string) => void) | null;
  #waitingSteps: Step[] = [];
  readonly #onNext = new Map<StateName, (() => void)[]>();
  readonly startMs: number;
  /** When a replica or kube-scheduler was last dead, still, cut off or troubled. */
  unwellMs = 0;
  #processes = 0;
  #second = 0;
  #requests = 0; // within that second
  #violation: Violation | null = null;

  constructor(plan: Plan, tell: ((line: string) => void) | null = null) {
    this.plan = plan;
    this.tell = tell;
    this.startMs = this.clock.now();
    this.random = new Random(plan.seed).fork('world');
    this.api = new ApiServer({ clock: this.clock, seed: plan.seed });
    this.admin = new KubeClient(this.api.transport('admin'));
    this.states = new StateBoard(
      (kind) => this.api.list(kind),
      (state, times) => this.#entered(state, times),
    );
    this.truth = new Truth(this);
    this.api.hooks.written = (write) => {
      this.states.written(write);
      this.truth.written(write);
    };
    this.api.hooks.admitPod = (review) => this.#admitPod(review);
    this.api.hooks.validate = (type, object, old) =>
      type === RESOURCES.pods && old === null ? this.#whyRefused(object) : null;
    this.ledger.subscribe((event) => {
      if (event.kind === 'frozen') {
        const container = this.machines.get(event.node)?.state?.containers.get(event.podUid);
        this.states.frozen(container?.frozenBy ?? null);
      }
      this.truth.worked(event);
    });
  }

  get elapsedMs(): number {
    return this.clock.now() - this.startMs;
  }

  /** The faults are over. */
  get isQuiet(): boolean {
    return this.elapsedMs >= QUIET_MS;
  }

  get violation(): Violation | null {
    return this.#violation;
  }

  fail(invariant: string, message: string): void {
    this.say(`VIOLATED ${invariant}: ${message}`);
    this.#violation ??= { invariant, message, atMs: this.elapsedMs };
  }

  say(line: string): void {
    this.tell?.(`${(this.elapsedMs / SECOND).toFixed(3).padStart(9)}  ${line}`);
  }

  /** Plays the plan to its end, or to the first violation. */
  async run(): Promise<void> {
    this.begin();
    for (const step of this.plan.steps) {
      if ('atMs' in step.at) this.clock.setTimer(step.at.atMs, () => this.#take(step));
      else this.#waitingSteps.push(step);
    }
    const stop = (): boolean => this.#violation !== null;
    if (!(await this.clock.runUntil(this.startMs + QUIET_MS, stop))) return;
    this.#mend();
    const endMs = this.clock.now() + SETTLE_MS;
    for (let calm = 0; calm < 3;) {
      if (!(await this.clock.runUntil(this.clock.now() + LOOK_EVERY_MS, stop))) return;
      const problems = unsettled(this);
      calm = problems.length === 0 ? calm + 1 : 0;
      if (calm === 0 && this.clock.now() >= endMs) {
        this.fail('everything settles', problems.join('; '));
        return;
      }
    }
  }

  /** Starts every process; the plan's steps are for {@link run}. */
  begin(): void {
    for (const spec of this.plan.nodes) this.boot(spec);
    this.startScheduler();
    this.startControllers();
    this.startReplica(0);
    this.startReplica(1);
    const everySecond = (): void => {
      for (const machine of this.machines.values()) machine.look();
      this.nodeLifecycle.look();
      const asking = [...this.replicas.map((replica) => replica?.process), this.schedulerProcess];
      if (asking.some((process) => !process?.isWell)) this.unwellMs = this.clock.now();
      this.truth.second();
      this.clock.setTimer(SECOND, everySecond);
    };
    everySecond();
  }

  process(role: string): Process {
    const name = `${role}#${++this.#processes}`;
    const random = this.random.fork(name);
    return new Process({
      name,
      clock: this.clock,
      api: this.api,
      random,
      // kube-scheduler tries again at once what failed: in no time, it would never end.
      latencyMs: role === 'scheduler' ? Math.max(5, this.plan.latencyMs) : this.plan.latencyMs,
      lagMs: (path) => (this.plan.lagMs === 0 ? 0 : random.fork(path).integer(0, this.plan.lagMs)),
      onSend: (request) => {
        this.truth.sent(name, request);
        return this.#count();
      },
    });
  }

  /** False for requests that come faster than any answer could matter: somebody asks in a circle, and time stands still. */
  #count(): boolean {
    const second = Math.floor(this.elapsedMs / SECOND);
    if (second !== this.#second) this.#requests = 0;
    this.#second = second;
    if (++this.#requests < MOST_REQUESTS) return true;
    this.fail('nobody asks in a circle', `${MOST_REQUESTS} requests within a second`);
    return false;
  }

  startReplica(index: number): void {
    const process = this.process(`reprieve-${'ab'[index]}`);
    const replica = new Replica({
      process,
      random: this.random.fork(`${process.name} draws`),
      settings: this.plan.settings,
      onLeading: (leading) => {
        this.say(`${process.name} leads`);
        this.truth.termBegan(process.name);
        this.endpoint = leading;
      },
      onError: (error) => this.fail('no listener throws', String(error)),
    });
    this.replicas[index] = replica;
    replica.reprieve.engine.events.on('displacement:opened', ({ displacement }) => {
      if (!process.isAlive) return;
      this.say(
        `${process.name} decides for ${preemptionIn(displacement).preemptor.name}: ${displacement.pods.map((v) => `${v.plan} ${v.name}`).join(', ')} on ${preemptionIn(displacement).node}`,
      );
      this.states.decided(displacement.id);
      this.truth.decided(process.name, displacement);
    });
    replica.reprieve.engine.events.on('displacement:closed', ({ displacement, because, message }) => {
      if (!process.isAlive) return;
      this.say(
        `${process.name} closes the displacement for ${preemptionIn(displacement).preemptor.name}: ${because}, ${message}`,
      );
      this.states.move(`displacement ${displacement.id}`, null);
      this.truth.closed(process.name, displacement, because);
    });
    replica.start();
  }

  /** The replica that truly leads; else any that lives. */
  leader(): { readonly replica: Replica; readonly index: number } | null {
    const [lease] = this.api.list(RESOURCES.leases, LEASE.namespace);
    const { holderIdentity } = (lease?.['spec'] ?? {}) as { readonly holderIdentity?: string };
    const living = this.replicas.flatMap((replica, index) => (replica?.process.isAlive ? [{ replica, index }] : []));
    return living.find(({ replica }) => replica.process.name === holderIdentity) ?? living[0] ?? null;
  }

  follower(): { readonly replica: Replica; readonly index: number } | null {
    const leader = this.leader();
    const index = this.replicas.findIndex((replica, at) => at !== leader?.index && replica?.process.isAlive === true);
    const replica = this.replicas[index];
    return replica ? { replica, index } : null;
  }

  startScheduler(): void {
    const process = this.process('scheduler');
    this.schedulerProcess = process;
    const informers = new ClusterInformers(process.transport, process.clock);
    const transport = { call: (verb: ExtenderVerb, body: string) => this.#callExtender(process, verb, body) };
    const elsewhere = { call: (verb: ExtenderVerb, body: string) => this.#filterElsewhere(verb, body) };
    // As config/kube-scheduler.yaml has them, and one of somebody else.
    const extenders = [
      { transport, verbs: ['preempt'], ignorable: false, nodeCacheCapable: true },
      { transport, verbs: ['filter', 'prioritize'], weight: 1, ignorable: true, nodeCacheCapable: true },
      { transport: elsewhere, verbs: ['filter'], ignorable: true, nodeCacheCapable: true },
    ] as const;
    const scheduler = new Scheduler({
      transport: process.transport,
      clock: process.clock,
      informers,
      random: this.random.fork(`${process.name} draws`),
      extenders,
      onFatal: (error) => this.fail('kube-scheduler does not crash', String(error)),
    });
    informers.start();
    this.scheduler = scheduler;
  }

  /** As after an upgrade: without what it remembered. */
  async restartScheduler(): Promise<void> {
    this.schedulerProcess?.kill();
    this.startScheduler();
    await this.clock.settle();
  }

  startControllers(): void {
    const process = this.process('controllers');
    this.controllersProcess = process;
    const informers = new ClusterInformers(process.transport, process.clock);
    startControllers(process.transport, process.clock, informers);
    startTeamController(process.transport, process.clock, { informers, teams: this.teams });
    informers.start();
  }

  /** Starts a machine, for the first time or after it was dead. */
  boot(spec: NodeSpec): void {
    const machine = new Machine({
      spec,
      kubelet: this.process(`kubelet-${spec.name}`),
      agent: this.process(`agent-${spec.name}`),
      ledger: this.ledger,
      faults: this.#nodeFaults(spec.name),
      peer: (name) => {
        const peer = this.machines.get(name);
        return peer?.kubelet.isWell ? peer.state : undefined;
      },
    });
    this.machines.set(spec.name, machine);
    void machine.nodes.start().then(() => this.#untaint(spec.name));
  }

  /** The Node object goes, and with it, in a while, the pods that name it (PodGC). */
  async removeNode(name: string): Promise<void> {
    this.machines.get(name)?.kill();
    this.machines.delete(name);
    await this.tryTo(() => this.admin.delete(RESOURCES.nodes, null, name));
    await this.#collectPods(name);
  }

  async #collectPods(name: string): Promise<void> {
    await sleep(this.clock, 20 * SECOND);
    if (this.api.list(RESOURCES.nodes).some(({ metadata }) => metadata.name === name)) return;
    for (const pod of this.podsOn(name)) {
      const [namespace, { metadata }] = [namespaceOf(pod), pod];
      // As PodGC: controllers wait for a pod to have ended before they let it go.
      const status = { phase: 'Failed' };
      const options = { type: 'merge', subresource: 'status' } as const;
      await this.tryTo(() => this.admin.patch(RESOURCES.pods, namespace, metadata.name, { status }, options));
      await this.tryTo(() => this.admin.delete(RESOURCES.pods, namespace, metadata.name, { gracePeriodSeconds: 0 }));
    }
    if (this.podsOn(name).length > 0 || !this.isQuiet) void this.#collectPods(name);
  }

  podsOn(name: string): readonly KubeObject[] {
    return this.api.list(RESOURCES.pods).filter(({ spec }) => (spec as { nodeName?: string }).nodeName === name);
  }

  /** Somebody's request that may find its object gone, or refused. */
  async tryTo(request: () => Promise<unknown>): Promise<void> {
    try {
      await request();
    } catch (error) {
      if (!isNotFound(error)) this.say(`refused: ${(error as Error).message}`);
    }
  }

  async #untaint(name: string): Promise<void> {
    await this.tryTo(() => this.admin.patch(RESOURCES.nodes, null, name, { spec: { taints: [] } }, { type: 'merge' }));
  }

  #nodeFaults(name: string): NodeFaults {
    const counted = (kind: keyof World['nodeFaults']): boolean => {
      if (this.isQuiet || this.nodeFaults[kind] <= 0) return false;
      this.nodeFaults[kind]--;
      this.say(`${kind} on ${name}`);
      return true;
    };
    return {
      slowness: () => (!this.isQuiet && this.elapsedMs < (this.slowDisks.get(name) ?? 0) ? SLOW_DISK : 1),
      freezeFails: () => (counted('freezeFails') ? RUNC_FAILS : null),
      dumpFails: () => (counted('dumpFails') ? 'disk full' : null),
      thawFails: () => {
        if (!counted('thawFails')) return null;
        this.thawFailedMs = this.clock.now();
        return RUNC_FAILS;
      },
      dumpHangs: () => counted('dumpHangs'),
      restoreFails: () => (counted('restoreFails') ? 'criu says no' : null),
    };
  }

  #take(step: Step): void {
    if (this.isQuiet) return;
    if (step.kind === 'operation') void this.#operate(step.operation);
    else this.#strike(step);
  }

  #strike(step: PlannedFault): void {
    const fault: Fault = { ...FAULTS, ...SCRIPTED_FAULTS }[step.fault];
    this.coverage.hit(step.fault, this.states.present());
    this.say(`FAULT ${step.fault} (pick ${step.pick.toFixed(2)}, ${step.lengthMs} ms, call ${step.calls})`);
    fault.strike(this, step);
  }

  async #operate(operation: Operation): Promise<void> {
    this.say(
      `user: ${operation.verb} ${operation.kind} ${operation.verb === 'create' ? operation.object.metadata.name : operation.name}`,
    );
    if (operation.kind === 'teams') {
      this.#operateTeam(operation);
      return;
    }
    const type = RESOURCES[operation.kind];
    const { metadata } = operation.verb === 'create' ? operation.object : {};
    const namespace = type.namespaced ? ((metadata?.['namespace'] as string | undefined) ?? 'default') : null;
    await this.tryTo(() => {
      switch (operation.verb) {
        case 'create':
          return this.admin.create(type, namespace, operation.object);
        case 'delete':
          return this.admin.delete(type, namespace, operation.name);
        case 'patch':
          return this.admin.patch(type, namespace, operation.name, operation.patch, { type: 'merge' });
        default:
          return operation satisfies never;
      }
    });
  }

  #operateTeam(operation: Operation): void {
    switch (operation.verb) {
      case 'create':
        this.teams.put(operation.object.metadata.name, operation.object.spec as Partial<TeamSpec>);
        break;
      case 'delete':
        this.teams.delete(operation.name);
        break;
      case 'patch':
        this.teams.put(operation.name, (operation.patch as { readonly spec: Partial<TeamSpec> }).spec);
        break;
      default:
        operation satisfies never;
    }
  }

  /** Runs something as soon as anything is in that state the next time. */
  next(state: StateName, run: () => void): void {
    const waiting = this.#onNext.get(state);
    if (waiting === undefined) this.#onNext.set(state, [run]);
    else waiting.push(run);
  }

  #entered(state: StateName, times: number): void {
    this.coverage.saw(state);
    for (const run of this.#onNext.get(state)?.splice(0) ?? []) queueMicrotask(run);
    if (this.#waitingSteps.length === 0) return;
    const isDue = ({ at }: Step): boolean => 'state' in at && at.state === state && at.nth === times;
    const due = this.#waitingSteps.filter(isDue);
    this.#waitingSteps = this.#waitingSteps.filter((step) => !isDue(step));
    // Not within the write: whoever wrote is still at it.
    for (const step of due) queueMicrotask(() => this.#take(step));
  }

  /** The end of all faults: who is dead is started again, who is cut off or stands still is not any more. */
  #mend(): void {
    this.say('mended');
    this.#waitingSteps = [];
    for (const [index, replica] of this.replicas.entries()) {
      if (!replica?.process.isAlive) this.startReplica(index);
      else mendProcess(replica.process);
    }
    if (!this.schedulerProcess?.isAlive) this.startScheduler();
    else mendProcess(this.schedulerProcess);
    if (!this.controllersProcess?.isAlive) this.startControllers();
    else mendProcess(this.controllersProcess);
    for (const machine of this.machines.values()) {
      if (!machine.isUp) this.boot(machine.spec);
      else {
        mendProcess(machine.kubelet);
        mendProcess(machine.agent);
        if (!machine.agentAlive) void machine.restartAgent();
      }
    }
    for (const { metadata } of this.api.list(RESOURCES.nodes)) {
      const { labels } = this.machines.get(metadata.name)?.spec ?? {};
      const patch = { metadata: { labels }, spec: { unschedulable: false, taints: [] } };
      void this.tryTo(() => this.admin.patch(RESOURCES.nodes, null, metadata.name, patch, { type: 'merge' }));
    }
    resumeJobs(this);
  }

  /** A question of kube-scheduler that the scheduler of the embedded cluster does not ask by itself. */
  async askToPreempt(body: string): Promise<void> {
    const scheduler = this.schedulerProcess;
    if (scheduler?.isAlive) await this.#callExtender(scheduler, 'preempt', body);
  }

  async #callExtender(caller: Process, verb: ExtenderVerb, body: string): Promise<{ status: number; body: string }> {
    const isStale = this.elapsedMs < this.until.staleEndpoint;
    const target = isStale ? (this.follower()?.replica ?? null) : this.endpoint;
    if (target === null || !target.process.isAlive || this.elapsedMs < this.until.extenderAway) {
      await caller.running();
      throw new Error('connection refused');
    }
    if (verb === 'preempt') this.truth.asked(target.process.name, body);
    // Never, where the process stands still or dies before it has answered.
    const answered = target.process.running().then(() => handleExtender(target.reprieve.engine, verb, body));
    const answer = await within(caller.clock, EXTENDER_TIMEOUT_MS, answered);
    this.truth.answered(target.process.name, verb, body, answer);
    await caller.running();
    if (this.elapsedMs < this.until.answersLost) throw new Error('connection reset');
    return answer;
  }

  async #admitPod(review: AdmissionReview): Promise<AdmissionReview> {
    if (this.elapsedMs < this.until.webhookAway) throw new Error('connection refused');
    const living = this.replicas.filter((replica) => replica?.process.isAlive === true && !replica.process.isPaused);
    const [first, second] = living;
    const replica = second && this.random.next() < 0.5 ? second : first;
    if (!replica) throw new Error('connection refused');
    const answer = handleAdmission(replica.reprieve.engine, JSON.stringify(review));
    const { body } = await within(this.clock, WEBHOOK_TIMEOUT_MS, answer);
    const reviewed = JSON.parse(body) as AdmissionReview;
    const owner = review.request?.object.metadata.ownerReferences?.find(({ controller }) => controller === true);
    const isAside = this.elapsedMs < this.until.classRefused || this.truth.creations.isAside(owner?.uid ?? '');
    if (owner !== undefined && review.request?.dryRun === false && reviewed.response?.patch === undefined && !isAside)
      this.truth.replacements.reviewed(owner.uid);
    return reviewed;
  }

  /** What an admission policy says of a new pod. */
  #whyRefused(object: KubeObject): string | null {
    const { priorityClassName, runtimeClassName } = object['spec'] as NewPodSpec;
    const isOfClass = runtimeClassName === RUNTIME_CLASS && this.elapsedMs < this.until.classRefused;
    const isRefused = isOfClass || this.elapsedMs < this.until.podsRefused;
    if (this.isQuiet || !isRefused || priorityClassName !== 'batch') return null;
    this.truth.creations.refused(object, { isByClass: isOfClass, atMs: this.elapsedMs });
    return isOfClass ? `RuntimeClass ${RUNTIME_CLASS} is not allowed here` : 'pods of batch are not allowed here';
  }

  /** Which nodes another extender leaves of those it is asked about. */
  #filterElsewhere(verb: ExtenderVerb, body: string): Promise<{ status: number; body: string }> {
    const { Pod: pod, NodeNames: names } = JSON.parse(body) as FilterArgs;
    const isRefused = (name: string): boolean =>
      verb === 'filter' && isServing(pod.metadata.name) && this.elapsedMs < (this.refusedNodes.get(name) ?? 0);
    const failed = names.filter((name) => !this.isQuiet && isRefused(name));
    const answer = {
      NodeNames: names.filter((name) => !failed.includes(name)),
      FailedNodes: Object.fromEntries(failed.map((name) => [name, 'refused by another extender'])),
    };
    return Promise.resolve({ status: 200, body: JSON.stringify(answer) });
  }

  /** The connection of somebody who is never cut off. */
  get outside(): KubeTransport {
    return this.api;
  }

  get leasePath(): string {
    return pathOf(RESOURCES.leases, LEASE.namespace, LEASE.name);
  }
}

interface NewPodSpec {
  readonly priorityClassName?: string;
  readonly runtimeClassName?: string;
}

interface FilterArgs {
  readonly Pod: KubeObject;
  readonly NodeNames: readonly string[];
}

/** What comes within that time; an error where nothing does. */
async function within<T>(clock: Clock, ms: number, answer: Promise<T>): Promise<T> {
  const over = Promise.withResolvers<never>();
  const timer = clock.setTimer(ms, () => over.reject(new Error('no answer in time')));
  try {
    return await Promise.race([answer, over.promise]);
  } finally {
    timer.cancel();
  }
}

function mendProcess(process: Process): void {
  process.setTrap(null);
  process.setClock();
  process.resume();
  process.setCut(false);
  process.expireWatches();
}
