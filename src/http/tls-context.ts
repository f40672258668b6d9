import { constants } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext, type SecureContextOptions, type TLSSocket } from 'node:tls';
import type { TlsConfiguration } from '../config/configuration.ts';
import { validityProblem } from '../kube/certificate.ts';
import { AppError, type ErrorCode } from '../observe/error-codes.ts';

/** The contents of the files, in a form that can be compared and given to a TLS server. */
export interface TlsMaterial {
  readonly options: SecureContextOptions;
  readonly text: string;
}

/** Reads the files and proves that they make a TLS server now. Throws `TlsFilesInvalid` or `ServingCertificateOutdated`. */
export async function readTlsMaterial(
  { certFile, keyFile, clientCaFile }: TlsConfiguration,
  nowMs: number,
): Promise<TlsMaterial> {
  try {
    const [cert, key, ca] = await Promise.all([
      readFile(certFile, 'utf8'),
      readFile(keyFile, 'utf8'),
      clientCaFile === null ? null : readFile(clientCaFile, 'utf8'),
    ]);
    const options: SecureContextOptions = {
      cert,
      key,
      minVersion: 'TLSv1.2',
      // No session resumption: a resumed TLS 1.3 session counts as authorized although nobody showed a certificate, and
      // kube-scheduler keeps its connections open, so there is nothing to win.
      secureOptions: constants.SSL_OP_NO_TICKET,
      ...(ca !== null && { ca }),
    };
    createSecureContext(options); // throws when certificate and key do not belong together
    const problem = validityProblem(cert, nowMs);
    if (problem !== null) throw new AppError('ServingCertificateOutdated', { file: certFile, problem });
    return { options, text: [cert, key, ca].join('\n') };
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    throw new AppError('TlsFilesInvalid', { cause: cause instanceof Error ? cause.message : String(cause) }, cause);
  }
}

/** Why this connection may not call what needs a client certificate; null where it may. */
export function clientRefusal(
  socket: TLSSocket,
  { clientCaFile, allowedClientNames }: TlsConfiguration,
): ErrorCode | null {
  if (clientCaFile === null) return null;
  const certificate = socket.getPeerCertificate();
  // `authorized` alone is not enough, see the remark on session resumption above: the certificate itself has to be there.
  if (!socket.authorized || !certificate?.raw) return 'ClientCertificateRequired';
  const name: unknown = certificate.subject.CN;
  const isAllowed = allowedClientNames.length === 0 || (typeof name === 'string' && allowedClientNames.includes(name));
  return isAllowed ? null : 'ClientNotAllowed';
}
