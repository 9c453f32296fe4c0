import { type App, IopaError, reply } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { afterEach, describe, expect, test } from 'vitest'
import { closeLabs, lab } from '../lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

/** What mosquitto sets in its CONNECT as a bridge. */
const bridge = { bridgeMode: true }

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

describe('topics that begin with $', () => {
  test.each(['$SYS/broker/connection/house/state', '$x/a', '$SYS', '$'])('a publish of MQTT 3 to %s is acknowledged and dropped', async topic => {
    const net = await lab()
    const watcher = await net.client()
    await watcher.subscribe(['$SYS/#', '$x/#', '$', '#'])
    const client = await net.client({ version: 4 })
    expect(await client.put(topic, '1', { retain: true })).toBeDefined()
    client.publish(topic, '1', { qos: 2, messageId: 4 })
    await client.next('pubrec')
    client.publish(topic, '1')
    await net.rest()
    expect(client.closed).toBe(false)
    expect(await watcher.messages()).toEqual([])
    const later = await net.client()
    await later.subscribe(['$SYS/#', '$x/#', '$'])
    expect(await later.messages()).toEqual([])
  })

  test('a publish of MQTT 5 to one is refused with 0x87', async () => {
    const net = await lab()
    const client = await net.client()
    expect(await client.put('$x/a', '1')).toMatchObject({ reasonCode: 0x87 })
    expect(client.closed).toBe(false)
  })

  test('a publish to one is refused with the reason code alone, for there are clients that read no properties here', async () => {
    const net = await lab()
    const client = await net.client()
    const puback = await client.put('$x/a', '1')
    expect(puback).toMatchObject({ reasonCode: 0x87, length: 3 })
  })

  test('a bridge of mosquitto with notifications stays connected', async () => {
    const net = await lab()
    const topic = '$SYS/broker/connection/house.bridge/state'
    const client = await net.client({ version: 4, ...bridge, will: { topic, payload: Buffer.from('0'), qos: 1, retain: true } })
    await client.put(topic, '1', { retain: true })
    expect(client.closed).toBe(false)
  })
})

describe('the method of a PUBLISH', () => {
  test.each([
    ['what its user property method names', { properties: { userProperties: { method: 'post' } } }, 'x', 'POST'],
    ['GET with a Response Topic and an empty payload', { properties: { responseTopic: 'answers' } }, '', 'GET'],
    ['DELETE when it is retained and empty', { retain: true }, '', 'DELETE'],
    ['PUT otherwise', {}, 'x', 'PUT'],
    ['PUT with a Response Topic and a payload', { properties: { responseTopic: 'answers' } }, 'x', 'PUT'],
    ['PUT when it is empty and not retained', {}, '', 'PUT'],
    ['iPATCH, spelled as registered', { properties: { userProperties: { method: 'IPATCH' } } }, 'x', 'iPATCH'],
    [
      'what the user property names before all else',
      { retain: true, properties: { responseTopic: 'answers', userProperties: { METHOD: 'PATCH' } } },
      '',
      'PATCH'
    ]
  ])('%s', async (_name, options, payload, method) => {
    const methods: string[] = []
    const { client } = await (
      await lab(app => app.use(router()).all('/a/b', context => void methods.push(`${context.method} ${context.path}`)))
    ).connect()
    await client.put('a/b', payload, options)
    expect(methods).toEqual([`${method} /a/b`])
  })

  test('never a method that only transports make', async () => {
    const seen: string[] = []
    const { client } = await (
      await lab(app =>
        app.use((context, next) => {
          seen.push(context.method)
          return next()
        })
      )
    ).connect()
    for (const method of ['CONNECT', 'subscribe', 'PUBLISH', 'a b', '']) {
      expect(await client.put('a', 'x', { properties: { userProperties: { method } } })).toMatchObject({
        reasonCode: 0x99,
        properties: { userProperties: { status: '400' } }
      })
    }
    expect(seen).toEqual(['CONNECT'])
  })
})

