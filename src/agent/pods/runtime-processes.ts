import { isTooLarge, type CheckpointRules } from '../../domain/checkpoint-rules.ts';
import { messageOf } from '../../domain/message-of.ts';
import type { Dump, DumpProgress, SaveFailure } from '../orders/savable-pod.ts';
import type { ContainerIndex, RuntimeContainer } from '../runtime/containers.ts';
import { CommandError, type RunCommand } from '../runtime/command.ts';
import { externalSocketFailure, type DumpFailure, type DumpFailureReason } from '../runtime/dump-failure.ts';
import { obstacles, usedBelow } from '../runtime/inspect.ts';
import { DumpError, type Runc } from '../runtime/runc.ts';
import { tcpConnections, tcpFailure } from '../runtime/tcp-connections.ts';
import { outsideSockets, type OutsideSocket } from '../runtime/unix-sockets.ts';
import { volumePaths } from '../state/pod-folders.ts';
import type { Obstacle } from './obstacle-watch.ts';
import type { DumpRequest, PodContainer, PodProcesses } from './pod-processes.ts';

/** What a look at all pods of a node takes, and less than passes between two looks. */
const ROUND_MS = 5_000;
/** Who is about to freeze a pod has asked which containers run. */
const JUST_LISTED_MS = 250;

export interface RuntimeProcessesOptions {
  readonly index: ContainerIndex;
  readonly runc: Runc;
  readonly run: RunCommand;
  /** What the container of a process holds in memory, in bytes. */
  readonly memoryOf: (pid: number) => number;
  /** Other than /proc in tests. */
  readonly proc?: string;
  /** Writes the state of paused containers; see `dumpPod`. */
  readonly dump: (request: DumpRequest, containers: readonly RuntimeContainer[], stop: AbortSignal) => Promise<Dump>;
  /** How far that is. */
  readonly progress: (key: string) => Promise<DumpProgress | null>;
}

/** {@link PodProcesses} by the OCI runtime of the node. */
export class RuntimeProcesses implements PodProcesses {
  readonly #options: RuntimeProcessesOptions;
  readonly #connected = new Map<string, ReadonlySet<number>>(); // container id -> inodes of connected sockets that were in the way at the last look

  constructor(options: RuntimeProcessesOptions) {
    this.#options = options;
  }

  undisturbed(token: string): Promise<void> {
    return this.#options.runc.undisturbed(token);
  }

