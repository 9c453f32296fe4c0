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

describe('the Response Topic', () => {
  test('gets the answer with its status, headers, content type and the correlation data, before the acknowledgement', async () => {
    const net = await lab(house())
    const client = await net.client()
    await client.subscribe('answers/me')
    client.publish('lights/hall', '', { qos: 1, messageId: 5, properties: { responseTopic: 'answers/me', correlationData: Buffer.from([1, 2]) } })
    await net.rest()
    expect(client.packets.map(packet => packet.cmd)).toEqual(['publish', 'puback'])
    expect(client.packets[0]).toMatchObject({
      topic: 'answers/me',
      payload: Buffer.from('{"on":false}'),
      retain: false,
      properties: { correlationData: Buffer.from([1, 2]), contentType: 'application/json', userProperties: { status: '200' } }
    })
  })

  test('gets no body for HEAD', async () => {
    const net = await lab(house())
    const client = await net.client()
    await client.subscribe('answers')
    client.publish('lights/hall', '', { properties: { responseTopic: 'answers', userProperties: { method: 'HEAD' } } })
    expect(await client.next('publish')).toMatchObject({ payload: Buffer.alloc(0), properties: { userProperties: { status: '200' } } })
  })

  test('gets errors as problems', async () => {
    const net = await lab(house())
    const client = await net.client()
    await client.subscribe('answers')
    client.publish('lights/attic', '', { properties: { responseTopic: 'answers' } })
    const answer = await client.next('publish')
    expect(answer).toMatchObject({ properties: { contentType: 'application/problem+json', userProperties: { status: '404' } } })
    expect(JSON.parse(String(answer['payload']))).toMatchObject({ status: 404, code: 'no-light' })
  })

  test('gets a streamed body whole', async () => {
    const net = await lab(app =>
      app.use(router()).get('/s', async function* () {
        yield Buffer.from('one ')
        yield Buffer.from('two')
      })
    )
    const client = await net.client()
    await client.subscribe('answers')
    client.publish('s', '', { properties: { responseTopic: 'answers' } })
    expect(await client.messages()).toEqual(['answers one two'])
  })

  test('passes on between clients when no route covers the request', async () => {
    const net = await lab(house())
    const responder = await net.client()
    await responder.subscribe('service/ping')
    const client = await net.client()
    client.publish('service/ping', '', { properties: { responseTopic: 'answers', correlationData: Buffer.from('c') } })
    expect(await responder.next('publish')).toMatchObject({
      topic: 'service/ping',
      properties: { responseTopic: 'answers', correlationData: Buffer.from('c') }
    })
  })

  test('cannot be a resource of the app, nor a topic that the client may not publish to', async () => {
    const net = await lab(app => {
      app.use((context, next) => {
        if (context.path.startsWith('/private/') && context.method === 'PUBLISH') throw new IopaError(403, 'forbidden')
        return next()
      })
      house()(app)
    })
    const victim = await net.client()
    await victim.subscribe(['lights/hall', 'private/#'], { rh: 2 })
    const client = await net.client()
    const ask = (responseTopic: string) => client.put('lights/hall', '', { properties: { responseTopic } })
    expect(await ask('lights/hall')).toMatchObject({ reasonCode: 0x90 })
    expect(await ask('private/x')).toMatchObject({ reasonCode: 0x87 })
    expect(await ask('a/+')).toMatchObject({ reasonCode: 0x90 })
    expect(await ask('$SYS/broker/uptime')).toMatchObject({ reasonCode: 0x90 })
    expect(await victim.messages()).toEqual([])
  })
})
