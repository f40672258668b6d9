import { objectKey, type NodeName, type ObjectKey, type PodUid } from '../domain/ids.ts';
import type { Checkpoint } from '../domain/checkpoint.ts';
import type { Node } from '../domain/node.ts';
import type { Pod } from '../domain/pod.ts';
import type { Policy } from '../domain/policy.ts';
import type { Decision, Ticket } from '../domain/ticket.ts';
import { insert, remove } from '../index/sorted.ts';
import type { ClusterView, IndexedKind, IndexedKinds, IndexEvent } from '../index/types.ts';
import { Alarms, type Sleeper } from './alarms.ts';
import { claimGroupOf, gatedPodsOf, isGated } from './claims.ts';
import type { Command } from './commands.ts';
import { STAGES, subjectsOf, type SubjectKind } from './next-steps.ts';
import { admit, byTurn, type Queued } from './queue.ts';
import { placeOf, Room } from './room.ts';
import { Steps, type Contradiction, type Decisions, type World } from './steps.ts';
import {
  partsOf,
  partsOfDecision,
  partsOfReplacement,
  POLICIES,
  Readers,
  TrackedDecisions,
  TrackedView,
  type Reader,
} from './tracked-view.ts';

/** One step about one subject, or the look at the capacity of one node, and what came of it. */
interface Task extends Reader, Sleeper {
  /** Place in {@link STAGES}; {@link PLACES} for a node. */
  readonly stage: number;
  readonly key: string;
  /** To be carried out, until the step says something else. */
  commands: readonly Command[];
  queued: Queued | null;
  /** Contradictions that it found and that still stand. */
  told: readonly string[];
  /** UID of the ticket that it found contested. */
  contested: string | null;
}

/** The tasks of one stage. */
interface TaskList {
  readonly tasks: Map<string, Task>; // by the key of their subject
  readonly due: Set<Task>;
  readonly commanding: Set<Task>; // those that have commands
}

/** What one pass found out, beside the commands. */
export interface Findings {
  readonly closed: Steps['closed'][number][];
  readonly emptied: Decision[];
  /** Those that did not stand before. */
  readonly contradictions: Contradiction[];
}

const PLACES = STAGES.length;
/** Where the wall clock and the one that nobody sets differ by so much more than before, somebody has set the former. */
const SET_CLOCK_MS = 1_000;

/**
 * The same as `nextSteps`, for what changed. Each step about each subject is a task. A task is due when something that it
 * read last time has changed (`tracked-view.ts`), when its time has come, or when its subject is new:
 *
 *     index, decisions ──changed──> parts ──readers──> due tasks ──pass──> commands, alarms, place in the queue
 *                                     ^                   │
 *                                     └───── reads ───────┘
 *
 * The search for capacity is one more step over the whole queue (`queue.ts`): it runs when the queue or the capacity of a node
 * has changed. Before {@link start} nothing is noted: everything is due then.
 */
