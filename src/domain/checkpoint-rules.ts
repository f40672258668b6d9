/** How a pod is saved: what its policy promised, or what a user asked for. */
export interface CheckpointRules {
  /** Established TCP connections. `Close`: they are closed in the copy. `Refuse`: a pod that has one is not saved. */
  readonly sockets: 'Close' | 'Refuse';
  /** `None`: emptyDir volumes and /dev/shm are not saved, and come back empty. */
  readonly volumes: 'EmptyDir' | 'None';
  /** The largest state; 0: no limit. */
  readonly maxBytes: number;
}

/** Whether a state of so many bytes is larger than the rules allow. */
export function isTooLarge(bytes: number, { maxBytes }: Pick<CheckpointRules, 'maxBytes'>): boolean {
  return maxBytes > 0 && bytes > maxBytes;
}
