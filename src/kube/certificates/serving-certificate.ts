import { messageOf } from '../../domain/message-of.ts';
import { sleep, type Clock } from '../../ports/clock.ts';
import { backoffMs } from '../backoff.ts';
import type { KubeClient } from '../client.ts';
import { servingSecret } from './serving-secret.ts';
import { RESOURCES } from '../resources.ts';
import { publishBundle } from './webhook-bundle.ts';

/** How long the first certificate may take. Who started us tells more of a failure, and starts us again. */
const FIRST_WITHIN_MS = 60_000;

/** What an HTTPS server shows, PEM texts. */
export interface ServingCertificate {
  readonly cert: string;
  readonly key: string;
}

/** Something an operator may want to read in the log. Never holds a key. */
export interface CertificateNotice {
  readonly kind: 'issued' | 'published' | 'webhook-missing' | 'retry';
  readonly message: string;
}

export interface CertificateKeeperOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  /** Of the Secret. */
  readonly namespace: string;
  readonly secretName: string;
  /** MutatingWebhookConfiguration whose webhooks are given the authority; null: none. */
  readonly webhookConfiguration: string | null;
  /** ValidatingWebhookConfiguration of the guard, likewise; not every cluster has it. */
  readonly guardConfiguration: string | null;
  /** DNS names and IP addresses the certificate is for. */
  readonly names: readonly string[];
  /** How long a serving certificate is valid; it is renewed after two thirds of that. */
  readonly validityMs: number;
  readonly onNotice: (notice: CertificateNotice) => void;
  /** Spreads the retries of the start. */
  readonly random?: () => number;
}

/**
 * The serving certificate that Reprieve issues itself, with an authority of its own, in a Secret that all replicas share.
 * It has no timer: whoever serves asks for the {@link current} one again and again.
 *
 *     Secret missing, broken or due -> written anew -> authority to the webhooks -> served
 *
 * In this order a caller never meets a certificate whose authority it was not given. After a failure on the way the former
 * certificate is served on, a third of whose life is left; the next call begins with what the Secret holds then.
 */
export class CertificateKeeper {
  readonly #options: CertificateKeeperOptions;
  #hasServed = false;
  #saidMissing = false;

  constructor(options: CertificateKeeperOptions) {
    this.#options = options;
  }

  /**
   * What is to be served now. The first call tries for a minute, because nothing can be served without it; later ones
   * reject at once. Rejects with `KubeApiError` or `TransportError`.
   */
  async current(): Promise<ServingCertificate> {
    const { clock, random = Math.random } = this.#options;
    const deadlineMs = clock.monotonic() + (this.#hasServed ? 0 : FIRST_WITHIN_MS);
    for (let failures = 1; ; failures++) {
      try {
        return await this.#pass();
      } catch (error) {
        const waitMs = backoffMs(failures, random);
        if (clock.monotonic() + waitMs > deadlineMs) throw error;
        this.#notice('retry', messageOf(error));
        await sleep(clock, waitMs);
      }
    }
  }

  async #pass(): Promise<ServingCertificate> {
    const { client, clock, namespace, secretName, names, validityMs } = this.#options;
    const { webhookConfiguration, guardConfiguration } = this.#options;
    const onIssued = ({ why }: { readonly why: string }): void => {
      this.#notice('issued', `a new serving certificate is in the Secret ${namespace}/${secretName}: ${why}`);
    };
    const files = await servingSecret(
      { client, namespace, name: secretName, onIssued },
      { names, nowMs: clock.now(), validityMs },
    );
    if (webhookConfiguration !== null) {
      const outcome = await publishBundle(client, RESOURCES.mutatingWebhooks, webhookConfiguration, files.bundle);
      this.#sayPublished(outcome, webhookConfiguration);
    }
    if (guardConfiguration !== null) {
      const outcome = await publishBundle(client, RESOURCES.validatingWebhooks, guardConfiguration, files.bundle);
      if (outcome === 'given') this.#sayGiven(`ValidatingWebhookConfiguration ${guardConfiguration}`);
    }
    this.#hasServed = true;
    return { cert: files.chain, key: files.key };
  }

  #sayPublished(outcome: 'held' | 'given' | 'missing', configuration: string): void {
    if (outcome === 'given') this.#sayGiven(`MutatingWebhookConfiguration ${configuration}`);
    if (outcome === 'missing' && !this.#saidMissing) {
      const name = `MutatingWebhookConfiguration ${configuration}`;
      this.#notice('webhook-missing', `there is no ${name}: pods are not gated until it is applied`);
    }
    this.#saidMissing = outcome === 'missing';
  }

  #sayGiven(configuration: string): void {
    this.#notice('published', `the webhooks of ${configuration} know the authority`);
  }

  #notice(kind: CertificateNotice['kind'], message: string): void {
    this.#options.onNotice({ kind, message });
  }
}
