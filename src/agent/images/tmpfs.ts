import { createReadStream } from 'node:fs';
import { createGunzip } from 'node:zlib';
import { pipeline } from 'node:stream/promises';
import { ImageRefused } from './decode.ts';

const BLOCK_BYTES = 512;
/** Far more than what the runtime makes of /dev; a tmpfs with more of its own is none that a container without privileges has. */
const MAX_BYTES = 256 * 1024 * 1024;
/** Kinds of members of a tar archive, by the letter in its header. */
const DEVICES = new Set(['3', '4']);
const PLAIN = new Set(['\0', '0', '1', '2', '5', '6', '7', 'x', 'g', 'L', 'K', 'S', 'M']);
/** `1,3` and the like: null, zero, full, random, urandom, tty, console, ptmx. */
const IN_EVERY_CONTAINER = new Set(['1,3', '1,5', '1,7', '1,8', '1,9', '5,0', '5,1', '5,2']);

/** An archive of what was in a tmpfs, which CRIU extracts as root. `devices`: those of the spec, `<major>,<minor>`. */
export async function checkTmpfs(path: string, devices: ReadonlySet<string>): Promise<void> {
  let rest: Buffer = Buffer.alloc(0);
  let skip = 0;
  let seen = 0;
  const onHeader = (header: Buffer): void => {
    if (header.every((byte) => byte === 0)) return;
    const kind = String.fromCharCode(header.readUInt8(156));
    const name = textAt(header, 0, 100);
    const size = octalAt(header, 124, 12);
    if (DEVICES.has(kind)) {
      const device = `${octalAt(header, 329, 8)},${octalAt(header, 337, 8)}`;
      const isKnown = kind === '3' && (IN_EVERY_CONTAINER.has(device) || devices.has(device));
      if (!isKnown) throw new ImageRefused(`it makes the device ${device} (${name}), and the container has none`);
    } else if (!PLAIN.has(kind)) {
      throw new ImageRefused(`it makes ${name}, which is of the unknown kind ${JSON.stringify(kind)}`);
    } else if ((kind === '0' || kind === '\0') && (octalAt(header, 100, 8) & 0o6000) !== 0) {
      throw new ImageRefused(`it makes ${name} with the setuid or setgid bit`);
    }
    skip = Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;
  };
  await pipeline(createReadStream(path), createGunzip(), async (chunks: AsyncIterable<Buffer>) => {
    for await (const chunk of chunks) {
      seen += chunk.length;
      if (seen > MAX_BYTES) throw new ImageRefused('it is larger than any tmpfs of a container');
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      for (;;) {
        const skipped = Math.min(skip, rest.length);
        skip -= skipped;
        rest = rest.subarray(skipped);
        if (skip > 0 || rest.length < BLOCK_BYTES) break;
        const header = rest.subarray(0, BLOCK_BYTES);
        rest = rest.subarray(BLOCK_BYTES);
        onHeader(header);
      }
    }
  }).catch((error: unknown) => {
    if (error instanceof ImageRefused) throw error;
    throw new ImageRefused('it is no archive');
  });
}

function textAt(header: Buffer, at: number, length: number): string {
  return header.toString('utf8', at, at + length).split('\0', 1)[0] as string;
}

/** GNU tar writes what does not fit in base 256: no such thing is in a tmpfs of a container. */
function octalAt(header: Buffer, at: number, length: number): number {
  const text = header
    .toString('latin1', at, at + length)
    .replace(/[\0 ]+$/, '')
    .trimStart();
  if (!/^[0-7]*$/.test(text)) throw new ImageRefused('it is no archive');
  return Number.parseInt(text || '0', 8);
}
