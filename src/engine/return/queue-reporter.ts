import { objectKey, type PodUid } from '../../domain/ids.ts';
import { RESTORE_GATE } from '../../domain/labels.ts';
import type { Ticket } from '../../domain/ticket.ts';
import type { ClusterView } from '../../index/types.ts';
import type { TicketBlocker } from '../../ports/cluster-writer.ts';
import type { Clock, Timer } from '../../ports/clock.ts';
import { isGated } from './claims.ts';
import type { Command } from '../core/commands.ts';
import type { Executor } from '../core/executor.ts';
import { restsUntilMs } from './hindrances.ts';
import { queuedOf, type Queued } from './queue.ts';
import { byTurn } from './restore-queue.ts';
import { Steps, type EngineSettings } from '../core/steps.ts';
import { blockersOf, wordsOf } from './blockers.ts';

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
/** Nodes change while a place stays the same: what they lack is looked at again after this. */
const LOOK_AGAIN_MS = 120_000;

export interface QueueReporterOptions {
  readonly view: ClusterView;
  readonly clock: Clock;
  readonly settings: EngineSettings;
  /** False: nothing is written (not synced, or another replica leads). */
  readonly mayAct: () => boolean;
  /** Not the one that moves pods: telling must not take a place from that. */
  readonly executor: Pick<Executor, 'run' | 'inFlightCount'>;
}

/**
 * Tells the gated pods at the head of the queue where they stand and what they wait for, in their condition
 * `reprieve.dev/Restored`: their owners see no ticket, no other pod and no log. The tickets say the same, with the number of nodes
 * for each reason. A pod is written to when its place is another one (beyond the tenth: another range of places) or it waits for
 * something else, at most every 30 s, and once more when its gate is removed.
 *
 *     idle ──poke──> due ──10 s after the last──> looks at the queue, writes what differs ──> idle
 */
export class QueueReporter {
  readonly #options: QueueReporterOptions;
  #timer: Timer | null = null;
  #lastMs = Number.NEGATIVE_INFINITY; // monotonic
  #places: readonly Place[] = []; // what the last look found
  readonly #told = new Map<PodUid, Told>(); // pod -> what was found last
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
    const { view, clock, executor, mayAct } = this.#options;
    if (this.#stopped || !mayAct()) return;
    const nowMs = clock.monotonic();
    const atOnce = MAX_AT_ONCE - executor.inFlightCount; // more would be dropped
    const commands: Command[] = [];
    for (const { entry, place } of this.#places) {
      if (commands.length >= atOnce) break;
      const pod = view.pod(entry.pod.uid);
      const ticket = view.ticket(objectKey(entry.ticket.namespace, entry.ticket.name));
      if (pod === undefined || ticket === undefined || pod.nodeName !== null || pod.deletionMs !== null) continue;
      const before = this.#told.get(pod.uid);
      const isWaiting = isGated(pod);
      const isPlaceTold = isWaiting ? pod.queuedAs?.split(SEPARATOR)[0] === place : pod.queuedAs === null;
      if (!isPlaceTold || (isWaiting && before !== undefined && nowMs - before.atMs >= LOOK_AGAIN_MS)) {
        if (nowMs - (before?.atMs ?? Number.NEGATIVE_INFINITY) < PAUSE_MS) {
          this.poke(); // it is told after the pause, also where nothing else happens
          continue;
        }
        const told = isWaiting ? lackOf(this.#options, { ...entry, pod }, place) : admitted(ticket);
        this.#told.set(pod.uid, { ...told, atMs: nowMs });
        const reason = isWaiting ? 'Queued' : 'Admitted';
        const { message } = told;
        if (!isPlaceTold || !isAlike(message, pod.queuedAs))
          commands.push({ kind: 'TellQueued', ticket, pod, reason, message });
      } else if (before === undefined) this.#told.set(pod.uid, { message: null, blocked: null, atMs: nowMs });
      const { message = null, blocked = null } = this.#told.get(pod.uid) ?? {};
      const isTicketTold =
        message === null || !isWaiting || ticket.phase !== 'Waiting' || isAlike(message, ticket.waitsFor);
      if (!isTicketTold && commands.length < atOnce)
        commands.push({ kind: 'TellTicket', ticket, condition: null, waitsFor: message, blocked });
    }
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
    for (const uid of this.#told.keys()) if (!told.has(uid)) this.#told.delete(uid);
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

/** What a pod and its ticket were told last. */
interface Told {
  /** Null: by an earlier leader. */
  readonly message: string | null;
  readonly blocked: readonly TicketBlocker[] | null;
  /** When that was found out, on the monotonic clock. */
  readonly atMs: number;
}

/** The same place and the same reasons; how many nodes have each is no reason to write again. */
function isAlike(message: string, other: string | null): boolean {
  const reasons = (text: string): string => {
    const at = text.indexOf(SEPARATOR);
    return text.slice(0, at) + text.slice(at).replace(/\d+/g, '');
  };
  return other !== null && reasons(message) === reasons(other);
}

function admitted({ name }: Ticket): Omit<Told, 'atMs'> & { readonly message: string } {
  return { message: `ticket ${name} is admitted; kube-scheduler places the pod`, blocked: null };
}

/** `waits for room on one of 6 nodes: 4 with too little cpu, 2 of another compatibility class` */
function lackOf(
  { view, clock, settings }: QueueReporterOptions,
  entry: Queued,
  place: string,
): Omit<Told, 'atMs'> & { readonly message: string } {
  const otherGates = entry.pod.gates.filter((gate) => gate !== RESTORE_GATE);
  const because = (what: string) => ({ message: `${place}${SEPARATOR}${what}`, blocked: null });
  if (otherGates.length > 0) return because(`is held by the scheduling gate ${otherGates.join(', ')}`);
  if (entry.ticket.heldFor !== null) return because(`is kept there by reprieve.dev/hold: ${entry.ticket.heldFor}`);
  if (entry.ticket.phase === 'Displacing') return because('waits for the displaced pod to be gone');
  if (restsUntilMs(view, entry, clock.now(), settings) !== null)
    return because(`rests: its work was displaced ${settings.maxDisplacementsPerHour} times within an hour`);
  const blocked = blockersOf(view, settings.maxConcurrentRestoresPerNode, entry);
  const nodes = blocked.reduce((sum, { nodes: count }) => sum + count, 0);
  const parts = blocked.map(({ reason, nodes: count }) => `${count} ${wordsOf(reason)}`);
  const among = `waits for room on one of ${nodes} node${nodes === 1 ? '' : 's'}`;
  return { message: `${place}${SEPARATOR}${among}: ${parts.join(', ') || 'none exists'}`, blocked };
}
