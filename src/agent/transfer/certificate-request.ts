import { sign, type KeyObject } from 'node:crypto';

// By hand: the library that issues certificates would cost each agent 12 MB of memory, for these 40 lines.

const SEQUENCE = 0x30;
const SET = 0x31;
const UTF8 = 0x0c;
/** Version 0. */
const VERSION = Buffer.from('020100', 'hex');
/** OBJECT IDENTIFIER of commonName, and of ecdsa-with-SHA256. */
const COMMON_NAME = Buffer.from('0603550403', 'hex');
const ECDSA_SHA256 = Buffer.from('06082a8648ce3d040302', 'hex');
const NO_ATTRIBUTES = Buffer.from('a000', 'hex');
const LINE = /.{1,64}/g;

/** PKCS #10 (RFC 2986), PEM: asks for a certificate of this ECDSA key, with `CN=<commonName>` as its subject. */
export function certificateRequest(
  commonName: string,
  { publicKey, privateKey }: { readonly publicKey: KeyObject; readonly privateKey: KeyObject },
): string {
  const attribute = der(SEQUENCE, COMMON_NAME, der(UTF8, Buffer.from(commonName)));
  const subject = der(SEQUENCE, der(SET, attribute));
  const info = der(SEQUENCE, VERSION, subject, publicKey.export({ type: 'spki', format: 'der' }), NO_ATTRIBUTES);
  const request = der(SEQUENCE, info, der(SEQUENCE, ECDSA_SHA256), bits(sign('sha256', info, privateKey)));
  const lines = request.toString('base64').match(LINE) ?? [];
  return ['-----BEGIN CERTIFICATE REQUEST-----', ...lines, '-----END CERTIFICATE REQUEST-----', ''].join('\n');
}

/** One value of DER: tag, length, contents. */
function der(tag: number, ...contents: readonly Buffer[]): Buffer {
  const content = Buffer.concat(contents);
  return Buffer.concat([Buffer.from([tag]), lengthOf(content), content]);
}

function bits(content: Buffer): Buffer {
  return der(0x03, Buffer.from([0]), content);
}

/** Of at most 65,535 bytes. */
function lengthOf({ length }: Buffer): Buffer {
  if (length < 0x80) return Buffer.from([length]);
  return length < 0x100 ? Buffer.from([0x81, length]) : Buffer.from([0x82, length >> 8, length & 0xff]);
}
