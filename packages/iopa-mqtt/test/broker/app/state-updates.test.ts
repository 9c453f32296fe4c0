import { type App, IopaError, reply } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { afterEach, describe, expect, test } from 'vitest'
import { closeLabs, lab } from '../lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

/** Lights with GET and PUT, a command without GET, and what the requests said of themselves. */
function house(seen: string[] = [], lights: Record<string, unknown> = { hall: { on: false } }) {
  return (app: App): void => {
    const routed = app.use(router())
    routed.get('/lights', () => Object.keys(lights))
    routed.get('/lights/:id', ({ params }) => {
      if (!(params.id in lights)) throw new IopaError(404, 'no-light')
      return lights[params.id]
    })
    routed.put('/lights/:id', async context => {
      seen.push(`${context.method} ${context.path} ${await context.text()}`)
      const state = await context.json<{ level?: number }>()
      if (Number(state.level) > 100) throw new IopaError(422, 'bad-level', 'level is from 0 to 100')
      lights[context.params.id] = state
    })
    routed.delete('/lights/:id', ({ params }) => {
      delete lights[params.id]
    })
    routed.post('/lights/:id', async context => reply(201, { made: await context.json() }))
    routed.put('/commands/:name', async context => {
      seen.push(`${context.method} ${context.path} ${await context.text()}`)
      if (context.params.name === 'fail') throw new Error('secret detail')
    })
  }
}

describe('ruling d: 2xx and a GET route', () => {
  test('gives subscribers the answer of GET, not the payload', async () => {
    const net = await lab(house())
    const subscriber = await net.client()
    await subscriber.subscribe(['lights/hall', 'lights/+'], { rh: 2 })
    expect(await (await net.client()).put('lights/hall', ' { "on" : true } ')).toMatchObject({
      reasonCode: 0,
      properties: { userProperties: { status: '204' } }
    })
    expect(await subscriber.messages()).toEqual(['lights/hall {"on":true}'])
  })

  test('ignores the retain flag and the retained message', async () => {
    const lights: Record<string, unknown> = { hall: { on: false } }
    const net = await lab(house([], lights))
    await (await net.client()).put('lights/hall', '{"on":true}', { retain: true })
    lights['hall'] = { on: 'changed elsewhere' }
    const later = await net.client()
    await later.subscribe('lights/hall')
    expect(await later.messages()).toEqual(['lights/hall {"on":"changed elsewhere"}'])
  })

  test('sends an empty payload for DELETE', async () => {
    const net = await lab(house())
    const subscriber = await net.client()
    await subscriber.subscribe('lights/hall', { rh: 2 })
    await (await net.client()).put('lights/hall', '', { retain: true })
    expect(await subscriber.messages()).toEqual(['lights/hall '])
    await (await net.client()).put('lights/hall', '{"on":1}')
    expect(await subscriber.messages()).toEqual(['lights/hall {"on":1}'])
  })

  test('carries content type and headers as properties', async () => {
    const net = await lab(app => {
      const routed = app.use(router())
      routed.get('/a', () => reply(200, { x: 1 }, { etag: '"7"' }))
      routed.put('/a', () => undefined)
    })
    const subscriber = await net.client()
    await subscriber.subscribe('a')
    expect(await subscriber.next('publish')).toMatchObject({
      retain: true,
      properties: { contentType: 'application/json', userProperties: { etag: '"7"' } }
    })
    await (await net.client()).put('a', 'x')
    expect(await subscriber.next('publish')).toMatchObject({
      retain: false,
      properties: { contentType: 'application/json', userProperties: { etag: '"7"' } }
    })
  })

  test('uses the granted QoS', async () => {
    const net = await lab(house())
    const subscriber = await net.client()
    await subscriber.subscribe('lights/#', { qos: 1, rh: 2 })
    ;(await net.client()).publish('lights/hall', '{"on":2}')
    expect(await subscriber.next('publish')).toMatchObject({ qos: 1 })
  })
})

describe('an app whose resources are not routes', () => {
  test('has states too: subscribers get what GET answers, once', async () => {
    let state = 'off'
    const net = await lab(app =>
      app.use(async (context, next) => {
        if (context.path !== '/light') return next()
        if (context.method === 'GET') return state
        if (context.method !== 'PUT') return next()
        state = (await context.text()).toUpperCase()
        return undefined
      })
    )
    const exact = await net.client()
    await exact.subscribe('light', { rh: 2 })
    const wild = await net.client()
    await wild.subscribe('+', { rh: 2 })
    const publisher = await net.client()
    for (const value of ['on', 'dim']) {
      await publisher.put('light', value)
      for (const client of [exact, wild]) expect(await client.messages()).toEqual([`light ${value.toUpperCase()}`])
    }
    const later = await net.client()
    await later.subscribe('+')
    expect(await later.messages()).toEqual(['light DIM'])
  })

  test('has commands too', async () => {
    const net = await lab(app => app.use((context, next) => (context.method === 'PUT' && context.path === '/open' ? reply(204) : next())))
    const client = await net.client()
    await client.subscribe('#')
    for (const value of ['1', '2']) await (await net.client()).put('open', value)
    expect(await client.messages()).toEqual(['open 1', 'open 2'])
  })
})
