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
  Pkcs10CertificateRequest,
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

/** What somebody asks to have signed (PKCS #10). */
export interface CertificateRequest {
  /** The only attribute of its subject; null where it has others. */
  readonly commonName: string | null;
  readonly publicKey: webcrypto.CryptoKey;
}

/** Null for what is no request with an ECDSA P-256 key that signed it. */
export async function readRequest(pem: string): Promise<CertificateRequest | null> {
  try {
    const request = new Pkcs10CertificateRequest(pem);
    const publicKey = await request.publicKey.export(ALGORITHM, ['verify']);
    if (!(await request.verify())) return null;
    const [name, ...others] = request.subjectName.toJSON();
    const isPlain = others.length === 0 && Object.keys(name ?? {}).join() === 'CN' && name?.['CN']?.length === 1;
    return { commonName: isPlain ? (name['CN']?.[0] ?? null) : null, publicKey };
  } catch {
    return null;
  }
}

/** For servers and clients, with one DNS name. */
export async function createPeerCertificate(
  name: string,
  publicKey: webcrypto.CryptoKey,
  issuer: CertificateAndKey,
  lifetime: Lifetime,
): Promise<string> {
  return certificateOf({
    subject: 'CN=reprieve-agent',
    publicKey,
    lifetime,
    issuer,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
      new SubjectAlternativeNameExtension([{ type: 'dns', value: name }]),
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

async function signed({ keys, issuer, ...draft }: Draft): Promise<CertificateAndKey> {
  const certificate = await certificateOf({
    ...draft,
    publicKey: keys.publicKey,
    issuer: issuer ?? keys.privateKey,
  });
  const key = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  return { certificate, key: `${PemConverter.encode(key, 'PRIVATE KEY')}\n` };
}

interface CertificateDraft extends Omit<Draft, 'keys' | 'issuer'> {
  readonly publicKey: webcrypto.CryptoKey;
  /** Or the private key that belongs to it: it signs itself. */
  readonly issuer: CertificateAndKey | webcrypto.CryptoKey;
}

async function certificateOf({ subject, publicKey, lifetime, issuer, extensions }: CertificateDraft): Promise<string> {
  const signer = 'certificate' in issuer ? new X509Certificate(issuer.certificate) : null;
  const certificate = await X509CertificateGenerator.create({
    subject,
    issuer: signer?.subject ?? subject,
    notBefore: new Date(lifetime.fromMs),
    notAfter: new Date(lifetime.untilMs),
    publicKey,
    signingKey: 'certificate' in issuer ? await privateKeyOf(issuer.key) : issuer,
    signingAlgorithm: ALGORITHM,
    extensions: [
      ...extensions,
      await SubjectKeyIdentifierExtension.create(publicKey),
      await AuthorityKeyIdentifierExtension.create(signer?.publicKey ?? publicKey),
    ],
  });
  return `${certificate.toString('pem')}\n`;
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
