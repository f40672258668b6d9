import { randomBytes, type X509Certificate } from 'node:crypto';
import { certificatesIn, isExpired, type Expectation, type Judgement, type ServingFiles } from './serving-files.ts';
import type { Lifetime } from './x509.ts';

const AUTHORITY_MS = 365 * 24 * 3_600_000;
/** A certificate begins this much before it is made: the clocks of its readers may be behind. */
const BACKDATED_MS = 5 * 60_000;

export interface RenewalOptions extends Expectation {
  /** Of the serving certificate. It never outlives its authority. */
  readonly validityMs: number;
}

/** An authority and what it takes to be believed, PEM texts. */
export interface AuthorityFiles {
  /** The current authority, then former ones until they have expired. */
  readonly bundle: string;
  /** Of the current authority. */
  readonly authorityKey: string;
  /** The current authority as former ones signed it. Empty where there were none. */
  readonly vouchers: string;
}

/**
 * What takes the place of an authority that was judged less than good (null: there was none). The former one stays in the bundle until
 * it has expired, and vouches for the new one: who was given the former one alone accepts what the new one signs, if it comes with the
 * vouchers. `name` is the beginning of the common name.
 */
export async function renewedAuthority(
  files: AuthorityFiles | null,
  verdict: Judgement['verdict'],
  { name, nowMs }: { readonly name: string; readonly nowMs: number },
): Promise<AuthorityFiles> {
  const former = authoritiesIn(files?.bundle ?? '', nowMs);
  const [current] = former;
  if (files !== null && current !== undefined && verdict === 'serving-due') {
    return { ...files, bundle: pemOf(former), vouchers: pemOf(authoritiesIn(files.vouchers, nowMs)) };
  }
  // Issuing happens every few weeks, and the library takes 0.2 s to load.
  const x509 = await import('./x509.ts');
  const fromMs = nowMs - BACKDATED_MS;
  const unique = `${name}-${randomBytes(4).toString('hex')}`; // two of one name would be hard to tell apart
  const next = await x509.createAuthority(unique, { fromMs, untilMs: nowMs + AUTHORITY_MS });
  const canVouch = files !== null && current !== undefined && verdict !== 'unusable';
  const vouchers = canVouch
    ? await x509.crossSign(
        next,
        { certificate: current.toString(), key: files.authorityKey },
        { fromMs, untilMs: current.validToDate.getTime() },
      )
    : '';
  return { bundle: next.certificate + pemOf(former), authorityKey: next.key, vouchers };
}

/**
 * What takes the place of serving files that were judged less than good (null: there were none). kube-scheduler reads its `caFile`
 * once, and goes on to accept the serving certificate: {@link renewedAuthority}.
 */
export async function renewed(
  files: ServingFiles | null,
  verdict: Judgement['verdict'],
  { names, nowMs, validityMs }: RenewalOptions,
): Promise<ServingFiles> {
  const held = files && { ...files, vouchers: pemOf(certificatesIn(files.chain).slice(1)) };
  const { bundle, authorityKey, vouchers } = await renewedAuthority(held, verdict, { name: 'reprieve-ca', nowMs });
  const [issuer] = certificatesIn(bundle) as [X509Certificate];
  const x509 = await import('./x509.ts');
  const serving = await x509.createServerCertificate(
    names,
    { certificate: issuer.toString(), key: authorityKey },
    lifetimeUnder(issuer, nowMs, validityMs),
  );
  return { chain: serving.certificate + vouchers, key: serving.key, bundle, authorityKey };
}

/** From a little before now until `validityMs` later, and never beyond the life of the issuer. */
export function lifetimeUnder(issuer: X509Certificate, nowMs: number, validityMs: number): Lifetime {
  return { fromMs: nowMs - BACKDATED_MS, untilMs: Math.min(nowMs + validityMs, issuer.validToDate.getTime()) };
}

function authoritiesIn(pem: string, nowMs: number): X509Certificate[] {
  return certificatesIn(pem).filter((certificate) => certificate.ca && !isExpired(certificate, nowMs));
}

function pemOf(certificates: readonly X509Certificate[]): string {
  return certificates.map((certificate) => certificate.toString()).join('');
}
