import { AppError } from '../observe/error-codes.ts';
import { sleep, type Clock } from '../ports/clock.ts';
import { apiErrorOf } from './api-error.ts';
import { backoffMs } from './backoff.ts';
import type { KubeRequest, KubeResponse, KubeTransport } from './transport.ts';

export interface PatienceOptions {
  readonly transport: KubeTransport;
  readonly clock: Clock;
  /** URL of the API server, for messages. */
  readonly address: string;
  /** How long it may stay away, be overloaded, or still be starting. */
  readonly patienceMs: number;
  readonly random?: () => number;
}

export interface PatientAnswer {
  readonly response: KubeResponse;
  /** When the attempt that was answered began and ended, on the wall clock. */
  readonly askedMs: number;
  readonly answeredMs: number;
}

/**
 * Sends a request until it is answered, and `isFinal` accepts the answer. What passes by itself is waited for: a refused
 * connection, a name not known yet, 429, 5xx. What does not is told at once: `ApiServerNotTrusted`, `ApiCredentialsRefused`.
 * After `patienceMs`: the last answer where there was one that only `isFinal` refused, else `ApiServerUnreachable`.
 */
export async function askPatiently(
  request: KubeRequest,
  options: PatienceOptions,
  isFinal: (response: KubeResponse) => boolean = () => true,
): Promise<PatientAnswer> {
  const { transport, clock, address, patienceMs, random = Math.random } = options;
  const overdue = new AbortController();
  const timer = clock.setTimer(patienceMs, () => overdue.abort());
  let refused: PatientAnswer | null = null; // the last answer that `isFinal` refused, where nothing else came after it
  let cause = `no answer within ${patienceMs / 1000} s`;
  try {
    for (let failures = 1; !overdue.signal.aborted; failures++) {
      const askedMs = clock.now();
      try {
        const response = await transport.request({ ...request, signal: overdue.signal });
        if (response.status === 401) throw credentialsRefused(address, request, response);
        const answer = { response, askedMs, answeredMs: clock.now() };
        const isPassing = response.status === 429 || response.status >= 500;
        if (!isPassing && isFinal(response)) return answer;
        refused = isPassing ? null : answer;
        cause = apiErrorOf(`${request.method} ${request.path}`, response).message;
      } catch (error) {
        if (error instanceof AppError) throw error;
        if (overdue.signal.aborted) break;
        refused = null;
        cause = causeOf(error);
        if (isAboutCertificate(error)) throw new AppError('ApiServerNotTrusted', { address, cause }, error);
      }
      await sleep(clock, backoffMs(failures, random), overdue.signal).catch(() => undefined);
    }
  } finally {
    timer.cancel();
  }
  if (refused !== null) return refused;
  throw new AppError('ApiServerUnreachable', { address, cause });
}

/** The server knows nobody of our name: 401, or a 403 for what every user may do. */
export function credentialsRefused(address: string, request: KubeRequest, response: KubeResponse): AppError {
  const cause = apiErrorOf(`${request.method} ${request.path}`, response).message;
  return new AppError('ApiCredentialsRefused', { address, cause });
}

/** The innermost message: what is around it says only that a request failed. */
function causeOf(error: unknown): string {
  let inner = error;
  for (;;) {
    // An address of several families that all refuse; an error without a message around those of each.
    if (inner instanceof AggregateError && inner.errors.length > 0) inner = inner.errors[0];
    else if (inner instanceof Error && inner.cause instanceof Error) inner = inner.cause;
    else break;
  }
  const message = inner instanceof Error ? inner.message || inner.name : String(inner);
  // Node.js advises its own command line, which is not what an operator of Reprieve can mend.
  return message.replace(/; if the root CA is installed locally.*/s, '');
}

/** OpenSSL's verdicts on a certificate, and Node.js's on its names. Alerts (`ERR_SSL_...`) are the other side's. */
function isAboutCertificate(error: unknown): boolean {
  for (let inner = error; inner instanceof Error; inner = inner.cause) {
    const { code } = inner as NodeJS.ErrnoException;
    if (code !== undefined && CERTIFICATE_CODES.test(code)) return true;
  }
  return false;
}

const CERTIFICATE_CODES =
  /^(?!ERR_SSL_).*CERT|^UNABLE_TO_|^(?:INVALID_CA|INVALID_PURPOSE|HOSTNAME_MISMATCH|PATH_LENGTH_EXCEEDED)$/;
