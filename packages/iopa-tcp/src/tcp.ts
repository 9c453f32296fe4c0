import cluster from 'node:cluster'
import { getHeapStatistics } from 'node:v8'
import { bodyBudget, CAPABILITIES, checkOptions, checkTlsOptions, markFactory, type Transport, upstream } from '@iopa/transport'
import { socketNetwork } from '@iopa/transport/node'
import { connect } from './channel.ts'
import { framingOf } from './framing-option.ts'
import { listen } from './listener.ts'
import { TCP_OPTIONS, type TcpOptions } from './options.ts'

/**
 * The TCP transport. A connection carries bags, one JSON object per line, or plain messages in another framing.
 * `tcp:` URLs are plain, `tcps:` URLs are TLS.
 */
export function tcp(options: TcpOptions = {}): Transport {
  checkOptions('tcp()', options, TCP_OPTIONS, tcp)
  checkTlsOptions('tcp()', options.tls, tcp)
  const { framing: option = 'bag' } = options
  const framing = framingOf(option)
  const bag = option === 'bag'
  const network = options.network ?? socketNetwork()
  return {
    name: 'tcp',
    schemes: ['tcp', 'tcps'],
    clustered: cluster.isWorker,
    bodies: limit => bodyBudget(limit, getHeapStatistics().heap_size_limit),
    capabilities: { [CAPABILITIES.Tcp]: { version: '5.0.0', framing: framing.name, observe: bag, tls: options.tls !== undefined } },
    listen: host => listen(host.withLimits(options.limits), framing, bag, network, options),
    connect: (url, settings) => upstream(connect(url, framing, bag, network, { ...(options.clock && { clock: options.clock }), ...settings }))
  }
}

markFactory('tcp', tcp)
