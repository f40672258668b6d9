import type { Certificate } from './pki.ts';

/** The part of KubeSchedulerConfiguration v1 that tests set; kube-scheduler itself checks the rest. */
export interface KubeSchedulerConfiguration {
  readonly apiVersion: 'kubescheduler.config.k8s.io/v1';
  readonly kind: 'KubeSchedulerConfiguration';
  readonly clientConnection: { readonly kubeconfig: string; readonly qps: number; readonly burst: number };
  readonly leaderElection: { readonly leaderElect: boolean };
  readonly podInitialBackoffSeconds: number;
  readonly podMaxBackoffSeconds: number;
  readonly extenders: readonly Extender[];
  readonly profiles?: readonly object[];
}

interface Extender {
  readonly urlPrefix: string;
  readonly preemptVerb?: string;
  readonly filterVerb?: string;
  readonly prioritizeVerb?: string;
  readonly weight?: number;
  readonly nodeCacheCapable: boolean;
  readonly ignorable: boolean;
  /** A Go duration, as `2s`. */
  readonly httpTimeout: string;
  readonly enableHTTPS?: boolean;
  readonly tlsConfig?: { readonly caFile: string; readonly certFile?: string; readonly keyFile?: string };
}

export interface SchedulerConfigOptions {
  readonly kubeconfig: string;
  /** Where Reprieve answers, for example `http://127.0.0.1:9100/v1`; null: a scheduler without extenders. */
  readonly extenderUrl: string | null;
  readonly httpTimeout?: string;
  /** What `preempt` does without an answer; default false: nobody is preempted. */
  readonly preemptIgnorable?: boolean;
  /** For an https URL: the authority that signed its certificate, and what the scheduler shows of itself. */
  readonly tls?: { readonly caPath: string; readonly client?: Certificate };
  /** Seconds a pod that found no node waits before it is tried again. */
  readonly podInitialBackoffSeconds?: number;
  readonly podMaxBackoffSeconds?: number;
  readonly profiles?: readonly object[];
}

/**
 * The configuration that Reprieve asks its users for: `preempt` in an entry that fails closed, because a victim must not
 * be killed unsaved when Reprieve is away; `filter` and `prioritize` in one that fails open, because scheduling must go on.
 */
export function schedulerConfig(options: SchedulerConfigOptions): KubeSchedulerConfiguration {
  return {
    apiVersion: 'kubescheduler.config.k8s.io/v1',
    kind: 'KubeSchedulerConfiguration',
    clientConnection: { kubeconfig: options.kubeconfig, qps: 1000, burst: 2000 },
    leaderElection: { leaderElect: false },
    podInitialBackoffSeconds: options.podInitialBackoffSeconds ?? 1,
    podMaxBackoffSeconds: options.podMaxBackoffSeconds ?? 10,
    extenders: options.extenderUrl === null ? [] : extenders(options.extenderUrl, options),
    ...(options.profiles && { profiles: options.profiles }),
  };
}

function extenders(
  urlPrefix: string,
  { httpTimeout = '2s', preemptIgnorable = false, tls }: SchedulerConfigOptions,
): Extender[] {
  const client = tls?.client && { certFile: tls.client.certPath, keyFile: tls.client.keyPath };
  const secure = tls && { enableHTTPS: true, tlsConfig: { caFile: tls.caPath, ...client } };
  const common = { urlPrefix, nodeCacheCapable: true, httpTimeout, ...secure };
  return [
    { ...common, preemptVerb: 'preempt', ignorable: preemptIgnorable },
    { ...common, filterVerb: 'filter', prioritizeVerb: 'prioritize', weight: 1, ignorable: true },
  ];
}
