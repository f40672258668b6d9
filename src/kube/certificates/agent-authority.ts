import { AGENT_AUTHORITY } from './agent-request.ts';
import { keptSecret, type SecretPlace } from './kept-secret.ts';
import { renewedAuthority, type AuthorityFiles } from './renew.ts';
import { judgedAuthority } from './serving-files.ts';

const KEYS: Readonly<Record<keyof AuthorityFiles, string>> = {
  bundle: 'ca.crt',
  authorityKey: 'ca.key',
  vouchers: 'vouchers.crt',
};

/** The authority of the certificates of agents, from its Secret; made where there is none, and renewed when it is due. */
export function agentAuthority(place: Omit<SecretPlace, 'name'>, nowMs: number): Promise<AuthorityFiles> {
  return keptSecret<keyof AuthorityFiles>({
    ...place,
    name: AGENT_AUTHORITY,
    type: 'Opaque',
    keys: KEYS,
    judge: (files) => judgedAuthority(files, nowMs),
    renew: (files, verdict) => renewedAuthority(files, verdict, { name: 'reprieve-agents', nowMs }),
  });
}
