import { messageOf } from '../domain/message-of.ts';
import type { WebhookReach } from '../domain/webhook-reach.ts';
import { DEPLOYED_SCOPE, isSameScope, type WebhookScope } from '../domain/webhook-scope.ts';
import { KubeApiError } from '../kube/api-error.ts';
import { answeredWithin, askedWithin } from '../kube/in-time.ts';
import { CANARY_NAMESPACE, isReviewed } from '../kube/webhook-canary.ts';
import type { KubeClient } from '../kube/client.ts';
import type { Clock, Timer } from '../ports/clock.ts';

/** Between two canaries that were reviewed. */
const EVERY_MS = 30_000;
/** The same after one that was not: doubled up to the second number, because protected pods are evicted unsaved meanwhile. */
const RETRY_MS = { first: 1_000, last: 5_000 };
/** kube-apiserver gives the webhook 2 s (deploy/webhook.yaml); without an answer after this, nothing is known. */
const ANSWER_WITHIN_MS = 3_000;
const NO_ANSWER = 'no answer within 3 s';
/** What an earlier canary showed counts for this long, where later ones got no answer. */
const KNOWN_FOR_MS = 90_000;
/** Canaries in a row that were not reviewed, until the webhook counts as not called: a single timeout may pass. */
const MISSES = 2;
/** Namespaces with a replacement that was not reviewed; beyond this many the oldest is forgotten. */
const MOST_MISSED_NAMESPACES = 16;
const REMIND_EVERY_MS = 60_000;

export interface WebhookWatchOptions {
  /** Sends while this replica leads. */
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly instance: string;
  /** What the selectors of its configuration say; null where they cannot be read. */
  readonly readScope?: () => Promise<WebhookScope | null>;
  readonly namespaceLabels: (name: string) => Readonly<Record<string, string>>;
  /** Called with each change of what is known. */
  readonly onChange: (reach: WebhookReach) => void;
  /** Called every minute while the webhook is not known to be called, with what is known. */
  readonly onReminder: (reach: WebhookReach) => void;
}

const NOT_ASKED: WebhookReach = {
  isCalled: false,
  reason: 'NotYetKnown',
  message: 'no canary was answered yet',
  missedIn: new Set(),
  scope: DEPLOYED_SCOPE,
};

type Outcome =
  | { readonly kind: 'reviewed' }
  | { readonly kind: 'missed' }
  /** Refused, or no answer: nothing is known about the webhook. */
  | { readonly kind: 'unknown'; readonly message: string };

/**
 * Finds out whether kube-apiserver calls the webhook, while this replica leads:
 *
 *     not known ── canary reviewed ──> called ── two canaries in a row without review, or none answered for 90 s ──> not known
 *
 * A replacement that came without review puts its namespace aside until a canary in that namespace is reviewed.
 */
export class WebhookWatch {
  readonly #options: WebhookWatchOptions;
  #reach = NOT_ASKED;
  #misses = 0; // in a row
  #failures = 0; // canaries in a row that were not reviewed, for whatever cause
  #reviewedMs = 0; // of the steady clock, when the last reviewed canary was sent
  #serial = 0;
  #term = new AbortController();
  #next: Timer | null = null;
  #reminder: Timer | null = null;

  constructor(options: WebhookWatchOptions) {
    this.#options = options;
    this.#term.abort();
  }

  get reach(): WebhookReach {
    return this.#reach;
  }

  /** This replica leads: resolves after the first canary, at the latest in three seconds. Never rejects. */
  async begin(): Promise<void> {
    this.end();
    this.#term = new AbortController();
    this.#misses = MISSES - 1; // the very first one decides
    this.#failures = 0;
    this.#remindLater();
    await this.#round(this.#term.signal);
  }

  /** It leads no longer, or stops. */
  end(): void {
    this.#term.abort(new Error('this replica does not lead'));
    this.#next?.cancel();
    this.#reminder?.cancel();
  }

