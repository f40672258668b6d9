import { ticketWord } from '../../agent/restore/ticket-word.ts';
import type { RestoreFailure } from '../../domain/condition-reasons.ts';
import { GATE_EXPIRED_ANNOTATION, ON_FAILURE_ANNOTATION, RESTORED_CONDITION } from '../../domain/labels.ts';
import { checkpointOf } from '../../kube/project/checkpoint.ts';
import { ticketOf } from '../../kube/project/ticket.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { sleep, type Clock } from '../../ports/clock.ts';
import type { NodeFaults } from './simulated-pods.ts';
import type { Container } from './container.ts';
import type { NodeApi } from '../../agent/node-api.ts';
import type { SimulatedNode } from './simulated-node.ts';
import { containersOf } from './workload.ts';

/** Beside the bytes: reading the manifest, setting up namespaces, `runc restore` of an empty process (lab: 138 ms). */
const RESTORE_OVERHEAD_MS = 100;
/** How often a pod that is to be restored looks for the agent of its node. */
const AGENT_POLL_MS = 1000;
/** As the real agent: so long a container waits for what Reprieve decides after a failure. */
const DECIDED_WITHIN_MS = 60_000;

export interface RestorerOptions {
  readonly node: SimulatedNode;
  readonly api: NodeApi;
  readonly clock: Clock;
  readonly faults: NodeFaults;
  /** Any node of the cluster, to fetch states from. */
  readonly nodeNamed: (name: string) => SimulatedNode | undefined;
}

export type Restore =
  | {
      readonly succeeded: true;
      readonly reason: 'Restored';
      readonly message: string;
      readonly progressSeconds: number;
      readonly bytes: number;
    }
  | { readonly succeeded: false; readonly reason: RestoreFailure; readonly message: string };

/** The restore side of the agent: finds, fetches and checks a saved state. */
export class Restorer {
  readonly #options: RestorerOptions;

  constructor(options: RestorerOptions) {
    this.#options = options;
  }

  /** Brings the state that a ticket names into a new container. Never throws but for the container's end. */
  async restore(container: Container, ticketName: string): Promise<Restore> {
    const { node, api, clock, faults, nodeNamed } = this.#options;
    const { namespace = null } = container.pod.metadata;
    while (!node.agentAlive) await sleep(clock, AGENT_POLL_MS, container.ended.signal);
    if ((await ticketWord(api, container.pod, container.ended.signal)) !== 'ours') {
      return refused('TicketEnded', `ticket ${ticketName} does not claim the pod`);
    }
    const rawTicket = await api.read(RESOURCES.reprieves, namespace, ticketName);
    const ticket = rawTicket && ticketOf(rawTicket);
    const failed = ticket?.failedNodes.find((one) => one.node === node.spec.name);
    if (failed !== undefined && container.pod.metadata.annotations?.[GATE_EXPIRED_ANNOTATION] === 'true') {
      return refused('RestoreFailed', `it failed here before: ${failed.reason}`);
    }
    const raw = ticket && (await api.read(RESOURCES.podCheckpoints, namespace, ticket.checkpoint));
    if (raw === null) return refused('CheckpointMissing', `ticket ${ticketName} names no checkpoint that exists`);
    const checkpoint = checkpointOf(raw);
    const from = ticket?.state ?? null;
    if (from === null) return refused('StagingFailed', `ticket ${ticketName} does not say where the state lies`);
    const { node: holderName, reference, compatibility } = from;
    const holder = nodeNamed(holderName);
    const state = holder?.store.get(reference);
    if (holder === undefined || state === undefined) {
      return refused('CheckpointMissing', `node ${holderName} does not hold it`);
    }
    if (compatibility !== null && compatibility !== node.spec.compatibility) {
      return refused('Incompatible', `made on class ${compatibility}, this node is ${node.spec.compatibility}`);
    }
    if (holder !== node && ticket?.restore.nodes === 'Same') {
      return refused('Incompatible', `its policy restores it on node ${holderName} only`);
    }
    if (
      state.images.join() !==
      containersOf(container.pod)
        .map(({ image }) => image)
        .join()
    ) {
      return refused('ImagesDiffer', 'the pod runs other images than those that were saved');
    }
    const failure = faults.restoreFails?.(container.pod) ?? null;
    const fetchMs = holder === node ? 0 : (state.bytes / node.spec.networkBytesPerSecond) * 1000;
    const readMs = (state.bytes / node.spec.restoreBytesPerSecond) * 1000 * (faults.slowness?.() ?? 1);
    await sleep(clock, fetchMs + readMs + RESTORE_OVERHEAD_MS, container.ended.signal);
    if (failure !== null) return refused('RestoreFailed', failure);
    if (nodeNamed(holderName)?.store.get(reference) !== state) {
      return refused('CheckpointMissing', `node ${holderName} lost it while it was read`);
    }
    holder.store.continued(state.podUid);
    const message = `continues checkpoint ${checkpoint.name} from ${holderName}`;
    return { succeeded: true, reason: 'Restored', message, progressSeconds: state.progressSeconds, bytes: state.bytes };
  }

  /** Says on the pod that it cannot be restored here, and waits until it is to start cold. Rejects when the pod is deleted. */
  async untilCold(
    { pod, ended }: Container,
    { reason, message }: Extract<Restore, { succeeded: false }>,
  ): Promise<void> {
    const { node, api, clock } = this.#options;
    const mustBeHeld = pod.metadata.annotations?.[ON_FAILURE_ANNOTATION] === 'Hold';
    let isLeaving = false;
    for (;;) {
      const bound = new AbortController();
      const timer = clock.setTimer(DECIDED_WITHIN_MS, () => bound.abort(new Error('not decided in time')));
      const stop = AbortSignal.any([ended.signal, bound.signal]);
      try {
        const condition = { type: RESTORED_CONDITION, status: 'Unknown', reason: 'NotRestoredHere' } as const;
        await api.patchPod(pod, { conditions: [{ ...condition, message: `${reason}: ${message}` }] }, stop);
        for (;;) {
          const word = node.agentAlive ? await ticketWord(api, pod, stop) : 'ours';
          if (word === 'cold') return;
          isLeaving ||= word === 'leaves';
          await sleep(clock, AGENT_POLL_MS, stop);
        }
      } catch (error) {
        ended.signal.throwIfAborted();
        if (!bound.signal.aborted) throw error;
        if (!mustBeHeld && !isLeaving) return;
      } finally {
        timer.cancel();
      }
    }
  }
}

function refused(reason: RestoreFailure, message: string): Restore {
  return { succeeded: false, reason, message };
}
