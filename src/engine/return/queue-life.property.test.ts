import { describe, expect, it } from 'vitest';
import { makePolicy } from '../../../test/support/builders.ts';
import { MAX_RESTORES, SmallCluster, STEP_MS, type Load } from '../../../test/support/small-cluster.ts';
import type { NodeName } from '../../domain/ids.ts';
import { RESTORE_GATE } from '../../domain/labels.ts';
import type { Pod } from '../../domain/pod.ts';
import { dominantShare, fits, subtractResources, type Resources } from '../../domain/resources.ts';
import type { Ticket } from '../../domain/ticket.ts';
import type { NodeSnapshot } from '../../index/types.ts';
import { Random } from '../../sim/random.ts';
import type { Command } from '../core/commands.ts';
import { DEFAULT_ENGINE_SETTINGS } from '../core/steps.ts';
import { HOUR_MS } from './recent-displacements.ts';

/** Random clusters, each played twice. `REPRIEVE_QUEUE_SEEDS=2000 npm test -- queue-life` plays more of them. */
const GIVEN = Number(process.env['REPRIEVE_QUEUE_SEEDS'] ?? 0);
const SEEDS = GIVEN || 200;
const LONG_SEEDS = GIVEN || 50; // of two hours each
const LONGEST_MS = 60_000 + 500 * SEEDS;
const SECOND = 1000;
const { maxGateMs, starvationMs, maxDisplacementsPerHour } = DEFAULT_ENGINE_SETTINGS;

interface Waiting {
  readonly ticket: Ticket;
  readonly pod: Pod;
}

const nodesOf = ({ world }: SmallCluster): readonly NodeSnapshot[] => [...world.index.nodes()];
/** By priority, then age; by name where two came at once. */
function isBefore({ ticket: a }: Waiting, { ticket: b }: Waiting): boolean {
  if (a.priority !== b.priority) return a.priority > b.priority;
  return a.creationMs === b.creationMs ? a.name < b.name : a.creationMs < b.creationMs;
}

const countOf = ({ continuing }: NodeSnapshot): number => continuing.length;

/** Tickets whose pods wait behind the gate, in order. */
function queueOf({ world }: SmallCluster): readonly Waiting[] {
  const waiting: Waiting[] = [];
  for (const ticket of world.index.tickets()) {
    const pod = ticket.claim === null ? undefined : world.index.pod(ticket.claim.uid);
    if (ticket.phase === 'Waiting' && pod?.gates.includes(RESTORE_GATE) === true) waiting.push({ ticket, pod });
  }
  return waiting.sort((a, b) => (isBefore(a, b) ? -1 : 1));
}

function ungatedBy(commands: readonly Command[], because: 'Admitted' | 'GateExpired'): ReadonlySet<string> {
  const uids = commands.map((one) => (one.kind === 'Ungate' && one.because === because ? one.pod.uid : ''));
  return new Set(uids);
}

/** Pods without a gate that have no node yet. */
const unplaced = ({ world }: SmallCluster): readonly Pod[] =>
  [...world.index.pendingPods()].filter(({ gates, deletionMs }) => gates.length === 0 && deletionMs === null);

const fitsAlone = (cluster: SmallCluster, requests: Resources): boolean =>
  nodesOf(cluster).some(({ node }) => fits(requests, node.allocatable));

/** What the node that comes nearest to taking it lacks; negative where it has room. */
const leastLack = (cluster: SmallCluster, { requests }: Pod): number =>
  Math.min(
    ...nodesOf(cluster)
      .filter(({ node }) => fits(requests, node.allocatable))
      .map(({ node, free }) => dominantShare(subtractResources(requests, free), node.allocatable)),
  );

