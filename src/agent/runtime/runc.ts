import { readFileSync } from 'node:fs';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { beginFreeze, cgroupOf, isFrozen, processesOf, thaw, type CgroupFolder } from './cgroup.ts';
import { CommandError, type RunCommand } from './command.ts';
import { dumpFailure, type DumpFailure } from './dump-failure.ts';

/** How often it is looked whether a dump has ended, and how long: what hangs longer than this does not end. */
const LOOK_EVERY_MS = 100;
const DUMP_ENDS_WITHIN_MS = 600_000;
/** In the environment of a dump, and of all that it starts. */
const TOKEN_VARIABLE = 'REPRIEVE_DUMP';
/** The kernel stops processes within a few milliseconds, except one that waits for a device: then runc tries, and says what is wrong. */
const FREEZE_WITHIN_MS = 50;
const FREEZE_LOOK_MS = 1;

export type ContainerStatus = 'creating' | 'created' | 'running' | 'pausing' | 'paused' | 'stopped';

export interface ListedContainer {
  readonly id: string;
  /** 0 when it has no process. */
  readonly pid: number;
  readonly status: ContainerStatus;
  readonly bundle: string;
}

export interface RuncOptions {
  /** `runc`, or the path of it. */
  readonly command: string;
  /** Where the containers of interest are kept: `--root`. */
  readonly root: string;
  readonly run: RunCommand;
}

export interface CheckpointOptions {
  /** It stands still, and is to afterwards, whatever becomes of the dump. */
  readonly isFrozen: boolean;
  /** Both absolute: runc resolves relative ones against other folders than one would think. They are made if missing. */
  readonly imagePath: string;
  readonly workPath: string;
  /** By which {@link Runc.undisturbed} recognises it, whoever asks. Secret: others could hold it up. */
  readonly token: string;
  readonly signal?: AbortSignal | undefined;
}

/** A dump that failed; the container is as it was before: it stands still if it stood still, and runs if it ran. */
export class DumpError extends Error {
  readonly failure: DumpFailure;

  constructor(failure: DumpFailure, cause: unknown) {
    super(failure.message, { cause });
    this.name = 'DumpError';
    this.failure = failure;
  }
}

const LIST = z
  .array(
    z.object({
      id: z.string(),
      pid: z.number(),
      status: z.enum(['creating', 'created', 'running', 'pausing', 'paused', 'stopped']),
      bundle: z.string(),
    }),
  )
  .nullable();

/** The low-level runtime of a node, by its command line. */
export class Runc {
  readonly #command: string;
  readonly #root: string;
  readonly #run: RunCommand;
  #listed: ReadonlyMap<string, ListedContainer> = new Map(); // container id -> what runc said last

  constructor({ command, root, run }: RuncOptions) {
    this.#command = command;
    this.#root = root;
    this.#run = run;
  }

  async version(): Promise<string> {
    const { stdout } = await this.#run(this.#command, ['--version']);
    return /^\S+ version (\S+)/.exec(stdout)?.[1] ?? stdout.trim();
  }

  async list(): Promise<readonly ListedContainer[]> {
    const { stdout } = await this.#on(['list', '-f', 'json']);
    const listed = LIST.parse(JSON.parse(stdout)) ?? [];
    this.#listed = new Map(listed.map((container) => [container.id, container]));
    return listed;
  }

  /**
   * What the kernel says now of a container that runc has listed before: its first process is the same as long as it has one.
   * Null where only runc can tell. One question to runc costs some 30 ms of processor time, this nearly none.
   */
  glance(id: string): ListedContainer | null {
    const container = this.#listed.get(id);
    if (container === undefined || !['running', 'paused'].includes(container.status)) return null;
    const folder = freezerOf(container);
    const frozen = folder === null || isDead(container.pid) ? null : isFrozen(folder);
    return frozen === null ? null : { ...container, status: frozen ? 'paused' : 'running' };
  }

  /** Freezes all processes of the container; nothing happens if they are frozen already. */
  async pause(id: string): Promise<void> {
    await this.#towards(['paused'], id, ['pause', id]);
  }

