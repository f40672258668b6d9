import 'reflect-metadata'; // the generator's dependency injection asks for it
import { webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
  type Extension,
} from '@peculiar/x509';

// Loaded only by who issues, see issue.ts: it takes 0.2 s.

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const USES = ['sign', 'verify'] as const;

/** From and until when a certificate is valid, milliseconds since the epoch. */
export interface Lifetime {
  readonly fromMs: number;
  readonly untilMs: number;
}

/** PEM texts, the key in PKCS #8. */
export interface CertificateAndKey {
  readonly certificate: string;
  readonly key: string;
}

/** A certificate authority that signs itself, with a new key (ECDSA P-256). */
export async function createAuthority(commonName: string, lifetime: Lifetime): Promise<CertificateAndKey> {
  const keys = await newKeys();
  return signed({ subject: `CN=${commonName}`, keys, lifetime, issuer: null, extensions: authorityExtensions() });
}

/** `authority` once more, signed by `issuer`: who trusts the issuer alone then trusts what the authority signs, too. */
export async function crossSign(
  authority: CertificateAndKey,
  issuer: CertificateAndKey,
  lifetime: Lifetime,
): Promise<string> {
  const { publicKey, subject } = new X509Certificate(authority.certificate);
  const { certificate } = await signed({
    subject,
    keys: { publicKey: await publicKey.export(ALGORITHM, ['verify']), privateKey: await privateKeyOf(authority.key) },
    lifetime,
    issuer,
    extensions: authorityExtensions(),
  });
  return certificate;
}

/** A server's certificate for DNS names and IP addresses, with a new key (ECDSA P-256). */
export async function createServerCertificate(
  names: readonly string[],
  issuer: CertificateAndKey,
  lifetime: Lifetime,
): Promise<CertificateAndKey> {
  const alternatives = names.map((value) => ({ type: isIP(value) === 0 ? 'dns' : 'ip', value }) as const);
  return signed({
    subject: 'CN=reprieve', // who verifies looks at the names below; this one is for people, and no longer than 64
    keys: await newKeys(),
    lifetime,
    issuer,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      new SubjectAlternativeNameExtension(alternatives),
    ],
  });
}

interface Draft {
  readonly subject: string;
  readonly keys: webcrypto.CryptoKeyPair;
  readonly lifetime: Lifetime;
  /** Null: it signs itself. */
  readonly issuer: CertificateAndKey | null;
  readonly extensions: readonly Extension[];
}

async function signed({ subject, keys, lifetime, issuer, extensions }: Draft): Promise<CertificateAndKey> {
  const signer = issuer === null ? null : new X509Certificate(issuer.certificate);
  const certificate = await X509CertificateGenerator.create({
    subject,
    issuer: signer?.subject ?? subject,
    notBefore: new Date(lifetime.fromMs),
    notAfter: new Date(lifetime.untilMs),
    publicKey: keys.publicKey,
    signingKey: issuer === null ? keys.privateKey : await privateKeyOf(issuer.key),
    signingAlgorithm: ALGORITHM,
    extensions: [
      ...extensions,
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
      await AuthorityKeyIdentifierExtension.create(signer?.publicKey ?? keys.publicKey),
    ],
  });
  const key = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  return { certificate: `${certificate.toString('pem')}\n`, key: `${PemConverter.encode(key, 'PRIVATE KEY')}\n` };
}

function authorityExtensions(): Extension[] {
  return [
    new BasicConstraintsExtension(true, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
  ];
}

function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, USES);
}

function privateKeyOf(pem: string): Promise<webcrypto.CryptoKey> {
  return webcrypto.subtle.importKey('pkcs8', PemConverter.decodeFirst(pem), ALGORITHM, true, ['sign']);
}
