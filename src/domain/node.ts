import type { NodeName } from './ids.ts';
import { isSameAmount, isSameRecord, type Resources } from './resources.ts';

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
  /** Why a person asks to move off it what can be saved (annotation `reprieve.dev/evacuate`); null where nobody does. */
  readonly evacuateFor: string | null;
  /** Measured by the agent (annotation `reprieve.dev/dump-bytes-per-second`); null when it has not said. */
  readonly dumpBytesPerSecond: number | null;
}

/** They differ in nothing but their version, as most heartbeats of a kubelet do. */
export function isSameNode(a: Node, b: Node): boolean {
  return (
    a === b ||
    (a.name === b.name &&
      a.uid === b.uid &&
      a.unschedulable === b.unschedulable &&
      a.ready === b.ready &&
      a.canCheckpoint === b.canCheckpoint &&
      a.agentSilent === b.agentSilent &&
      a.compatibility === b.compatibility &&
      a.dumpBytesPerSecond === b.dumpBytesPerSecond &&
      a.evacuateFor === b.evacuateFor &&
      isSameAmount(a.allocatable, b.allocatable) &&
      isSameRecord(a.labels, b.labels) &&
      a.taints.length === b.taints.length &&
      a.taints.every((taint, at) => isSameTaint(taint, b.taints[at] as Taint)))
  );
}

function isSameTaint(a: Taint, b: Taint): boolean {
  return a.key === b.key && a.value === b.value && a.effect === b.effect;
}
