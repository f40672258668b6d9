import { X509Certificate } from 'node:crypto';
import { secondsTimestampOf } from './project/time.ts';

/**
 * Why the certificate may not be used at this moment, as the rest of a sentence that begins with it; null where it may. Of a
 * chain the first one counts, which is the one that belongs to the key. Throws where there is no certificate in it.
 */
export function validityProblem(pem: Buffer | string, nowMs: number): string | null {
  const { validFromDate, validToDate } = new X509Certificate(pem);
  const now = `it is ${secondsTimestampOf(nowMs)} here`;
  if (nowMs > validToDate.getTime()) return `expired at ${secondsTimestampOf(validToDate.getTime())} (${now})`;
  if (nowMs < validFromDate.getTime()) {
    return `is not valid before ${secondsTimestampOf(validFromDate.getTime())} (${now})`;
  }
  return null;
}
