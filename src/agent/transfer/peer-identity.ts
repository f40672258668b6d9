import { generateKeyPairSync, type X509Certificate } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ifFound } from '../../kube/api-error.ts';
import {
  AGENT_SIGNER,
  AGENT_USAGES,
  AGENT_VALIDITY_SECONDS,
  type CertificateRequestObject,
} from '../../kube/certificates/agent-request.ts';
import { certificatesIn, holdsKeyOf, isDue, isExpired } from '../../kube/certificates/serving-files.ts';
import type { KubeClient } from '../../kube/client.ts';
import { wireOf } from '../../kube/project/wire.ts';
import { RESOURCES } from '../../kube/resources.ts';
import type { Log } from '../../observe/log.ts';
import { sleep, type Clock } from '../../ports/clock.ts';
import { replaceSmallFile } from '../restore/small-file.ts';
import { certificateRequest } from './certificate-request.ts';

const FILE = 'identity.json';
/** How often is looked whether the certificate is due. */
const LOOK_EVERY_MS = 600_000;
/** The first look at a request that was just made; each later one waits twice as long, up to the second number. */
const ANSWER_MS = { first: 250, last: 60_000 };
/** After a request that was refused, or that could not be made. */
const AGAIN_MS = 60_000;

/** What an agent shows other agents, and what it holds them to. PEM texts. */
export interface PeerCredentials {
  readonly key: string;
  /** The certificate, then the vouchers of its authority. */
  readonly cert: string;
  /** The authorities of all agents. */
  readonly ca: string;
}

export interface PeerIdentityOptions {
  readonly nodeName: string;
  /** A folder of root alone. */
  readonly folder: string;
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * The certificate of this agent, for the name of its node. The key is made here and never leaves; `reprieve serve` signs
 * (`agent-signer.ts`). Both are kept on the disk, so that a restart of the agent needs nobody, and replaced when two thirds of the life
 * of the certificate are over. Where nobody signs, the agent goes on without: its node neither gives nor fetches states meanwhile.
 */
export class PeerIdentity {
  readonly #options: PeerIdentityOptions;
  readonly #listeners: (() => void)[] = [];
  #current: PeerCredentials | null = null;

  constructor(options: PeerIdentityOptions) {
    this.#options = options;
  }

  /** Null while there is none. */
  get current(): PeerCredentials | null {
    return this.#current;
  }

  /** Called with each new certificate. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** What an earlier process left. */
  async load(): Promise<void> {
    const { folder, clock } = this.#options;
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const text = await readFile(join(folder, FILE), 'utf8').catch(() => null);
    const found = text === null ? null : credentialsIn(text);
    if (found !== null && this.#fault(found, clock.now()) === null) this.#become(found);
  }

  /** Asks for a certificate whenever one is due. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    while (!signal.aborted) {
      let pauseMs = LOOK_EVERY_MS;
      try {
        if (this.#isDue()) this.#become(await this.#asked(signal));
      } catch (error) {
        if (!signal.aborted) log.warn({ err: error }, 'no new certificate for other agents');
        pauseMs = AGAIN_MS;
      }
      await sleep(clock, pauseMs, signal).catch(() => undefined);
    }
  }

  #isDue(): boolean {
    const nowMs = this.#options.clock.now();
    const [certificate] = certificatesIn(this.#current?.cert ?? '');
    return certificate === undefined || isDue(certificate, nowMs);
  }

  /** Rejects where the request was refused, or is gone. Waits for an answer as long as there is none. */
  async #asked(signal: AbortSignal): Promise<PeerCredentials> {
    const { nodeName, folder, client, clock, log } = this.#options;
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const key = String(pair.privateKey.export({ type: 'pkcs8', format: 'pem' }));
    const { metadata } = await client.create(RESOURCES.certificateRequests, null, {
      metadata: { generateName: 'reprieve-agent-' },
      spec: {
        request: Buffer.from(certificateRequest(nodeName, pair)).toString('base64'),
        signerName: AGENT_SIGNER,
        usages: AGENT_USAGES,
        expirationSeconds: AGENT_VALIDITY_SECONDS,
      },
    });
    const issued = await this.#answer(metadata.name, signal);
    const credentials = { key, ...split(issued) };
    const fault = this.#fault(credentials, clock.now());
    if (fault !== null) throw new Error(`the certificate that was issued cannot be used: ${fault}`);
    await replaceSmallFile(join(folder, FILE), JSON.stringify(credentials));
    log.info({ request: metadata.name, node: nodeName }, 'a new certificate for other agents');
    return credentials;
  }

  async #answer(name: string, signal: AbortSignal): Promise<string> {
    const { client, clock } = this.#options;
    for (let waitMs = ANSWER_MS.first; ; waitMs = Math.min(2 * waitMs, ANSWER_MS.last)) {
      await sleep(clock, waitMs, signal);
      const object = await ifFound(client.get(RESOURCES.certificateRequests, null, name));
      if (object === null) throw new Error(`request ${name} is gone`);
      const { status } = wireOf<CertificateRequestObject>(object);
      if (status?.certificate) return Buffer.from(status.certificate, 'base64').toString();
      const refusal = (status?.conditions ?? []).find(({ type }) => type === 'Denied' || type === 'Failed');
      if (refusal !== undefined) throw new Error(`request ${name} was refused: ${refusal.message ?? ''}`);
    }
  }

  #fault(credentials: PeerCredentials, nowMs: number): string | null {
    const [certificate] = certificatesIn(credentials.cert);
    if (certificate === undefined || certificatesIn(credentials.ca).length === 0) return 'a part of it is missing';
    if (!holdsKeyOf(certificate, credentials.key)) return 'it is of another key';
    if (nodeOf(certificate) !== this.#options.nodeName) return 'it is of another node';
    return isExpired(certificate, nowMs) ? 'it has expired' : null;
  }

  #become(credentials: PeerCredentials): void {
    this.#current = credentials;
    for (const listener of this.#listeners) listener();
  }
}

/** The node that a certificate of an agent is for; null for one of another kind. */
export function nodeOf({ subjectAltName = '' }: X509Certificate): string | null {
  return /^DNS:([a-z0-9](?:[-a-z0-9.]*[a-z0-9])?)$/.exec(subjectAltName)?.[1] ?? null;
}

/** What was issued: the certificate, vouchers, and authorities, which sign themselves. */
function split(issued: string): Pick<PeerCredentials, 'cert' | 'ca'> {
  const certificates = certificatesIn(issued);
  const isRoot = ({ ca, subject, issuer }: X509Certificate): boolean => ca && subject === issuer;
  const pem = (some: readonly X509Certificate[]): string => some.map((one) => one.toString()).join('');
  return { cert: pem(certificates.filter((one) => !isRoot(one))), ca: pem(certificates.filter(isRoot)) };
}

function credentialsIn(text: string): PeerCredentials | null {
  try {
    const { key, cert, ca } = JSON.parse(text) as Partial<PeerCredentials>;
    return typeof key === 'string' && typeof cert === 'string' && typeof ca === 'string' ? { key, cert, ca } : null;
  } catch {
    return null;
  }
}
