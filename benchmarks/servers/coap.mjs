// GET /hello 2.05, PUT /hello 2.04, GET /obs observable, PUT /obs notifies: an ordinary app with a router.
import { App } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { router } from '@iopa/router'

export async function start({ port, host }) {
  let state = '0'
  const app = new App().use(router()).use(coap({ port, host }))
  app.get('/hello', () => 'Hello World')
  app.put('/hello', () => undefined)
  app.get('/obs', () => state)
  app.put('/obs', async context => {
    state = await context.text()
  })
  await app.listen()
  return { close: () => app.close({ timeout: 100 }) }
}
