import { globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Arithmetic with, or a comparison of, the time of day. */
const SPAN = /\.now\(\)\s*[-+<>]|(?:[-+<]|(?<!=)>)=?\s*[\w.#]*clock\.now\(\)/;

/** Where it is right: the other end of the length is a time of day that a record or another process gave. */
const RIGHT: Readonly<Record<string, string>> = {
  'src/agent/checkpointer/saved-in-vain.ts': 'the time of day at which a pod is tried again, as people are told',
  'src/agent/orders/quarantine.ts': 'since a time that is written on the disk, which outlives the boot of the machine',
  'src/cli/timeline.ts': 'since the creation of a pod, as the API server says',
  'src/engine/core/reconciler.ts': 'until a time of day that a record names: deadlines, and how long a ticket waits',
  'src/engine/preemption/wake-list.ts': 'the same alarm, for a length that was measured on the other clock',
  'src/ports/instant.ts': 'the longer of both clocks: one stops while the machine is suspended, the other is set',
  'src/observe/engine-metrics.ts': 'since a displacement, as its record says',
  'src/observe/record-metrics.ts': 'since the creation of a checkpoint, as the API server says',
  'src/kube/server-time.ts': 'how far the time of day is from the other clock, until the API server says its time',
  'src/sim/controllers/disruption.ts': 'since the condition of a pod was set',
  'src/sim/nodes/test-nodes.ts': 'the deadline of an order',
  'src/sim/scheduler/test-cluster.ts': 'the start of a pod that is made up',
};

it('measures no length of time on a clock that somebody may set', () => {
  const found = globSync('src/**/*.ts', { cwd: root })
    .filter((file) => !file.endsWith('.test.ts'))
    .filter((file) => {
      const lines = readFileSync(join(root, file), 'utf8').split('\n');
      return lines.some(
        (line) => SPAN.test(line.replaceAll('performance.now()', '')) && !/^\s*(\/\/|\*|\/\*)/.test(line),
      );
    });
  expect(found.sort()).toEqual(Object.keys(RIGHT).sort());
});
