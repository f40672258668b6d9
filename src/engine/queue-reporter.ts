import type { PodUid } from '../domain/ids.ts';
import type { ClusterView } from '../index/types.ts';
import type { Clock, Timer } from '../ports/clock.ts';
import { isGated } from './claims.ts';
import type { Command } from './commands.ts';
import type { Executor } from './executor.ts';
import { byTurn, queuedOf, type Queued } from './queue.ts';
import { Steps } from './steps.ts';
import { obstaclesOf } from './waiting-cause.ts';

/** Between two looks at the queue. */
const LOOK_EVERY_MS = 10_000;
/** Between two writes to one pod. */
const PAUSE_MS = 30_000;
/** Pods further back are not told their place: it changes with each pod before them. */
const MAX_TOLD = 100;
/** The first places are told one by one, the others up to the next of these. */
const EXACT_PLACES = 10;
const BUCKET_ENDS = [20, 50, MAX_TOLD];
/** A message names what every node lacks, which costs a look at each of them. */
const MAX_AT_ONCE = 2;

export interface QueueReporterOptions {
  readonly view: ClusterView;
  readonly clock: Clock;
  readonly maxRestores: number;
  /** False: nothing is written (not synced, or another replica leads). */
  readonly mayAct: () => boolean;
  /** Not the one that moves pods: telling must not take a place from that. */
  readonly executor: Pick<Executor, 'run' | 'inFlightCount'>;
}

/**
 * Tells the gated pods at the head of the queue where they stand and what they wait for, in their condition
 * `reprieve.dev/Restored`: their owners see no ticket, no other pod and no log. A pod is written to when its place is another
 * one (beyond the tenth: another range of places), at most every 30 s, and once more when its gate is removed.
 *
 *     idle ──poke──> due ──10 s after the last──> looks at the queue, writes what differs ──> idle
 */
export class QueueReporter {
  readonly #options: QueueReporterOptions;
  #timer: Timer | null = null;
  #lastMs = Number.NEGATIVE_INFINITY; // monotonic
  #places: readonly Place[] = []; // what the last look found
  readonly #writtenMs = new Map<PodUid, number>(); // pod -> when it was last written to, monotonic
  #stopped = false;

  constructor(options: QueueReporterOptions) {
    this.#options = options;
  }

  /** Something changed: the queue may be another one. */
  poke(): void {
    if (this.#stopped || this.#timer !== null) return;
    const { clock } = this.#options;
    this.#timer = clock.setTimer(this.#lastMs + LOOK_EVERY_MS - clock.monotonic(), () => this.#look());
  }

  /** Writes what pods do not say yet. To be called again when a write came back. */
  write(): void {
    const { view, clock, executor, maxRestores, mayAct } = this.#options;
    if (this.#stopped || !mayAct()) return;
    const nowMs = clock.monotonic();
    const atOnce = MAX_AT_ONCE - executor.inFlightCount; // more would be dropped
    const commands: Command[] = [];
    for (const { entry, place } of this.#places) {
      if (commands.length >= atOnce) break;
      const { ticket } = entry;
      const pod = view.pod(entry.pod.uid);
      if (pod === undefined || pod.nodeName !== null || pod.deletionMs !== null) continue;
      const isWaiting = isGated(pod);
      if (isWaiting ? pod.queuedAs?.split(SEPARATOR)[0] === place : pod.queuedAs === null) continue; // it was told
      if (nowMs - (this.#writtenMs.get(pod.uid) ?? Number.NEGATIVE_INFINITY) < PAUSE_MS) {
        this.poke(); // it is told after the pause, also where nothing else happens
      } else if (isWaiting) {
        const message = `${place}${SEPARATOR}${lackOf(view, maxRestores, { ...entry, pod })}`;
        commands.push({ kind: 'TellQueued', ticket, pod, reason: 'Queued', message });
      } else {
        const message = `ticket ${ticket.name} is admitted; kube-scheduler places the pod`;
        commands.push({ kind: 'TellQueued', ticket, pod, reason: 'Admitted', message });
      }
    }
    for (const command of commands) if (command.kind === 'TellQueued') this.#writtenMs.set(command.pod.uid, nowMs);
    executor.run(commands);
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #look(): void {
    this.#timer = null;
    const { view, clock, mayAct } = this.#options;
    this.#lastMs = clock.monotonic();
    this.#places = mayAct() ? placesIn(view) : [];
    const told = new Set(this.#places.map(({ entry }) => entry.pod.uid));
    for (const uid of this.#writtenMs.keys()) if (!told.has(uid)) this.#writtenMs.delete(uid);
    this.write();
  }
}

interface Place {
  readonly entry: Queued;
  /** In words; equal for places that are told alike. */
  readonly place: string;
}

const SEPARATOR = '; ';

/** The first of the queue, and those that were told a place and have left it without a node yet. */
function placesIn(view: ClusterView): readonly Place[] {
  const steps = new Steps();
  const waiting: Queued[] = [];
  const left: Queued[] = [];
  for (const ticket of view.tickets()) {
    const entry = queuedOf(view, ticket, steps);
    if (entry === null) continue;
    if (isGated(entry.pod)) waiting.push(entry);
    else if (entry.pod.queuedAs !== null) left.push(entry);
  }
  const first = waiting.sort(byTurn).slice(0, MAX_TOLD);
  const told = first.map((entry, index) => ({ entry, place: `${placeOf(index + 1)} of ticket ${entry.ticket.name}` }));
  return [...told, ...left.slice(0, MAX_TOLD).map((entry) => ({ entry, place: '' }))];
}

function placeOf(position: number): string {
  if (position <= EXACT_PLACES) return `position ${position} in the restore queue`;
  const at = BUCKET_ENDS.findIndex((end) => position <= end);
  return `position ${(BUCKET_ENDS[at - 1] ?? EXACT_PLACES) + 1} to ${BUCKET_ENDS[at]} in the restore queue`;
}

/** `waits for room on one of 6 nodes: 4 full, 2 of another compatibility class` */
function lackOf(view: ClusterView, maxRestores: number, entry: Queued): string {
  if (entry.ticket.phase === 'Displacing') return 'waits for the displaced pod to be gone';
  const { full, promised, incompatible, unsuitable, saturated } = obstaclesOf(view, maxRestores, entry);
  const counts: readonly (readonly [number, string])[] = [
    [full, 'full'],
    [promised, 'promised to earlier pods'],
    [incompatible, 'of another compatibility class, or not the one that holds the state'],
    [unsuitable, 'that do not take the pod'],
    [saturated, 'that restore as many pods as they may'],
  ];
  const nodes = counts.reduce((sum, [count]) => sum + count, 0);
  const parts = counts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`);
  return `waits for room on one of ${nodes} node${nodes === 1 ? '' : 's'}: ${parts.join(', ') || 'none exists'}`;
}
