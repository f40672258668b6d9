import { generateKeyPairSync } from 'node:crypto';
import { certificateRequest } from '../../src/agent/transfer/certificate-request.ts';
import type { PeerCredentials } from '../../src/agent/transfer/peer-identity.ts';
import {
  createAuthority,
  createPeerCertificate,
  readRequest,
  type CertificateAndKey,
} from '../../src/kube/certificates/x509.ts';

const HOUR_MS = 3_600_000;

/** An authority of agents, and the certificates that it gives them, as `reprieve serve` does. */
export class AgentCertificates {
  readonly #authority: CertificateAndKey;

  private constructor(authority: CertificateAndKey) {
    this.#authority = authority;
  }

  static async create(nowMs = Date.now()): Promise<AgentCertificates> {
    const lifetime = { fromMs: nowMs - HOUR_MS, untilMs: nowMs + 1000 * HOUR_MS };
    return new AgentCertificates(await createAuthority('reprieve-agents-test', lifetime));
  }

  /** What is issued for a request (PEM): the certificate, then the authority. */
  async issue(request: string, node: string, nowMs = Date.now()): Promise<string> {
    const asked = await readRequest(request);
    if (asked === null) throw new Error('no request');
    const lifetime = { fromMs: nowMs - HOUR_MS, untilMs: nowMs + 23 * HOUR_MS };
    const certificate = await createPeerCertificate(node, asked.publicKey, this.#authority, lifetime);
    return certificate + this.#authority.certificate;
  }

  async of(node: string): Promise<PeerCredentials> {
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const issued = await this.issue(certificateRequest(node, pair), node);
    const key = String(pair.privateKey.export({ type: 'pkcs8', format: 'pem' }));
    return { key, cert: issued.slice(0, -this.#authority.certificate.length), ca: this.#authority.certificate };
  }
}
