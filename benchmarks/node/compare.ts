import { parseArgs } from 'node:util';
import { policy } from '../../test/cluster/story/workloads.ts';
import { NodeBed } from '../../test/node/bed/bed.ts';
import { clear } from '../../test/node/bed/displace.ts';
import { hog, hogPast } from '../../test/node/bed/hog.ts';
import { AgentUsage } from './agent-process.ts';
import { Figures, heading, printGoals, type Goal } from './figures.ts';
import { preempt, restored, startedIn, startVictim } from './preempt.ts';
import { restoreByRunc } from './restore-by-hand.ts';
import { saveByAgent, saveByKubelet, saveByRunc } from './save.ts';

/**
 * Reprieve against the least that its work can take (runc by hand), against the kubelet's checkpoint API and against native
 * preemption. In turns on one bed, so that a machine that slows down slows all of them down. A round of the four sizes takes some
 * 7 minutes.
 */
const { values: flags } = parseArgs({
  options: {
    /** MiB of memory of the pods. */
    sizes: { type: 'string', default: '64,512,1024,2048' },
    rounds: { type: 'string', default: '3' },
    'idle-seconds': { type: 'string', default: '60' },
  },
});
const sizes = flags.sizes.split(',').map(Number);
const rounds = Number(flags.rounds);
const idleSeconds = Number(flags['idle-seconds']);
/** The size at which preemption is compared, where it is among them. */
const preempted = Math.max(Math.min(...sizes), ...sizes.filter((size) => size <= 512));

const figures = new Figures();
await using bed = await NodeBed.start({ agents: {} });
await bed.cluster.applyObjects(policy('batch', 'batch'));
// Their second start: the first one compiles.
for (const { name } of bed.nodes)
  await bed
    .agent(name)
    .stop()
    .then(() => bed.agent(name).start());
const agents = await Promise.all(bed.nodes.map(({ name }) => AgentUsage.of(bed, name)));
await idle();
for (let round = 1; round <= rounds; round++) {
  for (const size of sizes) {
    say(`round ${round}: ${size} MiB`);
    await save(size, round);
    await moveOn(size, `moved-${size}-${round}`);
    await comeBack(size, `back-${size}-${round}`);
  }
  for (const graceSeconds of [30, 1]) await natively(graceSeconds, `native-${graceSeconds}-${round}`);
}
const peaks = await Promise.all(agents.map(async (agent) => (await agent.memory()).peak));
figures.add('agent peak', Math.max(...peaks));
report();

/** Ten pods under a policy, and nobody who wants anything. */
async function idle(): Promise<void> {
  say('idle');
  const names = Array.from({ length: 10 }, (_, index) => `idle-${index}`);
  for (const name of names) await bed.runPod(hog(name, { node: 'node1', cpu: '50m' }));
  const [agent] = agents as [AgentUsage];
  figures.add('idle cpu', await agent.cpu(idleSeconds));
  figures.add('idle memory', (await agent.memory()).now);
  await clear(bed);
}

/** Nothing that was written before is left to be written while something is measured. */
async function settled(): Promise<void> {
  await bed.nodes[0]?.run('sync', '-f', '/var/lib/reprieve');
}

/** One pod, saved in three ways, restored by hand from what runc made. */
async function save(size: number, round: number): Promise<void> {
  const pod = await bed.runPod(hog(`held-${size}-${round}`, { node: 'node1', mebibytes: size }));
  await hogPast(pod.ip, 3);
  figures.add(`${size} started`, await startedIn(bed, pod.name));
  const ways = [
    async () => figures.addAll(`${size} agent `, { ...(await saveByAgent(bed, pod, `held-${size}-${round}`)) }),
    async () => {
      figures.addAll(`${size} runc `, { ...(await saveByRunc(pod)) });
      figures.add(`${size} runc restore`, await restoreByRunc(pod));
    },
    async () => figures.add(`${size} kubelet total`, (await saveByKubelet(bed, pod)).total),
  ];
  // Each is the first in its round: a disk takes the first of some gigabytes slower, or faster, than the last.
  for (let at = 0; at < ways.length; at++) {
    await settled();
    await ways[(at + round) % ways.length]?.();
  }
  await clear(bed);
}

/** Displaced, and restored on the other node. */
async function moveOn(size: number, name: string): Promise<void> {
  const victim = await startVictim(bed, name, { mebibytes: size, graceSeconds: 30 });
  await settled();
  figures.add(`${size} preempted`, await preempt(bed, victim));
  const { node, ...parts } = await restored(bed, victim);
  if (node === victim.node) throw new Error(`${name} is still on ${node}`);
  figures.addAll(`${size} other `, parts);
  await clear(bed);
}

