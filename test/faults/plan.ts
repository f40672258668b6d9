import { nodeSpec, type NodeSpec } from '../../src/sim/nodes/node-spec.ts';
import { Random } from '../../src/sim/random.ts';
import type { EngineSettings } from '../../src/engine/core/steps.ts';
import { FAULTS, type FaultName } from './fault-table.ts';
import type { SCRIPTED_FAULTS } from './scripted-faults.ts';
import { drawOperations, POOLS, type Operation } from './operations.ts';
import type { StateName } from './states.ts';

export const SECOND = 1000;
/** Operations and faults begin before this. Then everything that was broken is mended, and the cluster has to settle. */
export const QUIET_MS = 270 * SECOND;

/** When a fault strikes: at a time, or as soon as something is in that state for the `nth` time. */
type Moment = { readonly atMs: number } | { readonly state: StateName; readonly nth: number };

export interface PlannedFault {
  readonly kind: 'fault';
  readonly at: Moment;
  readonly fault: FaultName | keyof typeof SCRIPTED_FAULTS;
  /** 0 to 1: which of several it hits, and whatever else there is to choose. */
  readonly pick: number;
  readonly lengthMs: number;
  /** For those that wait for a request of the process they hit. */
  readonly calls: number;
}

interface PlannedOperation {
  readonly kind: 'operation';
  readonly at: Moment;
  readonly operation: Operation;
}

export type Step = PlannedFault | PlannedOperation;

/** Everything that one run does, as plain data: it can be printed, shortened and run again. */
export interface Plan {
  readonly seed: number;
  readonly nodes: readonly NodeSpec[];
  readonly latencyMs: number;
  /** Watches are behind by up to this; less than the engine allows for (`WATCH_LAG_MS`). */
  readonly lagMs: number;
  readonly settings: Partial<EngineSettings>;
  readonly steps: readonly Step[];
}

const MI = 2 ** 20;

export function drawPlan(seed: number): Plan {
  const random = new Random(seed).fork('plan');
  const nodes = drawNodes(random.fork('nodes'));
  const operations = drawOperations(random.fork('operations'), nodes).map(
    ({ atMs, ...operation }): PlannedOperation => ({ kind: 'operation', at: { atMs }, operation }),
  );
  return {
    seed,
    nodes,
    latencyMs: random.pick([0, 0, 2, 30]),
    lagMs: random.pick([0, 200, 1500, 4000]),
    settings: {
      maxGateMs: random.pick([20, 60, 120]) * SECOND,
      starvationMs: random.pick([10, 60]) * SECOND,
      ticketRetentionMs: random.pick([30, 120]) * SECOND,
      maxConcurrentRestoresPerNode: random.integer(1, 2),
    },
    steps: [...operations, ...drawFaults(random.fork('faults'))],
  };
}

function drawNodes(random: Random): readonly NodeSpec[] {
  return Array.from({ length: random.integer(2, 4) }, (_, index) =>
    nodeSpec(`node-${index + 1}`, {
      dumpBytesPerSecond: random.pick([50, 200, 500]) * MI,
      freezeMs: random.pick([0, 50, 500]),
      compatibility: random.next() < 0.8 ? 'simulated-v1' : 'simulated-v2',
      canCheckpoint: random.next() < 0.95,
      labels: { pool: POOLS[index % POOLS.length] as string },
    }),
  );
}

const STATES_TO_STRIKE_IN: readonly StateName[] = [
  'decided',
  'Saving',
  'ordered',
  'frozen',
  'saved',
  'failed',
  'undoing',
  'Displacing',
  'emptied',
  'Waiting',
  'gated',
  'claimed',
  'Admitted',
  'Restoring',
];

function drawFaults(random: Random): readonly PlannedFault[] {
  const names = Object.keys(FAULTS) as FaultName[];
  return Array.from({ length: random.integer(0, 14) }, (): PlannedFault => ({
    kind: 'fault',
    at:
      random.next() < 0.3
        ? { atMs: random.integer(15, 240) * SECOND + random.integer(0, 999) }
        : { state: random.pick(STATES_TO_STRIKE_IN), nth: random.integer(1, 6) },
    fault: random.pick(names),
    pick: random.next(),
    lengthMs: Math.round(random.pick([1, 5, 20, 45, 80]) * SECOND * (0.5 + random.next())),
    calls: random.integer(1, 8),
  }));
}
