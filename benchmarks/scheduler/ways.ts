import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ControlPlane } from '../../test/cluster/control-plane/control-plane.ts';
import { Daemon } from '../../test/cluster/control-plane/daemon.ts';
import { answersOk } from '../../test/cluster/control-plane/probe.ts';
import { startNullExtender } from '../bed/extender.ts';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const REPRIEVE_PORT = 20_500;
/** Full nodes need more than the 2 s that are recommended. */
const HTTP_TIMEOUT = '30s';

/** What kube-scheduler asks an extender. */
export interface Asked {
  readonly who: 'null Go' | 'reprieve';
  readonly verbs: readonly ('preempt' | 'filter' | 'prioritize')[];
  /** `nodeCacheCapable`: names in place of whole nodes. */
  readonly byName: boolean;
}

/** One way to schedule: kube-scheduler with an extender, or without one. */
export interface Way {
  readonly name: string;
  readonly asks: Asked | null;
  /** Names of the ways that it is compared with: that without an extender, and that with one which decides nothing. */
  readonly references: readonly string[];
}

const ALL_VERBS = ['preempt', 'filter', 'prioritize'] as const;

export const NO_EXTENDER = 'no extender';

export const WAYS: readonly Way[] = [
  { name: NO_EXTENDER, asks: null, references: [] },
  preemptOnly('null Go', NO_EXTENDER),
  preemptOnly('reprieve', NO_EXTENDER, 'null Go, preempt only'),
  threeVerbs('null Go', NO_EXTENDER),
  threeVerbs('reprieve', NO_EXTENDER, 'null Go, three verbs'),
];

/** What `nodeCacheCapable: true` spares. */
export const FULL_NODE_WAYS: readonly Way[] = [
  {
    name: 'null Go, full nodes',
    asks: { who: 'null Go', verbs: ALL_VERBS, byName: false },
    references: [],
  },
  {
    name: 'reprieve, full nodes',
    asks: { who: 'reprieve', verbs: ALL_VERBS, byName: false },
    references: [],
  },
];

function preemptOnly(who: Asked['who'], ...references: readonly string[]): Way {
  return { name: `${who}, preempt only`, asks: { who, verbs: ['preempt'], byName: true }, references };
}

function threeVerbs(who: Asked['who'], ...references: readonly string[]): Way {
  return { name: `${who}, three verbs`, asks: { who, verbs: ALL_VERBS, byName: true }, references };
}

/** An extender that answers: where, and how it is ended. */
export interface RunningExtender {
  readonly url: string;
  readonly pid: number;
  stop(): Promise<void>;
}

/** Starts it, with nothing remembered of an earlier run; ready when it answers as it will all the time. */
export async function startExtender(
  who: Asked['who'],
  cluster: ControlPlane,
  goProgram: string,
): Promise<RunningExtender> {
  if (who === 'reprieve') return startReprieve(cluster);
  const extender = await startNullExtender(goProgram);
  return { url: urlOf(extender.port), pid: extender.pid, stop: () => extender.stop() };
}

/** `reprieve serve` beside kube-scheduler, on the loopback; the cluster's only one. */
async function startReprieve(cluster: ControlPlane): Promise<RunningExtender> {
  const configPath = join(cluster.dir, 'reprieve.json');
  const configuration = {
    apiVersion: 'config.reprieve.dev/v1alpha1',
    kind: 'ReprieveConfiguration',
    server: { port: REPRIEVE_PORT },
    kubernetes: { kubeconfig: cluster.adminKubeconfigPath },
    leaderElection: { enabled: false },
    extender: { httpTimeout: HTTP_TIMEOUT },
  };
  await writeFile(configPath, JSON.stringify(configuration), { mode: 0o600 });
  const daemon = await Daemon.start({
    name: 'reprieve',
    command: process.execPath,
    args: [join(root, 'src/main.ts'), 'serve', '--config', configPath],
    cwd: cluster.dir,
    logPath: join(cluster.dir, 'reprieve.log'),
  });
  await daemon.ready(() => answersOk(`http://127.0.0.1:${REPRIEVE_PORT}/readyz`));
  return { url: urlOf(REPRIEVE_PORT), pid: daemon.pid, stop: () => daemon.stop() };
}

function urlOf(port: number): string {
  return `http://127.0.0.1:${port}/v1`;
}

/** KubeSchedulerConfiguration of a way: that of a large cluster, in which the client's rate is not what limits. */
export function schedulerConfigOf(asks: Asked | null, url: string | null, kubeconfig: string): object {
  return {
    apiVersion: 'kubescheduler.config.k8s.io/v1',
    kind: 'KubeSchedulerConfiguration',
    clientConnection: { kubeconfig, qps: 10_000, burst: 10_000 },
    leaderElection: { leaderElect: false },
    extenders: asks === null ? [] : extendersOf(asks, url as string),
  };
}

function extendersOf({ verbs, byName }: Asked, urlPrefix: string): readonly object[] {
  const common = { urlPrefix, nodeCacheCapable: byName, httpTimeout: HTTP_TIMEOUT };
  const preempting = { ...common, preemptVerb: 'preempt', ignorable: false };
  const filtering = { ...common, filterVerb: 'filter', prioritizeVerb: 'prioritize', weight: 1, ignorable: true };
  return verbs.includes('filter') ? [preempting, filtering] : [preempting];
}
