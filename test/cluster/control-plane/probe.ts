import { readFile } from 'node:fs/promises';
import { get as httpGet } from 'node:http';
import { get as httpsGet, type RequestOptions } from 'node:https';
import { text } from 'node:stream/consumers';
import type { Certificate } from './pki.ts';

/** How long one probe may take; the caller asks again. */
const probeTimeoutMs = 2_000;

/** Whether a health endpoint answers 200. A server that is not there yet is a `false`, never an error. */
export async function answersOk(url: string, trust?: { caPath: string; client: Certificate }): Promise<boolean> {
  // No kept-alive connections: one to a server that has since been restarted would fail the next probe.
  // Without `trust` the certificate is one that the program made for itself at its start.
  const options: RequestOptions = { agent: false, timeout: probeTimeoutMs, rejectUnauthorized: trust !== undefined };
  if (trust) {
    const paths = [trust.caPath, trust.client.certPath, trust.client.keyPath];
    [options.ca, options.cert, options.key] = await Promise.all(paths.map((path) => readFile(path)));
  }
  const get = url.startsWith('https:') ? httpsGet : httpGet;
  return new Promise((resolve) => {
    const request = get(url, options, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(false));
  });
}

/** What a server answers whose certificate nobody checks. */
export async function textAt(url: string): Promise<string> {
  const options: RequestOptions = { agent: false, timeout: probeTimeoutMs, rejectUnauthorized: false };
  return new Promise((resolve, reject) => {
    const request = httpsGet(url, options, (response) => void text(response).then(resolve, reject));
    request.on('timeout', () => request.destroy(new Error(`${url}: no answer in time`)));
    request.on('error', reject);
  });
}
