// The greenhouse: beds whose devices report, valves that water them, and the people who look after both, on every protocol that it is given.
import { App, type AppOptions, IopaError, reply, type Transport, type User } from '@iopa/appbuilder'
import { allow } from '@iopa/auth'
import { cacheControl, etag } from '@iopa/cache'
import { compress } from '@iopa/compress'
import { sessions } from '@iopa/cookies'
import { cors } from '@iopa/cors'
import { documents } from '@iopa/documents'
import { forms } from '@iopa/forms'
import { type LogOptions, log, requestId } from '@iopa/log'
import { rateLimit } from '@iopa/rate-limit'
import { resources } from '@iopa/resource'
import { router } from '@iopa/router'
import { secureHeaders } from '@iopa/secure-headers'
import { serveStatic } from '@iopa/static'
import { store } from '@iopa/store'
import { health } from '@iopa/telemetry'
import { prometheus } from '@iopa/telemetry/prometheus'
import { LIMITS, Photos, readPhoto } from './photos.ts'
import { bed, beds, login, valve, valves } from './resources.ts'
import { credentials, type Device, keysOf, type Person, passwordsOf, RULES } from './users.ts'

export interface GreenhouseOptions {
  readonly people: readonly Person[]
  readonly devices: readonly Device[]
  /** Another origin whose pages may read and change. */
  readonly dashboard: string
  /** Requests of a user in a minute. */
  readonly limit?: number
  /** Wrong passwords and keys from an address in a minute. */
  readonly guesses?: number
  readonly log?: LogOptions
  readonly app?: AppOptions
}

/** Percent of moisture: below the one a valve opens, above the other it closes. */
const DRY = 30
const WET = 60

export const greenhouse = (
  transports: readonly Transport[],
  { people, devices, dashboard, limit = 600, guesses = 20, ...options }: GreenhouseOptions
) => {
  const personOf = passwordsOf(people)
  const deviceOf = keysOf(devices)

  // The stack: what would be the same in another app.
  const metrics = prometheus()
  const app = new App(options.app)
    .use(health())
    .use(metrics)
    .use(requestId())
    .use(log(options.log))
    .use(cors({ origin: dashboard, credentials: true }))
    .use(secureHeaders({ trustedOrigins: [dashboard] }))
    .use(compress())
    .use(sessions({ user: session => session.get<User>('user') }))
    .use(rateLimit({ limit: guesses, counts: 'refusals', name: 'wrong-credentials' }))
    .use(credentials(personOf, deviceOf))
    .use(rateLimit({ limit }))
    .use(allow(RULES))
    .use(router())
    .use(resources())
    .use(documents({ title: 'Greenhouse', version: '1.0.0', protect: true }))
    .use(serveStatic(new URL('./page/', import.meta.url)))
  for (const transport of transports) app.use(transport)
  app.get('/metrics', metrics.handler)

  // The greenhouse.
  const readings = store(bed, { initial: Object.fromEntries(devices.map(({ id }) => [id, { moisture: 50, temperature: 20 }])), create: false })
  const taps = store(valve, { initial: Object.fromEntries(devices.map(({ id }) => [id, { open: false }])), create: false })
  app.serve(bed, readings).serve(beds, readings).serve(valve, taps).serve(valves, taps)

  readings.onChange(async ({ id, state }) => {
    const isOpen = (await taps.get(id))?.state.open
    if (state === undefined || (state.moisture >= DRY && state.moisture <= WET)) return
    const open = state.moisture < DRY
    if (open !== isOpen) await taps.put(id, { open })
  })

  const photos = new Photos()
  app.get('/photos', { title: 'The beds that have a photo, and how often it was taken' }, () => photos.counts())
  app.get('/photos/{id}', { title: 'The photo of a bed' }, cacheControl({ private: true, noCache: true }), etag(), ({ params }) => {
    const { type, bytes } = photos.get(params.id)
    return reply(200, bytes, { 'content-type': type })
  })
  app.put('/photos/{id}', { title: 'Replace the photo of a bed' }, forms({ files: readPhoto, limits: LIMITS }), async context => {
    const { id } = context.params
    if ((await readings.get(id)) === undefined) throw new IopaError(404, 'no-bed', `There is no bed ${id}.`)
    await photos.set(id, context['forms.Form'])
    context.notify('/photos')
  })

  app.get('/session', { title: 'Who has signed in' }, ({ user }) => ({ id: user?.id, roles: user?.roles ?? [] }))
  app.post('/session', { title: 'Sign in', input: login }, rateLimit({ limit: 10, name: 'sign-in' }), async context => {
    const person = await personOf(context.input.name, context.input.password)
    if (person === undefined) throw new IopaError(401, 'bad-credentials', 'Name or password is wrong.')
    context['session.Session'].regenerate()
    context['session.Session'].set('user', person)
    return person
  })
  app.delete('/session', { title: 'Sign out' }, context => context['session.Session'].destroy())
  return app
}
