import { App } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { transportContract } from '@iopa/testing'
import { type Host, type Link, type OpenOptions, outgoing, type PeerTarget, type Transport } from '@iopa/transport'
import { describe, test } from 'vitest'

/** A host that hands out the target of a client to a peer, so that a test opens the link. */
const revealing = (host: Host, reveal: (target: PeerTarget) => void): Host => {
  const proxy: Host = new Proxy(host, {
    get(of, key) {
      if (key === 'connect') return (target: PeerTarget) => Promise.reject(reveal(target))
      if (key === 'withLimits') return () => proxy
      const value: unknown = Reflect.get(of, key, of)
      return typeof value === 'function' ? value.bind(of) : value
    }
  })
  return proxy
}

/** The transport whose links are those of a hub to a device: the device is a client of the hub, and serves it the app under test. */
const throughPeer = (scheme: 'coap' | 'coap+tcp'): Transport => {
  const real = coap(scheme === 'coap' ? { port: 0 } : { port: 0, udp: false, tcp: true })
  const served = new Map<string, Host>()
  const open = async (url: URL, options: OpenOptions): Promise<Link> => {
    const host = served.get(url.host)
    if (host === undefined) throw new Error('nothing listens')
    let target: PeerTarget | undefined
    const hub = new App({ logger: false }).use(context => context.peer?.client().catch(() => 'welcome') ?? 'welcome')
    const listener = await real.listen(
      revealing(hub.host('coap'), given => {
        target = given
      })
    )
    const device = await real.open(listener.url, { ...options, serve: { host, user: undefined } })
    await device.request(outgoing({ 'iopa.Method': 'POST' }), { signal: options.signal })
    const link = await (target as unknown as PeerTarget).open(options)
    void link.closed.then(async () => {
      await device.close()
      await listener.close({ timeout: 0 })
      await hub.close({ timeout: 0 })
    })
    return link
  }
  return {
    ...real,
    async listen(host) {
      const listener = await real.listen(host)
      served.set(listener.url.host, host)
      const close: typeof listener.close = closing => {
        served.delete(listener.url.host)
        return listener.close(closing)
      }
      return { ...listener, close }
    },
    open
  }
}

/** A peer has spoken first, so these are not about a client to one. */
const ELSEWHERE: ReadonlySet<string> = new Set([
  'rejects, and does not crash, when its port is taken',
  'refuses to listen unprotected off loopback, and names allowUnauthenticated: true',
  'ends at once with its signal at a peer that says nothing: connecting, writing, observing',
  'refuses a URL with a query or a fragment',
  // A session that has ended does not begin again.
  'observes on when its server has started again, from the newest state, and keeps the process alive while it waits for that'
])

const statuses = [200, 201, 204, 400, 401, 403, 404, 405, 409, 412, 415, 422, 429, 500, 501, 503, 504]

for (const scheme of ['coap', 'coap+tcp'] as const)
  describe(`the transport contract of a client to a peer over ${scheme}`, () => {
    const cases = transportContract({
      transport: () => throughPeer(scheme),
      url: ({ url }) => url.href,
      features: { headers: false, anyMethod: false, connection: false, cancel: false, problems: false, statuses }
    })
    for (const { name, run } of cases.filter(({ name: title }) => !ELSEWHERE.has(title))) test.concurrent(name, { timeout: 20_000 }, run)
  })
