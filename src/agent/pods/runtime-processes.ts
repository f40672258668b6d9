import { ownContainers, type ContainerIndex } from '../runtime/containers.ts';
import type { Runc } from '../runtime/runc.ts';
import type { PodContainer, PodProcesses } from './pod-processes.ts';

export interface RuntimeProcessesOptions {
  readonly index: ContainerIndex;
  readonly runc: Runc;
}

/** {@link PodProcesses} by the OCI runtime of the node. */
export class RuntimeProcesses implements PodProcesses {
  readonly #options: RuntimeProcessesOptions;

  constructor(options: RuntimeProcessesOptions) {
    this.#options = options;
  }

  async containers(podUid: string): Promise<readonly PodContainer[]> {
    return (await ownContainers(this.#options.index, podUid)).map(({ id, name, status }) => ({
      id,
      name,
      status: status === 'running' || status === 'paused' ? status : 'other',
    }));
  }

  pause(ids: readonly string[]): Promise<void> {
    return this.#options.runc.pause(ids);
  }

  resume(id: string): Promise<void> {
    return this.#options.runc.resume(id);
  }

  kill(id: string): Promise<void> {
    return this.#options.runc.kill(id);
  }
}
