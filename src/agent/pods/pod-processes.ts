/** One container of a pod as the runtime of the node knows it; its sandbox is none. */
export interface PodContainer {
  readonly id: string;
  readonly name: string;
  readonly status: 'running' | 'paused' | 'other';
}

export interface PodIdentity {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/** How the containers of this node are frozen, thawed and ended. Saving them is the work of a `Checkpointer`. */
export interface PodProcesses {
  /** Every container of the pod that has one, ended ones included. */
  containers(podUid: string): Promise<readonly PodContainer[]>;
  /** Freezes all processes of these containers within a moment; a frozen one stays as it is. */
  pause(ids: readonly string[]): Promise<void>;
  /** Thaws those of one container; nothing happens where they run. */
  resume(id: string): Promise<void>;
  /** Ends a container at once, frozen or not; one that is gone is fine. */
  kill(id: string): Promise<void>;
}
