import type { V1CertificateSigningRequest } from '@kubernetes/client-node';
import { AGENT_ACCOUNT, TOKEN_NODE_KEY } from '../../domain/labels.ts';
import type { Wire } from '../project/wire.ts';

/** The signer of the certificates by which agents know each other. `reprieve serve` approves and signs for it. */
export const AGENT_SIGNER = 'reprieve.dev/agent';
/** The Secret of its authority. */
export const AGENT_AUTHORITY = 'reprieve-agents';
/** What a certificate of an agent is for: each agent is a server and a client of the others. */
export const AGENT_USAGES = ['digital signature', 'client auth', 'server auth'] as const;
/** How long a certificate is valid; it is renewed after two thirds of that. */
export const AGENT_VALIDITY_SECONDS = 24 * 3_600;

export type CertificateRequestObject = Wire<V1CertificateSigningRequest>;

/** Nobody has denied it, and it has no certificate yet. */
export function isOpenRequest({ status }: CertificateRequestObject): boolean {
  const isOver = (status?.conditions ?? []).some(({ type }) => type === 'Denied' || type === 'Failed');
  return !isOver && !status?.certificate;
}

export type RequesterVerdict = { readonly node: string } | { readonly refusal: string };

/**
 * For which node the requester may have a certificate: the one that the API server read from its token, whatever the request says.
 * `namespace` is that of Reprieve.
 */
export function requesterOf({ spec }: CertificateRequestObject, namespace: string): RequesterVerdict {
  const account = `system:serviceaccount:${namespace}:${AGENT_ACCOUNT}`;
  if (spec?.username !== account) return { refusal: `only ${account} is given a certificate` };
  const [node = '', ...others] = spec.extra?.[TOKEN_NODE_KEY] ?? [];
  if (node === '' || others.length > 0) return { refusal: 'the token of the requester is bound to no node' };
  const usages = new Set(spec.usages);
  if (usages.size !== AGENT_USAGES.length || !AGENT_USAGES.every((usage) => usages.has(usage)))
    return { refusal: `the usages are to be ${AGENT_USAGES.join(', ')}` };
  return { node };
}