  /**
   * The same for several that belong together, within a moment of each other: runc needs some 20 ms for each, in which one would
   * ask another that stands still already, and be saved in the middle of that. It does no more than what is written here, so it
   * is asked only where that is not enough.
   */
  async pauseTogether(ids: readonly string[]): Promise<void> {
    if (ids.some((id) => this.glance(id) === null)) await this.list();
    const folders = ids.map((id) => freezerOf(this.#listed.get(id))).filter((folder) => folder !== null);
    for (const folder of folders) beginFreeze(folder);
    for (let leftMs = FREEZE_WITHIN_MS; folders.length === ids.length && leftMs > 0; leftMs -= FREEZE_LOOK_MS) {
      if (folders.every((folder) => isFrozen(folder) === true)) return;
      await sleep(FREEZE_LOOK_MS);
    }
    const pauses = await Promise.allSettled(ids.map((id) => this.pause(id)));
    for (const pause of pauses) if (pause.status === 'rejected') throw pause.reason;
  }

  /**
   * Lets processes go on that criu restored stopped (`leave-stopped`); nothing happens where the first of them runs. What was
   * stopped already when it was saved goes on as well.
   */
  async proceed(id: string): Promise<void> {
    const found = await this.#find(id);
    if (found === undefined || !isStopped(found.pid)) return;
    for (const pid of await this.pids(id)) send(pid, 'SIGCONT');
  }

  /** Lets a frozen container go on; nothing happens if it runs, or is dead. */
  async resume(id: string): Promise<void> {
    if (this.glance(id)?.status === 'paused') {
      const folder = freezerOf(this.#listed.get(id));
      if (folder !== null) thaw(folder);
      if (folder !== null && isFrozen(folder) === false) return;
    }
    await this.#towards(['running', 'stopped', undefined], id, ['resume', id]);
  }

  /**
   * Ends a container, frozen or not; one that is gone is fine. The frozen processes get SIGKILL before runc thaws
   * them, so that none of them runs another instruction of its own.
   */
  async kill(id: string): Promise<void> {
    for (const pid of await this.pids(id)) send(pid, 'SIGKILL');
    try {
      await this.#on(['kill', id, 'KILL']);
    } catch (error) {
      if (await this.#lives(id)) throw error;
    }
  }

  /** Ends a container and forgets it; one that the runtime does not know is fine. */
  async remove(id: string): Promise<void> {
    await this.#on(['delete', '--force', id]);
  }

  /** Every process of the container, also those in cgroups that it made itself. Empty when the container is gone. */
  async pids(id: string): Promise<readonly number[]> {
    const found = this.glance(id) ?? (await this.#find(id));
    return found === undefined ? [] : this.pidsWith(found);
  }

  /** The same of a container whose first process is known, without asking the runtime. Empty when that is known no more. */
  pidsWith(container: Pick<ListedContainer, 'id' | 'pid'>): readonly number[] {
    const folder = freezerOf(container);
    return folder === null ? [] : processesOf(folder.path);
  }

  /** Resolves when no dump with this token is under way, whichever process of the agent began it, or hangs. */
  async undisturbed(token: string): Promise<void> {
    for (let leftMs = DUMP_ENDS_WITHIN_MS; leftMs > 0 && (await isAnyOf(token)); leftMs -= LOOK_EVERY_MS) {
      await sleep(LOOK_EVERY_MS);
    }
  }

  /**
   * Dumps the container and leaves it as it is, frozen or running. Aborting does not end a dump that has begun: criu works
   * inside of the processes, and where it was killed in the wrong moment, they died of it (tried with criu 4.2). It is left to
   * finish, and then this rejects with the signal's reason. Who wants it to end soon kills the container.
   */
  async checkpoint(id: string, { isFrozen, imagePath, workPath, token, signal }: CheckpointOptions): Promise<void> {
    await Promise.all([imagePath, workPath].map((path) => mkdir(path, { recursive: true, mode: 0o700 })));
    signal?.throwIfAborted();
    try {
      const paths = ['--image-path', imagePath, '--work-path', workPath];
      const env = { [TOKEN_VARIABLE]: token };
      await this.#on(['checkpoint', '--leave-running', ...paths, id], { env });
    } catch (error) {
      // criu thaws what it dumps; one that was killed by somebody did not freeze it again.
      if (isFrozen && (await this.#lives(id))) await this.pause(id);
      if (!(error instanceof CommandError)) throw error;
      const log = await readFile(join(workPath, 'dump.log'), 'utf8').catch(() => '');
      throw new DumpError(dumpFailure(log, error.message), error);
    } finally {
      signal?.throwIfAborted();
    }
  }

  /** Whatever runc says, all is well where the container is in one of `goals` then; undefined: the runtime knows it no more. */
  async #towards(goals: readonly (ContainerStatus | undefined)[], id: string, args: readonly string[]): Promise<void> {
    try {
      await this.#on(args);
    } catch (error) {
      if (!goals.includes((await this.#find(id))?.status)) throw error;
    }
  }

  async #lives(id: string): Promise<boolean> {
    const found = await this.#find(id);
    return found !== undefined && found.status !== 'stopped';
  }

  async #find(id: string): Promise<ListedContainer | undefined> {
    return (await this.list()).find((container) => container.id === id);
  }

  #on(args: readonly string[], options?: Parameters<RunCommand>[2]): ReturnType<RunCommand> {
    return this.#run(this.#command, ['--root', this.#root, ...args], options);
  }
}

/**
 * Whether a process was started with this token: runc, or criu, which inherits it. It tells our own dumps from whatever else runs
 * on the node, also where the agent died in the moment it started one, before it could have written down a process id.
 */
async function isAnyOf(token: string): Promise<boolean> {
  const variable = `${TOKEN_VARIABLE}=${token}`;
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    const variables = (await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '')).split('\0');
    if (variables.includes(variable)) return true;
  }
  return false;
}

/**
 * The cgroup that holds a container's processes; null when it has none. A process that has just died counts as one of the root
 * cgroup, where everybody else is: only the container's own will do, which both cgroup drivers name after it.
 */
function freezerOf(container: Pick<ListedContainer, 'id' | 'pid'> | undefined): CgroupFolder | null {
  if (container === undefined || container.pid === 0) return null;
  const folder = cgroupOf(container.pid, 'freezer');
  return folder !== null && basename(folder.path).includes(container.id) ? folder : null;
}

/** Whether a process is in state T; see proc_pid_stat(5). */
function isStopped(pid: number): boolean {
  return stateOf(pid) === 'T';
}

/** Whether there is none any more, or only what its parent has not noticed yet. */
function isDead(pid: number): boolean {
  return ['', 'Z', 'X'].includes(stateOf(pid));
}

function stateOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.charAt(stat.lastIndexOf(')') + 2);
  } catch {
    return '';
  }
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
