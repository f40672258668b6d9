/** How a fault hits whom it hits: what the rows of `fault-table.ts` are made of. */
import { preemptionIn } from '../support/preemption.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import type { KubeObject } from '../../src/kube/transport.ts';
import { sleep } from '../../src/ports/clock.ts';
import { MAINTENANCE } from './operations.ts';
import { checkpointOf, podOf, ticketOf } from './parsed.ts';
import type { Machine } from './machine.ts';
import type { PlannedFault } from './plan.ts';
import type { Mishap, Process, StreamMishap } from './process.ts';
import type { Replica } from './replica.ts';
import type { World } from './world.ts';

/** `terminationGracePeriodSeconds` where a pod states none. */
const STOP_GRACE_MS = 30_000;
/** `kubectl drain` waits for this after a budget refused an eviction. */
const DRAINED_AGAIN_MS = 5_000;

export function killReplica(world: World, place: number | undefined, lengthMs: number): void {
  const living = livingReplica(world, place);
  if (living === null) return;
  const { replica, index } = living;
  world.say(`${replica.process.name} dies`);
  replica.process.kill();
  startReplicaIn(world, index, lengthMs);
}

/** As the kubelet does it: what has not ended by itself is killed. */
export function stopReplica(world: World, place: number | undefined, lengthMs: number): void {
  const living = livingReplica(world, place);
  if (living === null) return;
  const { replica, index } = living;
  world.say(`${replica.process.name} is told to stop`);
  void Promise.race([replica.stop(), sleep(world.clock, STOP_GRACE_MS)]).then(() => {
    replica.process.kill();
    startReplicaIn(world, index, lengthMs);
  });
}

function livingReplica(world: World, index: number | undefined): { replica: Replica; index: number } | null {
  const replica = index === undefined ? null : world.replicas[index];
  return index !== undefined && replica?.process.isAlive ? { replica, index } : null;
}

function startReplicaIn(world: World, index: number, delayMs: number): void {
  world.clock.setTimer(delayMs, () => {
    if (!world.replicas[index]?.process.isAlive) world.startReplica(index);
  });
}

export function killScheduler(world: World, lengthMs: number): void {
  world.schedulerProcess?.kill();
  world.clock.setTimer(lengthMs, () => {
    if (!world.schedulerProcess?.isAlive) world.startScheduler();
  });
}

export function killAgent(world: World, machine: Machine | null, lengthMs: number): void {
  if (machine === null) return;
  world.say(`agent of ${machine.spec.name} dies`);
  machine.crashAgent();
  world.clock.setTimer(lengthMs, () => {
    if (machine.isUp) void machine.restartAgent();
  });
}

export function pause(world: World, process: Process | null | undefined, lengthMs: number): void {
  if (!process) return;
  world.say(`${process.name} stands still`);
  process.pause();
  world.clock.setTimer(lengthMs, () => process.resume());
}

export function cut(world: World, process: Process | null | undefined, lengthMs: number): void {
  if (!process) return;
  world.say(`${process.name} is cut off`);
  process.setCut(true);
  world.clock.setTimer(lengthMs, () => process.isCut && process.setCut(false));
}

export function cordon(world: World, machine: Machine | null, lengthMs: number): void {
  if (machine === null) return;
  const say = (unschedulable: boolean): void =>
    void world.tryTo(() =>
      world.admin.patch(RESOURCES.nodes, null, machine.spec.name, { spec: { unschedulable } }, { type: 'merge' }),
    );
  say(true);
  world.clock.setTimer(lengthMs, () => say(false));
}

/** As `kubectl drain`: what a budget keeps is asked for again. */
export function drain(world: World, machine: Machine | null, lengthMs: number): void {
  if (machine === null) return;
  cordon(world, machine, lengthMs);
  const isOver = overAfter(world, lengthMs);
  const again = (): void => {
    if (isOver()) return;
    const left = world.podsOn(machine.spec.name).filter(({ metadata }) => metadata.deletionTimestamp === undefined);
    for (const pod of left) evict(world, pod);
    if (left.length > 0) world.clock.setTimer(DRAINED_AGAIN_MS, again);
  };
  again();
}

