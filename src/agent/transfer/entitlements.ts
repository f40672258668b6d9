import { isFinal, makesWay } from '../../domain/ticket.ts';
import { askedWithin } from '../../kube/in-time.ts';
import { checkpointOf } from '../../kube/project/checkpoint.ts';
import { ticketOf } from '../../kube/project/ticket.ts';
import { RESOURCES } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/transport.ts';
import type { Log } from '../../observe/log.ts';
import type { Clock } from '../../ports/clock.ts';
import type { NodeApi } from '../node-api.ts';
import { parseReference } from '../state/layout.ts';

/** What was read from the API server counts for so long: a transfer asks for many files. */
const COUNTS_MS = 10_000;
/** A transfer that has asked for nothing for so long is over; the next request begins another one. */
const IDLE_MS = 60_000;
const ANSWER_WITHIN_MS = 10_000;

export interface AskedState {
  /** Of the certificate of the agent that asks. */
  readonly node: string;
  readonly reference: string;
  /** Name of the ticket that it says it needs the state for. */
  readonly ticket: string;
}

export interface EntitlementsOptions {
  readonly api: Pick<NodeApi, 'read'>;
  /** A PodCheckpoint of this node, by its UID. */
  readonly checkpoint: (uid: string) => KubeObject | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

interface Transfer {
  readonly verifiedMs: number;
  lastMs: number;
}

/**
 * Which node may have a state of this one: that of the pod which continues it. What the asker says is no more than where to look:
 *
 *     reference ──> PodCheckpoint of this node;  ticket ──> Reprieve that names it ──> pod that it is claimed by ──> node of that pod
 *
 * All of it is read from the API server; agents write neither tickets nor bindings. Each transfer is one line of the log.
 */
export class Entitlements {
  readonly #options: EntitlementsOptions;
  readonly #transfers = new Map<string, Transfer>(); // node, reference, ticket -> what is under way

  constructor(options: EntitlementsOptions) {
    this.#options = options;
  }

  /** Null: the node may have it. Rejects where the API server does not answer. */
  async refusal(asked: AskedState): Promise<string | null> {
    const { clock, log } = this.#options;
    const key = `${asked.node} ${asked.reference} ${asked.ticket}`;
    const known = this.#transfers.get(key);
    const nowMs = clock.monotonic();
    if (known !== undefined && nowMs - known.verifiedMs < COUNTS_MS) {
      known.lastMs = nowMs;
      return null;
    }
    const claim = await askedWithin(
      clock,
      ANSWER_WITHIN_MS,
      (late) => this.#claim(asked, late),
      'the API server did not say for whom the state is',
    );
    if ('refusal' in claim) {
      log.warn({ ...asked, reason: claim.refusal }, 'a state was refused to another node');
      return claim.refusal;
    }
    this.#forgetIdle(nowMs);
    if (!this.#transfers.has(key)) log.info({ ...asked, pod: claim.pod }, 'a state is given to another node');
    this.#transfers.set(key, { verifiedMs: nowMs, lastMs: nowMs });
    return null;
  }

  async #claim(
    { node, reference, ticket: name }: AskedState,
    late: AbortSignal,
  ): Promise<{ readonly pod: string } | { readonly refusal: string }> {
    const { api, checkpoint: checkpointNamed } = this.#options;
    const key = parseReference(reference);
    const { namespace } = key;
    const raw = checkpointNamed(key.uid);
    if (raw === undefined) return { refusal: 'there is no such PodCheckpoint of this node' };
    const rawTicket = await api.read(RESOURCES.reprieves, namespace, name, late);
    if (rawTicket === null) return { refusal: 'there is no such ticket' };
    const ticket = ticketOf(rawTicket);
    const checkpoint = checkpointOf(raw);
    if (checkpoint.namespace !== namespace || checkpoint.name !== key.name || ticket.checkpoint !== key.name)
      return { refusal: 'it is no state of that ticket' };
    if (ticket.state?.reference !== reference) return { refusal: 'the ticket does not name that state' };
    if (checkpoint.podUid !== ticket.pod.uid) return { refusal: 'the ticket is of another pod' };
    const { claim } = ticket;
    if (isFinal(ticket.phase) || claim === null || makesWay(ticket, claim.uid))
      return { refusal: 'no pod continues the ticket now' };
    const pod = await api.read(RESOURCES.pods, namespace, claim.name, late);
    if (pod === null || pod.metadata.uid !== claim.uid) return { refusal: 'the pod that continues the ticket is gone' };
    const { nodeName } = (pod['spec'] ?? {}) as { readonly nodeName?: string };
    if (nodeName !== node) return { refusal: 'the pod that continues the ticket is not on that node' };
    return { pod: `${namespace}/${claim.name}` };
  }

  #forgetIdle(nowMs: number): void {
    for (const [key, { lastMs }] of this.#transfers) if (nowMs - lastMs >= IDLE_MS) this.#transfers.delete(key);
  }
}
