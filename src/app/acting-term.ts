import type { Leadership } from '../ports/leadership.ts';

export interface ActingTermOptions {
  readonly leadership: Leadership;
  /** The index holds the cluster: before that there is nothing to compare. */
  readonly isSynced: () => boolean;
  /** Reads again what this replica must not have missed before it acts. */
  readonly prepare: () => Promise<unknown>;
  /** This replica acts from now on. */
  readonly onBegin: () => void;
}

/**
 * When this replica decides and writes: while it leads, and only after its index was compared with the API server in that term.
 *
 *     following ── it leads ──> preparing ── records read again ──> acting ── it leads no more ──> following
 *                                   ^                                 │
 *                                   └─ all listed again ── recovering <┘ etcd was restored
 */
export class ActingTerm {
  readonly #options: ActingTermOptions;
  /** The term in which the index was compared with the API server. */
  #fresh: { readonly term: number; readonly serial: number } | null = null;
  /** How often this replica began to act. The engine forgets what it remembers at each. */
  #beginnings = 0;
  /** Resolves when the index holds the cluster again after the API server went back to an earlier state. */
  #recovery: Promise<void> = Promise.resolve();
  #isRecovering = false;

  constructor(options: ActingTermOptions) {
    this.#options = options;
  }

  /** Another number each time this replica begins to act; null while it does not. */
  serial(): number | null {
    const fresh = this.#fresh;
    return fresh !== null && this.#options.leadership.term() === fresh.term ? fresh.serial : null;
  }

  /** To be called when the leadership may be another. Resolves when this replica acts, or is not to. */
  async begin(): Promise<void> {
    const { leadership, isSynced, prepare, onBegin } = this.#options;
    const term = leadership.term();
    if (term === null || !isSynced() || term === this.#fresh?.term) return;
    let recovery: Promise<void>;
    do {
      recovery = this.#recovery;
      await Promise.all([recovery, prepare()]);
    } while (this.#recovery !== recovery);
    if (leadership.term() !== term || this.#fresh?.term === term) return;
    this.#fresh = { term, serial: ++this.#beginnings };
    onBegin();
  }

  /**
   * Ends acting until `relist` has settled: what this replica remembers is of revisions that etcd has lost. Where a recovery is under
   * way, no second one begins.
   */
  recover(relist: () => Promise<unknown>): void {
    this.#fresh = null;
    if (this.#isRecovering) return;
    this.#isRecovering = true;
    this.#recovery = relist().then(() => {
      this.#isRecovering = false;
    });
    void this.#recovery.then(() => this.begin());
  }
}
