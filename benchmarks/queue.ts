import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from './bed/client.ts';
import { Peer } from './bed/messages.ts';
import { preemptor } from './bed/population.ts';
import type { QueueProgramHandlers } from './bed/queue-program.ts';
import type { QueueSize } from './bed/queue-population.ts';
import type { Figure } from './figures.ts';
import { measure, type Sample } from './measure.ts';

export interface QueueScenario extends QueueSize {
  readonly eventsPerSecond: number;
  /** Passes are timed for so long with nobody asking, and then while `preempt` is asked. */
  readonly seconds: number;
  /** How often room is made for one of the pods that wait. */
  readonly rooms: number;
  readonly calls: {
    readonly nodes: number;
    readonly victimsPerNode: number;
    readonly warmUp: number;
    readonly runs: number;
  };
}

const PROGRAM = join(import.meta.dirname, 'bed', 'queue-program.ts');

/**
 * What open tickets cost: the passes of the reconciler, and `preempt`, asked in turn of one process with the tickets and of
 * one without. The same events come into both.
 */
export async function queue(scenario: QueueScenario, log: (line: string) => void): Promise<readonly Figure[]> {
  const { tickets, eventsPerSecond, seconds, calls } = scenario;
  const processes = [
    { name: `${tickets} tickets`, tickets },
    { name: 'no tickets', tickets: 0 },
  ].map((its) => ({ ...its, program: Peer.start<QueueProgramHandlers>(PROGRAM) }));
  try {
    log(`filling two indexes of ${scenario.nodes} nodes and ${scenario.pods} pods`);
    const samples: Sample[] = [];
    for (const { name, tickets: open, program } of processes) {
      const { nodes, pods } = scenario;
      const client = await Client.to(await program.ask('start', { nodes, pods, tickets: open }));
      const victims = await program.ask('victims', { nodes: calls.nodes, perNode: calls.victimsPerNode });
      const requests = PREEMPTORS.map((uid) => requestOf(uid, victims));
      let asked = 0;
      samples.push({
        name: `preempt, ${name}`,
        run: async () => void (await client.call(requests[asked++ % requests.length] as Buffer)),
      });
    }
    await sleep(SETTLE_MS);
    for (const { program } of processes) await program.ask('stream', eventsPerSecond);
    for (const { program } of processes) await program.ask('state');
    log(`${eventsPerSecond} events a second for ${seconds} s`);
    await sleep(seconds * 1000);
    const figures: Figure[] = [];
    for (const { name, program } of processes) figures.push(...passFigures(name, seconds, await program.ask('state')));
    log(`asking about ${calls.nodes} nodes`);
    for (const { name, ...times } of await measure(samples, calls)) {
      for (const which of ['p50', 'p99', 'max'] as const)
        figures.push({ name: `${name}, ${which}`, unit: 'us', value: times[which] });
    }
    log(`making room ${scenario.rooms} times`);
    figures.push(...(await roomFigures(scenario, processes)));
    return figures;
  } finally {
    await Promise.all(processes.map(({ program }) => program.stop()));
  }
}

/** The first pass of a term looks at everything. */
const SETTLE_MS = 10_000;
const PREEMPTORS = ['5b6f7f60-0000-4000-8000-000000000000', '5b6f7f60-0000-4000-8000-000000000001'];

function requestOf(uid: string, victims: Readonly<Record<string, readonly string[]>>): Buffer {
  const NodeNameToMetaVictims = Object.fromEntries(
    Object.entries(victims).map(([name, uids]) => [name, { Pods: uids.map((UID) => ({ UID })), NumPDBViolations: 0 }]),
  );
  return Client.request(
    '/v1/preempt',
    JSON.stringify({ Pod: preemptor(uid), NodeNameToVictims: null, NodeNameToMetaVictims }),
  );
}

/** Only where tickets wait. */
async function roomFigures(
  { rooms, nodes }: QueueScenario,
  processes: readonly {
    readonly name: string;
    readonly tickets: number;
    readonly program: Peer<QueueProgramHandlers>;
  }[],
): Promise<readonly Figure[]> {
  const figures: Figure[] = [];
  for (const { name, tickets, program } of processes) {
    if (tickets === 0) continue;
    // From the last node on: victims of the preemptors stand on the first ones.
    const tookMs = await program.ask(
      'rooms',
      Array.from({ length: rooms }, (_, at) => nodes - 1 - at),
    );
    const { writes } = await program.ask('state');
    refuse(name, writes);
    for (const [what, share] of Object.entries({ p50: 0.5, p99: 0.99, max: 1 }))
      figures.push({ name: `room to Ungate, ${name}, ${what}`, unit: 'ms', value: at(tookMs, share) });
  }
  return figures;
}

function passFigures(
  name: string,
  seconds: number,
  { passMs, sliceMs, writes }: Awaited<ReturnType<QueueProgramHandlers['state']>>,
): readonly Figure[] {
  refuse(name, writes);
  const figure = (what: string, value: number): Figure => ({ name: `${what}, ${name}`, unit: 'ms', value });
  return [
    figure('pass p50', at(passMs, 0.5)),
    figure('pass p99', at(passMs, 0.99)),
    figure('pass max', at(passMs, 1)),
    figure('slice of a pass p99', at(sliceMs, 0.99)),
    figure('passes a second take', passMs.reduce((sum, ms) => sum + ms, 0) / seconds),
  ];
}

function refuse(name: string, writes: readonly string[]): void {
  if (writes.length > 0) throw new Error(`${name}: the engine called ${[...new Set(writes)].join(', ')}`);
}

function at(values: readonly number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(share * (values.length - 1))] ?? Number.NaN;
}
