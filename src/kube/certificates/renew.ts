import { randomBytes, type X509Certificate } from 'node:crypto';
import { certificatesIn, isExpired, type Expectation, type Judgement, type ServingFiles } from './serving-files.ts';
import type { CertificateAndKey } from './x509.ts';

const AUTHORITY_MS = 365 * 24 * 3_600_000;
/** A certificate begins this much before it is made: the clocks of its readers may be behind. */
const BACKDATED_MS = 5 * 60_000;

export interface RenewalOptions extends Expectation {
  /** Of the serving certificate. It never outlives its authority. */
  readonly validityMs: number;
}

interface Authority extends CertificateAndKey {
  /** The authority as former ones signed it. */
  readonly vouchers: readonly string[];
}

/**
 * What takes the place of files that were judged less than good (null: there were none). Where the authority changes, the
 * former one stays in the bundle until it has expired, and vouches for the new one in the chain: a caller that was given
 * the former one alone accepts the new serving certificate. kube-scheduler is such a caller, it reads its `caFile` once.
 */
export async function renewed(
  files: ServingFiles | null,
  verdict: Judgement['verdict'],
  { names, nowMs, validityMs }: RenewalOptions,
): Promise<ServingFiles> {
  // Issuing happens every few weeks, and the library takes 0.2 s to load.
  const x509 = await import('./x509.ts');
  const isAuthority = (certificate: X509Certificate): boolean => certificate.ca && !isExpired(certificate, nowMs);
  const former = certificatesIn(files?.bundle ?? '').filter(isAuthority);

  const newAuthority = async (): Promise<CertificateAndKey> => {
    const name = `reprieve-ca-${randomBytes(4).toString('hex')}`; // two of one name would be hard to tell apart
    return x509.createAuthority(name, { fromMs: nowMs - BACKDATED_MS, untilMs: nowMs + AUTHORITY_MS });
  };
  const authority = async (): Promise<Authority> => {
    const [current] = former;
    if (files === null || current === undefined || verdict === 'unusable') {
      return { ...(await newAuthority()), vouchers: [] };
    }
    const old = { certificate: current.toString(), key: files.authorityKey };
    if (verdict === 'serving-due') {
      const vouchers = certificatesIn(files.chain).slice(1).filter(isAuthority);
      return { ...old, vouchers: vouchers.map((voucher) => voucher.toString()) };
    }
    const next = await newAuthority();
    const lifetime = { fromMs: nowMs - BACKDATED_MS, untilMs: current.validToDate.getTime() };
    return { ...next, vouchers: [await x509.crossSign(next, old, lifetime)] };
  };

  const { certificate, key, vouchers } = await authority();
  const [issuer] = certificatesIn(certificate) as [X509Certificate];
  const untilMs = Math.min(nowMs + validityMs, issuer.validToDate.getTime());
  const serving = await x509.createServerCertificate(
    names,
    { certificate, key },
    { fromMs: nowMs - BACKDATED_MS, untilMs },
  );
  const others = former.filter(({ fingerprint256 }) => fingerprint256 !== issuer.fingerprint256);
  return {
    chain: [serving.certificate, ...vouchers].join(''),
    key: serving.key,
    bundle: [certificate, ...others.map((other) => other.toString())].join(''),
    authorityKey: key,
  };
}
