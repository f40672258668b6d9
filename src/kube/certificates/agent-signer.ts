import { messageOf } from '../../domain/message-of.ts';
import { sleep, type Clock } from '../../ports/clock.ts';
import { isConflict, isNotFound } from '../api-error.ts';
import { backoffMs } from '../backoff.ts';
import type { KubeClient } from '../client.ts';
import { timestampOf } from '../project/time.ts';
import { wireOf } from '../project/wire.ts';
import { Reflector, type ReflectorNotice } from '../reflector.ts';
import { RESOURCES } from '../resources.ts';
import type { KubeObject, KubeTransport } from '../transport.ts';
import { agentAuthority } from './agent-authority.ts';
import {
  AGENT_SIGNER,
  AGENT_VALIDITY_SECONDS,
  isOpenRequest,
  requesterOf,
  type CertificateRequestObject,
} from './agent-request.ts';
import { lifetimeUnder } from './renew.ts';
import { certificatesIn } from './serving-files.ts';
import type { CertificateRequest } from './x509.ts';

const NOTHING_MISSED = { missed: [], redundant: [] };

/** For the log. */
export type SignerNotice =
  | { readonly kind: 'signed'; readonly request: string; readonly node: string }
  | { readonly kind: 'refused'; readonly request: string; readonly message: string }
  | { readonly kind: 'authority'; readonly message: string }
  | { readonly kind: 'retry'; readonly message: string };

export interface AgentSignerOptions {
  readonly transport: KubeTransport;
  /** Writes only while this replica leads. */
  readonly client: KubeClient;
  readonly clock: Clock;
  /** Of Reprieve itself. */
  readonly namespace: string;
  readonly leads: () => boolean;
  readonly onNotice: (notice: SignerNotice) => void;
  readonly onWatchNotice: (notice: ReflectorNotice) => void;
  readonly random?: () => number;
}

/**
 * Gives each agent a certificate for its own node, while this replica leads:
 *
 *     agent: CertificateSigningRequest, signer reprieve.dev/agent ──> token names node-1? ── no ──> Denied
 *                                                                          │ yes
 *                                                     Approved ──> certificate with the DNS name node-1, the vouchers, the authorities
 *
 * The name is that of the token, and the request has to say the same. kube-controller-manager removes old requests.
 */
export class AgentSigner {
  readonly #options: AgentSignerOptions;
  readonly #reflector: Reflector<KubeObject>;
  readonly #stop = new AbortController();
  readonly #open = new Map<string, KubeObject>(); // UID -> request that waits
  #running: Promise<unknown> = Promise.resolve();
  #pass: Promise<void> | null = null;

