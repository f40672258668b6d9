import type { ClusterView } from '../../index/types.ts';
import type { EngineEvents } from '../engine-events.ts';

/** Tells when operators pause Reprieve and when they go on: each replica as it begins to act, and at each change. */
export class PauseWatch {
  readonly #view: Pick<ClusterView, 'pausedFor'>;
  readonly #events: Pick<EngineEvents, 'emit'>;
  #told: string | null = null;

  constructor(view: Pick<ClusterView, 'pausedFor'>, events: Pick<EngineEvents, 'emit'>) {
    this.#view = view;
    this.#events = events;
  }

  /** To be called when the index or the term may have changed. */
  look(mayAct: boolean): void {
    const why = mayAct ? this.#view.pausedFor() : null;
    if (why === this.#told) return;
    this.#told = why;
    if (mayAct) this.#events.emit('pause:changed', { why });
  }
}
