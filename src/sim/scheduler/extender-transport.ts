import { Agent, request, type Dispatcher } from 'undici';
import type { VirtualClock } from '../virtual-clock.ts';

/** The callbacks of kube-scheduler that exist here; `bind` is not one of them. */
export type ExtenderVerb = 'filter' | 'prioritize' | 'preempt';

/** How a scheduler reaches an extender. Rejects where there was no answer. */
export interface ExtenderTransport {
  call(verb: ExtenderVerb, body: string): Promise<{ readonly status: number; readonly body: string }>;
}

/** An extender that is a function in this process. */
export class InProcessExtender implements ExtenderTransport {
  readonly #handle: ExtenderTransport['call'];

  constructor(handle: ExtenderTransport['call']) {
    this.#handle = handle;
  }

  async call(verb: ExtenderVerb, body: string): Promise<{ readonly status: number; readonly body: string }> {
    return this.#handle(verb, body);
  }
}

/** Where an {@link HttpExtender} is and how it is reached. */
export interface HttpExtenderOptions {
  /** `urlPrefix`: the verb is appended as the last segment. */
  readonly baseUrl: string;
  /** Stands still while a call is under way. */
  readonly clock: Pick<VirtualClock, 'outside'>;
  /** `httpTimeout`, in real time; kube-scheduler's default is 5 s. */
  readonly timeoutMs?: number;
  /** TLS options of the connection. */
  readonly connect?: Agent.Options['connect'];
  /** Last segments of the URL where they are not the names of the verbs. */
  readonly paths?: Readonly<Partial<Record<ExtenderVerb, string>>>;
}

/** An extender behind HTTP, called over one kept-alive connection, as kube-scheduler's serial cycle does. */
export class HttpExtender implements ExtenderTransport {
  readonly #options: HttpExtenderOptions;
  readonly #baseUrl: string;
  readonly #agent: Dispatcher;

  constructor(options: HttpExtenderOptions) {
    this.#options = options;
    this.#baseUrl = options.baseUrl.replace(/\/+$/, '');
    const timeout = options.timeoutMs ?? 5000;
    this.#agent = new Agent({
      connections: 1,
      keepAliveTimeout: 90_000, // IdleConnTimeout of Go's transport
      headersTimeout: timeout,
      bodyTimeout: timeout,
      ...(options.connect && { connect: options.connect }),
    });
  }

  call(verb: ExtenderVerb, body: string): Promise<{ readonly status: number; readonly body: string }> {
    return this.#options.clock.outside(this.#post(`${this.#baseUrl}/${this.#options.paths?.[verb] ?? verb}`, body));
  }

  /** Closes the connection. */
  async close(): Promise<void> {
    await this.#agent.close();
  }

  async #post(url: string, body: string): Promise<{ readonly status: number; readonly body: string }> {
    const response = await request(url, {
      method: 'POST',
      dispatcher: this.#agent,
      headers: { 'content-type': 'application/json' },
      body,
    });
    return { status: response.statusCode, body: await response.body.text() };
  }
}
