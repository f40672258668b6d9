import type { Dump, SaveFailure } from '../orders/savable-pod.ts';
import type { ContainerIndex, RuntimeContainer } from '../runtime/containers.ts';
import { DumpError, type Runc } from '../runtime/runc.ts';
import { obstacles } from '../runtime/inspect.ts';
import type { DumpFailureReason } from '../runtime/dump-failure.ts';
import type { Obstacle } from './obstacle-watch.ts';
import type { DumpRequest, PodContainer, PodProcesses } from './pod-processes.ts';

export interface RuntimeProcessesOptions {
  readonly index: ContainerIndex;
  readonly runc: Runc;
  /** Writes the state of paused containers; see `dumpPod`. */
  readonly dump: (request: DumpRequest, containers: readonly RuntimeContainer[], stop: AbortSignal) => Promise<Dump>;
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
    const found = await this.obstacleOf(podUid);
    return found && { reason: 'NotCheckpointable', message: found.message };
  }

  /** The first thing found that cannot be saved, in the words of the pod's condition. */
  async obstacleOf(podUid: string): Promise<Obstacle | null> {
    const containers = await this.#containersOf(podUid);
    for (const container of containers) {
      if (container.status !== 'running') continue;
      const pids = await this.#options.runc.pids(container.id);
      const [first] = await obstacles({ container, pids });
      if (first !== undefined) {
        const message = `container ${container.name}: ${first.message}`;
        return { reason: OBSTACLE_REASONS[first.reason] ?? 'Unsupported', message };
      }
    }
    return null;
  }

  pause(id: string): Promise<void> {
    return this.#options.runc.pause(id);
  }

  async resume(id: string): Promise<void> {
    await this.#options.runc.undisturbed(id);
    await this.#options.runc.resume(id);
  }

  kill(id: string): Promise<void> {
    return this.#options.runc.kill(id);
  }

  async dump(request: DumpRequest, stop: AbortSignal): Promise<Dump> {
    const containers = (await this.#containersOf(request.pod.uid)).filter(({ status }) => status === 'paused');
    try {
      return await this.#options.dump(request, containers, stop);
    } catch (error) {
      stop.throwIfAborted();
      const isNoSpace = error instanceof DumpError && error.failure.reason === 'NoSpace';
      const message = error instanceof Error ? error.message : String(error);
      return { failure: { reason: isNoSpace ? 'NoSpace' : 'DumpFailed', message } };
    }
  }

  async #containersOf(podUid: string): Promise<readonly RuntimeContainer[]> {
    return (await this.#options.index.podContainers(podUid)).filter(({ kind }) => kind === 'container');
  }
}

const OBSTACLE_REASONS: Partial<Readonly<Record<DumpFailureReason, Obstacle['reason']>>> = {
  IoUring: 'IoUringInUse',
  Device: 'DeviceInUse',
  ExternalSocket: 'SocketShared',
};
