import { afterEach, describe, expect, it, vi } from 'vitest';
import { startServer, type RunningServer } from '../../src/http/server.ts';
import { measureAgents } from '../../src/observe/agent-metrics.ts';
import { measureEngine } from '../../src/observe/engine-metrics.ts';
import { LABEL_VALUES } from '../../src/observe/label-values.ts';
import { createLog } from '../../src/observe/log.ts';
import { METRICS, type MetricName } from '../../src/observe/metrics-table.ts';
import { Metrics } from '../../src/observe/metrics.ts';
import { measureWatches } from '../../src/observe/watch-metrics.ts';
import { HttpExtender } from '../../src/sim/scheduler/extender-transport.ts';
import { Story } from '../../src/sim/story.ts';
import { samplesOf } from '../support/measured.ts';

/** What a story in one process cannot set, and who does. */
const SET_ELSEWHERE: Partial<Record<MetricName, string>> = {
  reprieve_event_loop_delay_seconds: 'measured in real time: event-loop-delay.ts, in `serve` only',
  reprieve_contradictions_total: 'no record of a story contradicts another: contradictions.test.ts',
  reprieve_unsaved_cost_node_seconds_total: 'the policy of the story says Always: engine-metrics.test.ts',
  reprieve_refused_writes_total: 'no write of a story is refused: engine-metrics.test.ts',
  reprieve_guard_answers_total: 'kube-apiserver asks nothing in a story: engine-metrics.test.ts',
  reprieve_runtime_class_exists: 'told by whoever watches it, in `serve` only: runtime-class-watch.test.ts',
  reprieve_leader: 'told by whoever elects: leader-metrics.test.ts',
  reprieve_lease_age_seconds: 'told by whoever elects: leader-metrics.test.ts',
  reprieve_webhook_reachable: 'told by whoever asks: leader-metrics.test.ts',
  reprieve_webhook_answers_from_index: 'told by each of several replicas: replica-metrics.test.ts',
  reprieve_webhook_live_reads_total: 'told by each of several replicas: replica-metrics.test.ts',
  reprieve_webhook_replicas_behind: 'told by each of several replicas: replica-metrics.test.ts',
  reprieve_barrier_wait_seconds: 'told by each of several replicas: replica-metrics.test.ts',
  reprieve_leader_transitions_total: 'told by whoever elects: leader-metrics.test.ts',
};

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** Which metrics were set, by whatever way. */
function setNames(metrics: Metrics): () => ReadonlySet<string> {
  const spies = [vi.spyOn(metrics, 'inc'), vi.spyOn(metrics, 'observe'), vi.spyOn(metrics, 'set')];
  return () => new Set(spies.flatMap((spy) => spy.mock.calls.map(([name]) => name)));
}

/** The story of the demo, its extender over HTTP and every third dump in vain; scraped every ten seconds of it. */
async function play(seed: number): Promise<{ story: Story; metrics: Metrics; set: ReadonlySet<string> }> {
  const metrics = new Metrics();
  const names = setNames(metrics);
  let dumps = 0;
  const story = new Story({
    seed,
    withReprieve: true,
    faults: { dumpFails: () => (++dumps % 3 === 0 ? 'disk full' : null) },
    extender: async (reprieve, clock) => {
      measureEngine({ metrics, engine: reprieve.engine, view: reprieve.index, clock });
      measureWatches(metrics, () => reprieve.reader.stats(), clock);
      measureAgents(metrics, reprieve.agents);
      const server: RunningServer = await startServer({
        callbacks: reprieve.engine,
        readiness: () => ({ ready: true, reasons: [] }),
        debugState: () => reprieve.describe(),
        metrics,
        log: createLog('silent'),
        clock,
        tls: null,
        address: '127.0.0.1',
        port: 0,
      });
      const extender = new HttpExtender({ baseUrl: `http://127.0.0.1:${server.port}/v1`, clock });
      closing.push(async () => {
        await extender.close();
        await server.close();
      });
      return extender;
    },
  });
  closing.unshift(() => story.cluster.stop());
  await story.start();
  for (let atMs = 10_000; atMs < story.scenario.endMs; atMs += 10_000) {
    await story.play(atMs);
    await metrics.render();
  }
  await story.play();
  return { story, metrics, set: names() };
}

/** Sum of the samples of one metric; `label` narrows them to those that hold this text. */
async function sum(metrics: Metrics, name: MetricName | `${MetricName}_count`, label = ''): Promise<number> {
  const samples = (await samplesOf(metrics, name)).filter((sample) => sample.includes(label));
  return samples.reduce((total, sample) => total + Number(sample.split(' ').at(-1)), 0);
}

describe('metrics of a story', () => {
  it.each([1, 2, 3])('seed %i: no metric of the table is unset, and all agree with the nodes', async (seed) => {
    const { story, metrics, set } = await play(seed);
    const unset = Object.keys(METRICS).filter((name) => !set.has(name));
    expect(unset.toSorted()).toEqual(Object.keys(SET_ELSEWHERE).toSorted());

    const { saved, restored } = story.figures();
    const { ledger } = story.cluster;
    expect(await sum(metrics, 'reprieve_checkpoint_duration_seconds_count')).toBe(saved);
    expect(await sum(metrics, 'reprieve_restore_duration_seconds_count')).toBe(restored);
    expect(await sum(metrics, 'reprieve_restore_bytes_count')).toBe(restored);
    expect(await sum(metrics, 'reprieve_evictions_total', 'saved="true"')).toBe(saved);
    expect(await sum(metrics, 'reprieve_tickets_ended_total', 'phase="Restored"')).toBe(restored);
    expect(await sum(metrics, 'reprieve_saved_node_seconds_total')).toBeGreaterThan(0);
    // The nodes' own account of what was thrown away. They begin to count when a pod works, we when it starts.
    const unsaved = await sum(metrics, 'reprieve_lost_node_seconds_total', 'Unsaved');
    expect(Math.abs(unsaved / ledger.lost.discarded - 1)).toBeLessThan(0.1);
    expect(await sum(metrics, 'reprieve_queue_length')).toBe(0);
    expect(await samplesOf(metrics, 'reprieve_queue_length')).toEqual([]);
    expect(await sum(metrics, 'reprieve_frozen_pods')).toBe(0);
  });
});

describe('label values', () => {
  it('are those of labels that the metric has', () => {
    for (const { metric, label } of LABEL_VALUES) expect(METRICS[metric].labels).toContain(label);
  });

  it('are all that a story shows', async () => {
    const { metrics } = await play(2);
    for (const { metric, label, values } of LABEL_VALUES) {
      if (metric in SET_ELSEWHERE) continue;
      const text = (await metrics.render()).split('\n').filter((line) => line.startsWith(metric));
      const shown = text.flatMap((line) => new RegExp(`[{,]${label}="([^"]*)"`).exec(line)?.[1] ?? []);
      expect(Object.keys(values)).toEqual(expect.arrayContaining(shown));
      expect(shown).not.toEqual([]);
    }
  });
});
