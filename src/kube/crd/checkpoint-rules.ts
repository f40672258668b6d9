import { described, oneOf, quantity, withDefault } from './schema.ts';

/** Defaults of a checkpoint: for policies, and for a PodCheckpoint that a user makes. */
export const CHECKPOINT_DEFAULTS = { sockets: 'Close', volumes: 'EmptyDir', maxBytes: '0' } as const;

export const sockets = described(
  'Established TCP connections. Close: they are closed in the copy. Refuse: a pod that has one is not saved; where the connection lasts, the condition reprieve.dev/Checkpointable of the pod says so beforehand.',
  withDefault(oneOf('Close', 'Refuse'), CHECKPOINT_DEFAULTS.sockets),
);

export const volumes = described(
  'EmptyDir: the files of emptyDir volumes and /dev/shm are saved. None: they are not, and come back empty; a pod with an open file in one is not saved.',
  withDefault(oneOf('EmptyDir', 'None'), CHECKPOINT_DEFAULTS.volumes),
);

export const maxBytes = described(
  'The largest checkpoint of one pod. A pod that is expected to need more is not saved, and a dump that becomes larger is given up. Where the memory of a pod alone is larger, the condition reprieve.dev/Checkpointable says so beforehand. 0: no limit.',
  withDefault(quantity, CHECKPOINT_DEFAULTS.maxBytes),
);