  async containers(podUid: string): Promise<readonly PodContainer[]> {
    return (await this.#containersOf(podUid)).map(({ id, name, status }) => ({
      id,
      name,
      status: status === 'running' || status === 'paused' ? status : 'other',
    }));
  }

  async obstacle(podUid: string): Promise<SaveFailure | null> {
    const containers = await this.#containersOf(podUid, JUST_LISTED_MS);
    const found = await this.#firstOf(containers, async (container, pids) => {
      const [first] = await this.#obstacles(container, pids);
      return first;
    });
    return found && { reason: 'NotCheckpointable', message: found.message };
  }

  /** In the words of the pod's condition. Asked of many pods in a row: what runc says of them may be some seconds old. */
  async obstacleOf(podUid: string, rules: CheckpointRules): Promise<Obstacle | null> {
    const containers = await this.#containersOf(podUid, ROUND_MS);
    const found =
      this.#tooLarge(containers, rules) ??
      (await this.#firstOf(containers, async (container, pids) => {
        const [first] = await this.#obstacles(container, pids);
        return first ?? (await this.#lastingConnection(container.id, pids, rules));
      }));
    return found && { reason: OBSTACLE_REASONS[found.reason] ?? 'Unsupported', message: found.message };
  }

  pause(ids: readonly string[]): Promise<void> {
    return this.#options.runc.pauseTogether(ids);
  }

  resume(id: string): Promise<void> {
    return this.#options.runc.resume(id);
  }

  kill(id: string): Promise<void> {
    return this.#options.runc.kill(id);
  }

  async dump(request: DumpRequest, stop: AbortSignal): Promise<Dump> {
    const containers = (await this.#containersOf(request.pod.uid)).filter(({ status }) => status === 'paused');
    const lost = request.containers.find((id) => !containers.some((container) => container.id === id));
    if (lost !== undefined) {
      return { failure: { reason: 'DumpFailed', message: `container ${lost} ended while it stood frozen` } };
    }
    try {
      for (const container of containers) {
        // Only now, with all of them frozen: a connection of a moment ago is none of now.
        const failure = await this.#failureOf(container, request.rules);
        if (failure === null) continue;
        return { failure: { ...failure, message: `container ${container.name}: ${failure.message}` } };
      }
      return await this.#options.dump(request, containers, stop);
    } catch (error) {
      stop.throwIfAborted();
      const message = messageOf(error);
      return { failure: { reason: isOutOfSpace(error) ? 'NoSpace' : 'DumpFailed', message } };
    }
  }

  /** Why a frozen container is not to be saved. */
  async #failureOf(container: RuntimeContainer, { sockets, volumes }: CheckpointRules): Promise<SaveFailure | null> {
    const { runc, proc = '/proc' } = this.#options;
    const pids = runc.pidsWith(container);
    const [socket] = await this.#outsideSockets(pids);
    if (socket !== undefined) {
      return { reason: 'NotCheckpointable', message: externalSocketFailure(socket.path).message };
    }
    const [connection] = sockets === 'Refuse' ? await tcpConnections({ pids, proc }) : [];
    if (connection !== undefined) return { reason: 'TcpEstablished', message: tcpFailure(connection).message };
    const used = volumes === 'None' ? await usedBelow(volumePaths(container), { pids, proc }) : null;
    if (used === null) return null;
    const message = `a process uses ${used}, and its checkpoint says volumes: None: the file would be missing`;
    return { reason: 'NotCheckpointable', message };
  }

  progress(key: string): Promise<DumpProgress | null> {
    return this.#options.progress(key);
  }

  async #firstOf(
    containers: readonly RuntimeContainer[],
    look: (container: RuntimeContainer, pids: readonly number[]) => Promise<DumpFailure | undefined>,
  ): Promise<DumpFailure | null> {
    for (const container of containers) {
      if (container.status !== 'running') continue;
      const found = await look(container, this.#options.runc.pidsWith(container));
      if (found !== undefined) return { ...found, message: `container ${container.name}: ${found.message}` };
    }
    return null;
  }

  /** Of its running containers; null where none runs. What the runtime says of them may be some seconds old. */
  async memoryBytes(podUid: string): Promise<number | null> {
    const containers = await this.#containersOf(podUid, ROUND_MS);
    return containers.some(({ status }) => status === 'running') ? this.#memoryOf(containers) : null;
  }

  #memoryOf(containers: readonly RuntimeContainer[]): number {
    const running = containers.filter(({ status, pid }) => status === 'running' && pid !== 0);
    return running.reduce((sum, { pid }) => sum + this.#options.memoryOf(pid), 0);
  }

  /** By its memory, which costs nothing to look up; its files are counted when it is saved. */
  #tooLarge(containers: readonly RuntimeContainer[], rules: CheckpointRules): DumpFailure | null {
    if (rules.maxBytes === 0) return null;
    if (!isTooLarge(this.#memoryOf(containers), rules)) return null;
    // Without the present size: the condition would be written again at each look.
    const message = `its memory is larger than the ${rules.maxBytes} bytes that its checkpoint may have`;
    return { reason: 'TooLarge', message };
  }

  /** A connection that was there at the last look as well: one for a single question is over before the pod is frozen. */
  async #lastingConnection(
    id: string,
    pids: readonly number[],
    rules: CheckpointRules,
  ): Promise<DumpFailure | undefined> {
    const { proc = '/proc' } = this.#options;
    const before = this.#connected.get(id);
    const outside = await this.#outsideSockets(pids);
    const tcp = rules.sockets === 'Refuse' ? await tcpConnections({ pids, proc }) : [];
    const sockets = [...outside, ...tcp];
    this.#connected.delete(id);
    if (sockets.length === 0) return undefined;
    for (const other of this.#connected.keys()) {
      if ((await this.#options.index.identity(other)) === undefined) this.#connected.delete(other);
    }
    this.#connected.set(id, new Set(sockets.map(({ inode }) => inode)));
    const isLasting = ({ inode }: { readonly inode: number }): boolean => before?.has(inode) ?? false;
    const socket = outside.find(isLasting);
    if (socket !== undefined) return externalSocketFailure(socket.path);
    const connection = tcp.find(isLasting);
    return connection && tcpFailure(connection);
  }

  #obstacles(container: RuntimeContainer, pids: readonly number[]): Promise<readonly DumpFailure[]> {
    const { proc = '/proc' } = this.#options;
    return obstacles({ container, pids, proc });
  }

  #outsideSockets(pids: readonly number[]): Promise<readonly OutsideSocket[]> {
    const { run, proc = '/proc' } = this.#options;
    return outsideSockets({ pids, run, proc });
  }

  async #containersOf(podUid: string, maxAgeMs?: number): Promise<readonly RuntimeContainer[]> {
    return (await this.#options.index.podContainers(podUid, maxAgeMs)).filter(({ kind }) => kind === 'container');
  }
}

/** Whoever met it first: criu, tar, or this process. */
function isOutOfSpace(error: unknown): boolean {
  if (error instanceof DumpError) return error.failure.reason === 'NoSpace';
  const { code, message } = error as NodeJS.ErrnoException;
  return code === 'ENOSPC' || (error instanceof CommandError && message.includes('No space left on device'));
}

const OBSTACLE_REASONS: Partial<Readonly<Record<DumpFailureReason, Obstacle['reason']>>> = {
  IoUring: 'IoUringInUse',
  Device: 'DeviceInUse',
  ExternalSocket: 'SocketShared',
  ConnectedTcp: 'TcpEstablished',
  TooLarge: 'TooLarge',
};
