import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runInCluster } from '../../test/cluster/control-plane/in-cluster.ts';
import { nullGoExtender } from '../bed/null-go.ts';
import type { Figure } from '../figures.ts';

export interface SchedulerScenario {
  readonly nodes: number;
  /** How often each way has its turn. */
  readonly rounds: number;
  /** Pods of a burst that is scheduled before each, unmeasured; of those that displace somebody a tenth. */
  readonly warmUp: number;
  /** Pods of a burst for which there is room. */
  readonly plain: number;
  /** Pods of a burst of whom each displaces one, whom nobody protects. */
  readonly preempting: number;
  /** Pods of a burst for which kube-scheduler sends whole nodes. */
  readonly fullNodes: number;
}

/** What kube-scheduler binds a second under a real control plane, with extenders and without. */
export async function scheduler(scenario: SchedulerScenario, log: (line: string) => void): Promise<readonly Figure[]> {
  const goProgram = await nullGoExtender(log); // needs the network that there is none of in the cluster's
  const folder = await mkdtemp(join(tmpdir(), 'reprieve-bench-'));
  try {
    const resultFile = join(folder, 'figures.json');
    const main = join(import.meta.dirname, 'main.ts');
    const code = await runInCluster('bench', [main, JSON.stringify(scenario), goProgram, resultFile]);
    if (code !== 0) throw new Error(`the scenario ended with exit code ${code}`);
    return JSON.parse(await readFile(resultFile, 'utf8')) as readonly Figure[];
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
