import { AppError } from '../observe/error-codes.ts';

/** kube-scheduler has one `preempt` and a `filter` or `prioritize` under way at most: whoever has more is not one. */
const MAX_CALLS = 32;

export interface CallGateOptions {
  /** How long a caller waits: `httpTimeout` in kube-scheduler's configuration. */
  readonly timeoutMs: number;
  /** Verbs whose bodies may be arriving at the same time. */
  readonly maxCalls?: number;
  readonly nowMs?: () => number;
}

/**
 * What happens to verbs that come faster than they are answered. An answer itself takes milliseconds and is not interrupted;
 * what can pile up are bodies under way. So that neither memory nor time is spent on what nobody waits for:
 *
 *     call ──> more than `maxCalls` under way? ── yes ──> 503 Overloaded, before its body is read
 *                   └─ no ──> body ──> caller's time over? ── yes ──> 503 CallTooLate, nothing is decided
 *                                           └─ no ──> decided and answered
 *
 * Either is to kube-scheduler a failed attempt: nobody is preempted, and the pod is woken as after an outage.
 */
export class CallGate {
  readonly #maxCalls: number;
  readonly #timeoutMs: number;
  readonly #nowMs: () => number;
  #underWay = 0;

  constructor({ timeoutMs, maxCalls = MAX_CALLS, nowMs = () => performance.now() }: CallGateOptions) {
    this.#timeoutMs = timeoutMs;
    this.#maxCalls = maxCalls;
    this.#nowMs = nowMs;
  }

  /** The answer to a call whose body `read` resolves with. */
  async pass<B, A>(read: () => Promise<B>, answer: (body: B) => A | Promise<A>): Promise<A> {
    if (this.#underWay >= this.#maxCalls) throw new AppError('Overloaded', { limit: this.#maxCalls });
    this.#underWay++;
    const deadlineMs = this.#nowMs() + this.#timeoutMs;
    try {
      const body = await read();
      if (this.#nowMs() >= deadlineMs) throw new AppError('CallTooLate', { timeoutMs: this.#timeoutMs });
      return await answer(body);
    } finally {
      this.#underWay--;
    }
  }
}
