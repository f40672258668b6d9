/** Process, in the network namespace of a control plane: `main.ts SCENARIO GO-PROGRAM FILE` writes the figures of the scenario to the file, as JSON. */
import { writeFile } from 'node:fs/promises';
import type { Figure } from '../figures.ts';
import { SchedulerBed } from './bed.ts';
import type { SchedulerScenario } from './scenario.ts';
import { FULL_NODE_WAYS, startExtender, WAYS, type Way } from './ways.ts';

const [scenarioText = '', goProgram = '', resultFile = ''] = process.argv.slice(2);
const { nodes, rounds, warmUp, plain, preempting, fullNodes } = JSON.parse(scenarioText) as SchedulerScenario;
const values = new Map<string, { readonly unit: Figure['unit']; readonly rounds: number[] }>(); // figure -> one value a round

function log(line: string): void {
  process.stderr.write(`${line}\n`);
}

function note(name: string, unit: Figure['unit'], value: number): void {
  const { rounds: so } = values.get(name) ?? { rounds: [] };
  values.set(name, { unit, rounds: [...so, value] });
}

/** Both kinds of bursts, with a kube-scheduler and an extender that were just started and have warmed up. */
async function measure(
  bed: SchedulerBed,
  { name, asks }: Way,
  bursts: { plain: number; preempting: number },
): Promise<void> {
  const extender = asks === null ? null : await startExtender(asks.who, bed.cluster, goProgram);
  try {
    await bed.startScheduler(asks, extender?.url ?? null);
    for (const [kind, priority] of [
      ['plain', 'low'],
      ['preempting', 'high'],
    ] as const) {
      if (bursts[kind] === 0) continue;
      const pid = extender?.pid ?? null;
      await bed.burst(priority, kind === 'plain' ? warmUp : Math.ceil(warmUp / 10), pid);
      const { rate, cpuMs } = await bed.burst(priority, bursts[kind], pid);
      const cpu = Object.entries(cpuMs).map(([program, ms]) => `${program} ${ms.toFixed(2)}`);
      log(`${kind}: ${name}: ${rate.toFixed(1)} pods/s; ms of CPU a pod: ${cpu.join(', ')}`);
      note(`${kind}: ${name}`, 'pods/s', rate);
      if (extender !== null) note(`${kind}: ${name}, CPU of the extender for a pod`, 'ms', cpuMs.extender);
    }
  } finally {
    await bed.stopScheduler();
    await extender?.stop();
  }
  await bed.clear();
}

log(`filling a cluster of ${nodes} nodes`);
await using bed = await SchedulerBed.start(nodes);
for (let round = 0; round < rounds; round++) {
  log(`round ${round + 1} of ${rounds}`);
  // Each way is first in turn: whoever comes later finds a larger etcd.
  const turned = [...WAYS.slice(round % WAYS.length), ...WAYS.slice(0, round % WAYS.length)];
  for (const way of turned) await measure(bed, way, { plain, preempting });
}
for (const way of FULL_NODE_WAYS) await measure(bed, way, { plain: fullNodes, preempting: 0 });

/** One round in which the machine did something else does not move it. */
function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return ((sorted[(sorted.length - 1) >> 1] as number) + (sorted[sorted.length >> 1] as number)) / 2;
}

const figures = [...values].map(([name, { unit, rounds: all }]): Figure => ({ name, unit, value: median(all) }));
for (const kind of ['plain', 'preempting']) {
  const roundsOf = (way: string): readonly number[] => values.get(`${kind}: ${way}`)?.rounds ?? [];
  for (const { name, references } of WAYS) {
    for (const reference of references) {
      // Of one round: what else the machine does changes from minute to minute.
      const ratios = roundsOf(name).map((rate, round) => rate / (roundsOf(reference)[round] as number));
      figures.push({ name: `${kind}: ${name} / ${reference}`, unit: 'ratio', value: median(ratios) });
    }
  }
}
await writeFile(resultFile, JSON.stringify(figures));
