import type { Dispatcher } from 'undici';
import { NotSentError } from './transport.ts';

/** Dispatch options with the question of `KubeRequest.maySend`. */
export interface FencedOptions extends Dispatcher.RequestOptions {
  readonly maySend?: () => boolean;
}

/**
 * Asks `maySend` in the moment a request has got its connection and nothing of it was written. A request can have waited
 * long by then: for a token, for a free connection, for a TLS handshake.
 */
export const askBeforeSending: Dispatcher.DispatcherComposeInterceptor = (dispatch) => (options, handler) => {
  const { maySend } = options as FencedOptions;
  if (maySend === undefined) return dispatch(options, handler);
  return dispatch(options, {
    onRequestStart(controller, context) {
      handler.onRequestStart?.(controller, context);
      if (!maySend()) controller.abort(new NotSentError(`${options.method} ${options.path}: held back`));
    },
    onResponseStart: (...args) => handler.onResponseStart?.(...args),
    onResponseData: (...args) => handler.onResponseData?.(...args),
    onResponseEnd: (...args) => handler.onResponseEnd?.(...args),
    onResponseError: (...args) => handler.onResponseError?.(...args),
  });
};
