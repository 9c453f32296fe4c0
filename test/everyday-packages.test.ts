// The everyday packages together: what one of them reads or sets is not what observers share.
import { App, type User } from '@iopa/appbuilder'
import { allow, basic } from '@iopa/auth'
import { cache } from '@iopa/cache'
import { compress } from '@iopa/compress'
import type { OwnedContext } from '@iopa/context/host'
import { cookies, sessions } from '@iopa/cookies'
import { cors } from '@iopa/cors'
import { http } from '@iopa/http'
import { log, requestId } from '@iopa/log'
import { rateLimit } from '@iopa/rate-limit'
import { router } from '@iopa/router'
import { NONCE, secureHeaders } from '@iopa/secure-headers'
import { expect, test } from 'vitest'

/** An observer over an event stream, with an address and header fields of its own. */
const observing = (app: App, at: number, headers: Readonly<Record<string, string>>): OwnedContext => {
  const endpoint = {
    scheme: 'http',
    protocol: 'HTTP/1.1',
    remoteAddress: `10.0.${at >> 8}.${at & 255}`,
    remotePort: 1000 + at,
    localAddress: '127.0.0.1',
    localPort: 80,
    tls: false,
    sessionId: `s${at}`,
    rawTransport: null,
    bodyLimit: 1000
  }
  const source = { headers: () => Object.entries(headers).flat(), authority: () => 'localhost' }
  const context = app.host('http').create({ method: 'GET', path: '/mine', query: '', rawPath: '/mine', endpoint, source }) as OwnedContext
  context['iopa.Observe'] = true
  return context
}

const credentials = (user: string): string => `Basic ${btoa(`${user}:of ${user}`)}`
const user = { verify: (id: string, password: string): User | null => (password === `of ${id}` ? { id } : null), optional: true } as const

const LAYERS: Readonly<Record<string, (app: App) => unknown>> = {
  log: app =>
    app
      .use(requestId({ trust: true }))
      .use(log({ to: () => undefined, notifications: true, headers: ['user-agent'], fields: ({ remotePort }) => ({ remotePort }) })),
  rateLimit: app => app.use(rateLimit({ limit: 100_000, key: ({ remoteAddress }) => remoteAddress })),
  cors: app => app.use(cors({ origin: ['https://0.example', 'https://1.example'], credentials: true })),
  secureHeaders: app => app.use(secureHeaders({ contentSecurityPolicy: { scriptSrc: [NONCE] } })),
  sessions: app => app.use(cookies()).use(sessions()),
  compress: app => app.use(compress()),
  cache: app => app.use(cache())
}

/** Registers the observers of two users, changes once, and says how often the handler ran for it, and what was delivered to each. */
const changed = async (observers: number, layers: readonly string[]): Promise<{ runs: number; own: number; live: number }> => {
  const app = new App({ logger: false })
  for (const name of layers) LAYERS[name]?.(app)
  app.use(basic(user)).use(allow([{ to: '/mine', may: 'read' }]))
  let runs = 0
  const routes = app.use(router()).use(http({ port: 0 }))
  routes.get('/mine', context => `${context.user?.id} ${++runs}`)
  await app.listen()
  const told: string[] = []
  const observations = await Promise.all(
    Array.from({ length: observers }, (_, at) =>
      app.host('http').observe(
        observing(app, at, {
          authorization: credentials(at % 2 === 0 ? 'ann' : 'bob'),
          cookie: `n=${at}`,
          origin: `https://${at % 3}.example`,
          'user-agent': `browser ${at}`,
          'x-request-id': `r${at}`,
          'accept-encoding': at % 5 === 0 ? 'gzip' : 'br'
        }),
        async answer => void (told[at] = String(answer.payload))
      )
    )
  )
  const before = runs
  app.notify('/mine')
  await expect.poll(() => told.filter(text => Number(text.split(' ')[1]) > before).length, { timeout: 5000 }).toBe(observers)
  const own = told.filter((text, at) => text.startsWith(at % 2 === 0 ? 'ann' : 'bob')).length
  for (const observation of observations) await observation.close()
  await app.close({ timeout: 100 })
  return { runs: runs - before, own, live: app.live }
}

test.each(Object.keys(LAYERS))('observers of two users share two runs behind %s, and each hears its own', async layer => {
  expect(await changed(40, [layer])).toEqual({ runs: 2, own: 40, live: 0 })
})

// 10,000 take some seconds: IOPA_FUZZ=1 asks for them.
const OBSERVERS = process.env['IOPA_FUZZ'] === undefined ? 1000 : 10_000

test(`${OBSERVERS} observers of two users share two runs behind all of them, and each hears its own`, { timeout: 60_000 }, async () => {
  expect(await changed(OBSERVERS, Object.keys(LAYERS))).toEqual({ runs: 2, own: OBSERVERS, live: 0 })
})
