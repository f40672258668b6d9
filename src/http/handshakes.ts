import type { Server } from 'node:https';
import type { Socket } from 'node:net';
import type { Log } from '../observe/log.ts';

/** Clients that are told once; more than speak to one server. */
const MAX_TOLD = 100;
const ANSWER =
  'HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nthis port speaks HTTPS: use https:// in the URL\n';

/**
 * Says what a failed TLS handshake means. A client that speaks HTTP has `http://` in its configuration (`urlPrefix` of
 * kube-scheduler, an `httpGet` probe without `scheme: HTTPS`): it is answered 400, and the log says so once for each address.
 */
export function watchHandshakes(server: Server, log: Log): void {
  const connections = new Map<string, Socket>(); // peer -> its TCP connection
  const told = new Set<string>();
  server.on('connection', (socket: Socket) => {
    const peer = peerOf(socket);
    connections.set(peer, socket);
    socket.once('close', () => connections.delete(peer));
  });
  server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
    if (error.code !== 'ERR_SSL_HTTP_REQUEST') {
      // Often a client that does not trust our certificate; at `debug`, because probes of a TCP port end up here as well.
      log.debug({ err: error }, 'a TLS handshake failed');
      return;
    }
    connections.get(peerOf(socket))?.end(ANSWER);
    const client = socket.remoteAddress ?? 'unknown';
    if (told.has(client) || told.size >= MAX_TOLD) return;
    told.add(client);
    log.warn(
      { client },
      'a client speaks HTTP to this HTTPS port; use https:// in its URL (kube-scheduler: urlPrefix)',
    );
  });
}

function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
