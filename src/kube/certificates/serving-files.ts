import { createPrivateKey, X509Certificate } from 'node:crypto';
import { SocketAddress } from 'node:net';

/** What the Secret holds, PEM texts under their names there. */
export interface ServingFiles {
  /** `tls.crt`: the serving certificate, then the current authority as a former one signed it. */
  readonly chain: string;
  /** `tls.key`. */
  readonly key: string;
  /** `ca.crt`: the current authority, then former ones until they have expired. */
  readonly bundle: string;
  /** `ca.key`: of the current authority. */
  readonly authorityKey: string;
}

/**
 * - `good`: can be served.
 * - `serving-due`: its authority is to sign a new serving certificate.
 * - `authority-due`: a new authority is needed, and the old one can still vouch for it.
 * - `unusable`: nothing of it can be used but, perhaps, the authorities in the bundle.
 */
export interface Judgement {
  readonly verdict: 'good' | 'serving-due' | 'authority-due' | 'unusable';
  /** In words, and never with contents. Empty where it is good. */
  readonly why: string;
}

/** What files are judged by. */
export interface Expectation {
  /** DNS names and IP addresses of the serving certificate: these, and no others. */
  readonly names: readonly string[];
  readonly nowMs: number;
}

export function judged(files: ServingFiles, expectation: Expectation): Judgement {
  const judgement = judgedAuthority(files, expectation.nowMs);
  const [authority] = certificatesIn(files.bundle);
  if (judgement.verdict !== 'good' || authority === undefined) return judgement;
  const why = servingFault(files, authority, expectation);
  return why === null ? { verdict: 'good', why: '' } : { verdict: 'serving-due', why };
}

/** The same of the authority alone: never `serving-due`. */
export function judgedAuthority(files: Pick<ServingFiles, 'bundle' | 'authorityKey'>, nowMs: number): Judgement {
  const [authority] = certificatesIn(files.bundle);
  if (authority === undefined) return { verdict: 'unusable', why: 'ca.crt holds no certificate' };
  if (!authority.ca) return { verdict: 'unusable', why: 'the first certificate of ca.crt is no authority' };
  if (!holdsKeyOf(authority, files.authorityKey)) return { verdict: 'unusable', why: 'ca.key is not that of ca.crt' };
  if (isExpired(authority, nowMs)) return { verdict: 'unusable', why: 'the authority has expired' };
  if (isDue(authority, nowMs)) return { verdict: 'authority-due', why: 'the authority is past two thirds of its life' };
  return { verdict: 'good', why: '' };
}

function servingFault(files: ServingFiles, authority: X509Certificate, { names, nowMs }: Expectation): string | null {
  const [serving, ...others] = certificatesIn(files.chain);
  if (serving === undefined) return 'tls.crt holds no certificate';
  if (!holdsKeyOf(serving, files.key)) return 'tls.key is not that of tls.crt';
  if (!serving.checkIssued(authority) || !serving.verify(authority.publicKey)) return 'tls.crt is not signed by ca.crt';
  if (isDue(serving, nowMs)) return 'the serving certificate is past two thirds of its life';
  if (!isSameSet(namesOf(serving), names.map(normalName))) return 'the serving certificate has other names';
  const isSomeExpired = [...others, ...certificatesIn(files.bundle)].some((certificate) =>
    isExpired(certificate, nowMs),
  );
  return isSomeExpired ? 'a former authority has expired' : null;
}

/** The certificates in a PEM text; those that cannot be read are passed over. */
export function certificatesIn(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return blocks.flatMap((block) => {
    try {
      return [new X509Certificate(block)];
    } catch {
      return [];
    }
  });
}

/** Whether `pem` holds each certificate of `wanted`. */
export function holdsAll(pem: string, wanted: string): boolean {
  const held = new Set(certificatesIn(pem).map(({ fingerprint256 }) => fingerprint256));
  return certificatesIn(wanted).every(({ fingerprint256 }) => held.has(fingerprint256));
}

export function isExpired(certificate: X509Certificate, nowMs: number): boolean {
  return nowMs >= certificate.validToDate.getTime();
}

/** Past two thirds of its life: a third is left for a cluster that cannot be written to, and for callers who read a bundle once. */
export function isDue({ validFromDate, validToDate }: X509Certificate, nowMs: number): boolean {
  const fromMs = validFromDate.getTime();
  return nowMs >= fromMs + ((validToDate.getTime() - fromMs) * 2) / 3;
}

export function holdsKeyOf(certificate: X509Certificate, key: string): boolean {
  try {
    return certificate.checkPrivateKey(createPrivateKey(key));
  } catch {
    return false; // no key at all
  }
}

/** As Node.js prints them: `DNS:localhost, IP Address:127.0.0.1`. */
function namesOf({ subjectAltName = '' }: X509Certificate): string[] {
  return subjectAltName
    .split(', ')
    .filter((entry) => entry !== '')
    .map((entry) => normalName(entry.replace(/^(DNS|IP Address):/, '')));
}

/** IPv6 addresses have many spellings, DNS names two. */
function normalName(name: string): string {
  return name.includes(':') ? new SocketAddress({ address: name, family: 'ipv6' }).address : name.toLowerCase();
}

function isSameSet(left: readonly string[], right: readonly string[]): boolean {
  const [a, b] = [new Set(left), new Set(right)];
  return a.size === b.size && [...a].every((name) => b.has(name));
}
