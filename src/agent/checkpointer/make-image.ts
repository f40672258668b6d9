/** A field of an image of tests: its number, and a number, a text or a message. */
export type ImageField = readonly [number, number | string | readonly ImageField[]];

/** An image of CRIU with these messages, for tests. */
export function makeImage(...messages: readonly (readonly ImageField[])[]): Buffer {
  const parts = messages.flatMap((fields) => {
    const message = encoded(fields);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(message.length);
    return [length, message];
  });
  return Buffer.concat([Buffer.from('1943565438313056', 'hex'), ...parts]);
}

function encoded(fields: readonly ImageField[]): Buffer {
  return Buffer.concat(
    fields.flatMap(([number, content]) => {
      if (typeof content === 'number') return [varint(number * 8), varint(content)];
      const bytes = typeof content === 'string' ? Buffer.from(content) : encoded(content);
      return [varint(number * 8 + 2), varint(bytes.length), bytes];
    }),
  );
}

function varint(value: number): Buffer {
  const bytes = [value % 128];
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) {
    bytes[bytes.length - 1] = (bytes.at(-1) as number) + 128;
    bytes.push(rest % 128);
  }
  return Buffer.from(bytes);
}
