import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createSecureServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { HttpTransport, type HttpTransportOptions } from './http-transport.ts';
import type { ClusterAccess } from './kube-config.ts';
import { NotSentError, TransportError, type KubeWatch, type WatchEvent } from './transport.ts';

const cleanups: (() => Promise<unknown> | void)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const ANONYMOUS: Omit<ClusterAccess, 'server'> = {
  ca: null,
  cert: null,
  key: null,
  insecureSkipTlsVerify: false,
  serverName: null,
  authorization: () => Promise.resolve('Bearer t0ken'),
};

async function listening(server: Server | ReturnType<typeof createSecureServer>): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => new Promise((resolve) => server.close(resolve)));
  return (server.address() as AddressInfo).port;
}

async function transportTo(
  listener: RequestListener,
  options: Partial<HttpTransportOptions> = {},
): Promise<HttpTransport> {
  const server = createServer(listener);
  cleanups.push(() => server.closeAllConnections());
  const port = await listening(server);
  const transport = new HttpTransport({ access: { ...ANONYMOUS, server: `http://127.0.0.1:${port}` }, ...options });
  cleanups.push(() => transport.close());
  return transport;
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text;
}

function answer(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

async function collect({ events }: KubeWatch): Promise<WatchEvent[]> {
  const all: WatchEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}

const added = (name: string): WatchEvent => ({ type: 'ADDED', object: { metadata: { name, resourceVersion: '1' } } });

describe('requests', () => {
  it('carry method, path, query, credentials and a body of known length', async () => {
    let seen: unknown;
    const transport = await transportTo((request, response) => {
      void bodyOf(request).then((body) => {
        const { method, url, headers } = request;
        seen = {
          method,
          url,
          body,
          type: headers['content-type'],
          length: headers['content-length'],
          auth: headers.authorization,
        };
        answer(response, 200, { ok: true });
      });
    });
    const result = await transport.request({
      method: 'DELETE',
      path: '/api/v1/pods/x',
      query: { a: 'b c' },
      body: { kind: 'DeleteOptions' },
    });
    expect(result).toMatchObject({ status: 200, body: { ok: true } });
    expect(seen).toEqual({
      method: 'DELETE',
      url: '/api/v1/pods/x?a=b+c',
      body: '{"kind":"DeleteOptions"}',
      type: 'application/json',
      length: '24',
      auth: 'Bearer t0ken',
    });
  });

  it.each([
    ['merge', 'application/merge-patch+json'],
    ['json', 'application/json-patch+json'],
    ['strategic', 'application/strategic-merge-patch+json'],
  ] as const)('name the content type of a %s patch', async (patchType, contentType) => {
    const transport = await transportTo((request, response) =>
      answer(response, 200, { type: request.headers['content-type'] }),
    );
    const { body } = await transport.request({ method: 'PATCH', path: '/x', patchType, body: {} });
    expect(body).toEqual({ type: contentType });
  });

  it('resolve with any status, Retry-After included', async () => {
    const transport = await transportTo((_, response) =>
      answer(response, 429, { reason: 'TooManyRequests' }, { 'Retry-After': '3' }),
    );
    const result = await transport.request({ method: 'GET', path: '/x' });
    expect(result).toMatchObject({ status: 429, headers: { 'retry-after': '3' }, body: { reason: 'TooManyRequests' } });
  });

  it('reject with what was asked, and without its body, when there is no answer', async () => {
    const transport = await transportTo((request) => request.socket.destroy());
    const failed = transport.request({ method: 'POST', path: '/api/v1/pods', body: { secret: 'hunter2' } });
    await expect(failed).rejects.toThrow(TransportError);
    await expect(failed).rejects.toThrow(/^POST \/api\/v1\/pods: /);
    const error: unknown = await failed.catch((reason: unknown) => reason);
    expect((error as Error).message).not.toContain('hunter2');
    expect((error as Error).cause).toBeInstanceOf(Error);
  });

  it('end after their timeout, also in the middle of the body', async () => {
    const transport = await transportTo((_, response) => void response.writeHead(200).write('{"half":'), {
      requestTimeoutMs: 100,
    });
    await expect(transport.request({ method: 'GET', path: '/x' })).rejects.toThrow(/GET \/x: no answer within 100 ms/);
  });

  it("reject with the signal's reason when they are aborted", async () => {
    const transport = await transportTo(() => undefined);
    const abort = new AbortController();
    const pending = transport.request({ method: 'GET', path: '/x', signal: abort.signal });
    setTimeout(() => abort.abort(new Error('changed my mind')), 20);
    await expect(pending).rejects.toThrow('changed my mind');
  });

  it('keep the path of the server in front of their own, and the text of an answer that is not JSON', async () => {
    const server = createServer((request, response) => response.end(request.url));
    const port = await listening(server);
    const transport = new HttpTransport({
      access: { ...ANONYMOUS, server: `http://127.0.0.1:${port}/k8s/clusters/c1/` },
    });
    cleanups.push(() => transport.close());
    expect((await transport.request({ method: 'GET', path: '/readyz' })).body).toBe('/k8s/clusters/c1/readyz');
  });
});

describe('watches', () => {
  const get = { method: 'GET', path: '/api/v1/pods', query: { resourceVersion: '5' } } as const;

  it('ask for a watch and read lines wherever they are cut, in characters too', async () => {
    const events = [added('a'), added('ü€😀'), added('c')];
    const bytes = Buffer.from(events.map((event) => `${JSON.stringify(event)}\n`).join(''));
    const transport = await transportTo((request, response) => {
      expect(request.url).toBe('/api/v1/pods?resourceVersion=5&watch=1');
      const write = (at: number): void => {
        if (at >= bytes.length) response.end();
        else response.write(bytes.subarray(at, at + 7), () => setImmediate(write, at + 7));
      };
      write(0);
    });
    expect(await collect(await transport.watch(get))).toEqual(events);
  });

  it('hand over the ERROR line of an expired version', async () => {
    const error = { type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired' } };
    const transport = await transportTo((_, response) => response.end(`${JSON.stringify(error)}\n`));
    expect(await collect(await transport.watch(get))).toEqual([error]);
  });

  it('say why they were refused', async () => {
    const transport = await transportTo((_, response) => answer(response, 410, { reason: 'Expired' }));
    const watch = await transport.watch(get);
    expect(watch).toMatchObject({ status: 410, body: { reason: 'Expired' } });
    expect(await collect(watch)).toEqual([]);
  });

  it('throw a TransportError when the connection is reset in the middle of a line', async () => {
    const transport = await transportTo((request, response) => {
      response.write(`${JSON.stringify(added('a'))}\n{"type":"ADD`, () =>
        setTimeout(() => request.socket.resetAndDestroy(), 20),
      );
    });
    const watch = await transport.watch(get);
    const seen: string[] = [];
    const reading = (async () => {
      for await (const event of watch.events) seen.push(event.object.metadata.name);
    })();
    await expect(reading).rejects.toThrow(TransportError);
    expect(seen).toEqual(['a']);
  });

  it('end when the server is silent for too long, and not when it speaks now and then', async () => {
    const transport = await transportTo(
      (_, response) => {
        let count = 0;
        const timer = setInterval(() => {
          if (++count > 5) clearInterval(timer);
          else response.write(`${JSON.stringify(added(String(count)))}\n`);
        }, 100);
      },
      { watchSilenceMs: 400, requestTimeoutMs: 300 },
    );
    const watch = await transport.watch(get);
    const seen: string[] = [];
    const reading = (async () => {
      for await (const event of watch.events) seen.push(event.object.metadata.name);
    })();
    await expect(reading).rejects.toThrow(/^GET \/api\/v1\/pods: /);
    expect(seen).toEqual(['1', '2', '3', '4', '5']);
  });

  it.each([
    ['is not JSON', 'not json: hunter2\n', /is not JSON/],
    ['is too long', `${'x'.repeat(200)}\n`, /more than 100 bytes/],
  ])('throw a TransportError at a line that %s', async (_, line, message) => {
    const transport = await transportTo((_, response) => response.end(line), { maxLineBytes: 100 });
    const error: unknown = await collect(await transport.watch(get)).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(TransportError);
    expect((error as Error).message).toMatch(message);
    expect(JSON.stringify([(error as Error).message, String((error as Error).cause)])).not.toContain('hunter2');
  });

  it('close the connection when their reader stops', async () => {
    const closed = Promise.withResolvers<void>();
    const transport = await transportTo((request, response) => {
      request.on('close', closed.resolve);
      response.write(`${JSON.stringify(added('a'))}\n`);
    });
    const watch = await transport.watch(get);
    for await (const _event of watch.events) break;
    await expect(closed.promise).resolves.toBeUndefined();
  });

  it("throw the signal's reason when they are aborted", async () => {
    const transport = await transportTo((_, response) => void response.write(`${JSON.stringify(added('a'))}\n`));
    const abort = new AbortController();
    const watch = await transport.watch({ ...get, signal: abort.signal });
    const reading = collect(watch);
    setTimeout(() => abort.abort(new Error('stopping')), 20);
    await expect(reading).rejects.toThrow('stopping');
  });
});

const hasOpenssl = (() => {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

// Skipped where no certificate can be made: node:crypto makes keys, not certificates.
describe.skipIf(!hasOpenssl)('over TLS', () => {
  function certificate(): { key: Buffer; cert: Buffer } {
    const folder = mkdtempSync(join(tmpdir(), 'reprieve-tls-'));
    cleanups.push(() => rmSync(folder, { recursive: true }));
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
    execFileSync(
      'openssl',
      [...args, '-subj', '/CN=api', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert],
      {
        stdio: 'ignore',
      },
    );
    return { key: readFileSync(key), cert: readFileSync(cert) };
  }

  it('verifies the server by the given authority; watches share one HTTP/2 connection beside the requests', async () => {
    const { key, cert } = certificate();
    const versions: string[] = [];
    const sockets = new Set<unknown>();
    const server = createSecureServer({ key, cert, allowHTTP1: true }, (request, response) => {
      versions.push(request.httpVersion);
      if (!request.url.includes('watch=1')) {
        response.end('{}');
        return;
      }
      sockets.add(request.stream.session);
      response.write(`${JSON.stringify(added('a'))}\n`);
      setTimeout(() => response.end(`${JSON.stringify(added('b'))}\n`), 30);
    });
    const port = await listening(server);
    const access = { ...ANONYMOUS, server: `https://127.0.0.1:${port}`, ca: cert };
    const transport = new HttpTransport({ access });
    cleanups.push(() => transport.close());
    const watches = await Promise.all(['/a', '/b', '/c'].map((path) => transport.watch({ method: 'GET', path })));
    expect(await Promise.all(watches.map(collect))).toEqual(Array.from({ length: 3 }, () => [added('a'), added('b')]));
    expect((await transport.request({ method: 'GET', path: '/x' })).status).toBe(200);
    expect(versions).toEqual(['2.0', '2.0', '2.0', '1.1']);
    expect(sockets.size).toBe(1);

    const distrustful = new HttpTransport({ access: { ...access, ca: null } });
    cleanups.push(() => distrustful.close());
    await expect(distrustful.request({ method: 'GET', path: '/x' })).rejects.toThrow(/^GET \/x: .*certificate/);
  });

  it('ends one HTTP/2 watch, by signal or for its silence, and leaves its neighbours alone', async () => {
    const server = createSecureServer(certificate(), (request, response) => {
      response.write(`${JSON.stringify(added('a'))}\n`);
      if (request.url.startsWith('/silent')) return;
      let count = 0;
      const timer = setInterval(() => {
        response.write(`${JSON.stringify(added(String(count)))}\n`);
        if (++count < 10) return;
        clearInterval(timer);
        response.end();
      }, 100);
    });
    const port = await listening(server);
    const access = { ...ANONYMOUS, server: `https://127.0.0.1:${port}`, insecureSkipTlsVerify: true };
    const transport = new HttpTransport({ access, watchSilenceMs: 300 });
    cleanups.push(() => transport.close());
    const abort = new AbortController();
    const [silent, aborted, busy] = await Promise.all([
      transport.watch({ method: 'GET', path: '/silent' }),
      transport.watch({ method: 'GET', path: '/aborted', signal: abort.signal }),
      transport.watch({ method: 'GET', path: '/busy' }),
    ]);
    setTimeout(() => abort.abort(new Error('stopping')), 200);
    const results = await Promise.allSettled([silent, aborted, busy].map(collect));
    expect(results).toMatchObject([
      { status: 'rejected', reason: { name: 'TransportError' } },
      { status: 'rejected', reason: { message: 'stopping' } },
      { status: 'fulfilled', value: { length: 11 } },
    ]);
  });

  it('notices a broken HTTP/2 connection', async () => {
    const server = createSecureServer(certificate(), (request, response) => {
      response.write(`${JSON.stringify(added('a'))}\n`);
      setTimeout(() => request.stream.session?.destroy(), 30);
    });
    const port = await listening(server);
    const access = { ...ANONYMOUS, server: `https://127.0.0.1:${port}`, insecureSkipTlsVerify: true };
    const transport = new HttpTransport({ access });
    cleanups.push(() => transport.close());
    const watch = await transport.watch({ method: 'GET', path: '/x' });
    await expect(collect(watch)).rejects.toThrow(TransportError);
  });
});

describe('a request that may be held back', () => {
  it('is asked for again when it has its connection, and nothing is sent where the answer changed', async () => {
    const received: string[] = [];
    const transport = await transportTo((request, response) => {
      received.push(`${request.method} ${request.url}`);
      answer(response, 200, {});
    });
    const answers = [true, false];
    const request = { method: 'POST', path: '/x', body: {} } as const;
    await transport.request({ ...request, maySend: () => answers[0] as boolean });
    await expect(transport.request({ ...request, maySend: () => answers[1] as boolean })).rejects.toThrow(NotSentError);
    // The connection that was given up is replaced.
    await transport.request({ ...request, path: '/y', maySend: () => true });
    expect(received).toEqual(['POST /x', 'POST /y']);
  });
});
