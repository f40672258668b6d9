import type { Resources } from '../../domain/resources.ts';
import { cpuToMilli, quantityToInteger } from '../../domain/quantity.ts';

const MI = 2 ** 20;

/** A simulated node: what it has, and how fast its agent and kubelet work. */
export interface NodeSpec {
  readonly name: string;
  readonly allocatable: {
    readonly cpu: string;
    readonly memory: string;
    readonly pods: number;
    readonly extended?: Readonly<Record<string, number>>;
  };
  readonly labels: Readonly<Record<string, string>>;
  /** The disk takes one dump at a time. */
  readonly dumpBytesPerSecond: number;
  readonly restoreBytesPerSecond: number;
  /** Between this node's store and another node. */
  readonly networkBytesPerSecond: number;
  readonly freezeMs: number;
  /** From the order to start a container until it works. */
  readonly coldStartMs: number;
  readonly compatibility: string;
  readonly canCheckpoint: boolean;
}

/** 8 CPUs, 32 GiB, a disk of 500 MiB/s: the lab's measured 512 MiB in about 1.8 s (dump and digests) is slower, an NVMe disk faster. */
export function nodeSpec(name: string, overrides: Partial<Omit<NodeSpec, 'name'>> = {}): NodeSpec {
  return {
    name,
    allocatable: { cpu: '8', memory: '32Gi', pods: 110 },
    labels: {},
    dumpBytesPerSecond: 500 * MI,
    restoreBytesPerSecond: 1000 * MI,
    networkBytesPerSecond: 1000 * MI,
    freezeMs: 50,
    coldStartMs: 2000,
    compatibility: 'simulated-v1',
    canCheckpoint: true,
    ...overrides,
  };
}

export function allocatableOf({ allocatable }: NodeSpec): Resources {
  return {
    cpuMilli: cpuToMilli(allocatable.cpu),
    memoryBytes: quantityToInteger(allocatable.memory),
    ephemeralBytes: 0,
    pods: allocatable.pods,
    extended: allocatable.extended ?? null,
  };
}
