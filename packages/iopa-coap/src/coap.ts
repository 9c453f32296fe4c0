import cluster from 'node:cluster'
import { getHeapStatistics } from 'node:v8'
import {
  bodyBudget,
  CAPABILITIES,
  countersOf,
  type Host,
  IopaError,
  type Link,
  type Listener,
  markFactory,
  type TlsOptions,
  type Transport
} from '@iopa/transport'
import { openDatagrams } from './client/datagram-client.ts'
import type { LinkInit } from './client/link-init.ts'
import { openSecured } from './client/secured-client.ts'
import { openStreams } from './client/stream-client.ts'
import { COAP_KEYS } from './keys.ts'
import { listenDatagrams } from './listeners/datagram-listener.ts'
import { listenSecured } from './listeners/secured-listener.ts'
import type { ServerInit } from './listeners/server.ts'
import { listenStreams } from './listeners/stream-listener.ts'
import { addressOf } from './messages/addresses.ts'
import { type CoapOptions, type CoapSettings, settingsOf } from './options.ts'
import { linkProtection } from './protection/link-protection.ts'
import { useProtection } from './protection/shared-protection.ts'
import { type ServingOver, servingOver } from './served/serving.ts'

const GROUPS_IPV4 = ['224.0.1.187']
const GROUPS_IPV6 = ['ff02::fd', 'ff05::fd']

/** A listener of CoAP, which may serve several schemes. */
export interface CoapListener extends Listener {
  /** Where each of them is served: `coap:`, `coap+tcp:`, `coaps:`, `coaps+tcp:`, as far as they are. */
  readonly urls: readonly URL[]
}

/** CoAP for an app: a server over UDP, DTLS, TCP and TLS, and clients. */
export const coap = (options: CoapOptions = {}): Transport => {
  const settings = settingsOf(options, coap)
  return {
    name: 'coap',
    schemes: ['coap', 'coaps', 'coap+tcp', 'coaps+tcp'],
    clustered: cluster.isWorker,
    bodies: limit => bodyBudget(limit, getHeapStatistics().heap_size_limit),
    keys: COAP_KEYS,
    capabilities: {
      [CAPABILITIES.Coap]: { version: '5.0.0', observe: true, linkLists: true, blockWise: true, maxPayload: 16 << settings.szx }
    },
    listen: host => listen(settings, host),
    observable: ['FETCH'],
    serves: true,
    open: async (url, opening) => {
      const { protect } = settings
      const { serve, clock, limits } = opening
      const protection = protect === undefined ? undefined : await linkProtection(protect, url, opening)
      // Requests of the server are protected as those to a listener are.
      const use =
        protect === undefined || serve === undefined ? undefined : await useProtection(protect, { clock, limits, logger: serve.host.logger })
      try {
        const link = await openLink({ url, options: opening, settings, protection }, servingOver(settings, use))
        if (use !== undefined) void link.closed.then(use.release)
        return link
      } catch (error) {
        await use?.release()
        await protection?.release()
        throw error
      }
    }
  }
}

const openLink = (init: LinkInit, serving: ServingOver): Promise<Link> => {
  const { protocol } = init.url
  if (protocol === 'coap:') return openDatagrams(init, serving.datagrams)
  return protocol === 'coaps:' ? openSecured(init, serving.secured) : openStreams(init, serving.stream)
}

/** Serves every scheme of the settings. Rejects when one cannot be. */
const listen = async (settings: CoapSettings, given: Host): Promise<CoapListener> => {
  const { port, udp, tcp, tls, dtls, protect } = settings
  const host = given.withLimits(settings.limits)
  const address = await addressOf(settings.host)
  const clock = settings.clock ?? host.clock
  if (protect?.exclusive !== true && (udp || tcp || tls !== undefined || dtls?.exclusive !== true))
    host.assertProtected(address, settings.allowUnauthenticated)
  const use = protect === undefined ? undefined : await useProtection(protect, { clock, limits: host.limits, logger: host.logger })
  const server: ServerInit = {
    settings,
    host,
    clock,
    counters: countersOf(host, 'coap'),
    protection: use
  }
  const listeners: Listener[] = []
  try {
    if (udp) {
      const groups = settings.groups === true ? (address.includes(':') ? GROUPS_IPV6 : GROUPS_IPV4) : settings.groups || []
      listeners.push(await listenDatagrams({ server, address, groups }))
    }
    if (tcp) {
      const open = (at: number): Promise<Listener> => listenStreams({ server, address, port: at, tls: undefined })
      const chosen = port === 0 && listeners[0] !== undefined ? Number(listeners[0].url.port) : port
      // The port that the system has chosen for UDP may be taken in TCP.
      listeners.push(await open(chosen).catch((error: unknown) => (port === 0 && chosen !== 0 ? open(0) : Promise.reject(error))))
    }
    if (dtls !== undefined) listeners.push(await listenSecured({ server, dtls, address }))
    if (tls !== undefined) listeners.push(await listenStreams({ server, address, port: settings.tlsPort, tls }))
  } catch (error) {
    await Promise.all(listeners.map(listener => listener.close({ timeout: 0 })))
    await use?.release()
    throw error
  }
  return joined(listeners, () => use?.release())
}

/** Several listeners as one, whose URL is that of the first; `closed` is called when all of them have closed. */
const joined = (listeners: readonly Listener[], closed: () => Promise<void> | undefined): CoapListener => {
  const first = listeners[0]
  if (first === undefined) throw new IopaError(500, 'nothing-to-serve', 'coap() serves nothing: leave udp on, or set tcp, tls or dtls.')
  const secure = listeners.find(({ reload }) => reload !== undefined)
  return {
    url: first.url,
    urls: listeners.map(({ url }) => url),
    close: async closing => {
      await Promise.all(listeners.map(listener => listener.close(closing)))
      await closed()
    },
    ...(secure === undefined ? undefined : { reload: (tls: TlsOptions) => secure.reload!(tls) })
  }
}

markFactory('coap', coap)
