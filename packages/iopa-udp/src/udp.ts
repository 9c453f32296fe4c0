import { getHeapStatistics } from 'node:v8'
import { bodyBudget, CAPABILITIES, checkOptions, markFactory, type Transport } from '@iopa/transport'
import { datagramNetwork } from '@iopa/transport/node'
import { openLink } from './link.ts'
import { listen } from './listener.ts'
import { UDP_OPTIONS, type UdpOptions } from './options.ts'

/** The UDP transport: a datagram is a request, and so is its answer. Observing needs a protocol that detects when a peer leaves: tcp or coap. */
export function udp(options: UdpOptions = {}): Transport {
  checkOptions('udp()', options, UDP_OPTIONS, udp)
  const { framing = 'bag' } = options
  if (framing !== 'bag' && framing !== 'raw') throw new TypeError('framing must be "bag" or "raw".')
  const network = options.network ?? datagramNetwork()
  return {
    name: 'udp',
    schemes: ['udp', 'udps'],
    bodies: limit => bodyBudget(limit, getHeapStatistics().heap_size_limit),
    capabilities: { [CAPABILITIES.Udp]: { version: '5.0.0', framing, observe: false } },
    listen: host => listen(host.withLimits(options.limits), network, options),
    open: (url, opening) => openLink(url, network, { raw: framing === 'raw', dtls: options.dtls }, opening)
  }
}

markFactory('udp', udp)
