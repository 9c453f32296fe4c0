// The house: lights and sensors, each kept by a store, on every protocol that it is given.
import { App, type AppOptions, type Transport } from '@iopa/appbuilder'
import { documents } from '@iopa/documents'
import { resources } from '@iopa/resource'
import { router } from '@iopa/router'
import { serveStatic } from '@iopa/static'
import { store } from '@iopa/store'
import { ChangeLog } from './changes.ts'
import { light, lights, sensor, sensors } from './resources.ts'

const OFF = { on: false, level: 0 }
/** The page loads nothing from elsewhere. */
const POLICY = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

export const home = (transports: readonly Transport[], options: AppOptions = {}) => {
  const changes = new ChangeLog()
  const app = new App(options)
    .use(changes.middleware)
    .use(router())
    .use(resources())
    .use(documents({ title: 'Home', version: '1.0.0' }))
    .use(serveStatic(new URL('./page/', import.meta.url), { headers: { 'content-security-policy': POLICY } }))
  for (const transport of transports) app.use(transport)

  const rooms = store(light, { initial: { hall: OFF, kitchen: OFF, porch: OFF }, create: false })
  const readings = store(sensor, { history: { keep: 1000, days: 1 }, limits: { documents: 1000 }, computed: { at: (_, { changed }) => changed } })
  app.serve(light, rooms).serve(lights, rooms).serve(sensor, readings).serve(sensors, readings)

  app.get('/changes', { title: 'The newest changes', discoverable: false }, ({ query }) => changes.since(Number(query.get('after') ?? 0)))
  return app
}
