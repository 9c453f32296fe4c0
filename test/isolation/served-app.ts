// The app under test: handlers that answer at once, late, in parts, wrongly or never, and state that must stay with its request.
import { AsyncLocalStorage } from 'node:async_hooks'
import { App, type Context, type Limits, reply } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { HeaderMap } from '@iopa/context/host'
import { http } from '@iopa/http'
import { mqtt } from '@iopa/mqtt'
import { router } from '@iopa/router'
import { tcp } from '@iopa/tcp'
import { parseUrl } from '@iopa/transport'
import { udp } from '@iopa/udp'

export interface Served {
  readonly app: App
  readonly ports: Readonly<Record<'http' | 'coap' | 'mqtt' | 'tcp' | 'udp', number>>
  /** State of one request that was seen in another. */
  readonly leaks: string[]
}

const LIMITS: Partial<Limits> = { requestTimeout: 500, headerTimeout: 2000, drainTimeout: 2000, inFlight: 4096 }
const COMMON = HeaderMap.from({ 'x-common': 'yes' })

const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await new Promise(resolve => setImmediate(resolve))
}

/** Serves the app on every protocol, on loopback. */
export const serve = async (): Promise<Served> => {
  const leaks: string[] = []
  const current = new AsyncLocalStorage<string>()
  const quiet = { error: () => undefined, warn: () => undefined, info: () => undefined, debug: () => undefined }
  const app = new App({ logger: quiet, limits: LIMITS })
    .use((context, next) => {
      const token = context.path.split('/')[2] ?? ''
      if (!token.startsWith('tok')) return next()
      return current.run(token, async () => {
        context.user = { id: token }
        const check = (where: string): void => {
          if (current.getStore() !== token) leaks.push(`${where}: ${current.getStore()} instead of ${token}`)
          if (context.user?.id !== token) leaks.push(`${where}: user ${context.user?.id} instead of ${token}`)
        }
        context.defer(() => check('defer'))
        context.onSendingHeaders(() => {
          check('onSendingHeaders')
          context.response.headers.set('x-answer', token)
        })
        return next()
      })
    })
    .use(router())

  const seen = async (context: Context): Promise<Record<string, unknown>> => ({
    path: context.params['token'],
    header: context.headers.get('x-token'),
    body: context.method === 'PUT' ? await context.text() : undefined,
    user: context.user?.id,
    store: current.getStore()
  })
  const parts = async function* (token: string, fails: boolean): AsyncGenerator<string> {
    for (let part = 0; part < 6; part++) {
      if (current.getStore() !== token) leaks.push(`generator: ${current.getStore()} instead of ${token}`)
      yield `${token} part ${part}\n`
      if (fails && part === 3) throw new Error(`secret of ${token}`)
      await turns(1)
    }
  }
  const tokenOf = (context: Context): string => context.params['token'] as string

  app.all('/now/:token', seen)
  app.all('/later/:token', async context => {
    await turns(3)
    return seen(context)
  })
  app.all('/stream/:token', context => parts(tokenOf(context), false))
  app.all('/break/:token', context => parts(tokenOf(context), true))
  app.all('/big/:token', context => `${tokenOf(context)} `.repeat(8000))
  app.all('/shared/:token', async context => {
    context.response.headers = COMMON
    context.response.headers.append('set-cookie', `session=${tokenOf(context)}`)
    return seen(context)
  })
  app.all('/throw/:token', context => {
    throw new Error(`secret of ${tokenOf(context)}`)
  })
  app.all('/hang/:token', () => new Promise(() => undefined))
  app.all('/late/:token', async context => {
    await new Promise(resolve => setTimeout(resolve, 800))
    return reply(200, `too late for ${tokenOf(context)}`)
  })

  app
    .use(http({ port: 0 }))
    .use(coap({ port: 0 }))
    .use(mqtt({ port: 0, statistics: false }))
    .use(tcp({ port: 0 }))
    .use(udp({ port: 0 }))
  const ports = (await app.listen()).map(({ url }) => parseUrl(url).port) as [number, number, number, number, number]
  return { app, ports: { http: ports[0], coap: ports[1], mqtt: ports[2], tcp: ports[3], udp: ports[4] }, leaks }
}
