import { readFileSync } from 'node:fs';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { beginFreeze, cgroupOf, isFrozen, processesOf, thaw, type CgroupFolder, type KernelFolders } from './cgroup.ts';
import { BULK_LIMIT_MS, CommandError, type RunCommand } from './command.ts';
import { dumpFailure, type DumpFailure } from './dump-failure.ts';

/** How often it is looked whether a dump has ended. */
const LOOK_EVERY_MS = 100;
/** In the environment of a dump, and of all that it starts. */
const TOKEN_VARIABLE = 'REPRIEVE_DUMP';
/**
 * The kernel stops processes within a few milliseconds, except one that is traced or waits for a device. runc waits without a
 * bound for such a container, also to say what it is doing.
 */
const FREEZE_WITHIN_MS = 2_000;
const FREEZE_LOOK_MS = 1;
const ANSWER_WITHIN_MS = 5_000;
/** SIGKILL takes milliseconds, and longer where a process waits for a device. */
const KILLED_WITHIN_MS = 10_000;

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
  /** Other than the usual ones in tests. */
  readonly kernel?: KernelFolders;
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

const STATE = z.object({
  id: z.string(),
  pid: z.number().default(0),
  status: z.enum(['creating', 'created', 'running', 'pausing', 'paused', 'stopped']),
  bundle: z.string(),
});

/** The low-level runtime of a node, by its command line. */
export class Runc {
  readonly #command: string;
  readonly #root: string;
  readonly #run: RunCommand;
  readonly #kernel: KernelFolders;
  readonly #known = new Map<string, ListedContainer>(); // container id -> what runc said last

  constructor({ command, root, run, kernel = {} }: RuncOptions) {
    this.#command = command;
    this.#root = root;
    this.#run = run;
    this.#kernel = kernel;
  }

  async version(): Promise<string> {
    const { stdout } = await this.#run(this.#command, ['--version']);
    return /^\S+ version (\S+)/.exec(stdout)?.[1] ?? stdout.trim();
  }

