import { CHECKPOINT_LABEL, COMPATIBILITY_LABEL, DUMP_SPEED_ANNOTATION } from '../../domain/labels.ts';
import { dominantShare, type Resources } from '../../domain/resources.ts';
import { podOf } from '../../kube/project/pod.ts';
import type { KubeObject } from '../../kube/transport.ts';
import type { Container } from './container.ts';
import { allocatableOf, type NodeSpec } from './node-spec.ts';
import { SimulatedStates } from './simulated-states.ts';
import { Turns } from '../../agent/turns.ts';

/** One node: its containers, its disk and the states on it. */
export class SimulatedNode {
  readonly spec: NodeSpec;
  readonly containers = new Map<string, Container>(); // pod uid -> its container
  readonly store = new SimulatedStates();
  /** The disk takes one dump at a time. */
  readonly disk = new Turns();
  /** The agent process runs; without it nothing is frozen, thawed or restored. */
  agentAlive = true;
  /** Its process runs, whether it takes orders yet or not. */
  agentRuns = true;
  readonly #allocatable: Resources;

  constructor(spec: NodeSpec) {
    this.spec = spec;
    this.#allocatable = allocatableOf(spec);
  }

  /** Share of this node that a pod takes: what a second of it weighs. */
  weightOf(pod: KubeObject): number {
    return dominantShare(podOf(pod).requests, this.#allocatable);
  }

  /** The Node object as kubelet and agent would register it. */
  toObject(ready: boolean, timestamp: string): object {
    const { name, labels, allocatable, canCheckpoint, compatibility, dumpBytesPerSecond } = this.spec;
    const capacity = {
      cpu: allocatable.cpu,
      memory: allocatable.memory,
      pods: String(allocatable.pods),
      ...Object.fromEntries(
        Object.entries(allocatable.extended ?? {}).map(([resource, count]) => [resource, String(count)]),
      ),
    };
    return {
      metadata: {
        name,
        labels: {
          'kubernetes.io/hostname': name,
          'kubernetes.io/arch': 'amd64',
          'kubernetes.io/os': 'linux',
          [CHECKPOINT_LABEL]: String(canCheckpoint),
          [COMPATIBILITY_LABEL]: compatibility,
          ...labels,
        },
        annotations: { [DUMP_SPEED_ANNOTATION]: String(dumpBytesPerSecond) },
      },
      spec: {},
      status: { capacity, allocatable: capacity, ...readyStatus(ready, timestamp) },
    };
  }
}

/** The Ready condition as a kubelet reports it, alone in a status. */
export function readyStatus(ready: boolean, timestamp: string): { readonly conditions: readonly object[] } {
  return {
    conditions: [
      {
        type: 'Ready',
        status: ready ? 'True' : 'False',
        reason: ready ? 'KubeletReady' : 'KubeletNotReady',
        message: 'simulated',
        lastHeartbeatTime: timestamp,
        lastTransitionTime: timestamp,
      },
    ],
  };
}
