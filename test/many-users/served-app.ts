import { App, type Context, defineMiddleware, IopaError, type Logger, type Transport } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { http } from '@iopa/http'
import { type EmbeddedOptions, type MqttTransport, mqtt } from '@iopa/mqtt'
import { router } from '@iopa/router'
import { tcp } from '@iopa/tcp'
import type { VirtualClock, VirtualNetwork } from '@iopa/testing'
import { parseUrl } from '@iopa/transport'
import type { Ledger } from './ledger.ts'
import { STREAMS } from './rights.ts'
import { tokensIn } from './tokens.ts'

/** What the app is about; it outlives a restart. */
export class Truth {
  /** The newest token of each state. */
  readonly states: Map<string, string> = new Map()
  /** How often each of what users own has changed, and the change that a token shows. */
  readonly changes: Map<string, number> = new Map()
  readonly shown: Map<string, number> = new Map()
  /** Users whose accounts were ended. */
  readonly revoked: Set<string> = new Set()
}

export interface ServedApp {
  readonly app: App
  readonly transport: MqttTransport
  readonly ports: { readonly mqtt: number; readonly http: number; readonly tcp: number; readonly coap: number }
}

export interface ServedOptions {
  readonly clock: VirtualClock
  readonly network: VirtualNetwork
  readonly ledger: Ledger
  readonly truth: Truth
  readonly logger: Logger
  readonly broker: EmbeddedOptions
}

/** Serves the app on the virtual network: users by name, rights by the model, states, and answers. */
export const serve = async ({ clock, network, ledger, truth, logger, broker }: ServedOptions): Promise<ServedApp> => {
  const { rights } = ledger
  const busy = new Set<string>()
  const sleep = (milliseconds: number): Promise<void> => new Promise(resolve => void clock.setTimeout(resolve, milliseconds))
  const userOf = (context: Context): string => context.user?.id ?? ''

  const authentication = defineMiddleware({ name: 'authentication', provides: ['server.User'], neutral: true }, (context, next) => {
    const overMqtt = context.scheme.startsWith('mqtt')
    const name = overMqtt
      ? context.method === 'CONNECT'
        ? context['mqtt.UserName']
        : undefined
      : (context.headers.get('x-user') ?? context.query.get('user'))
    if (name) context.user = { id: name }
    if (truth.revoked.has(userOf(context))) throw new IopaError(401, 'revoked', 'This account has ended.')
    return next()
  })
  const authorise = (user: string, method: string, topic: string, observes: boolean): void => {
    const key = `${user} ${topic}`
    if (observes && (STREAMS as readonly string[]).includes(topic) && rights.busyAtFirst(user, method, topic) && !busy.has(key)) {
      busy.add(key)
      throw new IopaError(503, 'busy', 'Come again.')
    }
    const reads = method === 'GET' || method === 'HEAD'
    const allowed = topic.startsWith('ask/') || (reads ? rights.mayRead(user, topic) : rights.mayWrite(user, topic))
    if (!allowed) throw new IopaError(user === '' ? 401 : 403, 'not-allowed', 'You may not.')
  }
  const CONTROL = ['CONNECT', 'DISCONNECT', 'SUBSCRIBE', 'UNSUBSCRIBE']
  const authorisation = (context: Context, next: () => unknown): unknown => {
    const { method } = context
    if (CONTROL.includes(method)) return next()
    const user = userOf(context)
    const topic = context.path.slice(1)
    const delay = rights.delay(user, method, topic)
    if (delay === 0) {
      authorise(user, method, topic, context['iopa.Observe'] === true)
      return next()
    }
    return sleep(delay).then(() => {
      authorise(user, method, topic, context['iopa.Observe'] === true)
      return next()
    })
  }

  const app = new App({ clock, logger }).use(authentication).use(authorisation as never)
  const routes = app.use(router())
  routes.get('/s/:id', ({ path }) => {
    const id = truth.states.get(path.slice(1))
    return id === undefined ? 'none yet' : `@${id}@`
  })
  routes.put('/s/:id', async context => {
    const [id] = tokensIn(await context.text())
    if (id !== undefined) truth.states.set(context.path.slice(1), id)
  })
  routes.get('/own/:id', context => {
    const topic = context.path.slice(1)
    const { id } = ledger.mint('own', topic, userOf(context))
    truth.shown.set(id, truth.changes.get(topic) ?? 0)
    return `@${id}@`
  })
  routes.put('/own/:id', ({ path }) => void truth.changes.set(path.slice(1), (truth.changes.get(path.slice(1)) ?? 0) + 1))
  routes.post('/ask/:id', async context => `@${(await context.text()).slice(4)}@`)

  const common = { clock, network }
  const transport = mqtt({ port: 1883, statistics: 1, ...common, ...broker })
  const transports: Transport[] = [transport, http({ port: 80, ...common }), tcp({ port: 7000, ...common }), coap({ port: 5683, ...common })]
  for (const one of transports) app.use(one)
  const [mqttPort, httpPort, tcpPort, coapPort] = (await app.listen()).map(({ url }) => Number(parseUrl(url).port)) as [
    number,
    number,
    number,
    number
  ]
  return { app, transport, ports: { mqtt: mqttPort, http: httpPort, tcp: tcpPort, coap: coapPort } }
}
