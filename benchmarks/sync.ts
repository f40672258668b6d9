import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ApiServerHandlers } from './bed/api-server.ts';
import { Peer } from './bed/messages.ts';
import type { NullReaderHandlers } from './bed/null-reader.ts';
import type { ProgramHandlers, ProgramState } from './bed/program.ts';
import type { Figure } from './figures.ts';

export interface SyncScenario {
  readonly nodes: number;
  readonly pods: readonly number[];
  /** What comes in once the index is complete, and for how long that is watched. */
  readonly eventsPerSecond: number;
  readonly seconds: number;
}

const BED = join(import.meta.dirname, 'bed');
const MIB = 2 ** 20;

/** From the start of the reader until the index is complete, and how it goes on: time, delay of the event loop, memory. */
export async function sync(scenario: SyncScenario, log: (line: string) => void): Promise<readonly Figure[]> {
  const figures: Figure[] = [];
  for (const pods of scenario.pods) figures.push(...(await syncOf(pods, scenario, log)));
  return figures;
}

async function syncOf(
  pods: number,
  { nodes, eventsPerSecond, seconds }: SyncScenario,
  log: (line: string) => void,
): Promise<readonly Figure[]> {
  const api = Peer.start<ApiServerHandlers>(join(BED, 'api-server.ts'), ['--max-old-space-size=8192']);
  const reader = Peer.start<NullReaderHandlers>(join(BED, 'null-reader.ts'));
  const program = Peer.start<ProgramHandlers>(join(BED, 'program.ts'));
  try {
    log(`filling a cluster of ${nodes} nodes and ${pods} pods`);
    const apiServer = await api.ask('fill', { nodes, pods });
    await api.ask('setPolicy', 'Adaptive');
    const readMs = await reader.ask('read', { apiServer, lines: pods });
    await reader.stop();
    await program.ask('start', { apiServer, dumpBytesPerSecond: MIB });
    await program.ask('synced');
    const syncing = await program.ask('state');
    await api.ask('stream', eventsPerSecond);
    await sleep(seconds * 1000);
    const following = await program.ask('state');
    if (following.pods !== pods) throw new Error(`the index holds ${following.pods} pods of ${pods}`);
    return figuresOf(`${pods} pods`, readMs, syncing, following);
  } finally {
    await Promise.all([program.stop(), reader.stop(), api.stop()]);
  }
}

function figuresOf(size: string, readMs: number, syncing: ProgramState, following: ProgramState): readonly Figure[] {
  const about = (name: string, unit: Figure['unit'], value: number): Figure => ({
    name: `${name}, ${size}`,
    unit,
    value,
  });
  return [
    about('synced', 's', (syncing.syncedMs ?? Number.NaN) / 1000),
    about('read and parsed only (reference)', 's', readMs / 1000),
    about('loop delay while syncing, p99', 'ms', syncing.delayMs.p99),
    about('loop delay while syncing, max', 'ms', syncing.delayMs.max),
    about('loop delay after, p99', 'ms', following.delayMs.p99),
    about('loop delay after, max', 'ms', following.delayMs.max),
    about('highest resident memory', 'MiB', following.maxRssBytes / MIB),
    about('resident memory after', 'MiB', following.rssBytes / MIB),
  ];
}
