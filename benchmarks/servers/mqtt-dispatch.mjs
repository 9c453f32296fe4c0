// A message to topic `req` reaches a route; after every payload[8] of them (0: each one) that payload is published to topic `res`.
import { App } from '@iopa/appbuilder'
import { mqtt } from '@iopa/mqtt'
import { router } from '@iopa/router'

export async function start({ port, host }) {
  const broker = mqtt({ port, host })
  const app = new App({ logger: false }).use(router()).use(broker)
  let count = 0
  app.put('/req', context => {
    const payload = context.body
    if (++count % (payload[8] || 1) === 0) broker.publish('res', payload)
  })
  await app.listen()
  return { close: () => app.close({ timeout: 0 }) }
}