export class Agenda {
  readonly #view: ClusterView;
  readonly #book: Decisions;
  readonly #readers = new Readers<Task>();
  readonly #trackedView: TrackedView;
  readonly #trackedBook: TrackedDecisions;
  readonly #stages: readonly TaskList[] = Array.from({ length: PLACES + 1 }, () => ({
    tasks: new Map(),
    due: new Set(),
    commanding: new Set(),
  }));
  readonly #alarms = new Alarms<Task>();
  readonly #contested = new Set<string>(); // uids of tickets
  #queue: Queued[] = []; // in order
  #room: Room | null = null; // null: not started
  #admission = new Steps();
  #admissionWakeAtMs = Number.POSITIVE_INFINITY;
  #isAdmissionDue = false;
  #policies: readonly Policy[] | null = null;
  #wallOffsetMs = Number.NaN;

  constructor(view: ClusterView, book: Decisions) {
    this.#view = view;
    this.#book = book;
    const read = (part: string): void => this.#readers.read(part);
    this.#trackedView = new TrackedView(view, read);
    this.#trackedBook = new TrackedDecisions(book, read);
  }

  /** Forgets everything, and looks at everything in the next pass. */
  start(maxRestores: number): void {
    this.stop();
    this.#room = new Room(maxRestores);
    this.#isAdmissionDue = true;
    for (const [stage, { of }] of STAGES.entries())
      for (const key of subjectsOf({ view: this.#view, book: this.#book }, of)) this.#schedule(stage, key);
    for (const { node } of this.#view.nodes()) this.#schedule(PLACES, node.name);
  }

  stop(): void {
    for (const { tasks, due, commanding } of this.#stages) {
      for (const task of tasks.values()) this.#readers.forget(task);
      tasks.clear();
      due.clear();
      commanding.clear();
    }
    this.#alarms.clear();
    this.#contested.clear();
    this.#queue = [];
    this.#room = null;
    this.#admission = new Steps();
    this.#admissionWakeAtMs = Number.POSITIVE_INFINITY;
    this.#wallOffsetMs = Number.NaN;
    this.#policies = null;
  }

  /** A change of the index. */
  changed(event: IndexEvent, before: IndexedKinds[IndexedKind] | undefined): void {
    if (this.#room === null) return;
    if (before !== undefined) this.#touch(partsOf(event.kind, before));
    if (event.kind === 'pod') {
      this.#touch(partsOfReplacement(before as Pod | undefined, event.type === 'upsert' ? event.value : undefined));
    }
    if (event.type === 'delete') return;
    this.#touch(partsOf(event.kind, event.value));
    this.#scheduleNew(event.kind, event.value);
  }

  /** The decision about `preemptor` was opened, closed or overruled. */
  decisionChanged(preemptor: PodUid): void {
    if (this.#room === null) return;
    this.#touch(partsOfDecision(preemptor));
    this.#scheduleAll('decision', preemptor);
  }

  /** Looks at what is due, and yields between two looks: other work may run then, and change anything. `world` is asked after each. */
  *pass(world: () => World, findings: Findings): Generator<void, void> {
    this.#noticeTime(world());
    this.#noticePolicies();
    for (const { due } of this.#stages) {
      for (const task of due) {
        due.delete(task);
        this.#look(task, world(), findings);
        yield;
      }
    }
    const room = this.#room;
    const now = world();
    if (room === null || !(this.#isAdmissionDue || this.#admissionWakeAtMs <= now.steadyMs)) return;
    this.#isAdmissionDue = false;
    const steps = new Steps();
    yield* admit(now, this.#queue.slice(), room, steps);
    this.#admission = steps;
    this.#admissionWakeAtMs = steadyOf(now, steps.wakeAtMs);
  }

  /** Something is due that the last pass has not looked at. */
  get isDue(): boolean {
    return this.#isAdmissionDue || this.#stages.some(({ due }) => due.size > 0);
  }

  /** What is to be carried out, as far as nothing of its reasons has changed since; the order of the stages. */
  commands(): Command[] {
    const commands: Command[] = [];
    for (const { commanding, due } of this.#stages)
      for (const task of commanding) if (!due.has(task)) commands.push(...task.commands);
    commands.push(...this.#admission.commands);
    return commands;
  }

  /** When something is due though nothing happens, on the clock that nobody sets. */
  get wakeAtMs(): number {
    return Math.min(this.#alarms.nextMs(), this.#admissionWakeAtMs);
  }

  #noticeTime({ nowMs, steadyMs }: World): void {
    const offsetMs = nowMs - steadyMs;
    if (Number.isNaN(this.#wallOffsetMs)) this.#wallOffsetMs = offsetMs;
    if (Math.abs(offsetMs - this.#wallOffsetMs) > SET_CLOCK_MS) {
      this.#wallOffsetMs = offsetMs;
      this.#isAdmissionDue = true;
      for (const { tasks, due } of this.#stages) for (const task of tasks.values()) due.add(task);
    }
    for (const task of this.#alarms.due(steadyMs)) this.#dueOf(task).add(task);
  }

  #noticePolicies(): void {
    const policies = this.#view.policies();
    if (policies !== this.#policies) this.#touch([POLICIES]);
    this.#policies = policies;
  }

  #look(task: Task, world: World, findings: Findings): void {
    if (task.stage === PLACES) this.#lookAtPlace(task);
    else this.#lookAtSubject(task, world, findings);
  }

  #lookAtPlace(task: Task): void {
    const name = task.key as NodeName;
    const place = this.#readers.during(task, () => placeOf(this.#trackedView, name));
    if (this.#room?.set(name, place) === true) this.#isAdmissionDue = true;
    if (place === null) this.#drop(task);
  }

  #lookAtSubject(task: Task, world: World, findings: Findings): void {
    const { of, step } = STAGES[task.stage] as (typeof STAGES)[number];
    if (task.contested !== null) this.#contested.delete(task.contested);
    const steps = new Steps(this.#contested);
    const tracked = { ...world, view: this.#trackedView, book: this.#trackedBook };
    this.#readers.during(task, () => step(tracked, task.key, steps));
    this.#setCommands(task, steps.commands);
    this.#setQueued(task, steps.queue[0] ?? null);
    this.#setContested(task, steps);
    this.#tell(task, steps, findings);
    this.#alarms.set(task, steadyOf(world, steps.wakeAtMs));
    findings.closed.push(...steps.closed);
    findings.emptied.push(...steps.emptied);
    if (!this.#exists(of, task.key)) this.#drop(task);
  }

  #setCommands(task: Task, commands: readonly Command[]): void {
    task.commands = commands;
    const { commanding } = this.#stages[task.stage] as TaskList;
    if (commands.length > 0) commanding.add(task);
    else commanding.delete(task);
  }

  #setQueued(task: Task, queued: Queued | null): void {
    if (task.queued === null && queued === null) return;
    // A ticket that failed on a node looks at all nodes, so each heartbeat leads here: what is known of its sort is kept.
    if (task.queued !== null && queued !== null && isSameEntry(task.queued, queued)) return;
    if (task.queued !== null) {
      remove(this.#queue, task.queued, byTurn);
      this.#room?.forget(task.queued);
    }
    if (queued !== null) insert(this.#queue, queued, byTurn);
    task.queued = queued;
    this.#isAdmissionDue = true;
  }

  /** The other steps about a ticket leave it alone while it is contested. */
  #setContested(task: Task, { resolved }: Steps): void {
    const contested = resolved[0]?.uid ?? null;
    if (contested === task.contested) return;
    task.contested = contested;
    const ticket = resolved[0] ?? this.#view.ticket(task.key as ObjectKey);
    if (ticket !== undefined) this.#touch(partsOf('ticket', ticket));
  }

  #tell(task: Task, { contradictions }: Steps, findings: Findings): void {
    if (contradictions.length === 0 && task.told.length === 0) return;
    const told = contradictions.map(({ kind, object }) => `${kind} ${object.uid}`);
    findings.contradictions.push(...contradictions.filter((_, at) => !task.told.includes(told[at] as string)));
    task.told = told;
  }

  #exists(kind: SubjectKind, key: string): boolean {
    switch (kind) {
      case 'ticket':
        return this.#view.ticket(key as ObjectKey) !== undefined;
      case 'decision':
        return this.#book.get(key as PodUid) !== undefined;
      case 'checkpoint':
        return this.#view.checkpoint(key as ObjectKey) !== undefined;
      case 'claims':
        return gatedPodsOf(this.#view, key).length > 0;
      default:
        return kind satisfies never;
    }
  }

  #drop(task: Task): void {
    const { tasks, due, commanding } = this.#stages[task.stage] as TaskList;
    this.#readers.forget(task);
    this.#alarms.set(task, Number.POSITIVE_INFINITY);
    tasks.delete(task.key);
    due.delete(task);
    commanding.delete(task);
  }

  #touch(parts: readonly string[]): void {
    for (const part of parts) for (const task of this.#readers.of(part)) this.#dueOf(task).add(task);
  }

  #scheduleNew(kind: IndexedKind, value: object): void {
    if (kind === 'ticket' || kind === 'checkpoint') {
      const { namespace, name } = value as Ticket | Checkpoint;
      this.#scheduleAll(kind, objectKey(namespace, name));
    } else if (kind === 'node') this.#schedule(PLACES, (value as Node).name);
    else if (kind === 'pod' && isGated(value as Pod)) this.#scheduleAll('claims', claimGroupOf(value as Pod));
  }

  #scheduleAll(kind: SubjectKind, key: string): void {
    for (const [stage, { of }] of STAGES.entries()) if (of === kind) this.#schedule(stage, key);
  }

  #schedule(stage: number, key: string): void {
    const { tasks, due } = this.#stages[stage] as TaskList;
    let task = tasks.get(key);
    if (task === undefined) {
      const wakeAtMs = Number.POSITIVE_INFINITY;
      task = { stage, key, parts: [], commands: [], queued: null, told: [], contested: null, wakeAtMs };
      tasks.set(key, task);
    }
    due.add(task);
  }

  #dueOf({ stage }: Task): Set<Task> {
    return (this.#stages[stage] as TaskList).due;
  }
}

/** A time of day on the clock that nobody sets. */
function steadyOf({ nowMs, steadyMs }: World, atMs: number): number {
  return steadyMs + (atMs - nowMs);
}

function isSameEntry(a: Queued, b: Queued): boolean {
  return a.ticket === b.ticket && a.pod === b.pod && a.checkpoint === b.checkpoint;
}
