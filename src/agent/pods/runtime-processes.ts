import type { Dump, SaveFailure } from '../orders/savable-pod.ts';
import type { ContainerIndex, RuntimeContainer } from '../runtime/containers.ts';
import { DumpError, type Runc } from '../runtime/runc.ts';
import { obstacles } from '../runtime/inspect.ts';
import type { DumpFailureReason } from '../runtime/dump-failure.ts';
import type { Obstacle } from './obstacle-watch.ts';
import type { PodContainer, PodIdentity, PodProcesses } from './pod-processes.ts';

/** What a look at all pods of a node takes, and less than passes between two looks. */
const ROUND_MS = 5_000;

export interface RuntimeProcessesOptions {
  readonly index: ContainerIndex;
  readonly runc: Runc;
  /** Writes the state of paused containers; see `dumpPod`. */
  readonly dump: (
    pod: PodIdentity,
    key: string,
    containers: readonly RuntimeContainer[],
    stop: AbortSignal,
  ) => Promise<Dump>;
}

/** {@link PodProcesses} by the OCI runtime of the node. */
export class RuntimeProcesses implements PodProcesses {
  readonly #options: RuntimeProcessesOptions;

  constructor(options: RuntimeProcessesOptions) {
    this.#options = options;
  }

  async containers(podUid: string): Promise<readonly PodContainer[]> {
    return (await this.#containersOf(podUid)).map(({ id, name, status }) => ({
      id,
      name,
      status: status === 'running' || status === 'paused' ? status : 'other',
    }));
  }

  async obstacle(podUid: string): Promise<SaveFailure | null> {
    const found = await this.#obstacleIn(await this.#containersOf(podUid));
    return found && { reason: 'NotCheckpointable', message: found.message };
  }

  /** In the words of the pod's condition. Asked of many pods in a row: what runc says of them may be some seconds old. */
  async obstacleOf(podUid: string): Promise<Obstacle | null> {
    return this.#obstacleIn(await this.#containersOf(podUid, ROUND_MS));
  }

  pause(id: string): Promise<void> {
    return this.#options.runc.pause(id);
  }

  resume(id: string): Promise<void> {
    return this.#options.runc.resume(id);
  }

  kill(id: string): Promise<void> {
    return this.#options.runc.kill(id);
  }

  async dump(pod: PodIdentity, key: string, stop: AbortSignal): Promise<Dump> {
    const containers = (await this.#containersOf(pod.uid)).filter(({ status }) => status === 'paused');
    try {
      return await this.#options.dump(pod, key, containers, stop);
    } catch (error) {
      stop.throwIfAborted();
      const isNoSpace = error instanceof DumpError && error.failure.reason === 'NoSpace';
      const message = error instanceof Error ? error.message : String(error);
      return { failure: { reason: isNoSpace ? 'NoSpace' : 'DumpFailed', message } };
    }
  }

  /** The first thing found that cannot be saved. */
  async #obstacleIn(containers: readonly RuntimeContainer[]): Promise<Obstacle | null> {
    for (const container of containers) {
      if (container.status !== 'running') continue;
      const pids = this.#options.runc.pidsWith(container);
      const [first] = await obstacles({ container, pids });
      if (first !== undefined) {
        const message = `container ${container.name}: ${first.message}`;
        return { reason: OBSTACLE_REASONS[first.reason] ?? 'Unsupported', message };
      }
    }
    return null;
  }

  async #containersOf(podUid: string, maxAgeMs?: number): Promise<readonly RuntimeContainer[]> {
    return (await this.#options.index.podContainers(podUid, maxAgeMs)).filter(({ kind }) => kind === 'container');
  }
}

const OBSTACLE_REASONS: Partial<Readonly<Record<DumpFailureReason, Obstacle['reason']>>> = {
  IoUring: 'IoUringInUse',
  Device: 'DeviceInUse',
  ExternalSocket: 'SocketShared',
};