describe('ruling a: a topic without a route', () => {
  test('reaches its subscribers and is retained', async () => {
    const net = await lab(house())
    const subscriber = await net.client()
    expect(await subscriber.subscribe('sensors/+')).toEqual([0])
    const publisher = await net.client()
    expect(await publisher.put('sensors/1', 'not json {', { retain: true })).toMatchObject({ reasonCode: 0 })
    expect(await subscriber.messages()).toEqual(['sensors/1 not json {'])
    const later = await net.client()
    await later.subscribe('sensors/#')
    expect(await later.messages()).toEqual(['sensors/1 not json {'])
  })

  test('answers 0x10 when no session has subscribed, in MQTT 5', async () => {
    const net = await lab(house())
    expect(await (await net.client()).put('sensors/1', 'x')).toMatchObject({ reasonCode: 0x10 })
    expect((await (await net.client({ version: 4 })).put('sensors/1', 'x'))['reasonCode']).toBeUndefined()
  })

  test('goes through the middleware all the same', async () => {
    const net = await lab(app =>
      app.use((context, next) => {
        if (context.method === 'PUT' && context.path.startsWith('/private/')) throw new IopaError(403, 'forbidden', 'not yours')
        return next()
      })
    )
    const subscriber = await net.client()
    await subscriber.subscribe('#')
    const publisher = await net.client()
    expect(await publisher.put('private/1', 'x', { retain: true })).toMatchObject({
      reasonCode: 0x87,
      properties: { reasonString: 'not yours', userProperties: { status: '403' } }
    })
    expect(await publisher.put('public/1', 'x')).toMatchObject({ reasonCode: 0 })
    expect(await subscriber.messages()).toEqual(['public/1 x'])
  })

  test('may be one that breaks the rules of paths, and then reaches no route, not even one for everything', async () => {
    const seen: string[] = []
    const net = await lab(app => app.use(router()).all('/*', context => void seen.push(context.path)))
    const subscriber = await net.client()
    await subscriber.subscribe(['/a', 'a//b', 'a/../b', 'a\\b'])
    const publisher = await net.client()
    for (const topic of ['/a', 'a//b', 'a/../b', 'a\\b']) expect(await publisher.put(topic, 'x'), topic).toMatchObject({ reasonCode: 0 })
    expect(await subscriber.messages()).toEqual(['/a x', 'a//b x', 'a/../b x', 'a\\b x'])
    expect(seen).toEqual([])
  })
})

describe('ruling b: a route, but not for the method', () => {
  test('is 0x90, and nothing is delivered or retained', async () => {
    const net = await lab(app => app.use(router()).get('/clock', () => 'noon'))
    const subscriber = await net.client()
    await subscriber.subscribe('+')
    expect(await subscriber.messages()).toEqual(['clock noon'])
    expect(await (await net.client()).put('clock', 'midnight', { retain: true })).toMatchObject({
      reasonCode: 0x90,
      properties: { userProperties: { status: '405' } }
    })
    expect(await subscriber.messages()).toEqual([])
    const later = await net.client()
    await later.subscribe('clock')
    expect(await later.messages()).toEqual(['clock noon'])
  })
})

describe('ruling c: a handler that does not answer 2xx', () => {
  test('stores nothing and delivers nothing', async () => {
    const net = await lab(house())
    const subscriber = await net.client()
    await subscriber.subscribe(['lights/hall', 'commands/#'], { rh: 2 })
    const publisher = await net.client()
    expect(await publisher.put('lights/hall', '{"level":101}', { retain: true })).toMatchObject({
      reasonCode: 0x99,
      properties: { reasonString: 'level is from 0 to 100', userProperties: { status: '422' } }
    })
    expect(await publisher.put('commands/fail', 'x', { retain: true })).toMatchObject({
      reasonCode: 0x80,
      properties: { userProperties: { status: '500' } }
    })
    expect(await subscriber.messages()).toEqual([])
    expect(net.errors.flat().some(error => error instanceof Error && error.message === 'secret detail')).toBe(true)
  })

  test('does not reveal internal errors', async () => {
    const net = await lab(house())
    const client = await net.client()
    const puback = await client.put('commands/fail', 'x')
    expect(JSON.stringify(puback)).not.toContain('secret')
  })

  test.each([
    [400, 0x99],
    [401, 0x87],
    [403, 0x87],
    [404, 0x90],
    [405, 0x90],
    [409, 0x83],
    [412, 0x83],
    [415, 0x99],
    [422, 0x99],
    [429, 0x97],
    [500, 0x80],
    [503, 0x97],
    [504, 0x80]
  ])('with status %i gives reason code %i', async (status, reasonCode) => {
    const net = await lab(app => app.use(router()).put('/a', () => reply(status, 'no')))
    expect(await (await net.client()).put('a', 'x')).toMatchObject({ reasonCode, properties: { userProperties: { status: String(status) } } })
    const second = await net.client()
    second.publish('a', 'x', { qos: 2, messageId: 5 })
    expect(await second.next('pubrec')).toMatchObject({ reasonCode })
  })

  test('with status 413 ends the connection', async () => {
    const net = await lab(app => app.use(router()).put('/a', () => reply(413, 'no')))
    const client = await net.client()
    client.publish('a', 'x', { qos: 1, messageId: 5 })
    expect(await client.next('disconnect')).toMatchObject({ reasonCode: 0x95 })
  })

  test('is a plain acknowledgement to a client of MQTT 3, or the end of its connection', async () => {
    const status = { now: 422 }
    const build = (app: App): void => void app.use(router()).put('/a', () => reply(status.now, 'no'))
    const strict = await lab(build)
    for (status.now of [400, 404, 409, 422]) expect(await (await strict.client({ version: 4 })).put('a', 'x')).toMatchObject({ messageId: 9 })
    for (status.now of [401, 403, 429, 500, 503]) {
      const client = await strict.client({ version: 4 })
      client.publish('a', 'x', { qos: 1, messageId: 5 })
      await strict.clock.runUntil(() => client.closed)
      expect(client.packets).toEqual([])
    }
    const lenient = await lab(build, { refusal: 'acknowledge' })
    for (status.now of [401, 403]) expect(await (await lenient.client({ version: 4 })).put('a', 'x')).toMatchObject({ messageId: 9 })
  })
})

