import type { PodUid } from '../../domain/ids.ts';
import type { Pod } from '../../domain/pod.ts';
import type { ClusterView, IndexedKind, IndexedKinds, IndexEvent } from '../../index/types.ts';
import type { Displacements } from '../core/steps.ts';
import { unprotectedEviction } from '../displace/unprotected-eviction.ts';
import type { EngineEvents } from '../engine-events.ts';
import type { CheaperEvictions } from './cheaper-evictions.ts';

export interface UnsavedEvictionsOptions {
  readonly view: ClusterView;
  readonly book: Displacements;
  readonly events: EngineEvents;
  readonly cheaper: CheaperEvictions;
  readonly mayAct: () => boolean;
}

/**
 * Tells of pods that go without their state for a preemptor, when their deletion is seen. Whoever preempts marks the pod first, and
 * deletes it right after; taint eviction, or a drain, may write its own mark over that one in between. So the mark is
 * remembered for as long as the pod carries one.
 */
export class UnsavedEvictions {
  readonly #options: UnsavedEvictionsOptions;
  readonly #marked = new Set<PodUid>();
  /** Pods that could not be saved, and that Reprieve evicts itself or lets the caller of the guard delete: told where that is decided. */
  readonly #toldElsewhere = new Set<PodUid>();

  constructor(options: UnsavedEvictionsOptions) {
    this.#options = options;
    const { events, cheaper } = options;
    events.on('command:started', ({ command }) => {
      if (command.kind !== 'Evict') return;
      cheaper.forget(command.order.victim.uid);
      if (command.unsaved !== null) this.#toldElsewhere.add(command.order.victim.uid);
    });
    events.on('command:done', ({ command, outcome }) => {
      if (command.kind === 'Evict' && outcome !== 'done') this.#toldElsewhere.delete(command.order.victim.uid);
    });
    events.on('guard:answered', ({ request, verdict }) => {
      if (verdict.allowed && verdict.unsaved !== undefined && request.uid !== null)
        this.#toldElsewhere.add(request.uid);
    });
  }

  note(event: IndexEvent, before: IndexedKinds[IndexedKind] | undefined): void {
    if (event.kind !== 'pod') return;
    if (event.type === 'delete') {
      this.#marked.delete(event.uid as PodUid);
      this.#toldElsewhere.delete(event.uid as PodUid);
      return;
    }
    const pod = event.value;
    if (pod.disruptionTarget) this.#marked.add(pod.uid);
    else if (!pod.disrupted) this.#marked.delete(pod.uid);
    if (pod.deletionMs !== null && this.#marked.has(pod.uid)) this.#tell(pod, before as Pod | undefined);
  }

  #tell(pod: Pod, before: Pod | undefined): void {
    const { view, book, events, cheaper, mayAct } = this.#options;
    if (this.#toldElsewhere.has(pod.uid)) return;
    const eviction = cheaper.seen(view, pod);
    if (eviction !== null) events.emit('victim:cheaper', eviction);
    const unprotected = before === undefined ? null : unprotectedEviction(view, book, pod, before);
    if (eviction === null && unprotected !== null && mayAct()) events.emit('victim:unprotected', unprotected);
  }
}
