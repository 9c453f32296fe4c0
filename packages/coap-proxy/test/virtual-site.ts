import { App, type Client, reply } from '@iopa/appbuilder'
import { type CoapOptions, coap } from '@iopa/coap'
import { type CoapProxyOptions, coapProxy } from '@iopa/coap-proxy'
import { router } from '@iopa/router'
import { type VirtualClock, virtualClock, virtualNetwork } from '@iopa/testing'
import type { ByteNetwork, DatagramNetwork } from '@iopa/transport'

export const PROXY = '10.0.0.1'
const CLIENT = '10.0.0.2'
export const SERVER = '10.0.0.9'

/** A request as the server has handled it. */
interface Handled {
  readonly path: string
  readonly options: readonly (readonly [number, Uint8Array])[]
  readonly body: string
}

/** A server, its proxy and clients. */
export interface Site {
  readonly clock: VirtualClock
  readonly handled: readonly Handled[]
  /** Observers that the server has. */
  readonly observers: number
  /** Seconds for which the state is fresh. */
  setAge(seconds: number): void
  setState(value: string): void
  /** Answers the requests for /held. */
  release(): void
  /** Removes the state. */
  remove(): void
  connect(url?: string, from?: string, options?: CoapOptions): Promise<Client>
  /** Loses all datagrams of a machine from now on. */
  cut(address: string): void
  /** Ends the proxy without a word to anyone, and starts another one in its place. */
  restartProxy(): Promise<void>
  close(): Promise<unknown>
}

/** What a server, its proxy and clients are made of. */
export interface SiteOptions {
  readonly proxy?: Partial<CoapProxyOptions>
  readonly server?: CoapOptions
  readonly client?: CoapOptions
  /** Changes a datagram on its way between clients and the proxy. */
  readonly change?: (bytes: Uint8Array, to: 'proxy' | 'client') => Uint8Array
  /** The address of a client is its user at the proxy. */
  readonly users?: boolean
}

/** A machine whose datagrams are changed on their way. */
const changing = (machine: DatagramNetwork & ByteNetwork, change: NonNullable<SiteOptions['change']>): DatagramNetwork & ByteNetwork => ({
  ...machine,
  bind: async where => {
    const channel = await machine.bind(where)
    return {
      localAddress: channel.localAddress,
      localPort: channel.localPort,
      raw: channel.raw,
      open: ({ message, error }) => channel.open({ message: (bytes, ...from) => message(change(bytes, 'client'), ...from), error }),
      send: (bytes, port, address) => channel.send(change(bytes, 'proxy'), port, address),
      close: () => channel.close()
    }
  }
})

/** A server, a proxy and clients on a virtual network. The proxy has no cache unless given. */
export const virtualSite = async ({
  proxy = {},
  server: serverOptions,
  client: clientOptions,
  change = bytes => bytes,
  users = false
}: SiteOptions = {}): Promise<Site> => {
  const clock = virtualClock({ start: 1_700_000_000_000 })
  const network = virtualNetwork({ clock })
  const apps = new Set<App>()
  const handled: Handled[] = []
  let state = 'state 0'
  let age = 1000
  let observers = 0

  const server = new App({ logger: false, clock })
    .use(async (context, next) => {
      const options = [...(context['coap.Message']?.options ?? [])].map(([number, value]) => [number, value.slice()] as const)
      handled.push({ path: `${context.method} ${context.path}?${context['iopa.QueryString']}`, options, body: await context.text() })
      if (context['iopa.Observe'] === true && !context['server.IsNotification']) {
        observers++
        context.defer(() => observers--)
      }
      return next()
    })
    .use(router())
    .use(coap({ host: SERVER, allowUnauthenticated: true, amplification: false, clock, network: network.machine(SERVER), ...serverOptions }))
  let removed = false
  server.get('/state', () => (removed ? reply(404) : reply(200, state, { 'cache-control': `max-age=${age}` })))
  server.get('/tagged', () => reply(200, 'tagged', { etag: '"v1"' }))
  server.get('/long', () => 'x'.repeat(5000))
  server.put('/state', async context => {
    state = await context.text()
  })
  server.post('/items', () => reply(201, null, { location: '/items/7?a=b' }))
  server.get('/fresh', () => reply(200, 'now', { 'cache-control': 'max-age=0' }))
  server.get('/busy', () => reply(503, 'busy', { 'retry-after': '30' }))
  server.get('/gone', () => reply(404, 'gone', { 'cache-control': 'max-age=30' }))
  server.on('FETCH', '/search', async context => `found ${await context.text()}`)
  server.on('FETCH', '/state', () => 'found')
  let release = (): void => undefined
  const released = new Promise<void>(resolve => {
    release = resolve
  })
  server.get('/held', async () => {
    await released
    return 'held'
  })
  server.put('/held', () => undefined)
  server.get('/slow', () => new Promise(() => undefined))
  await server.listen()
  apps.add(server)

  const startProxy = async (): Promise<App> => {
    const app = new App({ logger: false, clock })
    if (users)
      app.use((context, next) => {
        context['server.User'] = { id: context['server.RemoteAddress'], by: 'basic' }
        return next()
      })
    app.use(coapProxy({ client: app, targets: [`coap://${SERVER}`], cache: false, ...proxy }))
    app.use(router()).use(coap({ host: PROXY, allowUnauthenticated: true, amplification: false, clock, network: network.machine(PROXY) }))
    ;(app as unknown as { get(path: string, handler: () => string): void }).get('/state', () => 'of the proxy')
    await app.listen()
    apps.add(app)
    return app
  }
  let running = await startProxy()

  const cut = (address: string): void => {
    network.script = ({ from, to }) => (from.address === address || to.address === address ? 'drop' : undefined)
  }
  return {
    clock,
    handled,
    cut,
    get observers() {
      return observers
    },
    setAge(seconds: number) {
      age = seconds
    },
    setState(value: string) {
      state = value
      server.notify('/state')
    },
    release() {
      release()
    },
    remove() {
      removed = true
      server.notify('/state')
    },
    async restartProxy() {
      cut(PROXY)
      await clock.runUntil(running.close({ timeout: 0 }))
      apps.delete(running)
      network.script = undefined
      running = await startProxy()
    },
    async connect(url = `coap://${PROXY}`, from = CLIENT, options = clientOptions): Promise<Client> {
      const clients = new App({ logger: false, clock }).use(coap({ clock, network: changing(network.machine(from), change), ...options }))
      apps.add(clients)
      return clock.runUntil(clients.connect(url))
    },
    close: () => clock.runUntil(Promise.all([...apps].reverse().map(one => one.close({ timeout: 1000 }))))
  }
}
