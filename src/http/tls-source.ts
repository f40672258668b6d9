import { messageOf } from '../domain/message-of.ts';
import { readFile } from 'node:fs/promises';
import type { CertificateFiles, ClientRules } from '../config/configuration.ts';
import type { CertificateKeeper } from '../kube/certificates/serving-certificate.ts';
import { validityProblem } from '../kube/certificate.ts';
import { AppError } from '../observe/error-codes.ts';
import { tlsMaterial, type TlsMaterial } from './tls-context.ts';

/** Where a server's certificate comes from. It is asked at the start, and each minute whether there is another one. */
export interface TlsSource {
  /** What is to be served now. Rejects with an `AppError`: whoever has a former one serves that on. */
  current(): Promise<TlsMaterial>;
}

type ClientAuthority = Pick<ClientRules, 'clientCaFile'>;

/** Files that somebody else renews, by hand or with cert-manager. Rejects with `TlsFilesInvalid` or `ServingCertificateOutdated`. */
export function fileTlsSource(
  { certFile, keyFile }: Omit<CertificateFiles, 'source'>,
  { clientCaFile }: ClientAuthority,
  now: () => number,
): TlsSource {
  return {
    async current() {
      let material: TlsMaterial;
      let cert: string;
      try {
        const [certificate, key] = await Promise.all([readFile(certFile, 'utf8'), readFile(keyFile, 'utf8')]);
        cert = certificate;
        material = tlsMaterial({ cert, key, clientCa: await textOf(clientCaFile) });
      } catch (cause) {
        throw filesInvalid(cause);
      }
      const problem = validityProblem(cert, now());
      if (problem !== null) throw new AppError('ServingCertificateOutdated', { file: certFile, problem });
      return material;
    },
  };
}

/** The certificate that Reprieve keeps itself. Rejects with `CertificateUnavailable`, or with `TlsFilesInvalid` for `clientCaFile`. */
export function issuedTlsSource(
  keeper: Pick<CertificateKeeper, 'current'>,
  { clientCaFile }: ClientAuthority,
): TlsSource {
  return {
    async current() {
      const issued = await keeper.current().catch((cause: unknown) => {
        throw new AppError('CertificateUnavailable', { cause: messageOf(cause) }, cause);
      });
      try {
        return tlsMaterial({ ...issued, clientCa: await textOf(clientCaFile) });
      } catch (cause) {
        throw filesInvalid(cause);
      }
    },
  };
}

function textOf(path: string | null): Promise<string | null> {
  return path === null ? Promise.resolve(null) : readFile(path, 'utf8');
}

function filesInvalid(cause: unknown): AppError {
  return new AppError('TlsFilesInvalid', { cause: messageOf(cause) }, cause);
}
