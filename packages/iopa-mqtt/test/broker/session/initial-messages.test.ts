import { type App, IopaError } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { afterEach, describe, expect, test } from 'vitest'
import { closeLabs, lab } from '../lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

function lights(state: Record<string, unknown>) {
  return (app: App): void => {
    const routed = app.use(router())
    routed.get('/lights', () => Object.keys(state))
    routed.get('/clock', () => 'noon')
    routed.get('/lights/:id', ({ params }) => {
      if (!(params.id in state)) throw new IopaError(404, 'no-light')
      return state[params.id]
    })
    routed.put('/lights/:id', async ({ params, ...rest }) => {
      void rest
      state[params.id] = 'on'
    })
    routed.put('/lights/:id/level', () => undefined)
  }
}

describe('a subscription with wildcards', () => {
  test('begins with retained messages, static GET routes and what has changed since the start', async () => {
    const state: Record<string, unknown> = { hall: 'off', attic: 'off', cellar: 'off' }
    const net = await lab(lights(state))
    await (await net.client()).put('plain/1', 'kept', { retain: true })
    net.app.notify('/lights/attic')
    await net.app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': '/lights/hall' })
    const client = await net.client()
    await client.subscribe('#')
    const first = await client.next('publish')
    expect(first).toMatchObject({ topic: 'plain/1', retain: true })
    expect((await client.messages()).sort()).toEqual(['clock noon', 'lights ["hall","attic","cellar"]', 'lights/attic off', 'lights/hall on'].sort())
    const one = await net.client()
    await one.subscribe('lights/+')
    expect((await one.messages()).sort()).toEqual(['lights/attic off', 'lights/hall on'])
  })

  test('forgets states that are gone', async () => {
    const state: Record<string, unknown> = { hall: 'off' }
    const net = await lab(lights(state))
    net.app.notify('/lights/hall')
    delete state['hall']
    const client = await net.client()
    await client.subscribe('lights/+')
    expect(await client.messages()).toEqual([])
  })

  test('of a shared subscription gets nothing at its beginning', async () => {
    const net = await lab(lights({ hall: 'off' }))
    await (await net.client()).put('plain', 'kept', { retain: true })
    const client = await net.client()
    await client.subscribe(['$share/g/#', '$share/g/plain', '$share/g/lights'])
    expect(await client.messages()).toEqual([])
  })

  test('takes many retained messages at the pace of its client', async () => {
    const net = await lab()
    const publisher = await net.client()
    for (let index = 0; index < 3000; index++) publisher.publish(`many/${index}`, 'x'.repeat(500), { retain: true })
    await net.rest(500)
    const client = await net.client()
    client.pause()
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'many/+', qos: 0 }] })
    await net.rest(2000)
    client.resume()
    await net.rest(2000)
    expect((await client.messages()).length).toBe(3000)
  })
})
