import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { takeLead } from '../app/uninstall/take-lead.ts';
import { uninstall as settle, type Told, type UninstallEnd } from '../app/uninstall/uninstall.ts';
import { defaultConfiguration } from '../config/configuration.ts';
import { loadConfiguration } from '../config/load.ts';
import { ownNamespace } from '../config/namespace.ts';
import { FencedTransport } from '../kube/fenced-transport.ts';
import { HttpTransport } from '../kube/http-transport.ts';
import { systemClock } from '../ports/clock.ts';
import { SOLE_LEADER } from '../ports/leadership.ts';
import { clusterAccess, reportFailure, whenNobodyReads } from './process.ts';

export interface UninstallCommand {
  readonly config?: string;
  readonly dryRun: boolean;
  readonly discard: boolean;
  readonly agentTimeoutMs: number;
}

const WOULD: Readonly<Record<Told['did'], string>> = {
  created: 'would create',
  ended: 'would end',
  removed: 'would remove',
  deleted: 'would delete',
  released: 'would release',
  kept: 'kept',
  waits: 'would wait',
};

/**
 * Returns the exit code: 0 when nothing in the cluster needs Reprieve any more (or would, for a dry run), 1 when it could not
 * begin, 2 when somebody has to decide or to lend a hand first.
 */
export async function uninstall({ config, dryRun, discard, agentTimeoutMs }: UninstallCommand): Promise<number> {
  whenNobodyReads(() => undefined); // it goes on: half of it would be worse
  try {
    const configuration = config === undefined ? defaultConfiguration() : await loadConfiguration(config);
    const access = await clusterAccess(configuration);
    const namespace = await ownNamespace(configuration.kubernetes.namespace);
    if (!configuration.leaderElection.enabled)
      print('Without leader election, nothing shows whether reprieve serve runs: stop it first.');
    const transport = new HttpTransport({ access });
    const clock = systemClock;
    try {
      const identity = `uninstall-${hostname()}-${randomBytes(2).toString('hex')}`;
      const lead = dryRun
        ? { leadership: SOLE_LEADER, release: () => Promise.resolve() }
        : await takeLead({ transport, clock, settings: configuration.leaderElection, namespace, identity });
      try {
        const fenced = new FencedTransport(transport, lead.leadership);
        const end = await settle({
          transport: fenced,
          clock,
          dryRun,
          discard,
          agentTimeoutMs,
          tell: (what) => print(lineOf(what, dryRun)),
        });
        return conclude(end, dryRun);
      } finally {
        await lead.release();
      }
    } finally {
      await transport.close();
    }
  } catch (error) {
    return reportFailure(error);
  }
}

function conclude({ saved, remains }: UninstallEnd, dryRun: boolean): number {
  print('');
  if (saved > 0) {
    print(`Nothing ${dryRun ? 'would be' : 'was'} changed: ${saved} checkpoint(s) hold the only state of a pod.`);
    print('Run reprieve serve until these pods continue, or repeat this with --discard:');
    print('the checkpoints are deleted, and the pods start from the beginning.');
    return 2;
  }
  if (dryRun) return 0;
  if (remains.length > 0) {
    print('Not settled:');
    for (const what of remains) print(`  ${what}`);
    return 2;
  }
  print('Nothing in the cluster needs Reprieve any more. Now:');
  print('  remove its two extenders from the configuration of kube-scheduler');
  print('  kubectl delete -k deploy');
  print('  reprieve node uninstall, on each node where no agent runs any more');
  return 0;
}

function lineOf({ did, object, detail }: Told, dryRun: boolean): string {
  return `${(dryRun ? WOULD[did] : did).padEnd(14)} ${object}: ${detail}`;
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
