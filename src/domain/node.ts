import type { NodeName } from './ids.ts';
import type { Resources } from './resources.ts';

export interface Taint {
  readonly key: string;
  readonly value: string;
  readonly effect: 'NoSchedule' | 'PreferNoSchedule' | 'NoExecute';
}

export interface Node {
  readonly name: NodeName;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly allocatable: Resources;
  readonly unschedulable: boolean;
  readonly ready: boolean;
  readonly taints: readonly Taint[];
  /** The agent saves pods here (label `reprieve.dev/checkpoint=true`). */
  readonly canCheckpoint: boolean;
  /** Its agent has not renewed its Lease for a while (`src/kube/agent-watch.ts`): nothing is saved or restored here until it does. */
  readonly agentSilent: boolean;
  /** Checkpoints move between nodes of one class (label `reprieve.dev/compatibility`); null when the agent has not said. */
  readonly compatibility: string | null;
  /** Measured by the agent (annotation `reprieve.dev/dump-bytes-per-second`); null when it has not said. */
  readonly dumpBytesPerSecond: number | null;
}
