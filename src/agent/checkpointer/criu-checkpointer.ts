import { isTooLarge, type CheckpointRules } from '../../domain/checkpoint-rules.ts';
import { messageOf } from '../../domain/message-of.ts';
import type { KubeObject } from '../../kube/transport.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Dump, DumpProgress, SaveFailure } from '../orders/savable-pod.ts';
import type { Obstacle } from '../pods/obstacle-watch.ts';
import { inSpecOrder } from '../pods/spec-containers.ts';
import { CommandError, type RunCommand } from '../runtime/command.ts';
import { ownContainers, type ContainerIndex, type RuntimeContainer } from '../runtime/containers.ts';
import { externalSocketFailure, type DumpFailure } from '../runtime/dump-failure.ts';
import { viewOf } from '../obstacles/container-view.ts';
import { obstaclesIn } from '../obstacles/kinds.ts';
import { podObstacle } from '../obstacles/pod-kinds.ts';
import { usedBelow } from '../obstacles/processes.ts';
import { sharedSegments } from '../obstacles/system-v.ts';
import { DumpError, type Runc } from '../runtime/runc.ts';
import { tcpConnections, tcpFailure } from '../runtime/tcp-connections.ts';
import { outsideSockets, type OutsideSocket } from '../runtime/unix-sockets.ts';
import { volumePaths } from '../state/pod-folders.ts';
import type { Checkpointer, SaveRequest } from './checkpointer.ts';
import type { DumpDesk } from './dump-desk.ts';
import { OBSTACLE_REASONS } from './obstacle-reasons.ts';
import { SavedInVain } from './saved-in-vain.ts';

/** What a look at all pods of a node takes, and less than passes between two looks. */
const ROUND_MS = 5_000;
/** Who is about to freeze a pod has asked which containers run. */
const JUST_LISTED_MS = 250;

export interface CriuCheckpointerOptions {
  readonly index: ContainerIndex;
  readonly runc: Runc;
  readonly run: RunCommand;
  /** What the container of a process holds in memory, in bytes. */
  readonly memoryOf: (pid: number) => number;
  /** Other than /proc in tests. */
  readonly proc?: string;
  readonly desk: Pick<DumpDesk, 'dump' | 'progress' | 'bytesPerSecond' | 'quotaUsedUp'>;
  readonly clock: Clock;
}

/** {@link Checkpointer} by runc and CRIU: dumps frozen containers, and leaves them frozen. */
export class CriuCheckpointer implements Checkpointer {
  readonly guarantee = 'StaysFrozen';
  readonly #options: CriuCheckpointerOptions;
  readonly #inVain: SavedInVain;
  readonly #connected = new Map<string, ReadonlySet<number>>(); // container id -> inodes of connected sockets that were in the way at the last look

  constructor(options: CriuCheckpointerOptions) {
    this.#options = options;
    this.#inVain = new SavedInVain(options.clock);
  }

  get bytesPerSecond(): number | null {
    return this.#options.desk.bytesPerSecond;
  }

  undisturbed(token: string): Promise<void> {
    return this.#options.runc.undisturbed(token);
  }

  progress(key: string): Promise<DumpProgress | null> {
    return this.#options.desk.progress(key);
  }

