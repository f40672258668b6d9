import type { NodeName } from '../src/domain/ids.ts';
import { DEFAULT_COST_MODEL } from '../src/domain/victim-cost.ts';
import { DisplacementBook } from '../src/engine/displace/displacement-book.ts';
import { preempt } from '../src/engine/preemption/preempt.ts';
import { handleExtender } from '../src/http/extender-handler.ts';
import { ClusterIndex } from '../src/index/cluster-index.ts';
import { makeNode, makePod, makePolicy } from '../test/support/builders.ts';
import { measure, type Measured, type Sample } from './measure.ts';

export interface DecideScenario {
  readonly nodes: readonly number[];
  readonly victimsPerNode: number;
  readonly warmUp: number;
  readonly runs: number;
}

export async function decide({ nodes, victimsPerNode, ...rounds }: DecideScenario): Promise<readonly Measured[]> {
  const results: Measured[] = [];
  for (const count of nodes) {
    // Rounds of a second or so each: the long ones need fewer.
    const share = Math.min(1, 100 / count);
    const scaled = { warmUp: Math.ceil(rounds.warmUp * share), runs: Math.ceil(rounds.runs * share) };
    results.push(...(await measure(decideSamples(count, victimsPerNode), scaled)));
  }
  return results;
}

/** `preempt` with so many candidate nodes and victims, all protected: the decision alone, and with parse and answer. */
function decideSamples(nodes: number, victimsPerNode: number): readonly Sample[] {
  const index = new ClusterIndex();
  index.apply({ type: 'upsert', kind: 'policy', value: makePolicy() });
  const candidates = Array.from({ length: nodes }, (_, node) => {
    const name = `node-${node}`;
    index.apply({ type: 'upsert', kind: 'node', value: makeNode({ name }) });
    const victims = Array.from({ length: victimsPerNode }, (_, pod) => {
      const value = makePod({ name: `pod-${node}-${pod}`, nodeName: name, priority: pod, startMs: node * 1000 + pod });
      index.apply({ type: 'upsert', kind: 'pod', value });
      return value.uid;
    });
    return { node: name as NodeName, victims, numPdbViolations: 0 };
  });
  const preemptor = makePod({ name: 'high', priority: 1000 });
  const ask = (request: Parameters<typeof preempt>[0]): ReturnType<typeof preempt> =>
    preempt(request, {
      view: index,
      book: new DisplacementBook(),
      nowMs: 10_000_000,
      steadyMs: 10_000_000,
      costs: DEFAULT_COST_MODEL,
      defaultMaxDelayMs: 60_000,
      maxDisplacementsPerHour: 6,
      isRefused: () => false,
      hasFailed: () => false,
      newDisplacementId: () => 'd1',
    });
  const body = JSON.stringify({
    Pod: {
      metadata: { name: 'high', namespace: 'default', uid: preemptor.uid },
      spec: { priority: 1000, containers: [] },
    },
    NodeNameToVictims: null,
    NodeNameToMetaVictims: Object.fromEntries(
      candidates.map(({ node, victims }) => [node, { Pods: victims.map((UID) => ({ UID })), NumPDBViolations: 0 }]),
    ),
  });
  const callbacks = { preempt: (request: Parameters<typeof preempt>[0]) => ask(request).verdict } as Parameters<
    typeof handleExtender
  >[0];
  return [
    { name: `decide, ${nodes} nodes x ${victimsPerNode} victims`, run: () => void ask({ preemptor, candidates }) },
    {
      name: `parse, decide, answer, ${nodes} nodes x ${victimsPerNode} victims`,
      run: () => {
        if (handleExtender(callbacks, 'preempt', body).status !== 200) throw new Error('the body was refused');
      },
    },
    { name: `JSON.parse of the same body, ${nodes} nodes (reference)`, run: () => void JSON.parse(body) },
  ];
}
