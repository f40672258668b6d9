import { Alarms, type Sleeper } from './alarms.ts';
import type { Command } from './commands.ts';
import { STAGES, type SubjectKind } from './next-steps.ts';
import type { Part } from './parts.ts';
import type { Queued } from '../return/queue.ts';
import { Readers, type Reader } from './readers.ts';

/** One step about one subject, or the look at the capacity of one node, and what came of it. */
export interface Task extends Reader, Sleeper {
  /** Place in {@link STAGES}; {@link PLACES} for a node. */
  readonly stage: number;
  readonly key: string;
  /** To be carried out, until the step says something else. */
  commands: readonly Command[];
  queued: Queued | null;
  /** Contradictions, and pods that stay, that it found and that it would find again. */
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

/** The stage of the looks at nodes, after all steps. */
export const PLACES = STAGES.length;

/**
 * All tasks, by stage and subject, and which of them are due:
 *
 *     (new subject) ──schedule──> due ──take──> looked at ──touch, alarm──> due
 *                                                   └──drop──> gone
 */
export class Tasks {
  readonly #readers = new Readers<Task>();
  readonly #alarms = new Alarms<Task>();
  readonly #lists: readonly TaskList[] = Array.from({ length: PLACES + 1 }, () => ({
    tasks: new Map(),
    due: new Set(),
    commanding: new Set(),
  }));

  get readers(): Readers<Task> {
    return this.#readers;
  }

  clear(): void {
    for (const { tasks, due, commanding } of this.#lists) {
      for (const task of tasks.values()) this.#readers.forget(task);
      tasks.clear();
      due.clear();
      commanding.clear();
    }
    this.#alarms.clear();
  }

  /** The step of this stage about this subject is due; it is a new task where there is none. */
  schedule(stage: number, key: string): void {
    const { tasks, due } = this.#lists[stage] as TaskList;
    let task = tasks.get(key);
    if (task === undefined) {
      const wakeAtMs = Number.POSITIVE_INFINITY;
      task = { stage, key, parts: [], commands: [], queued: null, told: [], contested: null, wakeAtMs };
      tasks.set(key, task);
    }
    due.add(task);
  }

  /** All steps about this subject are due. */
  scheduleAll(kind: SubjectKind, key: string): void {
    for (const [stage, { of }] of STAGES.entries()) if (of === kind) this.schedule(stage, key);
  }

  /** These parts of the cluster have changed: the tasks that read one of them are due. */
  touch(parts: readonly Part[]): void {
    for (const part of parts) for (const task of this.#readers.of(part)) this.#listOf(task).due.add(task);
  }

  /** Tasks whose alarm is not later than this are due; on the monotonic clock. */
  wake(steadyMs: number): void {
    for (const task of this.#alarms.due(steadyMs)) this.#listOf(task).due.add(task);
  }

  wakeAll(): void {
    for (const { tasks, due } of this.#lists) for (const task of tasks.values()) due.add(task);
  }

  /** Takes those that are due, stage by stage, also such as become due meanwhile in the same or a later stage. */
  *take(): Generator<Task, void> {
    for (const { due } of this.#lists) {
      for (const task of due) {
        due.delete(task);
        yield task;
      }
    }
  }

  setCommands(task: Task, commands: readonly Command[]): void {
    task.commands = commands;
    const { commanding } = this.#listOf(task);
    if (commands.length > 0) commanding.add(task);
    else commanding.delete(task);
  }

  setAlarm(task: Task, steadyMs: number): void {
    this.#alarms.set(task, steadyMs);
  }

  drop(task: Task): void {
    const { tasks, due, commanding } = this.#listOf(task);
    this.#readers.forget(task);
    this.#alarms.set(task, Number.POSITIVE_INFINITY);
    tasks.delete(task.key);
    due.delete(task);
    commanding.delete(task);
  }

  get isDue(): boolean {
    return this.#lists.some(({ due }) => due.size > 0);
  }

  /** Of the tasks that are not due: nothing of the reasons of a command has changed since. In the order of the stages. */
  commands(): Command[] {
    const commands: Command[] = [];
    for (const { commanding, due } of this.#lists)
      for (const task of commanding) if (!due.has(task)) commands.push(...task.commands);
    return commands;
  }

  /** When the next alarm is due, on the monotonic clock. */
  get wakeAtMs(): number {
    return this.#alarms.nextMs();
  }

  #listOf({ stage }: Task): TaskList {
    return this.#lists[stage] as TaskList;
  }
}