export function taint(world: World, machine: Machine | null, lengthMs: number): void {
  if (machine === null) return;
  const say = (taints: readonly object[]): void =>
    void world.tryTo(() =>
      world.admin.patch(RESOURCES.nodes, null, machine.spec.name, { spec: { taints } }, { type: 'merge' }),
    );
  world.say(`  taints ${machine.spec.name}`);
  say([{ key: MAINTENANCE, effect: 'NoExecute' }]);
  world.clock.setTimer(lengthMs, () => machine.isUp && say([]));
}

export function unlabel(world: World, machine: Machine | null, lengthMs: number): void {
  if (machine === null) return;
  const say = (pool: string | null): void =>
    void world.tryTo(() =>
      world.admin.patch(
        RESOURCES.nodes,
        null,
        machine.spec.name,
        { metadata: { labels: { pool } } },
        { type: 'merge' },
      ),
    );
  world.say(`  takes the pool of ${machine.spec.name}`);
  say(null);
  world.clock.setTimer(lengthMs, () => say(machine.spec.labels['pool'] ?? null));
}

export function nodeFault(world: World, kind: keyof World['nodeFaults'], count: number): void {
  world.nodeFaults[kind] += count;
}

/** True once that time has passed, or all faults are over. */
export function overAfter(world: World, lengthMs: number): () => boolean {
  const untilMs = world.elapsedMs + lengthMs;
  return () => world.isQuiet || world.elapsedMs >= untilMs;
}

/** Until the last of the pods that are frozen now may be thawed without a write. */
export function thawsInMs(world: World): number {
  const thawsMs = world.api.list(RESOURCES.podCheckpoints).map((object) => checkpointOf(object).thawAtMs ?? 0);
  return Math.max(0, Math.max(0, ...thawsMs) - world.clock.now());
}

/** One process, or all. */
export function hit(world: World, { pick }: PlannedFault): readonly Process[] {
  const all = [
    ...world.replicas.map((replica) => replica?.process),
    world.schedulerProcess,
    world.controllersProcess,
    ...[...world.machines.values()].flatMap(({ agent, kubelet }) => [agent, kubelet]),
  ].filter((process) => process?.isAlive === true) as Process[];
  if (pick < 0.3) return all;
  if (pick < 0.6)
    return world.leader() === null ? [] : [(world.leader() as { replica: { process: Process } }).replica.process];
  return [all[Math.floor(pick * 997) % all.length] as Process];
}

export function harass(world: World, fault: PlannedFault, mishap: Mishap): void {
  const random = world.random.fork(`${fault.fault} ${fault.pick}`);
  const isOver = overAfter(world, fault.lengthMs);
  for (const process of hit(world, fault)) {
    world.say(`  hits ${process.name}`);
    process.harass(() => (random.next() < 1 / 3 ? mishap : null), isOver);
  }
}

/** One in three events of their watches. */
export function garble(
  world: World,
  processes: readonly Process[],
  { fault, pick, lengthMs }: PlannedFault,
  mishap: () => StreamMishap,
): void {
  const random = world.random.fork(`${fault} ${pick}`);
  const isOver = overAfter(world, lengthMs);
  for (const process of processes) {
    world.say(`  hits ${process.name}`);
    process.garble(() => (random.next() < 1 / 3 ? mishap() : null), isOver);
  }
}

export function machineOf(world: World, { pick, at }: PlannedFault): Machine | null {
  const machines = [...world.machines.values()].filter(({ isUp }) => isUp);
  // What waits for a state most likely means the node where that happens.
  const busy = machines.filter(({ state }) =>
    [...(state?.containers.values() ?? [])].some((c) => c.state === 'frozen'),
  );
  return pickOne('state' in at && busy.length > 0 && pick < 0.8 ? busy : machines, (pick * 3) % 1);
}