/** Whether pods of a namespace stand back for those of others. */
function isOverShare(
  cluster: SmallCluster,
  { namespace }: Pod,
  admitted: readonly Waiting[],
  queue: readonly Waiting[],
): boolean {
  const namespaces = new Set(queue.map(({ pod }) => pod.namespace)).size;
  const inFlight =
    nodesOf(cluster).flatMap(({ continuing }) => continuing.filter((pod) => pod.namespace === namespace)).length +
    unplaced(cluster).filter((pod) => pod.ticket !== null && pod.namespace === namespace).length +
    admitted.filter(({ pod }) => pod.namespace === namespace).length;
  const share = (nodesOf(cluster).length * MAX_RESTORES) / namespaces;
  return namespaces > 1 && inFlight >= Math.max(1, Math.floor(share));
}

/** Holds what is true of the queue against each pass and each binding. */
class QueueJudge {
  readonly broken: string[] = [];
  readonly #cluster: SmallCluster;
  readonly #behind = new Map<string, Waiting & { readonly strangers: number }>(); // admitted pod -> the ticket before it that starved then
  #strangers = 0; // pods that kube-scheduler has placed by itself

  constructor(cluster: SmallCluster) {
    this.#cluster = cluster;
    cluster.onPass = (commands) => this.#pass(commands);
    cluster.onBind = (pod, node) => this.#bind(pod, node);
  }