  /** A replacement in this namespace was created without a review, though its ticket was open. */
  missed(namespace: string): void {
    if (this.#term.signal.aborted || this.#reach.missedIn.has(namespace)) return;
    const missedIn = [...this.#reach.missedIn, namespace].slice(-MOST_MISSED_NAMESPACES);
    this.#change({ ...this.#reach, missedIn: new Set(missedIn) });
    this.#again(RETRY_MS.first);
  }

  /** One canary, one more for each namespace that was put aside, and the timer for the next round. */
  async #round(term: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const sentMs = clock.monotonic();
    const scope = this.#scope();
    const [outcome, ...others] = await Promise.all([
      this.#canary(CANARY_NAMESPACE, term),
      ...[...this.#reach.missedIn].map(async (namespace) => ({
        namespace,
        isReviewed: (await this.#canary(namespace, term)).kind === 'reviewed',
      })),
    ]);
    const read = await scope;
    if (term.aborted) return;
    const cleared = new Set(others.filter(({ isReviewed: is }) => is).map(({ namespace }) => namespace));
    const missedIn = new Set([...this.#reach.missedIn].filter((namespace) => !cleared.has(namespace)));
    this.#change({ ...this.#judged(outcome, sentMs), missedIn, scope: read });
    this.#failures = outcome.kind === 'reviewed' ? 0 : this.#failures + 1;
    const isCalm = this.#failures === 0 && missedIn.size === 0;
    this.#again(isCalm ? EVERY_MS : Math.min(RETRY_MS.last, RETRY_MS.first * 2 ** this.#failures));
  }

  async #scope(): Promise<WebhookScope> {
    const { clock, readScope = () => Promise.resolve(null) } = this.#options;
    try {
      return (await answeredWithin(clock, ANSWER_WITHIN_MS, readScope(), NO_ANSWER)) ?? DEPLOYED_SCOPE;
    } catch {
      return this.#reach.scope;
    }
  }

  #judged(outcome: Outcome, sentMs: number): Omit<WebhookReach, 'missedIn' | 'scope'> {
    const { clock } = this.#options;
    switch (outcome.kind) {
      case 'reviewed':
        this.#misses = 0;
        this.#reviewedMs = sentMs;
        return { isCalled: true, reason: 'WebhookCalled', message: 'kube-apiserver calls the webhook' };
      case 'missed': {
        if (++this.#misses < MISSES) return this.#reach;
        const message = `kube-apiserver created a dry-run pod in namespace ${CANARY_NAMESPACE} without an answer of the webhook`;
        return { isCalled: false, reason: 'WebhookNotCalled', message };
      }
      case 'unknown':
        if (this.#reach.isCalled && clock.monotonic() - this.#reviewedMs < KNOWN_FOR_MS) return this.#reach;
        return { isCalled: false, reason: 'NotYetKnown', message: outcome.message };
      default:
        return outcome satisfies never;
    }
  }

  async #canary(namespace: string, term: AbortSignal): Promise<Outcome> {
    const { client, clock, instance, namespaceLabels } = this.#options;
    const canary = { namespace, labels: namespaceLabels(CANARY_NAMESPACE), nonce: `${instance}-${this.#serial++}` };
    try {
      const ask = (late: AbortSignal) => isReviewed(client, canary, AbortSignal.any([term, late]));
      const isSeen = await askedWithin(clock, ANSWER_WITHIN_MS, ask, NO_ANSWER);
      return { kind: isSeen ? 'reviewed' : 'missed' };
    } catch (error) {
      const what = error instanceof KubeApiError ? 'refused the canary' : 'did not answer the canary';
      return { kind: 'unknown', message: `kube-apiserver ${what} in namespace ${namespace}: ${messageOf(error)}` };
    }
  }

  #again(delayMs: number): void {
    const { signal } = this.#term;
    this.#next?.cancel();
    this.#next = this.#options.clock.setTimer(delayMs, () => void this.#round(signal));
  }

  #remindLater(): void {
    this.#reminder = this.#options.clock.setTimer(REMIND_EVERY_MS, () => {
      if (!this.#reach.isCalled) this.#options.onReminder(this.#reach);
      this.#remindLater();
    });
  }

  #change(reach: WebhookReach): void {
    const before = this.#reach;
    this.#reach = reach;
    const isSame =
      before.isCalled === reach.isCalled &&
      before.reason === reach.reason &&
      before.message === reach.message &&
      isSameScope(before.scope, reach.scope) &&
      before.missedIn.size === reach.missedIn.size &&
      [...reach.missedIn].every((namespace) => before.missedIn.has(namespace));
    if (!isSame) this.#options.onChange(reach);
  }
}