  /**
   * One container; undefined where the runtime does not know it. Each is asked for by itself: runc waits for a container that
   * somebody is freezing, and a list of all would wait with it.
   */
  async state(id: string): Promise<ListedContainer | undefined> {
    let stdout: string;
    try {
      ({ stdout } = await this.#on(['state', id]));
    } catch (error) {
      if (!(error instanceof CommandError) || !DOES_NOT_EXIST.test(error.stderr)) throw error;
      this.#known.delete(id);
      return undefined;
    }
    const container = STATE.parse(JSON.parse(stdout));
    for (const [known, { pid }] of this.#known) if (isDead(pid)) this.#known.delete(known);
    this.#known.set(id, container);
    return container;
  }

  /**
   * What the kernel says now of a container that runc was asked about before: its first process is the same as long as it has one.
   * Null where only runc can tell. One question to runc costs some 30 ms of processor time, this nearly none.
   */
  glance(id: string): ListedContainer | null {
    const container = this.#known.get(id);
    if (container === undefined || !['running', 'paused'].includes(container.status)) return null;
    const folder = this.#freezerOf(container);
    const frozen = folder === null || isDead(container.pid) ? null : isFrozen(folder);
    return frozen === null ? null : { ...container, status: frozen ? 'paused' : 'running' };
  }

  /**
   * Freezes all processes of these containers, within a moment of each other: runc needs some 20 ms for each, in which one would
   * ask another that stands still already, and be saved in the middle of that. Nothing happens to those that are frozen already.
   * Where one does not freeze in time, all of them are thawed at once, and this rejects.
   */
  async pause(ids: readonly string[]): Promise<void> {
    const containers = await Promise.all(ids.map(async (id) => this.glance(id) ?? (await this.state(id))));
    const folders = containers.map((container) => this.#freezerOf(container)).filter((folder) => folder !== null);
    const toThaw = folders.filter((folder) => isFrozen(folder) !== true);
    for (const folder of folders) beginFreeze(folder);
    const isHidden = folders.length < ids.length; // a container without processes, or a cgroup that is not seen from here
    try {
      if (isHidden) await Promise.all(ids.map((id) => this.#towards(['paused'], id, ['pause', id])));
      else await allFrozen(folders);
    } catch (error) {
      for (const folder of toThaw) thaw(folder);
      throw error;
    }
  }

  /**
   * Lets processes go on that criu restored stopped (`leave-stopped`); nothing happens where the first of them runs. What was
   * stopped already when it was saved goes on as well.
   */
  async proceed(id: string): Promise<void> {
    const found = await this.state(id);
    if (found === undefined || !isStopped(found.pid)) return;
    for (const pid of await this.pids(id)) send(pid, 'SIGCONT');
  }

  /** Lets a frozen container go on; nothing happens if it runs, or is dead. */
  async resume(id: string): Promise<void> {
    const folder = this.#freezerOf(this.#known.get(id));
    if (folder !== null) {
      thaw(folder);
      if (isFrozen(folder) === false) return;
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

  /** Resolves when a container that was killed has no process any more, and rejects where it keeps one. */
  async ended(id: string): Promise<void> {
    for (let leftMs = KILLED_WITHIN_MS; await this.#lives(id); leftMs -= LOOK_EVERY_MS) {
      if (leftMs <= 0) throw new Error(`container ${id} was killed, and runs after ${KILLED_WITHIN_MS / 1000} s`);
      await sleep(LOOK_EVERY_MS);
    }
  }

  /** Ends a container and forgets it; one that the runtime does not know is fine. */
  async remove(id: string): Promise<void> {
    await this.#on(['delete', '--force', id]);
  }

  /** Every process of the container, also those in cgroups that it made itself. Empty when the container is gone. */
  async pids(id: string): Promise<readonly number[]> {
    const found = this.glance(id) ?? (await this.state(id));
    return found === undefined ? [] : this.pidsWith(found);
  }

  /** The same of a container whose first process is known, without asking the runtime. Empty when that is known no more. */
  pidsWith(container: Pick<ListedContainer, 'id' | 'pid'>): readonly number[] {
    const folder = this.#freezerOf(container);
    return folder === null ? [] : processesOf(folder.path);
  }

  /**
   * Resolves when no dump with this token is under way, whichever process of the agent began it, or when it has had the time that any
   * dump has. The empty token is that of no dump.
   */
  async undisturbed(token: string): Promise<void> {
    if (token === '') return;
    for (let leftMs = BULK_LIMIT_MS; leftMs > 0 && (await isAnyOf(token)); leftMs -= LOOK_EVERY_MS) {
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
      const options = { env, limitMs: BULK_LIMIT_MS };
      await this.#on(['checkpoint', '--leave-running', ...paths, id], options);
    } catch (error) {
      // criu thaws what it dumps; one that was killed by somebody did not freeze it again.
      if (isFrozen && (await this.#lives(id))) await this.pause([id]);
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
      if (!goals.includes((await this.state(id))?.status)) throw error;
    }
  }

  async #lives(id: string): Promise<boolean> {
    const found = await this.state(id);
    return found !== undefined && found.status !== 'stopped';
  }

  /**
   * The cgroup that holds a container's processes; null when it has none. A process that has just died counts as one of the root
   * cgroup, where everybody else is: only the container's own will do, which both cgroup drivers name after it.
   */
  #freezerOf(container: Pick<ListedContainer, 'id' | 'pid'> | undefined): CgroupFolder | null {
    if (container === undefined || container.pid === 0) return null;
    const folder = cgroupOf(container.pid, 'freezer', this.#kernel);
    return folder !== null && basename(folder.path).includes(container.id) ? folder : null;
  }

  #on(args: readonly string[], options?: Parameters<RunCommand>[2]): ReturnType<RunCommand> {
    return this.#run(this.#command, ['--root', this.#root, ...args], { limitMs: ANSWER_WITHIN_MS, ...options });
  }
}

/** What runc and crun say of a container that they do not know. */
const DOES_NOT_EXIST = /does not exist|No such file or directory/;

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

/** Resolves when all of these cgroups stand still; rejects, with the process that is in the way, where they do not in time. */
async function allFrozen(folders: readonly CgroupFolder[]): Promise<void> {
  const moving = (): readonly CgroupFolder[] => folders.filter((folder) => isFrozen(folder) !== true);
  for (let leftMs = FREEZE_WITHIN_MS; leftMs > 0 && moving().length > 0; leftMs -= FREEZE_LOOK_MS) {
    await sleep(FREEZE_LOOK_MS);
  }
  const culprits = moving().flatMap(({ path }) => processesOf(path));
  if (moving().length === 0) return;
  throw new Error(`it did not stand still within ${FREEZE_WITHIN_MS / 1000} s${culpritIn(culprits)}`);
}

/** Says which process keeps a cgroup from freezing, and why, as far as the kernel tells. */
function culpritIn(pids: readonly number[]): string {
  for (const pid of pids) {
    const [name, tracer] = ['Name', 'TracerPid'].map((key) => fieldOf(pid, key));
    if (tracer !== '' && tracer !== '0') return `: process ${name} is being traced (strace, gdb); end the tracer`;
    if (stateOf(pid) === 'D') return `: process ${name} waits for a device or a network file system`;
  }
  return '';
}

function fieldOf(pid: number, key: string): string {
  try {
    return new RegExp(`^${key}:\\s*(.*)$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '';
  } catch {
    return '';
  }
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