  #pass(commands: readonly Command[]): void {
    const cluster = this.#cluster;
    const queue = queueOf(cluster);
    const [admittedUids, expired] = [ungatedBy(commands, 'Admitted'), ungatedBy(commands, 'GateExpired')];
    const admitted = queue.filter(({ pod }) => admittedUids.has(pod.uid));
    const staying = queue.filter(({ pod }) => !admittedUids.has(pod.uid) && !expired.has(pod.uid));
    for (const { pod } of staying)
      if (cluster.nowMs > pod.creationMs + maxGateMs + STEP_MS) this.#say(`${pod.name} waits longer than maxGate`);
    const last = admitted.at(-1);
    if (last === undefined) return;
    const first = staying.find((one) => isBefore(one, last) && !this.#standsBack(one, last, admitted, queue));
    if (first !== undefined && this.#mustFit(first, admitted))
      this.#say(`${last.pod.name} is admitted before ${first.pod.name}`);
    for (const one of admitted) {
      const starving = staying.filter(
        (other) =>
          isBefore(other, one) &&
          cluster.nowMs >= other.ticket.phaseMs + starvationMs &&
          fitsAlone(cluster, other.pod.requests),
      );
      const [head] = starving;
      // Whose turn it was while shares were given out is not judged here.
      if (head !== undefined && !starving.some((other) => this.#standsBack(other, one, admitted, queue)))
        this.#behind.set(one.pod.uid, { ...head, strangers: this.#strangers });
    }
  }

  #standsBack(one: Waiting, other: Waiting, admitted: readonly Waiting[], queue: readonly Waiting[]): boolean {
    return one.ticket.priority === other.ticket.priority && isOverShare(this.#cluster, one.pod, admitted, queue);
  }

  /** Some node takes it even if all others go there too. */
  #mustFit({ pod }: Waiting, admitted: readonly Waiting[]): boolean {
    const others = [...admitted.map((one) => one.pod), ...unplaced(this.#cluster)];
    return nodesOf(this.#cluster).some((on) => {
      const claims = [...on.nominated.filter(({ gates }) => gates.length > 0), ...others];
      const free = claims.reduce((left, { requests }) => subtractResources(left, requests), on.free);
      return countOf(on) + others.length < MAX_RESTORES && fits(pod.requests, free);
    });
  }

  #bind(pod: Pod, name: NodeName): void {
    const cluster = this.#cluster;
    const on = cluster.world.index.node(name) as NodeSnapshot;
    if (pod.ticket !== null && !pod.gateExpired && countOf(on) >= MAX_RESTORES) this.#say(`${name} restores too many`);
    const before = this.#behind.get(pod.uid);
    if (pod.ticket === null) this.#strangers++;
    // Another node may come nearest to taking it since.
    if (before?.strangers !== this.#strangers) return;
    const head = queueOf(cluster).find(({ ticket }) => ticket.uid === before?.ticket.uid);
    if (head === undefined) return;
    const lack = leastLack(cluster, head.pod);
    const after = Math.min(
      ...nodesOf(cluster)
        .filter(({ node }) => fits(head.pod.requests, node.allocatable))
        .map(({ node, free }) => {
          const left = node.name === name ? subtractResources(free, pod.requests) : free;
          return dominantShare(subtractResources(head.pod.requests, left), node.allocatable);
        }),
    );
    if (after > lack) this.#say(`${pod.name} on ${name} delays ${head.pod.name}`);
  }

  #say(what: string): void {
    this.broken.push(`${this.#cluster.nowMs / SECOND} s: ${what}`);
  }
}

/** Displaced pods come back while others run, come and go. */
function backlog(seed: number): { readonly nodes: readonly number[]; readonly loads: readonly Load[] } {
  const random = new Random(seed);
  const nodes = Array.from({ length: random.integer(1, 4) }, () => random.pick([4000, 8000]));
  const loads: Load[] = [];
  const add = (count: number, load: (at: number) => Omit<Load, 'name' | 'preempts'>): void => {
    for (let at = 0; at < count; at++) loads.push({ ...load(at), name: `p${loads.length}`, preempts: false });
  };
  const at = (untilSeconds: number): number => random.integer(0, untilSeconds / 5) * 5 * SECOND;
  add(random.integer(0, 8), () => ({
    atMs: at(300),
    namespace: 'others',
    priority: random.pick([0, 10]),
    cpuMilli: random.pick([500, 1000, 2000, 4000]),
    runMs: random.integer(2, 60) * 5 * SECOND,
    comesBack: false,
  }));
  add(random.integer(3, 14), () => ({
    atMs: at(random.pick([0, 300])),
    namespace: random.pick(['a', 'a', 'b', 'c']),
    priority: random.pick([0, 0, 1, 5]),
    cpuMilli: random.pick([500, 1000, 2000, 3000, 4000, 8000]),
    runMs: random.integer(2, 40) * 5 * SECOND,
    comesBack: true,
  }));
  return { nodes, loads };
}

/** Batch pods fill the nodes; pods of higher priority come and go in a rhythm of their own. */
function oscillation(seed: number): { readonly nodes: readonly number[]; readonly loads: readonly Load[] } {
  const random = new Random(seed);
  const nodes = Array.from({ length: random.integer(1, 3) }, () => 4000);
  const batch = Array.from({ length: random.integer(1, 2 * nodes.length) }, (_, at): Load => {
    const cpuMilli = random.pick([1000, 2000, 2000, 3000]);
    const plain = { namespace: 'batch', priority: random.pick([0, 0, 1]), runMs: 100 * HOUR_MS, comesBack: false };
    return { ...plain, name: `w${at}`, atMs: 0, cpuMilli, preempts: false };
  });
  const [periodS, runS] = [random.integer(12, 120) * 5, random.integer(2, 60) * 5];
  const high: Load[] = [];
  for (let atS = 300; atS < 7200; atS += periodS)
    for (let count = random.integer(1, nodes.length); count > 0; count--) {
      const rest = { namespace: 'serving', priority: 1000, runMs: runS * SECOND, comesBack: false, preempts: true };
      high.push({ ...rest, name: `h${high.length}`, atMs: atS * SECOND, cpuMilli: random.pick([2000, 3000, 4000]) });
    }
  return { nodes, loads: [...batch, ...high] };
}

const told = ({ happened }: SmallCluster): readonly string[] =>
  happened.map(({ atMs, what, pod, node }) => `${atMs} ${what} ${pod.uid} ${node ?? ''}`);

interface Played {
  readonly cluster: SmallCluster;
  readonly broken: readonly string[];
}

/** What breaks what holds; and that the same seed has another history. */
function playTwice(seed: number, play: () => Played): readonly string[] {
  const { cluster, broken } = play();
  const again = told(play().cluster);
  const isSame = again.length === cluster.happened.length && told(cluster).every((line, at) => line === again[at]);
  return [...broken.slice(0, 3), ...(isSame ? [] : ['the second run differs'])].map((what) => `seed ${seed}: ${what}`);
}

describe('the queue over random workloads', () => {
  it(
    'serves who fits in order, delays no starving head, keeps the caps, and lets everybody go in time',
    () => {
      for (let seed = 1; seed <= SEEDS; seed++) {
        const found = playTwice(seed, () => {
          const { nodes, loads } = backlog(seed);
          const cluster = new SmallCluster(nodes, loads);
          const { broken } = new QueueJudge(cluster);
          cluster.run(4 * HOUR_MS);
          const placed = new Set(cluster.happened.flatMap(({ what, pod }) => (what === 'bound' ? [pod.name] : [])));
          const largest = Math.max(...nodes);
          const forgotten = loads.filter(({ name, cpuMilli }) => cpuMilli <= largest && !placed.has(name));
          return { cluster, broken: [...broken, ...forgotten.map(({ name }) => `${name} was placed nowhere`)] };
        });
        expect(found).toEqual([]);
      }
    },
    LONGEST_MS,
  );

  it(
    'displaces the same work no more often than it may while load of higher priority oscillates',
    () => {
      for (let seed = 1; seed <= LONG_SEEDS; seed++) {
        const found = playTwice(seed, () => {
          const { nodes, loads } = oscillation(seed);
          const cluster = new SmallCluster(nodes, loads);
          cluster.world.put('policy', makePolicy());
          const broken: string[] = [];
          const timesOf = (name: string): readonly number[] =>
            cluster.happened
              .filter(({ what, pod }) => what === 'displaced' && pod.name === name)
              .map(({ atMs }) => atMs);
          const isWorn = ({ name }: Pod): boolean =>
            timesOf(name).filter((ms) => ms > cluster.nowMs - HOUR_MS + 2 * STEP_MS).length >= maxDisplacementsPerHour;
          cluster.onPass = (commands) => {
            for (const one of commands) {
              if (one.kind !== 'Ungate' || one.because !== 'Admitted') continue;
              if (isWorn(one.pod) && cluster.nowMs < one.pod.creationMs + maxGateMs)
                broken.push(`${cluster.nowMs / SECOND} s: ${one.pod.name} is admitted though it is worn`);
            }
          };
          cluster.onPreempt = (preemptor, offers, chosen) => {
            const choice = chosen === null ? undefined : offers.get(chosen);
            if (choice?.length !== 1) return;
            const [victim] = choice as [Pod];
            for (const [other] of [...offers.values()].filter(({ length }) => length === 1) as [Pod][]) {
              const isAlike =
                other.priority === victim.priority &&
                other.requests === victim.requests &&
                other.phase === victim.phase;
              const isHeld = cluster.world.index.ticketsOfVictim(other.uid).length > 0;
              const isTaken = [...cluster.world.book.on(other.nodeName as NodeName)].length > 0;
              // Nothing says when exactly a restore was interrupted.
              const isVague = [...cluster.world.index.tickets()].some(
                ({ pod, attempts }) => pod.name === other.name && attempts > 1,
              );
              if (!isAlike || isHeld || isTaken || isVague || other.deletionMs !== null) continue;
              const [more, less] = [victim, other].map(({ displacements }) => displacements) as [number, number];
              if ((isWorn(victim) && !isWorn(other)) || (isWorn(victim) === isWorn(other) && more > less))
                broken.push(
                  `${cluster.nowMs / SECOND} s: ${preemptor.name} displaces ${victim.name} rather than ${other.name}`,
                );
            }
          };
          cluster.run(7200 * SECOND);
          // Each time beyond those it had rested for maxGate.
          const most = maxDisplacementsPerHour + Math.ceil(HOUR_MS / maxGateMs);
          for (const { name } of loads) {
            const times = timesOf(name);
            const often = times.find(
              (ms) => times.filter((other) => other > ms - HOUR_MS && other <= ms).length > most,
            );
            if (often !== undefined)
              broken.push(`${often / SECOND} s: ${name} was displaced more than ${most} times in an hour`);
          }
          return { cluster, broken };
        });
        expect(found).toEqual([]);
      }
    },
    LONGEST_MS,
  );
});
