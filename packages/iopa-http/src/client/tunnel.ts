import { request as startRequest } from 'node:http'
import type { Duplex } from 'node:stream'
import { badAnswer, IopaError } from '@iopa/transport'
import type { ClientProxy } from './proxy.ts'

/** Asks the proxy at the other end of `stream` for a connection to `authority` (RFC 9110 section 9.3.6). Rejects with 502 `proxy-refused`. */
export const openTunnel = (
  stream: Duplex,
  authority: string,
  { authorization }: ClientProxy,
  maxHeaderSize: number,
  signal: AbortSignal
): Promise<void> =>
  new Promise((resolve, reject) => {
    const message = startRequest({
      method: 'CONNECT',
      path: authority,
      headers: ['host', authority, ...(authorization === '' ? [] : ['proxy-authorization', authorization])],
      createConnection: () => stream,
      maxHeaderSize
    })
    const abort = (): void => fail(signal.reason)
    const fail = (reason: unknown): void => {
      signal.removeEventListener('abort', abort)
      stream.destroy()
      reject(reason)
    }
    signal.addEventListener('abort', abort, { once: true })
    message.once('error', cause => fail(new IopaError(502, 'proxy-refused', 'The proxy gives no connection: it sends no answer of HTTP.', { cause })))
    message.once('connect', ({ statusCode = 0 }, _socket, first: Buffer) => {
      if (statusCode < 200 || statusCode > 299) {
        const why = statusCode === 407 ? ': give a user name and password in its URL' : ''
        fail(new IopaError(502, 'proxy-refused', `The proxy answers CONNECT with ${statusCode}${why}.`))
      } else if (first.length > 0) fail(badAnswer('The proxy sends bytes before TLS has begun.'))
      else {
        signal.removeEventListener('abort', abort)
        resolve()
      }
    })
    message.end()
  })
