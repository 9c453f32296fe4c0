// Request id, log, timing, CORS, authentication, rate limit and validation in place, on the packages for them.
import { App } from '@iopa/appbuilder'
import { bearer, sameSecret } from '@iopa/auth'
import { cors } from '@iopa/cors'
import { http } from '@iopa/http'
import { log, requestId } from '@iopa/log'
import { rateLimit } from '@iopa/rate-limit'
import { resources } from '@iopa/resource'
import { router } from '@iopa/router'
import { light, state } from '../contract.mjs'
import { LIMIT, nothing, ORIGIN, TOKEN } from '../everyday.mjs'

const user = { id: 'ann' }

const timing = (context, next) => {
  const began = performance.now()
  context.onSendingHeaders(() => context.response.headers.set('server-timing', `total;dur=${(performance.now() - began).toFixed(1)}`))
  return next()
}

export const start = async ({ port, host }) => {
  const app = new App()
    .use(requestId())
    .use(log({ to: nothing() }))
    .use(timing)
    .use(cors({ origin: [ORIGIN], credentials: true }))
    .use(bearer({ verify: token => (sameSecret(token, TOKEN) ? user : undefined) }))
    .use(rateLimit({ limit: LIMIT.max, window: LIMIT.window }))
    .use(router())
    .use(resources({ answers: 'trust' }))
    .use(http({ port, host }))
    .serve(light, { get: ({ params }) => ({ id: params.id, ...state }), put: ({ input }) => input })
  await app.listen()
  return { close: () => app.close() }
}
