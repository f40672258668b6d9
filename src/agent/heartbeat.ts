import type { NodeName } from '../domain/ids.ts';
import { agentLease, agentLeaseName, RENEW_EVERY_MS, renewal } from '../kube/agent-lease.ts';
import { isNotFound } from '../kube/api-error.ts';
import type { KubeClient } from '../kube/client.ts';
import { renewOnAndOn } from '../kube/renew-on-and-on.ts';
import { RESOURCES } from '../kube/resources.ts';
import { sleep, type Clock } from '../ports/clock.ts';

/** After a renewal that failed, or had no answer for {@link PATIENCE_MS}. */
const RETRY_MS = 2_000;
const PATIENCE_MS = 8_000;
/** Share of the period by which renewals vary, so that the agents of many nodes do not renew in step. */
const JITTER = 0.1;

export interface HeartbeatOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly nodeName: NodeName;
  /** Of Reprieve itself: the Leases lie there. */
  readonly namespace: string;
  readonly random?: () => number;
  /** Told of the first failure of several in a row. */
  readonly onError: (error: unknown) => void;
}

/** Renews the Lease of the node for as long as its agent takes orders: without it Reprieve takes the agent for dead. */
export class Heartbeat {
  readonly #options: HeartbeatOptions;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
  }

  /** Runs until the signal is aborted. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random = Math.random, onError } = this.#options;
    const pauseMs = (): number => RENEW_EVERY_MS * (1 + JITTER * (2 * random() - 1));
    await renewOnAndOn({
      clock,
      signal,
      name: 'the Lease of the agent',
      patienceMs: PATIENCE_MS,
      renew: () => this.#renew(),
      pause: (hasFailed) => sleep(clock, hasFailed ? RETRY_MS : pauseMs(), signal).catch(() => undefined),
      onError,
    });
  }

  async #renew(): Promise<void> {
    const { client, clock, nodeName, namespace } = this.#options;
    try {
      const name = agentLeaseName(nodeName);
      await client.patch(RESOURCES.leases, namespace, name, renewal(clock.now()), { type: 'merge' });
    } catch (error) {
      if (!isNotFound(error)) throw error;
      const node = await client.get(RESOURCES.nodes, null, nodeName);
      const lease = agentLease(nodeName, node.metadata.uid ?? '', clock.now());
      await client.create(RESOURCES.leases, namespace, lease);
    }
  }
}
