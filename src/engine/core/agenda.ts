import { objectKey, type NodeName, type ObjectKey } from '../../domain/ids.ts';
import type { Checkpoint } from '../../domain/checkpoint.ts';
import { isSameNode, type Node } from '../../domain/node.ts';
import type { Pod } from '../../domain/pod.ts';
import type { Policy } from '../../domain/policy.ts';
import type { Ticket } from '../../domain/ticket.ts';
import type { WebhookReplica } from '../../domain/webhook-replica.ts';
import type { ClusterView, IndexedKind, IndexedKinds, IndexEvent } from '../../index/types.ts';
import { claimGroupOf, isGated } from '../return/claims.ts';
import type { Command } from './commands.ts';
import { collect, type Findings } from './findings.ts';
import { exists, STAGES, subjectsOf } from './next-steps.ts';
import { isAboutNewcomer } from '../return/newcomers.ts';
import { admit, type Queued } from '../return/queue.ts';
import { RestoreQueue } from '../return/restore-queue.ts';
import { placeOf } from '../return/place.ts';
import { Room } from '../return/room.ts';
import { Steps, type Displacements, type World } from './steps.ts';
import { partsOf, partsOfDisplacement, partsOfReplacement, POLICIES, REPLICAS } from './parts.ts';
import { PLACES, Tasks, type Task } from './tasks.ts';
import { TrackedDisplacements } from './tracked-displacements.ts';
import { TrackedView } from './tracked-view.ts';

/** Kinds that the search for capacity reads beside nodes. */
const VOLUME_KINDS: ReadonlySet<IndexedKind> = new Set(['volumeClaim', 'volume', 'storageClass', 'csiNode']);

/** The wall clock was set if its distance from the monotonic clock changed by more than this. */
const SET_CLOCK_MS = 1_000;

/**
 * The same as `nextSteps`, for what changed. Each step about each subject is a task. A task is due when something that it
 * read last time has changed (`tracked-view.ts`), when its time has come, or when its subject is new:
 *
 *     index, displacements ──changed──> parts ──readers──> due tasks ──pass──> commands, alarms, place in the queue
 *                                     ^                   │
 *                                     └───── reads ───────┘
 *
 * The search for capacity is one more step over the whole queue (`queue.ts`): it runs when the queue or the capacity of a node
 * has changed. Before {@link start} nothing is noted: everything is due then.
 */
export class Agenda {
  readonly #view: ClusterView;
  readonly #book: Displacements;
  readonly #tasks = new Tasks();
  readonly #trackedView: TrackedView;
  readonly #trackedBook: TrackedDisplacements;
  readonly #contested = new Set<string>(); // uids of tickets
  #queue = new RestoreQueue();
  #room: Room | null = null; // null: not started
  #admission = new Steps();
  #admissionWakeAtMs = Number.POSITIVE_INFINITY;
  #isAdmissionDue = false;
  #policies: readonly Policy[] | null = null;
  #replicas: readonly WebhookReplica[] | null = null;
  #wallOffsetMs = Number.NaN;

  constructor(view: ClusterView, book: Displacements) {
    this.#view = view;
    this.#book = book;
    this.#trackedView = new TrackedView(view, this.#tasks.readers);
    this.#trackedBook = new TrackedDisplacements(book, this.#tasks.readers);
  }

