import { constants, X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContextOptions, type TLSSocket } from 'node:tls';
import type { ClientRules } from '../config/configuration.ts';
import type { ErrorCode } from '../observe/error-codes.ts';

/** What a TLS server shows and asks for, in a form that can be given to it and compared. */
export interface TlsMaterial {
  readonly options: SecureContextOptions;
  readonly text: string;
  /** For the log. */
  readonly serial: string;
  readonly notAfter: string;
}

/** PEM texts. */
interface TlsTexts {
  /** With its intermediates. */
  readonly cert: string;
  readonly key: string;
  /** Authority of client certificates; null: none are asked for. */
  readonly clientCa: string | null;
}

/** Throws when these do not make a TLS server: unreadable, or certificate and key do not belong together. */
export function tlsMaterial({ cert, key, clientCa }: TlsTexts): TlsMaterial {
  const options: SecureContextOptions = {
    cert,
    key,
    minVersion: 'TLSv1.2',
    // No session resumption: a resumed TLS 1.3 session counts as authorized although nobody showed a certificate, and
    // kube-scheduler keeps its connections open, so there is nothing to win.
    secureOptions: constants.SSL_OP_NO_TICKET,
    ...(clientCa !== null && { ca: clientCa }),
  };
  createSecureContext(options);
  const { serialNumber: serial, validToDate } = new X509Certificate(cert);
  return { options, text: [cert, key, clientCa].join('\n'), serial, notAfter: validToDate.toISOString() };
}

/** Why this connection may not call what needs a client certificate; null where it may. */
export function clientRefusal(socket: TLSSocket, { clientCaFile, allowedClientNames }: ClientRules): ErrorCode | null {
  if (clientCaFile === null) return null;
  const certificate = socket.getPeerCertificate();
  // `authorized` alone is not enough, see the remark on session resumption above: the certificate itself has to be there.
  if (!socket.authorized || !certificate?.raw) return 'ClientCertificateRequired';
  const name: unknown = certificate.subject.CN;
  const isAllowed = allowedClientNames.length === 0 || (typeof name === 'string' && allowedClientNames.includes(name));
  return isAllowed ? null : 'ClientNotAllowed';
}
