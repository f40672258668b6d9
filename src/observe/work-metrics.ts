import type { Checkpoint } from '../domain/checkpoint.ts';
import type { NodeName, PodUid } from '../domain/ids.ts';
import { isTerminal, type Pod } from '../domain/pod.ts';
import { dominantShare, type Resources } from '../domain/resources.ts';
import { isFinal, type Ticket } from '../domain/ticket.ts';
import { checkpointOf, isSaved } from '../engine/checkpoints/saved-state.ts';
import type { EngineMetricsOptions } from './engine-metrics.ts';
import type { LossCause } from './label-values.ts';

/** Room that is held without progress. */
interface Hold {
  /** UID of the checkpoint or ticket that holds it. */
  readonly by: string;
  /** Share of the node, 0 to 1. */
  readonly weight: number;
  readonly sinceMs: number;
}

/**
 * Node-seconds saved and lost by preemption, in the measure of `domain/victim-cost.ts`: the largest share of its node that a
 * pod requests, times seconds. Read off pods and records: a victim of kube-scheduler itself counts like one of ours, and what
 * began before this process could act does not count.
 *
 * Work is counted as saved once, when its pod is evicted; when the work of several lives is lost in the end, all of it is.
 */
export function measureWork(options: EngineMetricsOptions): void {
  const work = new WorkMeter(options);
  options.view.onChange((event) => {
    if (event.type === 'delete') {
      if (event.kind === 'pod') work.podGone(event.uid as PodUid);
      else if (event.kind === 'ticket') work.ticketGone(event.uid);
    } else if (event.kind === 'pod') work.podChanged(event.value);
    else if (event.kind === 'checkpoint') work.checkpointChanged(event.value);
    else if (event.kind === 'ticket') work.ticketChanged(event.value);
  });
}

class WorkMeter {
  readonly #options: EngineMetricsOptions;
  readonly #evicted = new Set<PodUid>(); // victims that still exist and are counted
  readonly #frozen = new Map<PodUid, Hold>(); // pods that stand still
  readonly #restoring = new Map<string, Hold>(); // uid of a ticket -> the room its pod holds until it goes on
  readonly #carried = new Map<string, number>(); // uid of a ticket -> node-seconds in its state
  readonly #continued = new Map<PodUid, number>(); // restored pod -> node-seconds of the lives before

  constructor(options: EngineMetricsOptions) {
    this.#options = options;
  }

  /** A deletion that carries kube-scheduler's mark is an eviction; its first sight is counted. Runs for each change of any pod. */
  podChanged(pod: Pod): void {
    if (!pod.disruptionTarget || pod.deletionMs === null || this.#evicted.has(pod.uid)) return;
    this.#evicted.add(pod.uid);
    if (this.#options.engine.mayAct && !isTerminal(pod)) this.#countEviction(pod);
  }

  podGone(uid: PodUid): void {
    this.#evicted.delete(uid);
    this.#continued.delete(uid);
    this.#endHold('Frozen', this.#frozen, uid, this.#options.clock.now());
  }

  checkpointChanged({ namespace, uid, podUid, frozen, takenMs }: Checkpoint): void {
    const { view, engine, clock } = this.#options;
    if (!frozen && this.#frozen.get(podUid)?.by === uid) this.#endHold('Frozen', this.#frozen, podUid, clock.now());
    const pod = view.podOf({ namespace, uid: podUid });
    if (!frozen || pod === undefined || !engine.mayAct || this.#frozen.has(podUid)) return;
    const weight = this.#weightOn(pod.nodeName, pod.requests);
    this.#frozen.set(podUid, { by: uid, weight, sinceMs: takenMs ?? clock.now() });
  }

  ticketChanged({ namespace, uid, phase, phaseMs, claim, requests }: Ticket): void {
    const { view, engine } = this.#options;
    if (phase !== 'Restoring') this.#endHold('Restoring', this.#restoring, uid, phaseMs);
    else if (engine.mayAct && !this.#restoring.has(uid)) {
      const node = claim === null ? null : (view.podOf({ namespace, ...claim })?.nodeName ?? null);
      this.#restoring.set(uid, { by: uid, weight: this.#weightOn(node, requests), sinceMs: phaseMs });
    }
    const carried = this.#carried.get(uid);
    if (carried === undefined || !isFinal(phase)) return;
    this.#carried.delete(uid);
    if (phase !== 'Restored') this.#lose('NotContinued', carried);
    else if (claim !== null) this.#continued.set(claim.uid, carried);
  }

  ticketGone(uid: string): void {
    this.#carried.delete(uid);
    this.#restoring.delete(uid);
  }

  #countEviction(pod: Pod): void {
    const { metrics, view, clock } = this.#options;
    const nowMs = clock.now();
    const weight = this.#weightOn(pod.nodeName, pod.requests);
    const startMs = pod.startMs ?? nowMs;
    const ticket = view.ticketOfVictim(pod);
    const before = this.#continued.get(pod.uid) ?? 0;
    const takenMs = ticket !== undefined && isSaved(view, ticket) ? checkpointOf(view, ticket)?.takenMs : null;
    if (ticket === undefined || takenMs === null || takenMs === undefined) {
      this.#lose('Unsaved', before + weight * secondsBetween(startMs, nowMs));
      return;
    }
    const saved = weight * secondsBetween(startMs, takenMs);
    metrics.inc('reprieve_saved_node_seconds_total', {}, saved);
    this.#carried.set(ticket.uid, before + saved);
    if (pod.frozenBy === null) this.#lose('Stale', weight * secondsBetween(takenMs, nowMs));
  }

  #endHold<K>(cause: LossCause, holds: Map<K, Hold>, key: K, untilMs: number): void {
    const hold = holds.get(key);
    if (hold === undefined) return;
    holds.delete(key);
    if (this.#options.engine.mayAct) this.#lose(cause, hold.weight * secondsBetween(hold.sinceMs, untilMs));
  }

  #lose(cause: LossCause, nodeSeconds: number): void {
    if (nodeSeconds > 0) this.#options.metrics.inc('reprieve_lost_node_seconds_total', { cause }, nodeSeconds);
  }

  /** 0 where the node is not known: nothing can be said of its share. */
  #weightOn(node: NodeName | null, requests: Resources): number {
    const on = node === null ? undefined : this.#options.view.node(node);
    return on === undefined ? 0 : dominantShare(requests, on.node.allocatable);
  }
}

/** Clocks of nodes and ours differ a little: never negative. */
function secondsBetween(fromMs: number, untilMs: number): number {
  return Math.max(0, untilMs - fromMs) / 1000;
}
