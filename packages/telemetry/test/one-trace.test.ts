import { App, type Client } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { http } from '@iopa/http'
import { mqtt } from '@iopa/mqtt'
import { router } from '@iopa/router'
import { traces } from '@iopa/telemetry'
import { propagation } from '@opentelemetry/api'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { globalSdk, parentOf, until } from './support.ts'

let sdk: ReturnType<typeof globalSdk>
beforeEach(() => {
  sdk = globalSdk()
})
afterEach(() => sdk.stop())

/** An HTTP front that publishes to an MQTT broker, whose app commands a CoAP device. */
const chain = async () => {
  const lamp = new App({ logger: false })
    .use(traces())
    .use(router())
    .use(coap({ port: 0 }))
  const lit: (string | undefined)[] = []
  lamp.put('/lamps/:id', ({ headers }) => {
    lit.push(headers.get('baggage'))
  })
  lamp.get('/lamps/:id', () => 'on')
  const [device] = await lamp.listen()

  const hub = new App({ logger: false })
    .use(traces())
    .use(router())
    .use(mqtt({ port: 0 }))
    .use(coap({ port: 0 }))
  const [broker] = await hub.listen()
  const toLamp = await hub.connect(device?.url as URL)
  hub.put('/home/:id', async context => {
    await toLamp.put(`/lamps/${context.params.id}`, await context.text())
  })

  const web = new App({ logger: false })
    .use(traces())
    .use(router())
    .use(http({ port: 0 }))
    .use(mqtt({ port: 0 }))
  const [front] = await web.listen()
  let toHub: Client | undefined
  web.post('/scenes/:name', async () => {
    toHub ??= await web.connect(broker?.url as URL)
    await toHub.put('/home/7', 'on')
    return 'done'
  })
  return {
    front,
    lit,
    close: async () => {
      await toHub?.close()
      await toLamp.close()
      for (const app of [web, hub, lamp]) await app.close({ timeout: 0 })
    }
  }
}

test('one trace goes from HTTP over MQTT to CoAP, with baggage', async () => {
  const { front, lit, close } = await chain()
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  const answer = await fetch(new URL('/scenes/evening', front?.url), { method: 'POST', headers: { traceparent, baggage: 'home=9' } })
  expect(await answer.text()).toBe('done')
  await until(() => sdk.spans().filter(span => span.spanContext().traceId === '0af7651916cd43dd8448eb211c80319c').length === 5)
  await close()
  const spans = sdk.spans().filter(span => span.spanContext().traceId === '0af7651916cd43dd8448eb211c80319c')
  const names: string[] = []
  for (let id: string | undefined = 'b7ad6b7169203331'; id !== undefined; ) {
    const child = spans.find(span => parentOf(span) === id)
    if (child !== undefined) names.push(`${child.kind} ${child.name}`)
    id = child?.spanContext().spanId
  }
  // Kinds: 1 server, 2 client, 3 producer, 4 consumer.
  expect(names).toEqual(['1 POST /scenes/:name', '3 PUT', '4 PUT /home/:id', '2 PUT', '1 PUT /lamps/:id'])
  expect(lit).toEqual(['home=9'])
  expect(propagation.fields()).toContain('baggage')
})
