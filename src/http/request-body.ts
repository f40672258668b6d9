import type { IncomingMessage } from 'node:http';
import { AppError } from '../observe/error-codes.ts';

/**
 * The whole body of a request. Throws `BodyTooLarge` as soon as it is known to be longer than `maxBytes`: from its
 * declared length before a byte is read, otherwise when the limit is passed. Throws `ClientGone` when the connection ends
 * first: that is the caller's doing, and no defect to be looked for here.
 */
export async function readRequestBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  if (Number(request.headers['content-length'] ?? 0) > maxBytes)
    throw new AppError('BodyTooLarge', { limit: maxBytes });
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > maxBytes) throw new AppError('BodyTooLarge', { limit: maxBytes });
      chunks.push(chunk);
    }
  } catch (cause) {
    // Nothing but the connection can fail here.
    throw cause instanceof AppError ? cause : new AppError('ClientGone', {}, cause);
  }
  return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, bytes);
}
