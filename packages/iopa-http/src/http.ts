import cluster from 'node:cluster'
import { getHeapStatistics } from 'node:v8'
import { bodyBudget, CAPABILITIES, checkOptions, checkTlsOptions, loaded, markFactory, optionError, type Transport } from '@iopa/transport'
import { socketNetwork } from '@iopa/transport/node'
import { proxyOf } from './client/proxy.ts'
import { HTTP_KEYS } from './keys.ts'
import { HTTP_CLIENT_OPTIONS, HTTP_OPTIONS, HTTP2_OPTIONS, type Http2Options, type HttpClientOptions, type HttpOptions } from './options.ts'
import { listen } from './server/listener.ts'

/** An identifier of a stream has 31 bits; more streams at once than this are of no use. */
const MOST_STREAMS = 65_535

/**
 * The HTTP transport: HTTP/1.1 over TCP and TLS, HTTP/2 over TLS. A GET that accepts `text/event-stream` observes: its answers come as
 * server-sent events.
 */
export function http(options: HttpOptions = {}): Transport {
  checkOptions('http()', options, HTTP_OPTIONS, http)
  checkTlsOptions('http()', options.tls, http)
  if (typeof options.http2 === 'object') checkHttp2(options.http2)
  const { client = {} } = options
  checkClient(client)
  const native = options.network === undefined
  const network = options.network ?? socketNetwork()
  return {
    name: 'http',
    schemes: ['http', 'https'],
    keys: [HTTP_KEYS],
    clustered: cluster.isWorker,
    bodies: limit => bodyBudget(limit, getHeapStatistics().heap_size_limit),
    capabilities: { [CAPABILITIES.Http]: { version: '5.0.0', observe: true, redirects: true, tls: options.tls !== undefined } },
    listen: host => listen(host.withLimits(options.limits), network, native, options),
    open: async (url, opening) => {
      // An app that only serves does without the client.
      const { openLink } = await loaded(opening.clock, import('./client/link.ts'))
      return openLink(url, { network, native, client }, opening)
    }
  }
}

const checkHttp2 = (options: Http2Options): void => {
  checkOptions("'http2' of http()", options, HTTP2_OPTIONS, http)
  const { streams = 1 } = options
  if (!Number.isSafeInteger(streams) || streams < 1 || streams > MOST_STREAMS)
    throw optionError(`'streams' in http2 of http() must be an integer from 1 to ${MOST_STREAMS}, not ${streams}.`)
}

const checkClient = (options: HttpClientOptions): void => {
  checkOptions("'client' of http()", options, HTTP_CLIENT_OPTIONS, http)
  const { redirect = 'manual', decompress = false, proxy = 'environment' } = options
  if (redirect !== 'follow' && redirect !== 'manual')
    throw optionError(`'redirect' in client of http() must be 'follow' or 'manual', not ${JSON.stringify(redirect)}.`)
  if (typeof decompress !== 'boolean') throw optionError(`'decompress' in client of http() must be true or false, not ${JSON.stringify(decompress)}.`)
  if (proxy !== 'environment') proxyOf(String(proxy), "'proxy' in client of http()")
}

markFactory('http', http)