describe('ruling e: 2xx without a GET route', () => {
  test('delivers the payload, after the handler', async () => {
    const seen: string[] = []
    const net = await lab(house(seen))
    const subscriber = await net.client()
    expect(await subscriber.subscribe('commands/open')).toEqual([0])
    await (await net.client()).put('commands/open', 'now')
    expect(seen).toEqual(['PUT /commands/open now'])
    expect(await subscriber.messages()).toEqual(['commands/open now'])
  })

  test('delivers it once, also with a wildcard and through a shared subscription', async () => {
    const net = await lab(house())
    const subscribers = [await net.client(), await net.client()]
    for (const subscriber of subscribers) await subscriber.subscribe('commands/#')
    const workers = [await net.client(), await net.client()]
    for (const worker of workers) await worker.subscribe('$share/g/commands/#')
    await (await net.client()).put('commands/open', 'now')
    for (const subscriber of subscribers) expect(await subscriber.messages()).toEqual(['commands/open now'])
    expect([...(await workers[0]!.messages()), ...(await workers[1]!.messages())]).toEqual(['commands/open now'])
  })
})

describe('the context of a PUBLISH', () => {
  test('has the properties as headers and keys', async () => {
    let seen: Record<string, unknown> = {}
    const net = await lab(app =>
      app.use(router()).put('/a/b', async context => {
        seen = {
          topic: context['mqtt.Topic'],
          qos: context['mqtt.Qos'],
          retain: context['mqtt.Retain'],
          dup: context['mqtt.Dup'],
          response: context['mqtt.ResponseTopic'],
          correlation: context['mqtt.CorrelationData'],
          client: context['mqtt.ClientId'],
          version: context['mqtt.ProtocolVersion'],
          type: context.type,
          one: context.headers.getAll('X-One'),
          method: context.headers.has('method'),
          bad: context.headers.has('bad name'),
          scheme: context.scheme,
          protocol: context.protocol,
          session: context['server.SessionId'],
          body: await context.text()
        }
      })
    )
    const client = await net.client({ clientId: 'me' })
    await client.put('a/b', 'hi', {
      dup: true,
      retain: true,
      properties: {
        contentType: 'text/x-hi',
        responseTopic: 'r',
        correlationData: Buffer.from('c'),
        userProperties: { 'x-one': ['1', '2'], method: 'PUT', 'bad name': 'x', bad: 'line\nbreak' }
      }
    })
    expect(seen).toEqual({
      topic: 'a/b',
      qos: 1,
      retain: true,
      dup: true,
      response: 'r',
      correlation: Buffer.from('c'),
      client: 'me',
      version: 5,
      type: 'text/x-hi',
      one: ['1', '2'],
      method: false,
      bad: false,
      scheme: 'mqtt',
      protocol: 'MQTT/5.0',
      session: 'me',
      body: 'hi'
    })
  })

  test('refuses a payload marked as UTF-8 that is not', async () => {
    const net = await lab()
    const client = await net.client()
    expect(await client.put('a', Buffer.from([0xff]), { properties: { payloadFormatIndicator: true } })).toMatchObject({ reasonCode: 0x99 })
    expect(await client.put('a', Buffer.from('ü'), { properties: { payloadFormatIndicator: true } })).toMatchObject({ reasonCode: 0x10 })
  })
})
