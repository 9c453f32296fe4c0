// The thirty statements of the specification hold for an app that begins with one of the everyday packages, or with all of them.
import { App } from '@iopa/appbuilder'
import { allow, basic } from '@iopa/auth'
import { cache, etag } from '@iopa/cache'
import { compress } from '@iopa/compress'
import { connect } from '@iopa/connect'
import { cookies, sessions } from '@iopa/cookies'
import { cors } from '@iopa/cors'
import { forms } from '@iopa/forms'
import { log, requestId } from '@iopa/log'
import { rateLimit } from '@iopa/rate-limit'
import { secureHeaders } from '@iopa/secure-headers'
import { health, metrics, traces } from '@iopa/telemetry'
import { prometheus } from '@iopa/telemetry/prometheus'
import { conformance } from '@iopa/testing'
import helmet from 'helmet'
import { describe, test } from 'vitest'

const MIDDLEWARE: Readonly<Record<string, (app: App) => unknown>> = {
  requestId: app => app.use(requestId()),
  log: app => app.use(log({ to: () => undefined })),
  cors: app => app.use(cors({ origin: 'https://app.example.com' })),
  secureHeaders: app => app.use(secureHeaders()),
  compress: app => app.use(compress()),
  connect: app => app.use(connect(helmet(), { neutral: true })),
  cookies: app => app.use(cookies()),
  sessions: app => app.use(sessions()),
  'basic and allow': app => app.use(basic({ verify: () => null, optional: true })).use(allow([{ anyone: true, to: '/#' }])),
  rateLimit: app => app.use(rateLimit({ limit: 1_000 })),
  // With a ttl, a second GET would not reach the handler.
  cache: app => app.use(cache()),
  etag: app => app.use(etag()),
  forms: app => app.use(forms()),
  traces: app => app.use(traces()),
  metrics: app => app.use(metrics()),
  prometheus: app => app.use(prometheus()),
  health: app => app.use(health())
}
const ALL = (app: App): void => {
  for (const add of Object.values(MIDDLEWARE)) add(app)
}

describe.each([...Object.entries(MIDDLEWARE), ['all together', ALL] as const])('behind %s', (_, add) => {
  const createApp = (options?: ConstructorParameters<typeof App>[0]): App => {
    // What a statement reads of the log goes to its own logger; the rest are warnings about its mounts, hundreds for each.
    const app = new App({ logger: false, ...options })
    add(app)
    return app
  }
  for (const { number, name, run } of conformance({ createApp })) test(`${number}. ${name}`, run)
})
