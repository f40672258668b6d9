import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ApiServerHandlers } from './bed/api-server.ts';
import { Client } from './bed/client.ts';
import { startNullExtender } from './bed/extender.ts';
import { Peer } from './bed/messages.ts';
import { nullGoExtender } from './bed/null-go.ts';
import { nodeName, preemptor } from './bed/population.ts';
import type { ProgramHandlers } from './bed/program.ts';
import { measure, type Measured, type Sample } from './measure.ts';

export interface HotPathScenario {
  /** Of the whole cluster. */
  readonly nodes: number;
  readonly pods: number;
  /** Candidate nodes of a call, and how often each extender is asked. */
  readonly calls: readonly { readonly nodes: number; readonly warmUp: number; readonly runs: number }[];
  readonly victimsPerNode: number;
  /** Changes of pods that come in meanwhile. */
  readonly eventsPerSecond: number;
}

/** So slow that no victim is worth being saved: each decision is made in full, and nothing is left behind by it. */
const DUMP_BYTES_PER_SECOND = 2 ** 20;
const BED = join(import.meta.dirname, 'bed');

/**
 * What the verbs cost kube-scheduler: one connection to each of three extenders, asked in turn the same, while a stream of
 * changes of pods comes in. `preempt` is asked with all victims protected, and with none.
 */
export async function hotPath(scenario: HotPathScenario, log: (line: string) => void): Promise<readonly Measured[]> {
  const goProgram = await nullGoExtender(log);
  const api = Peer.start<ApiServerHandlers>(join(BED, 'api-server.ts'), ['--max-old-space-size=8192']);
  const program = Peer.start<ProgramHandlers>(join(BED, 'program.ts'));
  const go = await startNullExtender(goProgram);
  const node = await startNullExtender(process.execPath, [join(BED, 'null-node.ts')]);
  try {
    log(`filling a cluster of ${scenario.nodes} nodes and ${scenario.pods} pods`);
    const apiServer = await api.ask('fill', { nodes: scenario.nodes, pods: scenario.pods });
    const port = await program.ask('start', { apiServer, dumpBytesPerSecond: DUMP_BYTES_PER_SECOND });
    await program.ask('synced');
    const clients = {
      reprieve: await Client.to(port),
      'null Go': await Client.to(go.port),
      'null node:http': await Client.to(node.port),
    };
    await api.ask('stream', scenario.eventsPerSecond);
    const results: Measured[] = [];
    for (const isProtected of [true, false]) {
      await api.ask('setPolicy', isProtected ? 'Adaptive' : null);
      await sleep(1000);
      for (const { nodes, ...rounds } of scenario.calls) {
        log(`asking about ${nodes} nodes, ${isProtected ? 'all victims' : 'nobody'} protected`);
        const victims = await api.ask('victims', { nodes, perNode: scenario.victimsPerNode });
        const samples: Sample[] = [];
        for (const [verb, requests] of requestsOf(nodes, victims, isProtected)) {
          for (const [extender, client] of Object.entries(clients)) {
            let asked = 0;
            samples.push({
              name: nameOf(verb, nodes, extender),
              run: async () => void (await client.call(requests[asked++ % requests.length] as Buffer)),
            });
          }
        }
        results.push(...(await measure(samples, rounds)));
      }
    }
    for (const client of Object.values(clients)) client.close();
    return results;
  } finally {
    await Promise.all([program.stop(), api.stop(), go.stop(), node.stop()]);
  }
}

function nameOf(verb: string, nodes: number, extender: string): string {
  return `${verb}, ${nodes} nodes: ${extender}`;
}

/** What is asked in turn: never twice about one pod by one verb, but `prioritize` about the pod of the `filter` before it, as kube-scheduler does. */
function requestsOf(
  nodes: number,
  victims: Readonly<Record<string, readonly string[]>>,
  isProtected: boolean,
): readonly (readonly [verb: string, requests: readonly Buffer[]])[] {
  const NodeNames = Array.from({ length: nodes }, (_, number) => nodeName(number));
  const NodeNameToMetaVictims = Object.fromEntries(
    Object.entries(victims).map(([name, uids]) => [name, { Pods: uids.map((UID) => ({ UID })), NumPDBViolations: 0 }]),
  );
  const asked = (verb: string, pods: readonly string[], about: object): readonly Buffer[] =>
    pods.map((uid) => Client.request(`/v1/${verb}`, JSON.stringify({ Pod: preemptor(uid), ...about })));
  const preempt = asked('preempt', PREEMPTORS, { NodeNameToVictims: null, NodeNameToMetaVictims });
  if (!isProtected) return [['preempt, nobody protected', preempt]];
  return [
    ['preempt', preempt],
    ['filter', asked('filter', PENDING, { Nodes: null, NodeNames })],
    ['prioritize', asked('prioritize', PENDING, { Nodes: null, NodeNames })],
  ];
}

const PREEMPTORS = ['5b6f7f60-0000-4000-8000-000000000000', '5b6f7f60-0000-4000-8000-000000000001'];
const PENDING = ['5b6f7f60-0000-4000-8000-000000000002', '5b6f7f60-0000-4000-8000-000000000003'];
