/** A member of an archive that is written by hand, to say what no honest tar would. */
export interface Member {
  readonly name: string;
  readonly type?: 'file' | 'hardlink' | 'symlink' | 'folder';
  readonly target?: string;
  readonly content?: string;
}

const TYPE_FLAGS = { file: '0', hardlink: '1', symlink: '2', folder: '5' } as const;
const BLOCK = 512;

/** A tar archive (ustar) with just these members, in this order. For tests. */
export function makeArchive(members: readonly Member[]): Buffer {
  const parts = members.flatMap((member) => {
    const content = Buffer.from(member.content ?? '');
    const padding = Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK);
    return [header(member, content.length), content, padding];
  });
  return Buffer.concat([...parts, Buffer.alloc(2 * BLOCK)]);
}

function header({ name, type = 'file', target = '' }: Member, bytes: number): Buffer {
  const block = Buffer.alloc(BLOCK);
  block.write(name, 0, 100);
  block.write('0000644\0', 100);
  block.write('0000000\0', 108);
  block.write('0000000\0', 116);
  block.write(`${bytes.toString(8).padStart(11, '0')}\0`, 124);
  block.write('00000000000\0', 136);
  block.write('        ', 148); // what the sum is made with
  block.write(TYPE_FLAGS[type], 156);
  block.write(target, 157, 100);
  block.write('ustar\x0000', 257);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}
