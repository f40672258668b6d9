import type { ReprieveConfiguration } from '../../config/configuration.ts';
import { ifFound } from '../../kube/api-error.ts';
import { KubeClient } from '../../kube/client.ts';
import { LeaseElector } from '../../kube/lease-elector.ts';
import { RESOURCES } from '../../kube/resources.ts';
import type { KubeTransport } from '../../kube/transport.ts';
import { AppError } from '../../observe/error-codes.ts';
import { sleep, type Clock } from '../../ports/clock.ts';
import { SOLE_LEADER, type Leadership } from '../../ports/leadership.ts';

const POLL_MS = 100;

export interface TakeLeadOptions {
  readonly transport: KubeTransport;
  readonly clock: Clock;
  readonly settings: ReprieveConfiguration['leaderElection'];
  /** Of Reprieve itself. */
  readonly namespace: string;
  readonly identity: string;
}

export interface Lead {
  readonly leadership: Leadership;
  /** Gives the Lease back. */
  release(): Promise<void>;
}

/**
 * Holds the Lease in place of a replica, so that none evicts, gates or claims meanwhile, and none begins to. Rejects with
 * `StillLed` where a replica renews it, and with `LeaseUnavailable` where it cannot be written.
 */
export async function takeLead({ transport, clock, settings, namespace, identity }: TakeLeadOptions): Promise<Lead> {
  const alone: Lead = { leadership: SOLE_LEADER, release: () => Promise.resolve() };
  if (!settings.enabled) return alone;
  // Without its namespace nobody can lead, and there is no place for the Lease.
  const home = await ifFound(new KubeClient(transport).get(RESOURCES.namespaces, null, namespace));
  if (home === null || home.metadata.deletionTimestamp !== undefined) return alone;

  let cause = 'no answer in time';
  const elector = new LeaseElector({
    transport,
    clock,
    namespace,
    settings,
    identity,
    onChange: () => undefined,
    onNotice: (message) => {
      cause = message;
    },
  });
  elector.start();
  const patienceMs = settings.leaseDurationMs + 3 * settings.retryPeriodMs;
  for (const startMs = clock.monotonic(); clock.monotonic() - startMs < patienceMs; await sleep(clock, POLL_MS)) {
    if (elector.term() !== null) return { leadership: elector, release: () => elector.release() };
  }
  const holder = elector.holder();
  await elector.release();
  const lease = `${namespace}/${settings.leaseName}`;
  throw holder === null
    ? new AppError('LeaseUnavailable', { lease, cause })
    : new AppError('StillLed', { lease, holder });
}
