import cluster from 'node:cluster'
import { getHeapStatistics } from 'node:v8'
import { bodyBudget, CAPABILITIES, checkOptions, checkTlsOptions, markFactory, type Transport } from '@iopa/transport'
import { socketNetwork } from '@iopa/transport/node'
import { openLink } from './client/link.ts'
import { HTTP_OPTIONS, type HttpOptions } from './options.ts'
import { listen } from './server/listener.ts'

/**
 * The HTTP transport: HTTP/1.1 over TCP and TLS. A GET that accepts `text/event-stream` observes: its answers come as
 * server-sent events.
 */
export function http(options: HttpOptions = {}): Transport {
  checkOptions('http()', options, HTTP_OPTIONS, http)
  checkTlsOptions('http()', options.tls, http)
  const native = options.network === undefined
  const network = options.network ?? socketNetwork()
  return {
    name: 'http',
    schemes: ['http', 'https'],
    clustered: cluster.isWorker,
    bodies: limit => bodyBudget(limit, getHeapStatistics().heap_size_limit),
    capabilities: { [CAPABILITIES.Http]: { version: '5.0.0', observe: true, redirects: true, tls: options.tls !== undefined } },
    listen: host => listen(host.withLimits(options.limits), network, options),
    open: (url, opening) => openLink(url, network, native, opening)
  }
}

markFactory('http', http)