  /** Forgets everything, and looks at everything in the next pass. */
  start(maxRestores: number): void {
    this.stop();
    this.#room = new Room(maxRestores, this.#view);
    this.#isAdmissionDue = true;
    for (const [stage, { of }] of STAGES.entries())
      for (const key of subjectsOf({ view: this.#view, book: this.#book }, of)) this.#tasks.schedule(stage, key);
    for (const { node } of this.#view.nodes()) this.#tasks.schedule(PLACES, node.name);
  }

  stop(): void {
    this.#tasks.clear();
    this.#contested.clear();
    this.#queue = new RestoreQueue();
    this.#room = null;
    this.#admission = new Steps();
    this.#admissionWakeAtMs = Number.POSITIVE_INFINITY;
    this.#wallOffsetMs = Number.NaN;
    this.#policies = null;
    this.#replicas = null;
  }

  /** A change of the index. */
  changed(event: IndexEvent, before: IndexedKinds[IndexedKind] | undefined): void {
    if (this.#room === null || isHeartbeat(event, before)) return;
    if (before !== undefined) this.#tasks.touch(partsOf(event.kind, before));
    if (event.kind === 'pod') {
      this.#tasks.touch(
        partsOfReplacement(before as Pod | undefined, event.type === 'upsert' ? event.value : undefined),
      );
    }
    if (VOLUME_KINDS.has(event.kind) || isAboutNewcomer(event, before)) this.#isAdmissionDue = true;
    if (event.type === 'delete') return;
    this.#tasks.touch(partsOf(event.kind, event.value));
    this.#scheduleNew(event.kind, event.value);
  }

  /** The displacement with this id was opened, closed or overruled. */
  displacementChanged(id: string): void {
    if (this.#room === null) return;
    this.#tasks.touch(partsOfDisplacement(id));
    this.#tasks.scheduleAll('displacement', id);
    this.#isAdmissionDue = true;
  }

  /** Looks at what is due, and yields between two looks: other work may run then, and change anything. `world` is asked after each. */
  *pass(world: () => World, findings: Findings): Generator<void, void> {
    this.#noticeTime(world());
    this.#noticeArrays();
    for (const task of this.#tasks.take()) {
      this.#look(task, world(), findings);
      yield;
    }
    const room = this.#room;
    const now = world();
    if (room === null || !(this.#isAdmissionDue || this.#admissionWakeAtMs <= now.steadyMs)) return;
    this.#isAdmissionDue = false;
    const steps = new Steps();
    yield* admit(now, this.#queue, room, steps);
    this.#admission = steps;
    this.#admissionWakeAtMs = steadyOf(now, steps.wakeAtMs);
  }

  /** Something is due that the last pass has not looked at. */
  get isDue(): boolean {
    return this.#isAdmissionDue || this.#tasks.isDue;
  }

  /** What is to be carried out, as far as nothing of its reasons has changed since; the order of the stages. */
  commands(): Command[] {
    return [...this.#tasks.commands(), ...this.#admission.commands];
  }

  /** When the next task is due without a change of the index, on the monotonic clock. */
  get wakeAtMs(): number {
    return Math.min(this.#tasks.wakeAtMs, this.#admissionWakeAtMs);
  }

  #noticeTime({ nowMs, steadyMs }: World): void {
    const offsetMs = nowMs - steadyMs;
    if (Number.isNaN(this.#wallOffsetMs)) this.#wallOffsetMs = offsetMs;
    if (Math.abs(offsetMs - this.#wallOffsetMs) > SET_CLOCK_MS) {
      this.#wallOffsetMs = offsetMs;
      this.#isAdmissionDue = true;
      this.#tasks.wakeAll();
    }
    this.#tasks.wake(steadyMs);
  }

  /** Of these the view gives another array where something has changed. */
  #noticeArrays(): void {
    const [policies, replicas] = [this.#view.policies(), this.#view.webhookReplicas()];
    if (policies !== this.#policies) this.#tasks.touch([POLICIES]);
    if (replicas !== this.#replicas) this.#tasks.touch([REPLICAS]);
    this.#policies = policies;
    this.#replicas = replicas;
  }

  #look(task: Task, world: World, findings: Findings): void {
    if (task.stage === PLACES) this.#lookAtPlace(task);
    else this.#lookAtSubject(task, world, findings);
  }

  #lookAtPlace(task: Task): void {
    const name = task.key as NodeName;
    const place = this.#tasks.readers.during(task, () => placeOf(this.#trackedView, name));
    if (this.#room?.set(name, place) === true) this.#isAdmissionDue = true;
    if (place === null) this.#tasks.drop(task);
  }

  #lookAtSubject(task: Task, world: World, findings: Findings): void {
    const { of, step } = STAGES[task.stage] as (typeof STAGES)[number];
    if (task.contested !== null) this.#contested.delete(task.contested);
    const steps = new Steps(this.#contested);
    const [view, book] = [this.#trackedView, this.#trackedBook];
    this.#tasks.readers.during(task, () => step({ ...world, view, book }, task.key, steps));
    this.#tasks.setCommands(task, steps.commands);
    this.#setQueued(task, steps.queue[0] ?? null);
    this.#setContested(task, steps);
    this.#tell(task, steps, findings);
    this.#tasks.setAlarm(task, steadyOf(world, steps.wakeAtMs));
    collect(findings, steps);
    if (!exists({ view: this.#view, book: this.#book }, of, task.key)) this.#tasks.drop(task);
  }

  #setQueued(task: Task, queued: Queued | null): void {
    if (task.queued === null && queued === null) return;
    // A look that finds nothing new, after a change of a node: what is known of its sort is kept.
    if (task.queued !== null && queued !== null && isSameEntry(task.queued, queued)) return;
    const former = task.queued;
    if (former !== null) this.#queue.remove(former);
    if (queued !== null) this.#queue.add(queued);
    if (former !== null && !this.#queue.has(former.sort)) this.#room?.forget(former.sort);
    task.queued = queued;
    this.#isAdmissionDue = true;
  }

  /** The other steps about a ticket leave it alone while it is contested. */
  #setContested(task: Task, { resolved }: Steps): void {
    const contested = resolved[0]?.uid ?? null;
    if (contested === task.contested) return;
    task.contested = contested;
    const ticket = resolved[0] ?? this.#view.ticket(task.key as ObjectKey);
    if (ticket !== undefined) this.#tasks.touch(partsOf('ticket', ticket));
  }

  #tell(task: Task, { contradictions, staying }: Steps, findings: Findings): void {
    if (contradictions.length + staying.length + task.told.length === 0) return;
    const told: string[] = [];
    const isNews = (what: string): boolean => told.push(what) > 0 && !task.told.includes(what);
    findings.contradictions.push(...contradictions.filter(({ kind, object }) => isNews(`${kind} ${object.uid}`)));
    findings.staying.push(...staying.filter(({ pod, why }) => isNews(`${pod.uid} ${why}`)));
    task.told = told;
  }

  #scheduleNew(kind: IndexedKind, value: object): void {
    if (kind === 'ticket' || kind === 'checkpoint') {
      const { namespace, name } = value as Ticket | Checkpoint;
      this.#tasks.scheduleAll(kind, objectKey(namespace, name));
    } else if (kind === 'node') {
      const { name, evacuateFor } = value as Node;
      this.#tasks.schedule(PLACES, name);
      if (evacuateFor !== null) this.#tasks.scheduleAll('wishes', name);
    } else if (kind === 'pod') {
      const pod = value as Pod;
      if (isGated(pod)) this.#tasks.scheduleAll('claims', claimGroupOf(pod));
      if (pod.displaceFor !== null && pod.nodeName !== null) this.#tasks.scheduleAll('wishes', pod.nodeName);
    }
  }
}

/** The moment of a time of day on the monotonic clock. */
function steadyOf({ nowMs, steadyMs }: World, atMs: number): number {
  return steadyMs + (atMs - nowMs);
}

/** No step depends on the version of a node, and with the kubelets of 5,000 nodes such changes come all the time. */
function isHeartbeat(event: IndexEvent, before: IndexedKinds[IndexedKind] | undefined): boolean {
  return (
    event.kind === 'node' && event.type === 'upsert' && before !== undefined && isSameNode(event.value, before as Node)
  );
}

function isSameEntry(a: Queued, b: Queued): boolean {
  return a.ticket === b.ticket && a.pod === b.pod && a.checkpoint === b.checkpoint && a.requests === b.requests;
}