  constructor(options: AgentSignerOptions) {
    const { transport, clock, onWatchNotice } = options;
    this.#options = options;
    this.#reflector = new Reflector({
      resource: RESOURCES.certificateRequests,
      fieldSelector: `spec.signerName=${AGENT_SIGNER}`,
      transport,
      clock,
      project: (object) => object,
      sink: {
        upsert: (object) => this.#seen(object),
        remove: (uid) => void this.#open.delete(uid),
        replaceAll: (objects) => {
          this.#open.clear();
          for (const object of objects) this.#seen(object);
          return NOTHING_MISSED;
        },
      },
      onNotice: onWatchNotice,
    });
  }

  start(): void {
    this.#running = this.#reflector.run(this.#stop.signal);
  }

  async stop(): Promise<void> {
    this.#stop.abort(new Error('stopping'));
    await this.#running;
    await this.#pass;
  }

  /** To be called when this replica comes to lead. */
  poke(): void {
    this.#pass ??= this.#answerAll().finally(() => (this.#pass = null));
  }

  #seen(object: KubeObject): void {
    const uid = object.metadata.uid ?? '';
    if (!isOpenRequest(wireOf(object))) {
      this.#open.delete(uid);
      return;
    }
    this.#open.set(uid, object);
    this.poke();
  }

  /** One after the other, in the order in which they came. Never rejects. */
  async #answerAll(): Promise<void> {
    const { clock, leads, onNotice, random = Math.random } = this.#options;
    for (let failures = 0; leads() && !this.#stop.signal.aborted;) {
      const [next] = this.#open;
      if (next === undefined) return;
      const [uid, request] = next;
      try {
        await this.#answer(request);
        failures = 0;
        this.#open.delete(uid); // what is left to do the watch tells
      } catch (error) {
        onNotice({ kind: 'retry', message: messageOf(error) });
        await sleep(clock, backoffMs(++failures, random), this.#stop.signal).catch(() => undefined);
      }
    }
  }

  async #answer(object: KubeObject): Promise<void> {
    const { clock, namespace, onNotice } = this.#options;
    const { name } = object.metadata;
    const request = wireOf<CertificateRequestObject>(object);
    try {
      const asked = await judged(request, namespace);
      if ('refusal' in asked) {
        await this.#refuse(object, asked.refusal);
        onNotice({ kind: 'refused', request: name, message: asked.refusal });
        return;
      }
      const approved = isApproved(request) ? object : await this.#approve(object, asked.node);
      const certificate = Buffer.from(await this.#signed(asked, request, clock.now())).toString('base64');
      await this.#patch(approved, 'status', { certificate });
      onNotice({ kind: 'signed', request: name, node: asked.node });
    } catch (error) {
      // Somebody else has written it, or it is gone.
      if (!isConflict(error) && !isNotFound(error)) throw error;
    }
  }

  async #signed({ node, publicKey }: Asked, { spec }: CertificateRequestObject, nowMs: number): Promise<string> {
    const { client, namespace, onNotice } = this.#options;
    const onIssued = ({ why }: { readonly why: string }): void => {
      onNotice({ kind: 'authority', message: `a new authority for agents: ${why}` });
    };
    const { bundle, authorityKey, vouchers } = await agentAuthority({ client, namespace, onIssued }, nowMs);
    const [issuer] = certificatesIn(bundle);
    if (issuer === undefined) throw new Error('the Secret of the authority holds no certificate');
    const { createPeerCertificate } = await import('./x509.ts');
    const seconds = Math.min(spec?.expirationSeconds ?? AGENT_VALIDITY_SECONDS, AGENT_VALIDITY_SECONDS);
    const leaf = await createPeerCertificate(
      node,
      publicKey,
      { certificate: issuer.toString(), key: authorityKey },
      lifetimeUnder(issuer, nowMs, seconds * 1000),
    );
    return leaf + vouchers + bundle;
  }

  #approve(object: KubeObject, node: string): Promise<KubeObject> {
    const message = `its token is bound to node ${node}`;
    return this.#patch(object, 'approval', { conditions: [this.#condition('Approved', 'NodeOfToken', message)] });
  }

  /** What somebody else has approved cannot be denied any more; it fails. */
  async #refuse(object: KubeObject, message: string): Promise<void> {
    const { status } = wireOf<CertificateRequestObject>(object);
    const before = status?.conditions ?? [];
    const [type, part] = before.length === 0 ? (['Denied', 'approval'] as const) : (['Failed', 'status'] as const);
    await this.#patch(object, part, { conditions: [...before, this.#condition(type, 'NotAllowed', message)] });
  }

  #condition(type: string, reason: string, message: string): object {
    return { type, status: 'True', reason, message, lastUpdateTime: timestampOf(this.#options.clock.now()) };
  }

  #patch({ metadata }: KubeObject, subresource: 'approval' | 'status', status: object): Promise<KubeObject> {
    const { name, uid, resourceVersion } = metadata;
    const patch = { metadata: { uid, resourceVersion }, status };
    return this.#options.client.patch(RESOURCES.certificateRequests, null, name, patch, { type: 'merge', subresource });
  }
}

type Asked = Pick<CertificateRequest, 'publicKey'> & { readonly node: string };

async function judged(
  request: CertificateRequestObject,
  namespace: string,
): Promise<Asked | { readonly refusal: string }> {
  const requester = requesterOf(request, namespace);
  if ('refusal' in requester) return requester;
  const { readRequest } = await import('./x509.ts');
  const asked = await readRequest(Buffer.from(request.spec?.request ?? '', 'base64').toString());
  if (asked === null) return { refusal: 'it is no request that an ECDSA P-256 key has signed' };
  if (asked.commonName !== requester.node) return { refusal: `its subject is to be CN=${requester.node} alone` };
  return { node: requester.node, publicKey: asked.publicKey };
}

function isApproved({ status }: CertificateRequestObject): boolean {
  return (status?.conditions ?? []).some(({ type }) => type === 'Approved');
}
