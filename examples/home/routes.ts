// Requests change the store, the store answers, and observers get the change: written once, for every protocol.
import { App, type AppOptions, reply, type Transport } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { HomeStore } from './store.ts'

export const home = (transports: readonly Transport[], options: AppOptions = {}): App => {
  const store = new HomeStore()
  const app = new App(options).use(router())
  for (const transport of transports) app.use(transport)

  app.get('/lights', { title: 'All lights', rt: 'light-list', ct: 50 }, () => store.lights())
  app.get('/lights/:id', { title: 'A light', rt: 'light', ct: 50, instances: () => store.lightIds().map(id => `/lights/${id}`) }, ({ params }) =>
    store.light(params.id)
  )
  app.put('/lights/:id', async context => {
    const light = store.setLight(context.params.id, await context.json())
    context.notify('/lights')
    return light
  })

  app.get('/sensors/:id', { title: 'A sensor', rt: 'sensor', ct: 50, instances: () => store.sensorIds().map(id => `/sensors/${id}`) }, ({ params }) =>
    store.sensor(params.id)
  )
  app.put('/sensors/:id', async context => {
    const isNew = store.setSensor(context.params.id, await context.json())
    return reply(isNew ? 201 : 200, store.sensor(context.params.id))
  })
  return app
}