  async obstacle(pod: KubeObject): Promise<SaveFailure | null> {
    const containers = await this.#lasting(pod, JUST_LISTED_MS);
    const refusal = this.#inVain.refusal(uidOf(pod), idsOf(containers));
    if (refusal !== null) return refusal;
    const usedUp = await this.#options.desk.quotaUsedUp(pod.metadata.namespace ?? '');
    if (usedUp !== null) return usedUp;
    const found = await this.#firstOf(containers, async (container) => {
      const [first] = await this.#obstacles(container);
      return first;
    });
    return found && { reason: 'NotCheckpointable', message: found.message };
  }

  /** What runc says of the containers may be some seconds old. */
  async lastingObstacle(pod: KubeObject, rules: CheckpointRules): Promise<Obstacle | null> {
    const containers = await this.#lasting(pod, ROUND_MS);
    const found =
      this.#tooLarge(containers, rules) ??
      podObstacle(pod, { memoryBytes: this.#memoryOf(containers), bytesPerSecond: this.bytesPerSecond }) ??
      this.#inVain.reason(uidOf(pod), idsOf(containers)) ??
      (await this.#sharedSegments(containers)) ??
      (await this.#firstOf(containers, async (container) => {
        const [first] = await this.#obstacles(container);
        return first ?? (await this.#lastingConnection(container, rules));
      }));
    return found && { reason: OBSTACLE_REASONS[found.reason] ?? 'Unsupported', message: found.message };
  }

  async save(request: SaveRequest, stop: AbortSignal): Promise<Dump> {
    const present = await this.#containersOf(request.pod.uid);
    const containers: RuntimeContainer[] = [];
    for (const id of request.containers) {
      const container = present.find((one) => one.id === id && one.status === 'paused');
      if (container === undefined) {
        return { failure: { reason: 'DumpFailed', message: `container ${id} ended while it stood frozen` } };
      }
      containers.push(container);
    }
    const { dump, byCriu } = await this.#saveFrozen(request, containers, stop);
    if (dump.failure === null) this.#inVain.saved(request.pod.uid);
    else this.#inVain.failed(request.pod.uid, request.containers, { ...dump.failure, byCriu });
    return dump;
  }

  /** `byCriu`: CRIU itself refused something in the processes. */
  async #saveFrozen(
    request: SaveRequest,
    containers: readonly RuntimeContainer[],
    stop: AbortSignal,
  ): Promise<{ readonly dump: Dump; readonly byCriu: boolean }> {
    try {
      const failure = await this.#failureOfAll(containers, request.rules);
      return {
        dump: failure === null ? await this.#options.desk.dump(request, containers, stop) : { failure },
        byCriu: false,
      };
    } catch (error) {
      stop.throwIfAborted();
      const failure = { reason: isOutOfSpace(error) ? 'NoSpace' : 'DumpFailed', message: messageOf(error) } as const;
      return { dump: { failure }, byCriu: error instanceof DumpError };
    }
  }

  /** Why frozen containers are not to be saved. Only now, with all of them frozen: a connection of a moment ago is none of now. */
  async #failureOfAll(containers: readonly RuntimeContainer[], rules: CheckpointRules): Promise<SaveFailure | null> {
    const shared = await this.#sharedSegments(containers);
    if (shared !== null) return { reason: 'NotCheckpointable', message: shared.message };
    for (const container of containers) {
      const failure = await this.#failureOf(container, rules);
      if (failure !== null) return { ...failure, message: `container ${container.name}: ${failure.message}` };
    }
    return null;
  }

  async #failureOf(container: RuntimeContainer, { sockets, volumes }: CheckpointRules): Promise<SaveFailure | null> {
    const { runc, proc = '/proc' } = this.#options;
    const pids = runc.pidsWith(container);
    const [obstacle] = await this.#obstacles(container);
    if (obstacle !== undefined) return { reason: 'NotCheckpointable', message: obstacle.message };
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

  async #firstOf(
    containers: readonly RuntimeContainer[],
    look: (container: RuntimeContainer) => Promise<DumpFailure | undefined>,
  ): Promise<DumpFailure | null> {
    for (const container of containers) {
      if (container.status !== 'running') continue;
      const found = await look(container);
      if (found !== undefined) return { ...found, message: `container ${container.name}: ${found.message}` };
    }
    return null;
  }

  /** Its memory; what runc says of it may be some seconds old. */
  async stateBytes(podUid: string): Promise<number | null> {
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
  async #lastingConnection(container: RuntimeContainer, rules: CheckpointRules): Promise<DumpFailure | undefined> {
    const { runc, proc = '/proc' } = this.#options;
    const { id } = container;
    const pids = runc.pidsWith(container);
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

  async #obstacles(container: RuntimeContainer): Promise<readonly DumpFailure[]> {
    const { runc, run, proc = '/proc' } = this.#options;
    return obstaclesIn(await viewOf({ container, pids: runc.pidsWith(container), run, proc }));
  }

  #sharedSegments(containers: readonly RuntimeContainer[]): Promise<DumpFailure | null> {
    const { runc, proc = '/proc' } = this.#options;
    return sharedSegments(containers, { pids: (container) => runc.pidsWith(container), proc });
  }

  #outsideSockets(pids: readonly number[]): Promise<readonly OutsideSocket[]> {
    const { run, proc = '/proc' } = this.#options;
    return outsideSockets({ pids, run, proc });
  }

  /** Those of its spec: what somebody debugs it with is frozen with it, and not saved. */
  async #lasting(pod: KubeObject, maxAgeMs: number): Promise<readonly RuntimeContainer[]> {
    return inSpecOrder(pod, await this.#containersOf(uidOf(pod), maxAgeMs));
  }

  #containersOf(podUid: string, maxAgeMs?: number): Promise<readonly RuntimeContainer[]> {
    return ownContainers(this.#options.index, podUid, maxAgeMs);
  }
}

/** criu, tar or this process found the disk full. */
function isOutOfSpace(error: unknown): boolean {
  if (error instanceof DumpError) return error.failure.reason === 'NoSpace';
  const { code, message } = error as NodeJS.ErrnoException;
  return code === 'ENOSPC' || (error instanceof CommandError && message.includes('No space left on device'));
}

function uidOf({ metadata }: KubeObject): string {
  return metadata.uid ?? '';
}

function idsOf(containers: readonly RuntimeContainer[]): readonly string[] {
  return containers.map(({ id }) => id);
}