export function remove(world: World, pod: KubeObject | null, gracePeriodSeconds?: number): void {
  if (pod === null) return;
  world.say(`  hits ${pod.metadata.name}`);
  const options = gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds };
  void world.tryTo(() => world.admin.delete(RESOURCES.pods, namespaceOf(pod), pod.metadata.name, options));
}

export function namespaceOf({ metadata: { namespace = 'default' } }: KubeObject): string {
  return namespace;
}

export function evict(world: World, pod: KubeObject): void {
  const [namespace, { name }] = [namespaceOf(pod), pod.metadata];
  world.say(`  hits ${name}`);
  void world.outside.request({
    method: 'POST',
    path: `/api/v1/namespaces/${namespace}/pods/${name}/eviction`,
    body: { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace } },
  });
}

export function batchPod(world: World, fault: PlannedFault): KubeObject | null {
  return pickPod(world, fault, ({ metadata }) => !isServing(metadata.name));
}

export function victimPod(world: World, fault: PlannedFault): KubeObject | null {
  const victims = new Set(
    world.api.list(RESOURCES.reprieves).map((ticket) => (ticket['spec'] as { pod: { uid: string } }).pod.uid),
  );
  return pickPod(world, fault, ({ metadata }) => victims.has(metadata.uid ?? ''));
}

/** A running pod whose controller waits for the return of another one. */
export function siblingOfVictim(world: World, fault: PlannedFault): KubeObject | null {
  const owners = new Set(
    world.api
      .list(RESOURCES.reprieves)
      .map(ticketOf)
      .flatMap(({ owner, claim, phase }) =>
        owner === null || claim !== null || phase === 'Saving' ? [] : [owner.uid],
      ),
  );
  return pickPod(world, fault, (pod) => isBound(pod['spec']) && owners.has(podOf(pod).owner?.uid ?? ''));
}

/** Creates a pod that needs what another preemptor waits for, on the same node, and is more important. It leaves after `lengthMs`. */
export function outrank(world: World, lengthMs: number): void {
  if (world.isQuiet) return;
  const displacements = world.api
    .list(RESOURCES.reprieves)
    .map(ticketOf)
    .filter(({ phase }) => phase === 'Saving');
  const pods = world.api.list(RESOURCES.pods);
  for (const { displacement } of displacements) {
    const { node, preemptor: beneficiary } = preemptionIn(displacement);
    const preemptor = pods.find(({ metadata }) => metadata.uid === beneficiary.uid);
    if (preemptor === undefined || beneficiary.priority >= URGENT) continue;
    const name = `high-urgent-${Math.round(world.elapsedMs)}`;
    const { containers } = preemptor['spec'] as { readonly containers: readonly object[] };
    const nodeSelector = { 'kubernetes.io/hostname': node };
    world.say(`  ${name} outranks ${preemptor.metadata.name} on ${node}`);
    void world.tryTo(() =>
      world.admin.create(RESOURCES.pods, 'default', {
        metadata: { name, namespace: 'default', annotations: preemptor.metadata.annotations ?? {} },
        spec: { priorityClassName: 'urgent', containers, nodeSelector },
      }),
    );
    world.clock.setTimer(lengthMs, () => {
      void world.tryTo(() => world.admin.delete(RESOURCES.pods, 'default', name));
    });
    return;
  }
}

/** Value of the PriorityClass `urgent`. */
const URGENT = 2000;

export function pickPod(world: World, { pick }: PlannedFault, wanted: (pod: KubeObject) => boolean): KubeObject | null {
  return pickOne(world.api.list(RESOURCES.pods).filter(wanted), pick);
}

export function isServing(name: string): boolean {
  return name.startsWith('high-');
}

export function isBound(spec: unknown): boolean {
  return (spec as { nodeName?: string }).nodeName !== undefined;
}

export function pickOne<T>(list: readonly T[], pick: number): T | null {
  return list[Math.floor(pick * list.length)] ?? null;
}