/** Displaced, and restored on its node when that has room again. */
async function comeBack(size: number, name: string): Promise<void> {
  const victim = await startVictim(bed, name, { mebibytes: size, node: 'node1', graceSeconds: 30 });
  await settled();
  figures.add(`${size} preempted`, await preempt(bed, victim));
  await bed.cluster.kubectl('delete', 'pod', `serving-${name}`);
  const { node: _, ...parts } = await restored(bed, victim);
  figures.addAll(`${size} same `, parts);
  await clear(bed);
}

async function natively(graceSeconds: number, name: string): Promise<void> {
  say(`native preemption, grace ${graceSeconds} s`);
  await bed.cluster.kubectl('delete', 'reprievepolicies', '--all');
  const victim = await startVictim(bed, name, { mebibytes: preempted, node: 'node1', graceSeconds });
  await settled();
  figures.add(`native ${graceSeconds}`, await preempt(bed, victim));
  await clear(bed);
  await bed.cluster.applyObjects(policy('batch', 'batch'));
}

function report(): void {
  const goals: Goal[] = [];
  const goal = (what: string, value: number, atMost: number): void => void goals.push({ what, value, atMost });
  const ratio = (name: string, reference: string): number => figures.mean(name) / figures.mean(reference);
  heading('saving', 'ms; ratio to runc checkpoint + sync');
  for (const size of sizes) {
    const reference = `${size} runc dump`;
    figures.row(`${size} agent freeze`, `${size} MiB: agent, until it is frozen`);
    figures.row(`${size} agent criu`, `${' '.repeat(8)}of the rest, runc checkpoint alone`, `${size} runc criu`);
    figures.row(`${size} agent dump`, `${' '.repeat(8)}frozen until saved and verified`, reference);
    figures.row(`${size} agent total`, `${' '.repeat(8)}ordered until told, with the thaw`, reference);
    figures.row(`${size} runc criu`, `${' '.repeat(8)}by hand: runc checkpoint`, reference);
    figures.row(reference, `${' '.repeat(8)}by hand: the same, and sync`, reference);
    figures.row(`${size} kubelet total`, `${' '.repeat(8)}kubelet checkpoint API (not synced)`, reference);
    goal(`${size} MiB: dump by the agent / runc checkpoint + sync`, ratio(`${size} agent dump`, reference), 1.15);
    goal(
      `${size} MiB: agent, all of it / kubelet checkpoint API`,
      ratio(`${size} agent total`, `${size} kubelet total`),
      0.25,
    );
  }
  heading('restoring, bound until Restored', 'ms; ratio to runc restore');
  for (const size of sizes) {
    const reference = `${size} runc restore`;
    figures.row(reference, `${size} MiB: runc restore`, reference);
    figures.row(`${size} started`, `${' '.repeat(8)}an ordinary start: bound until it runs`, reference);
    for (const where of ['same', 'other']) {
      figures.row(`${size} ${where} total`, `${size} MiB, ${where} node`, reference);
      for (const part of ['stage', 'create', 'apply', 'runc', 'report'])
        figures.row(`${size} ${where} ${part}`, `${' '.repeat(8)}${part}`, reference);
      figures.row(`${size} ${where} proper`, `${' '.repeat(8)}apply and runc: the restore proper`, reference);
      goal(
        `${size} MiB: restore proper, ${where} node / runc restore`,
        ratio(`${size} ${where} proper`, reference),
        1.3,
      );
      goal(`${size} MiB: all of it, ${where} node / runc restore`, ratio(`${size} ${where} total`, reference), 1.3);
    }
  }
  heading('preemptor created until it runs', `ms; ratio to native with grace 30 s`);
  for (const size of sizes) figures.row(`${size} preempted`, `${size} MiB: Reprieve, grace 30 s`, 'native 30');
  for (const grace of [30, 1])
    figures.row(`native ${grace}`, `${preempted} MiB: native, grace ${grace} s`, 'native 30');
  goal(`${preempted} MiB: preemptor / native with 30 s`, ratio(`${preempted} preempted`, 'native 30'), 1);
  goal(`${preempted} MiB: preemptor / native with 1 s`, ratio(`${preempted} preempted`, 'native 1'), 1.5);
  heading('agent process', 'MiB, % of a core');
  figures.row('idle memory', 'resident with 10 pods');
  figures.row('agent peak', `most resident, over all rounds and nodes`);
  figures.row('idle cpu', `CPU over ${idleSeconds} s with 10 pods`);
  goal('MiB resident, idle', figures.mean('idle memory'), 120);
  goal('MiB resident, at most', figures.mean('agent peak'), 120);
  goal('% CPU, idle', figures.mean('idle cpu'), 0.5);
  printGoals(goals);
}

function say(what: string): void {
  process.stderr.write(`bench:node: ${what}\n`);
}
