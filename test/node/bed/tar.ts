/** A folder where there is neither data nor link. */
export interface TarMember {
  readonly path: string;
  readonly data?: Buffer;
  readonly link?: string;
  /** Default 0755. */
  readonly mode?: number;
}

const BLOCK = 512;

/** A POSIX ustar archive, the same bytes for the same members: owner root, no times. */
export function tarArchive(members: readonly TarMember[]): Buffer {
  const parts = members.flatMap((member) => {
    const { data = Buffer.alloc(0) } = member;
    return [header(member), data, Buffer.alloc(-data.length & (BLOCK - 1))];
  });
  return Buffer.concat([...parts, Buffer.alloc(2 * BLOCK)]);
}

/** Offsets: https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html, "ustar Interchange Format". */
function header({ path, data, link, mode = 0o755 }: TarMember): Buffer {
  if (Buffer.byteLength(path) > 100) throw new Error(`${path}: longer than a tar header holds`);
  const block = Buffer.alloc(BLOCK);
  const octal = (value: number, offset: number, digits: number): void =>
    void block.write(value.toString(8).padStart(digits, '0'), offset);
  block.write(path, 0);
  octal(mode, 100, 7);
  octal(0, 108, 7);
  octal(0, 116, 7);
  octal(data?.length ?? 0, 124, 11);
  octal(0, 136, 11);
  block.write(' '.repeat(8), 148); // the checksum counts its own field as blanks
  block.write(link !== undefined ? '2' : data !== undefined ? '0' : '5', 156);
  block.write(link ?? '', 157);
  block.write('ustar\0', 257);
  block.write('00', 263);
  octal(
    block.reduce((sum, byte) => sum + byte, 0),
    148,
    6,
  );
  block.write('\0 ', 154);
  return block;
}
