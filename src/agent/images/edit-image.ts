/** What a field is set to: a number, bytes, or nothing. */
export type Edited = number | Buffer | string | null;

interface RawField {
  readonly number: number;
  readonly wire: number;
  /** Of a number its bytes, of anything else what stands behind its length. */
  readonly content: Buffer;
}

/**
 * An image of CRIU in which one field of one of its messages is another; `path`: numbers of fields, each within the one before. For
 * tests: such an image says what CRIU never wrote.
 */
export function editImage(image: Buffer, message: number, path: readonly number[], value: Edited): Buffer {
  const header = image.readUInt32LE(0) === COMMON_MAGIC ? 8 : 4;
  const parts = [image.subarray(0, header)];
  for (let at = header, index = 0; at + 4 <= image.length; index++) {
    const end = at + 4 + image.readUInt32LE(at);
    const content = image.subarray(at + 4, end);
    const edited = index === message ? edit(content, path, value) : content;
    const length = Buffer.alloc(4);
    length.writeUInt32LE(edited.length);
    parts.push(length, edited);
    at = end;
  }
  return Buffer.concat(parts);
}

const COMMON_MAGIC = 0x54564319;

function edit(bytes: Buffer, [number = 0, ...rest]: readonly number[], value: Edited): Buffer {
  const fields = fieldsOf(bytes);
  if (rest.length > 0) {
    const at = fields.findIndex((field) => field.number === number);
    const content = edit(fields[at]?.content ?? Buffer.alloc(0), rest, value);
    const changed = { number, wire: 2, content };
    return encode(at === -1 ? [...fields, changed] : fields.with(at, changed));
  }
  const others = fields.filter((field) => field.number !== number);
  if (value === null) return encode(others);
  const added: RawField =
    typeof value === 'number'
      ? { number, wire: 0, content: varint(BigInt(value)) }
      : { number, wire: 2, content: Buffer.from(value) };
  return encode([...others, added]);
}

function fieldsOf(bytes: Buffer): readonly RawField[] {
  const fields: RawField[] = [];
  for (let at = 0; at < bytes.length;) {
    const key = read(bytes, at);
    const wire = Number(key.value & 7n);
    const number = Number(key.value >> 3n);
    const first = read(bytes, key.end);
    const [start, end] = wire === 0 ? [key.end, first.end] : [first.end, first.end + Number(first.value)];
    fields.push({ number, wire, content: bytes.subarray(start, end) });
    at = end;
  }
  return fields;
}

function encode(fields: readonly RawField[]): Buffer {
  return Buffer.concat(
    fields.flatMap(({ number, wire, content }) => [
      varint(BigInt(number * 8 + wire)),
      ...(wire === 2 ? [varint(BigInt(content.length))] : []),
      content,
    ]),
  );
}

function read(bytes: Buffer, start: number): { readonly value: bigint; readonly end: number } {
  let value = 0n;
  for (let at = start, shift = 0n; ; at++, shift += 7n) {
    const byte = bytes.readUInt8(at);
    value |= BigInt(byte & 127) << shift;
    if (byte < 128) return { value, end: at + 1 };
  }
}

function varint(value: bigint): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  do {
    const low = Number(rest & 127n);
    rest >>= 7n;
    bytes.push(rest > 0n ? low + 128 : low);
  } while (rest > 0n);
  return Buffer.from(bytes);
}
