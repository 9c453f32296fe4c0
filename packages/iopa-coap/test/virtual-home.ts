import { App, type Client, type ConnectOptions, reply } from '@iopa/appbuilder'
import { type CoapOptions, coap } from '@iopa/coap'
import { router } from '@iopa/router'
import { type VirtualClock, type VirtualNetwork, type VirtualNetworkOptions, virtualClock, virtualNetwork } from '@iopa/testing'

export const SERVER = '10.0.0.1'
export const CLIENT = '10.0.0.2'

/** A server and its clients on a virtual network. */
export interface VirtualHome {
  readonly clock: VirtualClock
  readonly network: VirtualNetwork
  readonly app: App
  /** How often a request was handled, by method, path and body. */
  readonly handled: Map<string, number>
  readonly url: string
  readonly port: number
  /** The state that `/state` shows; `setState` notifies. */
  setState(value: string): void
  /** A client of an app of its own. */
  connect(options?: ConnectOptions): Promise<Client>
  /** Closes everything on its clock. */
  close(): Promise<void>
}

export interface VirtualHomeOptions {
  readonly network?: Omit<VirtualNetworkOptions, 'clock'>
  readonly coap?: CoapOptions
  readonly client?: CoapOptions
}

/** Starts a server at 10.0.0.1; nothing happens until its clock is turned. */
export async function virtualHome(options: VirtualHomeOptions = {}): Promise<VirtualHome> {
  const clock = virtualClock()
  const network = virtualNetwork({ clock, ...options.network })
  const handled = new Map<string, number>()
  const apps: App[] = []
  let state = 'state 0'
  const bodies = new Map<string, Uint8Array>()

  const server = new App({ logger: false, clock })
    .use(router())
    .use(
      coap({ host: SERVER, port: 5683, allowUnauthenticated: true, amplification: false, clock, network: network.machine(SERVER), ...options.coap })
    )
  const count = (key: string): void => {
    handled.set(key, (handled.get(key) ?? 0) + 1)
  }
  server.post('/count/:id', ({ params }) => {
    count(params.id)
    return `counted ${params.id}`
  })
  server.get('/late/:id', async ({ params }) => {
    count(params.id)
    await new Promise<void>(resolve => clock.setTimeout(resolve, 3000))
    return `late ${params.id}`
  })
  server.put('/body/:id', async context => {
    count(context.path)
    bodies.set(context.path, await context.bytes())
  })
  server.get('/body/:id', ({ path }) => bodies.get(path) ?? new Uint8Array())
  server.get('/state', () => {
    count('/state')
    // Long enough that a client does not register again while a test looks at it.
    return reply(200, state, { 'cache-control': 'max-age=1000' })
  })
  server.get('/long-state', () => state.padEnd(20_000))
  server.get('/tagged', () => reply(200, 'tagged', { etag: '"v1"' }))
  server.get('/aging', () => {
    count('/aging')
    return reply(200, state, { 'cache-control': 'max-age=10' })
  })
  const [listener] = await server.listen()
  apps.push(server)

  return {
    clock,
    network,
    app: server,
    handled,
    url: `coap://${SERVER}:${listener!.url.port || 5683}`,
    port: 5683,
    setState(value) {
      state = value
      server.notify('/state')
    },
    async connect(connecting = {}) {
      const app = new App({ logger: false, clock }).use(coap({ clock, network: network.machine(CLIENT), ...options.client }))
      apps.push(app)
      return clock.runUntil(app.connect(`coap://${SERVER}`, connecting))
    },
    async close() {
      await clock.runUntil(Promise.all(apps.map(app => app.close({ timeout: 1000 }))))
    }
  }
}
